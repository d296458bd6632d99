//! Sockets and pipes that are opened on behalf of a service, before it runs.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::error::{Cannot, Result, SysError};

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAt<'a> {
    /// What it carries.
    pub kind: Kind,
    /// Where.
    pub place: Place<'a>,
    /// Permissions; of a path only.
    pub mode: u32,
    /// Group; of a path only. Absent: root's.
    pub group: Option<u32>,
    /// Connections that wait to be accepted.
    pub backlog: u16,
    /// We accept them ourselves, so nothing may wait for one that has gone meanwhile.
    pub accept: bool,
}

/// A connection, and where it comes from.
#[derive(Debug)]
pub struct Accepted<Fd> {
    /// The connection.
    pub fd: Fd,
    /// The other end.
    pub from: From,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// An address of the network.
    Net(SocketAddr),
    /// A user of this machine.
    User(u32),
}

/// Accepts a connection on a socket that was opened to be accepted on. `None`: there is none any more.
///
/// # Errors
/// No descriptor or memory to be had.
pub fn accept(fd: impl AsFd) -> Result<Option<Accepted<OwnedFd>>> {
    let (fd, address) = match net::acceptfrom_with(&fd, SocketFlags::CLOEXEC) {
        Ok(accepted) => accepted,
        Err(error) if is_gone(error) => return Ok(None),
        Err(error) => return Err(SysError::new("accept", "a connection", error)),
    };
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    let from = match address {
        Some(address) => From::Net(SocketAddr::new(address.ip().to_canonical(), address.port())),
        None => {
            From::User(sockopt::socket_peercred(&fd).map_or(u32::MAX, |peer| peer.uid.as_raw()))
        }
    };
    Ok(Some(Accepted { fd, from }))
}

/// The connection is gone, or the network was before it was accepted (accept(2)).
fn is_gone(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN
            | Errno::INTR
            | Errno::CONNABORTED
            | Errno::NETDOWN
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::TIMEDOUT
            | Errno::PERM
    )
}

/// What it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Connections with a stream of bytes each.
    Stream,
    /// Datagrams.
    Datagrams,
    /// Connections with packets.
    Packets,
    /// Bytes, by a named pipe.
    Fifo,
}

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// An absolute path.
    Path(&'a str),
    /// An abstract name (unix(7)).
    Abstract(&'a str),
    /// An address of the network. The unspecified IPv6 address is for IPv4 too.
    Net(SocketAddr),
}

impl Place<'_> {
    /// As people write it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => (*path).to_owned(),
            Self::Abstract(name) => format!("@{name}"),
            Self::Net(address) => address.to_string(),
        }
    }
}

/// Opens it. What a dead process left at the path is replaced. Addresses need not be there yet.
///
/// # Errors
/// Something else has the name, or somebody else the address.
pub fn open(at: &ListenAt<'_>) -> Result<OwnedFd> {
    let Place::Path(path) = at.place else {
        return socket(at);
    };
    if let Some((dir, _)) = path.rsplit_once('/').filter(|(dir, _)| !dir.is_empty()) {
        std::fs::create_dir_all(dir).cannot("create", dir)?;
    }
    let found = std::fs::symlink_metadata(path).map(|found| found.file_type());
    let stale = found.is_ok_and(|kind| match at.kind {
        Kind::Fifo => kind.is_fifo(),
        Kind::Stream | Kind::Datagrams | Kind::Packets => kind.is_socket(),
    });
    if stale {
        std::fs::remove_file(path).cannot("replace", path)?;
    }
    let fd = if at.kind == Kind::Fifo {
        fifo(path)?
    } else {
        socket(at)?
    };
    if let Some(gid) = at.group {
        // Closed to others until its group is right.
        chmod(path, at.mode & 0o700)?;
        std::os::unix::fs::chown(path, None, Some(gid)).cannot("set the group of", path)?;
    }
    chmod(path, at.mode)?;
    Ok(fd)
}

fn chmod(path: &str, mode: u32) -> Result<()> {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).cannot("set the mode of", path)
}

/// For reading and writing: it stays open when the last writer has gone.
fn fifo(path: &str) -> Result<OwnedFd> {
    use rustix::fs::{CWD, FileType, OFlags};
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .cannot("make", path)?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).cannot("open", path)
}

fn socket(at: &ListenAt<'_>) -> Result<OwnedFd> {
    let object = at.place.shown();
    let failed = |error: Errno| SysError::new("listen on", &object, error);
    let kind = match at.kind {
        Kind::Stream | Kind::Fifo => SocketType::STREAM,
        Kind::Datagrams => SocketType::DGRAM,
        Kind::Packets => SocketType::SEQPACKET,
    };
    let family = match at.place {
        Place::Path(_) | Place::Abstract(_) => AddressFamily::UNIX,
        Place::Net(SocketAddr::V4(_)) => AddressFamily::INET,
        Place::Net(SocketAddr::V6(_)) => AddressFamily::INET6,
    };
    let mut flags = SocketFlags::CLOEXEC;
    flags.set(SocketFlags::NONBLOCK, at.accept);
    let fd = net::socket_with(family, kind, flags, None).map_err(failed)?;
    match at.place {
        Place::Path(path) => {
            net::bind(&fd, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
        }
        Place::Abstract(name) => {
            let name = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(failed)?;
            net::bind(&fd, &name).map_err(failed)?;
        }
        Place::Net(address) => {
            if at.kind == Kind::Stream {
                sockopt::set_socket_reuseaddr(&fd, true).map_err(failed)?;
            }
            // No network is configured yet.
            if address.is_ipv4() {
                sockopt::set_ip_freebind(&fd, true).map_err(failed)?;
            } else {
                sockopt::set_ipv6_freebind(&fd, true).map_err(failed)?;
                sockopt::set_ipv6_v6only(&fd, !address.ip().is_unspecified()).map_err(failed)?;
            }
            net::bind(&fd, &address).map_err(failed)?;
        }
    }
    if at.kind != Kind::Datagrams {
        net::listen(&fd, at.backlog.into()).map_err(failed)?;
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::testdir::TestDir;

    fn at(kind: Kind, place: Place<'_>) -> ListenAt<'_> {
        ListenAt {
            kind,
            place,
            mode: 0o600,
            group: None,
            backlog: 1,
            accept: false,
        }
    }

    #[test]
    fn each_kind_takes_what_it_is_for() {
        let dir = TestDir::new("listen-kinds");
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (datagrams, pipe) = (path("deep/d"), path("f"));
        let socket = open(&at(Kind::Datagrams, Place::Path(&datagrams))).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"x", &datagrams).unwrap();
        assert_eq!(rustix::io::read(&socket, &mut [0; 8]), Ok(1));
        let _fifo = open(&at(Kind::Fifo, Place::Path(&pipe))).unwrap();
        std::fs::write(&pipe, "x").unwrap();
        // A port nobody else has: that of a listener that is gone.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let _net = open(&at(Kind::Stream, Place::Net(address))).unwrap();
        TcpStream::connect(address).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_is_replaced_and_nothing_else() {
        let dir = TestDir::new("listen-stale");
        let path = dir.join("s").to_str().unwrap().to_owned();
        for kind in [Kind::Stream, Kind::Packets] {
            drop(open(&at(kind, Place::Path(&path))).unwrap());
        }
        assert!(open(&at(Kind::Fifo, Place::Path(&path))).is_err());
    }

    #[test]
    fn an_address_need_not_be_there_yet() {
        let address = "192.0.2.77:4711".parse().unwrap();
        open(&at(Kind::Stream, Place::Net(address))).unwrap();
    }
}
