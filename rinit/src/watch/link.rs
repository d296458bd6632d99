//! What PID 1 and the watcher say to each other, in either direction: bytes in a stream.
//!
//! | bytes | from PID 1 | from the watcher |
//! |---|---|---|
//! | unit (4), number of an entry | look again | something has happened there |
//! | unit (4), [`WORDS`], length (4), bytes | look at these paths, and at no other ones; none: it has no paths | why nobody looks at them any more |
//!
//! Numbers are little-endian.

use rootspec::plan::UnitIndex as UnitId;

/// In the place of an entry's number; no entry has this one.
const WORDS: u8 = 0xff;
/// Longest bytes behind it: the paths of a unit are shorter, see `rootspec::units`.
const MOST: usize = 1 << 18;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// About an entry of a unit.
    Entry(UnitId, u8),
    /// About a unit.
    Words(UnitId, Vec<u8>),
}

impl Message {
    /// Appends it to what is to be sent.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entry(unit, number) => {
                out.extend(unit.to_le_bytes());
                out.push(*number);
            }
            Self::Words(unit, words) => {
                let words = words.get(..MOST).unwrap_or(words);
                out.extend(unit.to_le_bytes());
                out.push(WORDS);
                out.extend(u32::try_from(words.len()).unwrap_or_default().to_le_bytes());
                out.extend(words);
            }
        }
    }
}

/// What has come, up to the end of the last whole message.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    /// More has come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// True if nothing waits for its rest.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All whole messages. `None`: it is not our language.
    pub(crate) fn take(&mut self) -> Option<Vec<Message>> {
        let mut all = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((unit, [number, behind @ ..])) = rest.split_first_chunk() {
            let unit = UnitId::from_le_bytes(*unit);
            if *number != WORDS {
                all.push(Message::Entry(unit, *number));
                rest = behind;
                continue;
            }
            let Some((length, behind)) = behind.split_first_chunk() else {
                break;
            };
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            if length > MOST {
                return None;
            }
            let Some((words, behind)) = behind.split_at_checked(length) else {
                break;
            };
            all.push(Message::Words(unit, words.to_vec()));
            rest = behind;
        }
        let used = self.0.len().saturating_sub(rest.len());
        self.0.drain(..used);
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_however_they_are_cut() {
        let all = [
            Message::Entry(7, 3),
            Message::Words(1, b"because".to_vec()),
            Message::Words(2, Vec::new()),
            Message::Entry(u32::MAX, 0),
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|message| message.write(&mut bytes));
        for step in 1..bytes.len() {
            let (mut inbox, mut heard) = (Inbox::default(), Vec::new());
            for piece in bytes.chunks(step) {
                inbox.push(piece);
                heard.extend(inbox.take().unwrap());
            }
            assert_eq!(heard, all, "in pieces of {step}");
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn what_is_too_long_is_not_waited_for() {
        let mut inbox = Inbox::default();
        inbox.push(&[0, 0, 0, 0, WORDS, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(inbox.take(), None);
    }
}
