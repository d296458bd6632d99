//! What programs say by syslog(3): datagrams to `/dev/log`. PID 1 holds the socket and never reads it, so they wait there
//! while there is no logger.
//!
//! Anybody may send them. Who did is known from the kernel (`SCM_CREDENTIALS` of unix(7)); what the message says about that is
//! only shown. A message is taken out of the socket when it is in the log, see `journal`.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rootspec::logs::Rate;
use rootspec::record::{Head, Line};
use rootspec::syslog;
use sys::stray::Strays;

use super::cut::pieces;
use super::rate::Meter;

/// The name of the log.
pub(super) const NAME: &str = super::MESSAGES;
/// So long may a message be, in bytes; what is more is left out.
const LONGEST: usize = 16 << 10;
/// What root's programs may say.
const ROOT: Rate = Rate {
    count: 10_000,
    window: 30_000,
};
/// What those of each other user may say: nobody is to push out what root's say.
const OTHERS: Rate = Rate {
    count: 1_000,
    window: 30_000,
};
/// So many users are counted apart; all further ones are one.
const USERS: usize = 64;
/// Stands for those: no user has this number (`INVALID_UID`).
const FURTHER: u32 = u32::MAX;

/// The socket, and who sends how much.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: OwnedFd,
    buffer: Vec<u8>,
    strays: Strays,
    users: Users,
}

/// A message that is still in the socket.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whose it is.
    pub(super) user: u32,
    pid: u32,
    length: usize,
    is_cut: bool,
}

impl Syslog {
    /// Of the socket that PID 1 has given us.
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            buffer: vec![0; LONGEST],
            strays: Strays::default(),
            users: Users::default(),
        }
    }

    /// The oldest message; `None`: there is none for now.
    pub(super) fn look(&mut self) -> Option<Waiting> {
        let found = sys::socket::peek_datagram(&self.socket, &mut self.buffer).ok()??;
        self.strays.take(found.datagram.fds);
        Some(Waiting {
            user: found.uid,
            pid: found.datagram.pid,
            length: found.datagram.length,
            is_cut: found.is_cut,
        })
    }

    /// It may be written: its user has not said too much.
    pub(super) fn admits(&mut self, waiting: &Waiting, now: u64) -> bool {
        self.users.admits(waiting.user, now)
    }

    /// The records of a message.
    pub(super) fn records(&self, head: &Head, waiting: &Waiting) -> String {
        let bytes = self.buffer.get(..waiting.length).unwrap_or_default();
        let (priority, text) = shown(bytes, waiting);
        let mut out = String::with_capacity(text.len().saturating_add(96));
        pieces(&text, false, |text, continued| {
            let line = Line {
                unit: NAME,
                priority,
                continued,
                text,
            };
            head.record(&mut out, &line);
        });
        out
    }

    /// The oldest message is dealt with. What came with it is let go of by somebody else: that may take long.
    pub(super) fn remove(&mut self) {
        let mut nothing = [0; 1];
        if let Ok(Some(found)) = sys::socket::receive_datagram(&self.socket, &mut nothing) {
            self.strays.take(found.fds);
        }
        // Those who ended since the last time.
        while sys::process::reap().is_some() {}
        // Without a process for it they stay open, and are tried again with the next message.
        self.strays.let_go().ok();
    }

    /// True if the oldest message has become these records, at whatever time: it is in the log already.
    pub(super) fn has_become(&mut self, records: &str, head: &Head) -> bool {
        let Some(waiting) = self.look() else {
            return false;
        };
        let now = self.records(head, &waiting);
        let timeless = |records: &str| -> Vec<String> {
            let lines = records.lines().filter_map(|line| line.split_once(' '));
            lines.map(|(_time, line)| line.to_owned()).collect()
        };
        timeless(&now) == timeless(records)
    }

    /// Nobody can send any more: what is in the socket is all there is.
    pub(super) fn is_over(&self) -> bool {
        sys::socket::is_shut(&self.socket)
    }

    /// When it is time to say how many messages were dropped.
    pub(super) fn due(&self) -> Option<u64> {
        self.users.due()
    }

    /// What is to be said about dropped messages, if it is time.
    pub(super) fn dropped(&mut self, now: u64) -> Option<String> {
        let (user, count) = self.users.take_dropped(now)?;
        let rate = rate(user);
        let window = crate::words::duration(rate.window);
        let whose = match user {
            FURTHER => "of many users".to_owned(),
            user => format!("of user {user}"),
        };
        let most = rate.count;
        Some(format!(
            "{count} messages {whose} dropped: more than {most} in {window}"
        ))
    }
}

/// `sshd[812]: text`, with the user if that is not root. The name is what the sender calls itself, the rest is known.
fn shown(bytes: &[u8], waiting: &Waiting) -> (Option<u8>, Vec<u8>) {
    let message = syslog::message(bytes);
    let name = message.name.unwrap_or("-");
    let pid = match waiting.pid {
        // In a container we do not see those outside.
        0 => "-".to_owned(),
        pid => pid.to_string(),
    };
    let mut text = match waiting.user {
        0 => format!("{name}[{pid}]: "),
        user => format!("{name}[{pid} uid={user}]: "),
    }
    .into_bytes();
    text.extend(message.text);
    if waiting.is_cut {
        text.extend(format!(" [cut after {LONGEST} bytes]").bytes());
    }
    (message.priority, text)
}

fn rate(user: u32) -> Rate {
    if user == 0 { ROOT } else { OTHERS }
}

/// How much each user has said lately.
#[derive(Debug, Default)]
struct Users(BTreeMap<u32, Meter>);

impl Users {
    fn admits(&mut self, user: u32, now: u64) -> bool {
        if !self.0.contains_key(&user) && self.0.len() >= USERS {
            let is_due = |user: u32, meter: &Meter| meter.due(rate(user)).is_some();
            self.0
                .retain(|user, meter| *user == 0 || *user == FURTHER || is_due(*user, meter));
        }
        let is_known = self.0.contains_key(&user) || self.0.len() < USERS;
        let user = if is_known || user == 0 { user } else { FURTHER };
        self.0.entry(user).or_default().admits(rate(user), now)
    }

    fn due(&self) -> Option<u64> {
        let dues = self.0.iter();
        dues.filter_map(|(user, meter)| meter.due(rate(*user)))
            .min()
    }

    fn take_dropped(&mut self, now: u64) -> Option<(u32, u64)> {
        let mut all = self.0.iter_mut();
        all.find_map(|(user, meter)| Some((*user, meter.take_dropped(rate(*user), now)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn pair() -> (UnixDatagram, Syslog) {
        let (one, other) = UnixDatagram::pair().unwrap();
        sys::socket::tell_senders(&other).unwrap();
        (one, Syslog::new(other.into()))
    }

    fn head(millis: u64) -> Head {
        let time = std::time::Duration::from_millis(millis);
        Head::new(time, &rootspec::record::Origin::default())
    }

    fn texts(records: &str) -> Vec<&str> {
        let parsed = records.lines().filter_map(rootspec::record::Record::parse);
        parsed.map(|record| record.text).collect()
    }

    #[test]
    fn a_message_stays_until_it_is_removed_and_tells_its_sender() {
        let (one, mut syslog) = pair();
        one.send(b"<11>Dec  1 03:00:00 a[1]: first\nline\0")
            .unwrap();
        one.send(b"<11>b: second").unwrap();
        let waiting = syslog.look().unwrap();
        let records = syslog.records(&head(0), &waiting);
        let pid = std::process::id();
        let who = match waiting.user {
            0 => pid.to_string(),
            user => format!("{pid} uid={user}"),
        };
        assert_eq!(texts(&records), [format!("a[{who}]: first\\x0aline")]);
        assert!(records.contains(" pri=3 syslog[-]: "), "{records}");
        // It is known again at another time, and is another one than the next.
        assert!(syslog.has_become(&records, &head(9_999)));
        syslog.remove();
        assert!(!syslog.has_become(&records, &head(9_999)));
        syslog.remove();
        assert!(syslog.look().is_none() && !syslog.has_become(&records, &head(0)));
        assert!(!syslog.is_over());
        sys::socket::shut(&syslog.socket);
        assert!(syslog.is_over());
        assert!(one.send(b"late").is_err());
    }

    #[test]
    fn a_long_message_is_cut_and_says_so() {
        let (one, mut syslog) = pair();
        one.send(&[b'x'; 64 << 10]).unwrap();
        let waiting = syslog.look().unwrap();
        let records = syslog.records(&head(0), &waiting);
        let joined: String = texts(&records).concat();
        assert!(records.lines().count() > 2);
        assert!(joined.ends_with("xx [cut after 16384 bytes]"), "{records}");
        assert!(joined.len() < LONGEST + 100);
    }

    #[test]
    fn one_user_does_not_push_out_another() {
        let mut users = Users::default();
        for user in 1..1_000 {
            for _ in 0..5 {
                users.admits(user, 7);
            }
        }
        assert!(users.0.len() <= USERS + 1, "{}", users.0.len());
        assert!((0..OTHERS.count).all(|_| users.admits(5_000, 40_000)));
        assert!(!users.admits(5_000, 40_000));
        assert!((0..ROOT.count).all(|_| users.admits(0, 40_000)));
        assert_eq!(users.take_dropped(40_001), None);
        assert!(users.due().is_some());
        let (_, count) = users.take_dropped(200_000).unwrap();
        assert!(count >= 1);
    }
}
