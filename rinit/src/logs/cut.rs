//! What comes out of a pipe, cut into the texts of records.

use rootspec::record::PIECE;

/// Cuts at newlines, and where a text is too long for one record. What has no newline at its end goes on in the next call.
pub(crate) fn cut<'a>(bytes: &'a [u8], open: &mut bool, mut each: impl FnMut(&'a [u8], bool)) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let end = newline.unwrap_or(rest.len());
        let (text, more) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        // The end of what was written before is no record of its own.
        let is_end = text.is_empty() && *open && newline.is_some();
        if !is_end {
            let text = match text {
                // Programs that write for a terminal.
                [line @ .., b'\r'] if newline.is_some() => line,
                text => text,
            };
            pieces(text, *open, &mut each);
        }
        *open = newline.is_none();
        rest = more.get(1..).unwrap_or_default();
    }
}

/// Cuts where a text is too long for one record; `open`: it goes on with the record before it.
pub(super) fn pieces<'a>(text: &'a [u8], open: bool, mut each: impl FnMut(&'a [u8], bool)) {
    let (mut rest, mut continued) = (text, open);
    loop {
        let (piece, more) = rest.split_at_checked(room(rest)).unwrap_or((rest, &[]));
        each(piece, continued);
        if more.is_empty() {
            return;
        }
        (rest, continued) = (more, true);
    }
}

/// So much goes into one record: no character is torn apart.
fn room(text: &[u8]) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..4)
        .filter_map(|back| PIECE.checked_sub(back))
        .find(|at| !is_inside(*at))
        .unwrap_or(PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut open, mut found) = (false, Vec::new());
        for part in parts {
            cut(part, &mut open, |text, continued| {
                found.push((String::from_utf8_lossy(text).into_owned(), continued));
            });
        }
        found
    }

    fn record(text: &str, continued: bool) -> (String, bool) {
        (text.to_owned(), continued)
    }

    #[test]
    fn lines_become_records_and_what_goes_on_is_marked() {
        assert_eq!(
            all(&[b"a\n\nb\r\nc", b"d\ne\n", b"f", b"\n\ng\n"]),
            [
                record("a", false),
                record("", false),
                record("b", false),
                record("c", false),
                record("d", true),
                record("e", false),
                record("f", false),
                record("", false),
                record("g", false),
            ]
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(10_000) + "x\n";
        let found = all(&[b"y", text.as_bytes()]);
        assert_eq!(found.len(), 4);
        assert!(found.iter().skip(1).all(|(_, continued)| *continued));
        let joined: String = found.into_iter().map(|(text, _)| text).collect();
        assert_eq!(joined, "y".to_owned() + text.trim_end());
    }

    #[test]
    fn bytes_that_are_no_characters_are_cut_all_the_same() {
        let found = all(&[&[0x80; 20_000]]);
        assert_eq!(found.len(), 3);
    }
}
