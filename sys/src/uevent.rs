//! The kernel's messages about devices that come and go (`NETLINK_KOBJECT_UEVENT`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::error::{Cannot, Result, SysError};

/// Multicast groups: the kernel's own messages, and udev's, which follow when it has made its links. Only root can send
/// to them.
const KERNEL: u32 = 1;
const UDEV: u32 = 2;
/// Receive buffer in bytes: thousands of messages, so that a cold boot's flood fits.
const BUFFER: usize = 16 << 20;
/// Largest message (`UEVENT_BUFFER_SIZE` is 2048, with room for the header line).
const MESSAGE: usize = 8192;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change`, …
    pub action: String,
    /// The device below `/sys`.
    pub devpath: String,
    /// All variables, in the kernel's order.
    pub variables: Vec<(String, String)>,
}

impl Uevent {
    /// The value of a variable (`SUBSYSTEM`, `MODALIAS`, `DEVNAME`, …).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(name, _)| name == key)?;
        Some(&found.1)
    }
}

/// Parses a message: `ACTION@DEVPATH`, then variables, each ended by NUL. `None` when it is something else.
#[must_use]
pub fn parse(message: &[u8]) -> Option<Uevent> {
    let mut parts = message
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part));
    let head = parts.next()?;
    let (action, devpath) = head.split_once('@')?;
    let variables = parts
        .filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        })
        .collect();
    Some(Uevent {
        action: action.to_owned(),
        devpath: devpath.to_owned(),
        variables,
    })
}

/// What waiting for a message gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A message of the kernel.
    Event(Uevent),
    /// A message of udev: it is done with some device.
    Udev,
    /// Messages were lost: look at sysfs again.
    Overrun,
    /// The deadline has passed.
    Silence,
}

/// The kernel's messages from now on.
#[derive(Debug)]
pub struct UeventSocket(OwnedFd);

impl UeventSocket {
    /// Starts listening. Open it before looking at sysfs, so that nothing falls between.
    ///
    /// # Errors
    /// Networking is not built into the kernel, or we may not.
    pub fn open() -> Result<Self> {
        let what = "the kernel's device messages";
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            flags,
            Some(KOBJECT_UEVENT),
        )
        .cannot("listen to", what)?;
        // Beyond the system's limit only root may go; without it an overrun is more likely, and handled.
        if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER).ok();
        }
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL | UDEV))
            .cannot("listen to", what)?;
        Ok(Self(socket))
    }

    /// Waits for the next message until `deadline`. A deadline in the past only looks.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn wait(&self, deadline: Instant) -> Result<Heard> {
        let broken = |error: Errno| {
            SysError::new(
                "hear",
                "the kernel's device messages",
                io::Error::from(error),
            )
        };
        loop {
            match self.receive() {
                Ok(heard) => return Ok(heard),
                Err(Errno::NOBUFS) => return Ok(Heard::Overrun),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(broken(error)),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::Silence);
            }
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }

    /// One message, if there is one.
    fn receive(&self) -> rustix::io::Result<Heard> {
        let mut buffer = [MaybeUninit::uninit(); MESSAGE];
        let ((message, _), _, from) =
            rustix::net::recvfrom(&self.0, &mut buffer, RecvFlags::empty())?;
        let kernel = from
            .and_then(|from| SocketAddrNetlink::try_from(from).ok())
            .is_some_and(|from| from.pid() == 0);
        let event = if kernel { parse(message) } else { None };
        Ok(event.map_or(Heard::Udev, Heard::Event))
    }
}

impl AsFd for UeventSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart() {
        let bytes = b"add@/devices/x/block/vda\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=vda\0ODD\0";
        let event = parse(bytes).unwrap();
        assert_eq!(
            (event.action.as_str(), event.get("DEVNAME")),
            ("add", Some("vda"))
        );
        assert_eq!((event.variables.len(), event.get("ODD")), (3, None));
    }

    #[test]
    fn other_messages_are_none() {
        for bytes in [&b"libudev\0\xfe\xed\xca\xfe"[..], b"", b"\0\0"] {
            assert_eq!(parse(bytes), None);
        }
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let socket = UeventSocket::open().unwrap();
        let heard = socket.wait(Instant::now() + std::time::Duration::from_millis(5));
        assert!(!matches!(heard.unwrap(), Heard::Overrun));
    }
}
