//! `rinit-helper ask`: a process of a unit that asks it one question and ends with the answer as its exit code.
//!
//! PID 1 may not wait for anybody, so it starts this. 0 is a good answer, an error number of the kernel says why there
//! was none, and larger ones are ours.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the questions, connections |
//! | `bus` | names on the system bus |
//! | `http` | pages |

mod bus;
mod http;

use std::net::SocketAddr;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};

use crate::roles::answer::{NO_OWNER, NO_QUESTION, NONSENSE};

/// Asks; the exit code. Whoever started us sets the deadline.
pub(crate) fn run(words: &[&str]) -> u8 {
    let answer = match words {
        ["connect", place] => connect(place),
        ["bus", name] => owner(name),
        ["http", address, host, path] => http::get(address, host, path),
        _ => Err(NO_QUESTION),
    };
    answer.err().unwrap_or(0)
}

fn code(error: &std::io::Error) -> u8 {
    let errno = error
        .raw_os_error()
        .and_then(|errno| u8::try_from(errno).ok());
    errno.filter(|errno| *errno != 0).unwrap_or(NONSENSE)
}

/// Whether a name on the system bus has an owner.
fn owner(name: &str) -> Result<(), u8> {
    let found = UnixStream::connect(bus::SOCKET).and_then(|stream| bus::has_owner(stream, name));
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(NO_OWNER),
        Err(error) => Err(code(&error)),
    }
}

/// Whether somebody accepts connections there: a path, an `@name`, an address.
fn connect(place: &str) -> Result<(), u8> {
    let done = |result: std::io::Result<()>| result.map_err(|error| code(&error));
    if let Some(name) = place.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        let address = UnixAddr::from_abstract_name(name).map_err(|error| code(&error))?;
        return done(UnixStream::connect_addr(&address).map(drop));
    }
    if place.starts_with('/') {
        return done(UnixStream::connect(place).map(drop));
    }
    let address: SocketAddr = place.parse().map_err(|_no_address| NO_QUESTION)?;
    done(tcp(address).map(drop))
}

/// Connects; where any address will do, to this machine by either protocol.
fn tcp(mut address: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
    if !address.ip().is_unspecified() {
        return TcpStream::connect(address);
    }
    address.set_ip(Ipv4Addr::LOCALHOST.into());
    TcpStream::connect(address).or_else(|why| {
        address.set_ip(Ipv6Addr::LOCALHOST.into());
        TcpStream::connect(address).map_err(|_no_ipv6_either| why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::TcpListener;

    /// What an asker says of an error of the kernel.
    fn refused_with(kind: ErrorKind, answer: u8) -> bool {
        std::io::Error::from_raw_os_error(answer.into()).kind() == kind
    }

    #[test]
    fn a_listener_is_found_and_what_is_in_the_way_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let everywhere = format!("[::]:{}", address.port());
        assert_eq!(run(&["connect", &address.to_string()]), 0);
        assert_eq!(run(&["connect", &everywhere]), 0);
        drop(listener);
        let refused = run(&["connect", &address.to_string()]);
        assert!(refused_with(ErrorKind::ConnectionRefused, refused));
        let nobody = run(&["connect", "/nowhere/at.sock"]);
        assert!(refused_with(ErrorKind::NotFound, nobody));
        assert_eq!(run(&["connect", "nonsense"]), NO_QUESTION);
        assert_eq!(run(&["what"]), NO_QUESTION);
    }
}
