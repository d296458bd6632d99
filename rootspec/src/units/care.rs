//! `[watchdog]` and `[health]`: whether a unit that is up is well.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::attributes::told_value;
use super::{Command, Millis, Signal};

/// Shortest time between two signs of life, in milliseconds.
const LEAST: u64 = 50;

/// `[watchdog]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Longest time between two signs of life.
    pub interval: Spanned<Millis>,
    /// What the main process gets when there is none; the default is SIGABRT.
    pub signal: Option<Signal>,
    /// What follows.
    #[serde(default)]
    pub action: Remedy,
}

/// What follows when a unit is not well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// It has failed; `[restart]` says what comes next.
    #[default]
    Restart,
    /// It stays up, and that is told.
    Mark,
    /// It has failed for good.
    Stop,
    /// As mark, and a snapshot on trial is bad.
    Gate,
}

/// `[health]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// A command that succeeds.
    pub cmd: Option<Spanned<Command>>,
    /// A page that is there.
    pub http: Option<Spanned<Url>>,
    /// An address where connections are accepted.
    pub tcp: Option<Spanned<Address>>,
    /// Pause between two questions.
    pub interval: Spanned<Millis>,
    /// Longest time for an answer.
    pub timeout: Spanned<Millis>,
    /// For so long bad answers do not count.
    pub start_period: Millis,
    /// So many bad answers in a row are too many.
    pub retries: Spanned<u32>,
    /// What follows.
    pub on_fail: Remedy,
}

impl Default for Health {
    fn default() -> Self {
        let plain = |millis| Spanned::new(0..0, Millis(millis));
        Self {
            cmd: None,
            http: None,
            tcp: None,
            interval: plain(30_000),
            timeout: plain(5_000),
            start_period: Millis(0),
            retries: Spanned::new(0..0, 3),
            on_fail: Remedy::default(),
        }
    }
}

/// What is wrong with a time between questions or signs of life.
fn too_short(time: &Spanned<Millis>) -> Option<(Range<usize>, String)> {
    let fits = (LEAST..u64::MAX).contains(&time.get_ref().0);
    (!fits).then(|| (time.span(), "expected a time of 50ms or more".to_owned()))
}

impl Watchdog {
    /// What is wrong with it, each with its place.
    pub(super) fn wrong(&self) -> Vec<(Range<usize>, String)> {
        too_short(&self.interval).into_iter().collect()
    }
}

impl Health {
    /// What is wrong with it, each with its place; `whole`: the place of the table.
    pub(super) fn wrong(&self, whole: Range<usize>) -> Vec<(Range<usize>, String)> {
        let mut wrong: Vec<_> = [&self.interval, &self.timeout]
            .into_iter()
            .filter_map(too_short)
            .collect();
        if *self.retries.get_ref() == 0 {
            let words = "expected 1 or more: no bad answer is never one too many";
            wrong.push((self.retries.span(), words.to_owned()));
        }
        let asked = [
            self.cmd.as_ref().map(Spanned::span),
            self.http.as_ref().map(Spanned::span),
            self.tcp.as_ref().map(Spanned::span),
        ];
        let asked: Vec<_> = asked.into_iter().flatten().collect();
        match asked.as_slice() {
            [] => wrong.push((whole, "say how it is asked: cmd, http or tcp".to_owned())),
            [_] => {}
            [_, more, ..] => wrong.push((
                more.clone(),
                "it is asked in one way only: cmd, http or tcp".to_owned(),
            )),
        }
        wrong
    }
}

/// Where a page is: `http://127.0.0.1:8080/health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Where to connect to.
    pub address: SocketAddr,
    /// Host and port as written.
    pub host: String,
    /// From the first slash on.
    pub path: String,
}

fn url(text: &str) -> Result<Url, String> {
    let wrong = || {
        format!(
            "expected an address such as \"http://127.0.0.1:8080/health\", with a number or localhost for the host, found {text:?}"
        )
    };
    let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = |c: char| c.is_ascii_graphic();
    if !path.chars().all(plain) {
        return Err(wrong());
    }
    let numbers = host.strip_prefix("localhost").map_or_else(
        || host.to_owned(),
        |port| format!("{}{port}", Ipv4Addr::LOCALHOST),
    );
    let bare = numbers.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = match bare {
        Ok(address) => SocketAddr::new(address, 80),
        Err(_) => numbers.parse().map_err(|_no_address| wrong())?,
    };
    Ok(Url {
        address,
        host: host.to_owned(),
        path: if path.is_empty() { "/" } else { path }.to_owned(),
    })
}
told_value!(Url, url);

/// Where connections are accepted: `8080` or `127.0.0.1:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

fn address(text: &str) -> Result<Address, String> {
    super::listen::net(text).map(Address).ok_or_else(|| {
        format!("expected a port or an address with one such as \"127.0.0.1:8080\", found {text:?}")
    })
}
told_value!(Address, address);

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn addresses_of_pages_read_as_written() {
        for (text, at, host, path) in [
            (
                "http://127.0.0.1:8080/a?b=c",
                "127.0.0.1:8080",
                "127.0.0.1:8080",
                "/a?b=c",
            ),
            ("http://localhost", "127.0.0.1:80", "localhost", "/"),
            ("http://localhost:81/", "127.0.0.1:81", "localhost:81", "/"),
            ("http://[::1]:82/x", "[::1]:82", "[::1]:82", "/x"),
            ("http://[::1]", "[::1]:80", "[::1]", "/"),
        ] {
            let found = url(text).unwrap();
            assert_eq!(found.address, at.parse().unwrap(), "{text}");
            assert_eq!((&*found.host, &*found.path), (host, path), "{text}");
        }
        for bad in [
            "",
            "https://127.0.0.1/",
            "http://example.org/",
            "http:///x",
            "http://127.0.0.1/a b",
            "http://127.0.0.1/\r\nX: y",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        for (tables, place, words) in [
            ("[health]\ninterval = \"1s\"", "4:", "say how it is asked"),
            ("[health]\ncmd = \"/x\"\ntcp = \"80\"", "6:", "one way only"),
            ("[health]\ntcp = \"80\"\nretries = 0", "6:", "1 or more"),
            ("[health]\ntcp = \"80\"\ntimeout = \"off\"", "6:", "50ms"),
            ("[health]\ntcp = \"web\"", "5:", "expected a port"),
            ("[health]\nhtp = \"80\"", "5:", "did you mean"),
            (
                "[health]\ntcp = \"80\"\non_fail = \"restrat\"",
                "6:",
                "did you mean \"restart\"",
            ),
            (
                "[watchdog]\nsignal = \"ABRT\"",
                "4:",
                "\"interval\" is missing",
            ),
            ("[watchdog]\ninterval = \"off\"", "5:", "50ms"),
            ("[ready]\nmode = \"health\"", "5:", "[health]"),
        ] {
            let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n{tables}\n");
            let wrong = parse("a.toml", &text).expect_err(tables);
            let shown: String = wrong.iter().map(|spot| format!("{spot}\n")).collect();
            assert!(
                shown.contains(&format!("a.toml:{place}")),
                "{tables}\n{shown}"
            );
            assert!(shown.contains(words), "{tables}\n{shown}");
        }
    }

    #[test]
    fn only_what_runs_can_be_well() {
        for (kind, rest) in [
            ("group", "[health]\ntcp = \"80\""),
            ("oneshot", "[exec]\nstart = \"/x\"\n[health]\ntcp = \"80\""),
            (
                "oneshot",
                "[exec]\nstart = \"/x\"\n[watchdog]\ninterval = \"9s\"",
            ),
            (
                "container",
                "[container]\nbundle = \"/b\"\n[watchdog]\ninterval = \"9s\"",
            ),
        ] {
            let text = format!("schema = 1\nkind = \"{kind}\"\n{rest}\n");
            assert!(parse("a.toml", &text).is_err(), "{text}");
        }
    }
}
