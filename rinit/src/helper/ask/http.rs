//! Whether a page is there: as much of HTTP/1.1 (RFC 9112) as one question takes.

use std::io::{Read, Write};

use super::{code, tcp};
use crate::roles::answer::{NO_QUESTION, NONSENSE, REFUSED};

/// Longest status line that is read, in bytes.
const LINE: usize = 1024;

/// Asks for a page; a status from 200 to 399 is a good answer. What else comes is said on standard error.
pub(super) fn get(address: &str, host: &str, path: &str) -> Result<(), u8> {
    let address = address.parse().map_err(|_no_address| NO_QUESTION)?;
    let mut stream = tcp(address).map_err(|error| code(&error))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: rinit\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .map_err(|error| code(&error))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && line.len() < LINE {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.extend(byte),
            Err(error) => return Err(code(&error)),
        }
    }
    let line = String::from_utf8_lossy(&line);
    let status = status(&line).ok_or(NONSENSE)?;
    if (200..400).contains(&status) {
        return Ok(());
    }
    let words = format!("GET {path}: HTTP status {status}\n");
    std::io::stderr().write_all(words.as_bytes()).ok();
    Err(REFUSED)
}

/// The number in `HTTP/1.1 200 OK`.
fn status(line: &str) -> Option<u16> {
    let mut words = line.strip_prefix("HTTP/1.")?.split_ascii_whitespace();
    let _minor = words.next()?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::*;
    use std::net::TcpListener;

    /// Serves one connection with an answer; returns the exit code.
    fn ask(answer: &'static str) -> u8 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let code = run(&["http", &address, "localhost:80", "/health"]);
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /health HTTP/1.1\r\nHost: localhost:80\r\n"));
        code
    }

    #[test]
    fn a_page_is_there_or_it_is_said_what_came_instead() {
        assert_eq!(ask("HTTP/1.1 200 OK\r\n\r\n"), 0);
        assert_eq!(ask("HTTP/1.0 302 Found\n"), 0);
        assert_eq!(ask("HTTP/1.1 503 Busy\r\n\r\n"), REFUSED);
        for bad in ["", "SSH-2.0-x\r\n", "HTTP/1.1\r\n", "HTTP/1.1 abc\r\n"] {
            assert_eq!(ask(bad), NONSENSE, "{bad:?}");
        }
        assert_eq!(run(&["http", "nowhere", "", "/"]), NO_QUESTION);
    }
}
