//! Patterns of `modules.alias`: `*`, `?` and `[a-z]`, as fnmatch(3) without flags.

/// True if the whole `text` fits the `pattern`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    fits(pattern.as_bytes(), text.as_bytes())
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go back to when the text after the last `*` does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(pattern.get(p + 1..).unwrap_or_default(), *byte),
            Some(plain) => (plain == byte).then_some(1),
            None => None,
        };
        match (step, retry) {
            (Some(step), _) => (p, t) = (p + step, t + 1),
            (None, Some((after, at))) => {
                retry = Some((after, at + 1));
                (p, t) = (after, at + 1);
            }
            (None, None) => return false,
        }
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|b| *b == b'*')
}

/// Length of the class that starts behind `[`, bracket included, if `byte` is in it.
fn class(rest: &[u8], byte: u8) -> Option<usize> {
    let end = rest.iter().position(|b| *b == b']')?;
    let mut members = rest.get(..end)?;
    let mut found = false;
    while let Some((first, tail)) = members.split_first() {
        match tail {
            [b'-', last, after @ ..] => {
                found |= (*first..=*last).contains(&byte);
                members = after;
            }
            _ => {
                found |= *first == byte;
                members = tail;
            }
        }
    }
    found.then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_the_kernel_match_their_devices() {
        for (pattern, text) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4"),
            (
                "pci:v*d*sv*sd*bc01sc06i01*",
                "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01",
            ),
            ("scsi:t-0x00*", "scsi:t-0x00"),
            ("of:N*T*Cfoo[0-9a]x", "of:NaTbCfoo7x"),
            ("a?c", "abc"),
            ("*", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn other_devices_do_not_match() {
        for (pattern, text) in [
            ("virtio:d00000002v*", "virtio:d00000001v00001AF4"),
            ("abc", "ab"),
            ("ab", "abc"),
            ("a[0-9]", "ax"),
            ("a[", "a["),
            ("", "x"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_end_in_time() {
        let pattern = "*a".repeat(30);
        assert!(
            !matches(&pattern, &"a".repeat(29))
                && !matches(&pattern, &format!("{}b", "a".repeat(60)))
        );
    }
}
