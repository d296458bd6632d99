//! Plain text out of what a terminal is sent.

/// Takes terminal control sequences (ECMA-48) out of a stream; a jump of the cursor counts as a new line.
#[derive(Debug, Default)]
pub enum Cleaner {
    /// Outside of any sequence.
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and one of `( ) #`: one more byte follows.
    OneMore,
    /// ESC [ ... up to a byte from @ to ~.
    Control,
    /// ESC ] ... up to BEL, or ESC \.
    Command,
}

impl Cleaner {
    /// Returns the byte that belongs to the text, when this one does.
    pub fn feed(&mut self, byte: u8) -> Option<u8> {
        let (next, out) = match (&self, byte) {
            (_, 0x1B) => (Self::Escape, None),
            (Self::Text, b'\n' | b'\t' | 0x20..=0x7E | 0x80..) => (Self::Text, Some(byte)),
            (Self::Text, _) => (Self::Text, None),
            (Self::Escape, b'[') => (Self::Control, None),
            (Self::Escape, b']') => (Self::Command, None),
            (Self::Escape, b'(' | b')' | b'#') => (Self::OneMore, None),
            (Self::Control, b'H' | b'f') => (Self::Text, Some(b'\n')),
            (Self::Escape | Self::OneMore, _)
            | (Self::Control, 0x40..=0x7E)
            | (Self::Command, 0x07) => (Self::Text, None),
            (Self::Control, _) => (Self::Control, None),
            (Self::Command, _) => (Self::Command, None),
        };
        *self = next;
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_taken_out_and_a_jump_is_a_new_line() {
        let mut cleaner = Cleaner::default();
        let raw = b"\x1b[1;31mred\x1b[0m\x1b[10;20Hnext\r\n\x1b]0;title\x07end\x1b(B";
        let text: Vec<u8> = raw.iter().filter_map(|byte| cleaner.feed(*byte)).collect();
        assert_eq!(text, b"red\nnext\nend");
    }
}
