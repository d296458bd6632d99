//! Descriptors that nobody has asked for, and that take long to close.

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// A connection that takes a minute to close, and its other end.
pub fn lingering() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let mut slow = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    slow.set_nonblocking(true)?;
    while slow.write(&[0; 65_536]).is_ok() {}
    let minute = Some(Duration::from_secs(60));
    rustix::net::sockopt::set_socket_linger(&slow, minute)?;
    slow.set_nonblocking(false)?;
    Ok((slow, other))
}

/// Sends bytes and a descriptor to whoever is at the other end.
pub fn send_with(socket: impl AsFd, bytes: &[u8], fd: impl AsFd) -> Result<()> {
    let fds = [fd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(
        control.push(SendAncillaryMessage::ScmRights(&fds)),
        "no room"
    );
    let bytes = [IoSlice::new(bytes)];
    rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
