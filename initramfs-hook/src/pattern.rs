//! Shell patterns as `modules.alias` uses them: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`; a backslash takes the next one as it is.

/// True if the whole of `text` matches `pattern`.
///
/// Runs in time proportional to both lengths: only the last star is ever tried again.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when the rest does not match: behind the last star, one byte of text later.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match one(pattern, p, text.get(t).copied().unwrap_or_default()) {
            Step::Star => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Step::Match(next) => {
                p = next;
                t += 1;
                continue;
            }
            Step::Differs => {}
        }
        let Some((star, at)) = retry else {
            return false;
        };
        (p, t) = (star, at + 1);
        retry = Some((star, at + 1));
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

enum Step {
    Star,
    /// The byte fits; the pattern goes on here.
    Match(usize),
    Differs,
}

fn one(pattern: &[u8], at: usize, byte: u8) -> Step {
    match pattern.get(at) {
        None => Step::Differs,
        Some(b'*') => Step::Star,
        Some(b'?') => Step::Match(at + 1),
        Some(b'[') => match set(pattern, at + 1, byte) {
            Some((true, next)) => Step::Match(next),
            Some((false, _)) => Step::Differs,
            // Without its closing bracket it is an ordinary byte.
            None if byte == b'[' => Step::Match(at + 1),
            None => Step::Differs,
        },
        Some(b'\\') => match pattern.get(at + 1) {
            Some(plain) if *plain == byte => Step::Match(at + 2),
            _ => Step::Differs,
        },
        Some(plain) if *plain == byte => Step::Match(at + 1),
        Some(_) => Step::Differs,
    }
}

/// Whether `byte` is in the set that starts at `at`, and where the pattern goes on; `None` for a set without end.
fn set(pattern: &[u8], at: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    let first = if negated { at + 1 } else { at };
    // A closing bracket right at the start is a member.
    let length = pattern.get(first + 1..)?.iter().position(|b| *b == b']')?;
    let end = first + 1 + length;
    let mut members = pattern.get(first..end)?;
    let mut found = false;
    while let Some((low, rest)) = members.split_first() {
        members = match rest {
            [b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            _ => {
                found |= *low == byte;
                rest
            }
        };
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_aliases_match() {
        let virtio_blk = "virtio:d00000002v*";
        assert!(matches(virtio_blk, "virtio:d00000002v00001AF4"));
        assert!(!matches(virtio_blk, "virtio:d00000001v00001AF4"));
        assert!(matches(
            "pci:v00001AF4d*sv*sd*bc*sc*i*",
            "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00"
        ));
        assert!(matches(
            "usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*",
            "usb:v0781p5567d0100dc00dsc00dp00ic08isc06ip50in00"
        ));
        assert!(matches(
            "cpu:type:x86,ven*fam*mod*:feature:*0099*",
            "cpu:type:x86,ven0000fam0006mod0055:feature:,0000,0099,00A0"
        ));
    }

    #[test]
    fn sets_ranges_and_negation_work() {
        assert!(matches("a[b-d]e", "ace") && !matches("a[b-d]e", "aee"));
        assert!(matches("a[!b]c", "axc") && !matches("a[!b]c", "abc"));
        assert!(matches("[]]", "]") && matches("x\\*", "x*") && !matches("x\\*", "xy"));
    }

    #[test]
    fn stars_are_tried_again_and_nothing_matches_too_much() {
        assert!(matches("*a*b*c", "xxaxxbxxbxc") && !matches("*a*b*c", "xxaxxbxx"));
        assert!(matches("*", "") && matches("", "") && !matches("", "a") && !matches("a", ""));
        assert!(matches("[ab", "[ab"));
    }

    #[test]
    fn many_stars_do_not_take_long() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"a".repeat(199)));
    }
}
