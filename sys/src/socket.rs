//! Unix sockets: listening, who is on the other side, passing descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use nix::sys::socket::MsgFlags;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::error::{Cannot, Result, SysError};
use crate::kernel::Received;

/// Most descriptors that travel with one message.
pub const MAX_FDS: usize = 8;
/// Most descriptors that the kernel lets travel with one message, whoever sends it (`SCM_MAX_FD` of its `net/scm.h`).
const SCM_MAX_FD: usize = 253;

/// User whom a process has that we do not see (`DEFAULT_OVERFLOWUID` of the kernel).
const NOBODY: u32 = 65_534;

/// Who is on the other side of a connection, as the kernel noted it when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Process id in our pid namespace; 0 when it lives in another one.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Listens at `path`, replacing a socket that a dead process left there. Exactly `mode` decides who may connect.
///
/// # Errors
/// The folder is absent, or something that is no socket has the name.
pub fn listen(path: impl AsRef<Path>, mode: u32) -> Result<UnixListener> {
    let path = path.as_ref();
    replace(path)?;
    let listener = UnixListener::bind(path).cannot("listen on", path)?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).cannot("set the mode of", path)?;
    Ok(listener)
}

fn replace(path: &Path) -> Result<()> {
    use std::os::unix::fs::FileTypeExt;
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path).cannot("replace", path)?;
    }
    Ok(())
}

/// Connects to the socket at `path`.
///
/// # Errors
/// Nobody listens there (`ECONNREFUSED`), it is absent, or we may not.
pub fn connect(path: impl AsRef<Path>) -> Result<UnixStream> {
    UnixStream::connect(path.as_ref()).cannot("connect to", path)
}

/// Who is on the other side.
///
/// # Errors
/// The descriptor is no connected Unix socket.
pub fn peer(stream: impl AsFd) -> Result<Peer> {
    use std::os::fd::AsRawFd;
    let mut found = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or_default();
    // Not rustix's call: its process ids cannot be 0, which is what a peer in another pid namespace has.
    // SAFETY: the kernel writes at most `length` bytes into `found`, any content of which is valid.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if answer < 0 {
        return Err(SysError::new(
            "identify",
            "the peer",
            std::io::Error::last_os_error(),
        ));
    }
    Ok(Peer {
        pid: found.pid,
        uid: found.uid,
        gid: found.gid,
    })
}

/// The further groups of whoever is on the other side, as the kernel noted them when the connection was made
/// (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// The descriptor is no connected Unix socket, or the kernel does not tell.
pub fn peer_groups(stream: impl AsFd) -> Result<Vec<u32>> {
    use std::os::fd::AsRawFd;
    let stream = stream.as_fd().as_raw_fd();
    let mut found: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let bytes = size_of_val(found.as_slice());
        let mut length = libc::socklen_t::try_from(bytes).unwrap_or_default();
        let place = found.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `length` bytes, which is the size of `found`.
        let answer = unsafe {
            libc::getsockopt(
                stream,
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                place,
                &raw mut length,
            )
        };
        let length = usize::try_from(length).unwrap_or_default();
        let count = length
            .checked_div(size_of::<libc::gid_t>())
            .unwrap_or_default();
        if answer == 0 {
            found.truncate(count);
            return Ok(found);
        }
        let error = std::io::Error::last_os_error();
        // Too small: `length` says how much there is.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= found.len() {
            return Err(SysError::new("identify", "the groups of the peer", error));
        }
        found.resize(count, 0);
    }
}

/// Sends bytes with descriptors; returns how many bytes went. The descriptors go with the first byte.
///
/// # Errors
/// More than [`MAX_FDS`] descriptors, no bytes to carry them, or the other side is gone (`EPIPE`, no signal).
pub fn send_fds(stream: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    if bytes.is_empty() || fds.len() > MAX_FDS {
        let why = format!("a message carries 1 byte or more and at most {MAX_FDS} descriptors");
        return Err(SysError::invalid("send", "descriptors", why));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(SysError::invalid("send", "descriptors", "they do not fit"));
    }
    let slices = [IoSlice::new(bytes)];
    rustix::net::sendmsg(stream, &slices, &mut control, SendFlags::NOSIGNAL)
        .cannot("send", "descriptors")
}

/// Receives bytes and the descriptors that came with them (close-on-exec). 0 bytes: the other side hung up.
///
/// # Errors
/// Nothing is there yet (`EAGAIN`), or more descriptors came than [`MAX_FDS`]; those received are closed.
pub fn receive_fds(stream: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)
        .cannot("receive", "descriptors")?;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        let why = format!("more than {MAX_FDS} came with one message");
        return Err(SysError::invalid("receive", "descriptors", why));
    }
    Ok((message.bytes, fds))
}

/// Receives a datagram with its sender's process id and descriptors (close-on-exec), from a socket with `SO_PASSCRED`.
/// `None`: nothing is there.
///
/// # Errors
/// What recvmsg(2) reports.
pub fn receive_datagram(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<Received<OwnedFd>>> {
    let received = receive(socket, buffer, MsgFlags::empty()).map(|received| received.datagram);
    unless_empty(received, "a datagram")
}

/// A datagram and what else is known about it.
#[derive(Debug)]
pub struct Seen {
    /// The datagram. Descriptors are copies while it is still there.
    pub datagram: Received<OwnedFd>,
    /// User of the sender; what the kernel shows for one whom we do not see, if none was told.
    pub uid: u32,
    /// The buffer did not hold all of it.
    pub is_cut: bool,
    /// No sender was told.
    from_nobody: bool,
}

/// As [`receive_datagram`], but the datagram stays where it is.
///
/// # Errors
/// What recvmsg(2) reports.
pub fn peek_datagram(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<Seen>> {
    unless_empty(receive(socket, buffer, MsgFlags::MSG_PEEK), "a datagram")
}

/// Takes datagrams at `path`, each with its sender, replacing a socket that is there. Exactly `mode` decides who may send.
///
/// # Errors
/// The folder is absent, or something that is no socket has the name.
pub fn take_datagrams(path: impl AsRef<Path>, mode: u32) -> Result<OwnedFd> {
    let path = path.as_ref();
    replace(path)?;
    let socket = UnixDatagram::bind(path).cannot("listen on", path)?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).cannot("set the mode of", path)?;
    tell_senders(&socket)?;
    Ok(socket.into())
}

/// Each message is to bring its sender (`SO_PASSCRED` of unix(7)).
///
/// # Errors
/// It is no Unix socket.
pub fn tell_senders(socket: impl AsFd) -> Result<()> {
    rustix::net::sockopt::set_socket_passcred(socket, true).cannot("see", "senders of messages")
}

/// Nobody can send to it any more; what has come can still be read.
pub fn shut(socket: impl AsFd) {
    // It is shut already, then.
    rustix::net::shutdown(socket, rustix::net::Shutdown::Read).ok();
}

/// Whether [`shut`] was done to it, by whoever has it.
pub fn is_shut(socket: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&socket, PollFlags::RDHUP)];
    let now = crate::timer::span(0);
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
}

/// Reads what has come by a connection, without waiting, with whatever descriptors came along. `None`: nothing is there; a
/// length of 0: the other side hung up.
///
/// # Errors
/// What recvmsg(2) reports.
pub fn receive_bytes(
    stream: impl AsFd,
    buffer: &mut [u8],
) -> Result<Option<(usize, Vec<OwnedFd>)>> {
    let received = receive(stream, buffer, MsgFlags::empty())
        .map(|received| (received.datagram.length, received.datagram.fds));
    unless_empty(received, "from a connection")
}

fn unless_empty<T>(received: nix::Result<T>, what: &str) -> Result<Option<T>> {
    match received {
        Ok(received) => Ok(Some(received)),
        Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(None),
        Err(error) => Err(SysError::new("receive", what, error)),
    }
}

/// Nothing more comes into a socket that is about to be closed, and the descriptors that lie in it come out.
pub fn drain(socket: impl AsFd) -> Vec<OwnedFd> {
    let socket = socket.as_fd();
    rustix::net::shutdown(socket, rustix::net::Shutdown::Both).ok();
    let mut fds = Vec::new();
    let mut buffer = [0; 4096];
    // The kernel holds less: at least 512 bytes are counted for each of its messages.
    for _ in 0..4096 {
        match receive(socket, &mut buffer, MsgFlags::empty()) {
            // An empty datagram has a sender all the same, the end has none.
            Ok(received) if received.datagram.length == 0 && received.from_nobody => break,
            Ok(received) => fds.extend(received.datagram.fds),
            Err(nix::Error::EINTR) => {}
            Err(_) => break,
        }
    }
    fds
}

/// One message, or a part of a stream, with room for all descriptors: what finds none is closed by the kernel, and that may
/// take its time (see [`crate::stray`]). A socket with `SO_PASSCRED` tells a sender for each message.
fn receive(socket: impl AsFd, buffer: &mut [u8], how: MsgFlags) -> nix::Result<Seen> {
    use nix::sys::socket::{ControlMessageOwned, UnixAddr, recvmsg};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};
    // Not rustix's call: its process ids cannot be 0, which is what a sender in another pid namespace has.
    let mut space = nix::cmsg_space!(libc::ucred, [RawFd; SCM_MAX_FD]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = how | MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<UnixAddr>(socket, &mut slices, Some(&mut space), flags)?;
    let mut received = Received {
        length: message.bytes,
        pid: 0,
        fds: Vec::new(),
    };
    let is_cut = message.flags.contains(MsgFlags::MSG_TRUNC);
    let mut uid = None;
    for part in message.cmsgs().into_iter().flatten() {
        match part {
            ControlMessageOwned::ScmCredentials(sender) => {
                received.pid = u32::try_from(sender.pid()).unwrap_or_default();
                uid = Some(sender.uid());
            }
            ControlMessageOwned::ScmRights(fds) => {
                // SAFETY: the kernel has just put these into our table, and nobody else knows them.
                let owned = fds
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                received.fds.extend(owned);
            }
            _ => {}
        }
    }
    Ok(Seen {
        datagram: received,
        uid: uid.unwrap_or(NOBODY),
        is_cut,
        from_nobody: uid.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;
    use std::io::{Read, Write};

    #[test]
    fn a_stale_socket_is_replaced_and_other_files_are_not() {
        let dir = TestDir::new("listen");
        drop(listen(dir.join("s"), 0o600).unwrap());
        drop(listen(dir.join("s"), 0o600).unwrap());
        std::fs::write(dir.join("f"), b"precious").unwrap();
        assert!(listen(dir.join("f"), 0o600).is_err());
        assert_eq!(std::fs::read(dir.join("f")).unwrap(), b"precious");
    }

    #[test]
    fn the_peer_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let me = peer(&one).unwrap();
        assert_eq!(u32::try_from(me.pid).unwrap(), std::process::id());
    }

    #[test]
    fn the_groups_of_the_peer_are_ours_however_many() {
        use rustix::thread::set_thread_groups;
        // In a thread of its own, which alone has them.
        let many = std::thread::spawn(|| {
            let groups: Vec<u32> = (1000..1200).collect();
            let raw: Vec<_> = groups
                .iter()
                .map(|gid| rustix::fs::Gid::from_raw(*gid))
                .collect();
            if let Err(error) = set_thread_groups(&raw) {
                println!("skipped: only root can have other groups: {error}");
                return;
            }
            let (one, _other) = UnixStream::pair().unwrap();
            assert_eq!(peer_groups(&one).unwrap(), groups);
        });
        many.join().unwrap();
    }

    #[test]
    fn a_descriptor_arrives_and_works() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut inner, passed) = UnixStream::pair().unwrap();
        send_fds(&one, b"x", &[passed.as_fd()]).unwrap();
        let mut buffer = [0; 4];
        let (length, mut fds) = receive_fds(&other, &mut buffer).unwrap();
        assert_eq!((length, fds.len()), (1, 1));
        let mut arrived = UnixStream::from(fds.remove(0));
        arrived.write_all(b"hello").unwrap();
        let mut text = [0; 5];
        inner.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    }

    #[test]
    fn a_datagram_tells_its_sender_and_brings_descriptors() {
        use std::os::unix::net::UnixDatagram;
        let (one, other) = UnixDatagram::pair().unwrap();
        rustix::net::sockopt::set_socket_passcred(&other, true).unwrap();
        let other = OwnedFd::from(other);
        let mut buffer = [0; 4];
        assert!(receive_datagram(&other, &mut buffer).unwrap().is_none());
        send_fds(&one, b"hello", &[one.as_fd()]).unwrap();
        let found = receive_datagram(&other, &mut buffer).unwrap().unwrap();
        assert_eq!((found.length, found.pid), (4, std::process::id()));
        assert_eq!((found.fds.len(), &buffer), (1, b"hell"));
    }

    #[test]
    fn a_closed_other_side_is_an_error_and_no_signal() {
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(
            send_fds(&one, b"x", &[]).unwrap_err().errno(),
            Some(libc::EPIPE)
        );
    }
}
