//! Plain text out of what a terminal is sent.

/// Takes terminal control sequences (ECMA-48) out of a stream; a jump of the cursor to another row counts
/// as a new line. Limine jumps before every single character, mostly within a row.
#[derive(Debug, Default)]
pub struct Cleaner {
    place: Place,
    /// The row of the last jump; none after a line feed.
    row: Option<u32>,
    /// The first number of the sequence being read.
    number: Option<u32>,
}

/// Where in a sequence the next byte is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of any.
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and one of `( ) #`: one more byte follows.
    OneMore,
    /// In the first number after ESC [.
    FirstNumber,
    /// ESC [ ... up to a byte from @ to ~.
    Control,
    /// ESC ] ... up to BEL, or ESC \.
    Command,
}

impl Cleaner {
    /// Returns the byte that belongs to the text, when this one does.
    pub fn feed(&mut self, byte: u8) -> Option<u8> {
        let place = self.place;
        self.place = match (place, byte) {
            (_, 0x1B) => Place::Escape,
            (Place::Escape, b'[') => Place::FirstNumber,
            (Place::Escape, b']') => Place::Command,
            (Place::Escape, b'(' | b')' | b'#') => Place::OneMore,
            (Place::FirstNumber, b'0'..=b'9') => Place::FirstNumber,
            (Place::FirstNumber | Place::Control, 0x40..=0x7E) | (Place::Command, 0x07) => {
                Place::Text
            }
            (Place::FirstNumber | Place::Control, _) => Place::Control,
            (Place::Command, _) => Place::Command,
            (Place::Text | Place::Escape | Place::OneMore, _) => Place::Text,
        };
        match (place, byte) {
            (Place::Text, b'\n') => {
                self.row = None;
                Some(byte)
            }
            (Place::Text, b'\t' | 0x20..=0x7E | 0x80..) => Some(byte),
            (Place::Escape, b'[') => {
                self.number = None;
                None
            }
            (Place::FirstNumber, b'0'..=b'9') => {
                let so_far = self.number.unwrap_or_default();
                self.number = Some(
                    so_far
                        .saturating_mul(10)
                        .saturating_add(u32::from(byte - b'0')),
                );
                None
            }
            (Place::FirstNumber | Place::Control, b'H' | b'f') => {
                let row = Some(self.number.unwrap_or(1));
                let moved = self.row != row;
                self.row = row;
                moved.then_some(b'\n')
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &[u8]) -> String {
        let mut cleaner = Cleaner::default();
        let text = raw.iter().filter_map(|byte| cleaner.feed(*byte)).collect();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn control_sequences_are_taken_out_and_a_jump_is_a_new_line() {
        let raw = b"\x1b[1;31mred\x1b[0m\x1b[10;20Hnext\r\n\x1b]0;title\x07end\x1b(B";
        assert_eq!(text(raw), "red\nnext\nend");
    }

    #[test]
    fn jumps_within_a_row_keep_the_line_whole() {
        assert_eq!(
            text(b"\x1b[01;01Hl\x1b[01;02Hi\x1b[02;01Hm\x1b[H!"),
            "\nli\nm\n!"
        );
    }
}
