//! Paths as text, in answers and requests. File names are bytes; text is UTF-8 and shown on terminals.
//!
//! A backslash begins an escape: `\\` is a backslash, `\xNN` the byte NN (two hex digits). Escaped are bytes that are no
//! UTF-8, control characters and the backslash itself; everything else stands for itself.

/// The text of a path.
#[must_use]
pub fn escape(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                text.push_str("\\\\");
            } else if c.is_control() {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes)
                    .bytes()
                    .for_each(|byte| hex(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| hex(&mut text, *byte));
    }
    text
}

fn hex(text: &mut String, byte: u8) {
    text.push_str(&format!("\\x{byte:02x}"));
}

/// The path of a text; `None`: a backslash begins no escape.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => {
                path.push(b'\\');
                behind
            }
            (b'\\', [b'x', one, two, behind @ ..]) => {
                let digits = [*one, *two];
                let digits = std::str::from_utf8(&digits).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                path.push(u8::from_str_radix(digits, 16).ok()?);
                behind
            }
            (b'\\', _) => return None,
            _ => {
                path.push(*first);
                behind
            }
        };
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back_and_nothing_steers_the_terminal() {
        for path in [
            &b"usr/bin/ls"[..],
            b"a b\\c",
            b"\xff\xfe/x",
            b"caf\xc3\xa9",
            b"new\nline\x1b[2J\x7f",
            "c1 \u{9b}".as_bytes(),
            b"\\x41",
            b"cut \xc3",
        ] {
            let text = escape(path);
            assert!(!text.chars().any(char::is_control), "{text}");
            assert_eq!(unescape(&text).as_deref(), Some(path), "{text}");
        }
        assert_eq!(escape(b"a\\b\xff\n"), "a\\\\b\\xff\\x0a");
        assert_eq!(escape("caf\u{e9}".as_bytes()), "caf\u{e9}");
    }

    #[test]
    fn a_backslash_that_begins_no_escape_is_refused() {
        for bad in ["\\", "a\\n", "\\x4", "\\xg0", "\\x+1", "\\x\u{e9}"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }
}
