//! Whether a name on the system bus has an owner: as much of the D-Bus specification's wire protocol as two calls take.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// Where the system bus listens.
pub(super) const SOCKET: &str = "/run/dbus/system_bus_socket";
/// Name and interface of the bus itself.
const BUS: &str = "org.freedesktop.DBus";
/// Longest message that is read, in bytes; ours are answered by short ones.
const LONGEST: usize = 1 << 16;
/// Most messages that may come before the answer.
const MOST: usize = 64;

/// Asks the bus at the other end of `stream`.
pub(super) fn has_owner(mut stream: impl Read + Write, name: &str) -> Result<bool> {
    let uid = sys::process::user().to_string();
    let uid: String = uid.bytes().map(|b| format!("{b:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {uid}\r\n").as_bytes())?;
    if !line(&mut stream)?.starts_with("OK ") {
        return Err(ErrorKind::PermissionDenied.into());
    }
    stream.write_all(b"BEGIN\r\n")?;
    stream.write_all(&call(1, "Hello", None))?;
    stream.write_all(&call(2, "NameHasOwner", Some(name)))?;
    for _ in 0..MOST {
        let message = Message::read(&mut stream)?;
        if message.answers() == Some(2) {
            return message.yes().ok_or_else(nonsense);
        }
    }
    Err(nonsense())
}

fn nonsense() -> Error {
    ErrorKind::InvalidData.into()
}

fn line(stream: &mut impl Read) -> Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n") {
        if text.len() > 512 {
            return Err(nonsense());
        }
        stream.read_exact(&mut byte)?;
        text.push(char::from(byte[0]));
    }
    Ok(text)
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// A method call on the bus itself, with one text as its argument or none.
fn call(serial: u32, member: &str, argument: Option<&str>) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(text) = argument {
        string(&mut body, text);
    }
    // Header fields begin at a multiple of 8, so their own padding can be counted from here.
    let mut fields = Vec::new();
    for (code, kind, text) in [
        (1, b'o', "/org/freedesktop/DBus"),
        (2, b's', BUS),
        (3, b's', member),
        (6, b's', BUS),
    ] {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        string(&mut fields, text);
    }
    if argument.is_some() {
        pad(&mut fields, 8);
        fields.extend([8, 1, b'g', 0, 1, b's', 0]);
    }
    let number = |length: usize| u32::try_from(length).unwrap_or_default().to_le_bytes();
    let mut message = vec![b'l', 1, 0, 1];
    message.extend(number(body.len()));
    message.extend(serial.to_le_bytes());
    message.extend(number(fields.len()));
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

/// A message as it came.
struct Message {
    big: bool,
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut impl Read) -> Result<Self> {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let big = head[0] == b'B';
        let length = |at: usize| {
            let found = number(&head, at, big).and_then(|n| usize::try_from(n).ok());
            found.filter(|n| *n <= LONGEST).ok_or_else(nonsense)
        };
        let (body, fields) = (length(4)?, length(12)?);
        let mut bytes = vec![0; fields.next_multiple_of(8)];
        stream.read_exact(&mut bytes)?;
        bytes.truncate(fields);
        let mut rest = vec![0; body];
        stream.read_exact(&mut rest)?;
        Ok(Self {
            big,
            fields: bytes,
            body: rest,
        })
    }

    /// The serial number of the call that it answers.
    fn answers(&self) -> Option<u32> {
        let mut at: usize = 0;
        loop {
            at = at.next_multiple_of(8);
            let code = *self.fields.get(at)?;
            let kind = *self.fields.get(at.checked_add(2)?)?;
            at = at.checked_add(4)?;
            match (code, kind) {
                (5, b'u') => return number(&self.fields, at, self.big),
                (_, b'u') => at = at.checked_add(4)?,
                (_, b's' | b'o') => {
                    let length = number(&self.fields, at, self.big)?;
                    at = at
                        .checked_add(usize::try_from(length).ok()?)?
                        .checked_add(5)?;
                }
                (_, b'g') => {
                    let length = usize::from(*self.fields.get(at)?);
                    at = at.checked_add(length)?.checked_add(2)?;
                }
                _ => return None,
            }
        }
    }

    /// Its one boolean.
    fn yes(&self) -> Option<bool> {
        if self.body.len() != 4 {
            return None;
        }
        number(&self.body, 0, self.big).map(|number| number == 1)
    }
}

fn number(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(if big {
        u32::from_be_bytes(*four)
    } else {
        u32::from_le_bytes(*four)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn a_real_bus_knows_itself_and_not_a_stranger() {
        let path = std::env::temp_dir().join(format!("rinit-bus-{}", std::process::id()));
        let config = path.with_extension("conf");
        let text = format!(
            "<busconfig><listen>unix:path={}</listen><policy context=\"default\"><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/></policy></busconfig>",
            path.display()
        );
        std::fs::write(&config, text).unwrap();
        let daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut daemon) = daemon else {
            println!("skipped: there is no dbus-daemon here");
            std::fs::remove_file(&config).unwrap();
            return;
        };
        let output = daemon.stdout.take().unwrap();
        let mut address = String::new();
        std::io::BufReader::new(output)
            .read_line(&mut address)
            .unwrap();
        let ask = |name: &str| {
            let stream = UnixStream::connect(&path).unwrap();
            let deadline = std::time::Duration::from_secs(30);
            stream.set_read_timeout(Some(deadline)).unwrap();
            has_owner(stream, name).unwrap()
        };
        assert_eq!((ask(BUS), ask("org.example.Nobody")), (true, false));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        std::fs::remove_file(&config).unwrap();
        std::fs::remove_file(&path).ok();
    }

    #[test]
    fn nonsense_of_the_other_side_is_an_error() {
        for bytes in [
            b"".as_slice(),
            b"REJECTED\r\n",
            b"OK 1234\r\nl\x02\x01\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0",
            b"OK 1234\r\nl\x02\x01\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x05\x01u\0\x02\0\0\0",
        ] {
            let mut sink = Vec::new();
            let both = Both(bytes, &mut sink);
            assert!(has_owner(both, "org.a.B").is_err(), "{bytes:?}");
        }
    }

    struct Both<'a>(&'a [u8], &'a mut Vec<u8>);

    impl Read for Both<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Both<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }
}
