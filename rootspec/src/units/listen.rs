//! Where a unit listens: `KIND:PLACE`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// Longest name of a Unix socket, in bytes (unix(7): 108 with the NUL at the end or at the beginning).
const LONGEST: usize = 107;

/// A socket or pipe to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// What it carries.
    pub kind: Carries,
    /// Where it is.
    pub place: Place,
}

/// What is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// Connections with a stream of bytes each.
    Stream,
    /// Datagrams.
    Datagrams,
    /// Connections with packets.
    Packets,
    /// Bytes, by a named pipe (`fifo(7)`).
    Fifo,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// An absolute path.
    Path(Box<str>),
    /// A name in the kernel's own space, without the `@`.
    Abstract(Box<str>),
    /// An address of the network. The unspecified IPv6 address is for IPv4 too.
    Net(SocketAddr),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Net(address) => address.fmt(f),
        }
    }
}

fn parse(text: &str) -> Option<Address> {
    let (kind, place) = text.split_once(':')?;
    let kind = match kind {
        "stream" => Carries::Stream,
        "dgram" => Carries::Datagrams,
        "seqpacket" => Carries::Packets,
        "fifo" => Carries::Fifo,
        _ => return None,
    };
    let place = match place.strip_prefix('@') {
        Some(name) => Place::Abstract(name.into()),
        None if place.starts_with('/') => Place::Path(place.into()),
        None => Place::Net(net(place)?),
    };
    let fits = match (&place, kind) {
        (Place::Path(path), _) => path.len() <= LONGEST && !path.contains('\0'),
        (Place::Abstract(name), _) => kind != Carries::Fifo && (1..=LONGEST).contains(&name.len()),
        (Place::Net(_), Carries::Stream | Carries::Datagrams) => true,
        (Place::Net(_), Carries::Packets | Carries::Fifo) => false,
    };
    fits.then_some(Address { kind, place })
}

/// `PORT` or `ADDRESS:PORT`. Names are nobody's here: there is no network yet that could tell.
pub(super) fn net(text: &str) -> Option<SocketAddr> {
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let address = match text.parse::<u16>() {
        Ok(port) => SocketAddr::new(any, port),
        Err(_) => text.parse().ok()?,
    };
    (address.port() != 0).then_some(address)
}

/// An [`Address`] as it is written in a unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen(pub Address);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"stream:\", \"dgram:\" or \"seqpacket:\" and a path, an @name or (the first two) \
                     [ADDRESS:]PORT, or \"fifo:\" and a path; a path is absolute and has at most 107 bytes",
                )
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Listen, E> {
                let wrong = || E::invalid_value(Unexpected::Str(text), &self);
                parse(text).map(Listen).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_places_are_told_apart() {
        for (text, kind, place) in [
            ("stream:/run/a b", Carries::Stream, "/run/a b"),
            ("dgram:@log", Carries::Datagrams, "@log"),
            ("seqpacket:/run/s", Carries::Packets, "/run/s"),
            ("fifo:/run/f", Carries::Fifo, "/run/f"),
            ("stream:80", Carries::Stream, "[::]:80"),
            ("dgram:127.0.0.1:53", Carries::Datagrams, "127.0.0.1:53"),
            ("stream:[::1]:443", Carries::Stream, "[::1]:443"),
        ] {
            let found = parse(text).unwrap();
            assert_eq!(
                (found.kind, found.place.to_string().as_str()),
                (kind, place)
            );
        }
    }

    #[test]
    fn what_cannot_be_listened_at_is_refused() {
        let long = format!("stream:/{}", "a".repeat(107));
        for text in [
            "",
            "/run/a",
            "tcp:80",
            "stream:",
            "stream:run/a",
            "stream:@",
            "stream:0",
            "stream:65536",
            "stream:localhost:80",
            "seqpacket:80",
            "fifo:@a",
            "fifo:80",
            &long,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(long.trim_end_matches("aa")).is_some());
    }
}
