//! Ids and names, checked once at the border and trusted afterwards.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Number of a snapshot. Starts at 1 and is never used twice in a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId(NonZeroU32);

impl SnapshotId {
    /// The id for `number`, or `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The plain number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl FromStr for SnapshotId {
    type Err = NameError;

    /// Accepts decimal digits without sign or leading zero, from 1 to 4294967295.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        let number = if plain {
            text.parse().ok().and_then(NonZeroU32::new)
        } else {
            None
        };
        number
            .map(Self)
            .ok_or_else(|| NameError::new("snapshot id", text, "a number from 1 on"))
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    what: &'static str,
    given: String,
    rule: &'static str,
}

impl NameError {
    fn new(what: &'static str, given: &str, rule: &'static str) -> Self {
        // A hostile name may hold newlines or be very long: show it escaped and cut.
        let given = given
            .chars()
            .take(80)
            .flat_map(char::escape_debug)
            .collect();
        Self { what, given, rule }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no {}: expected {}",
            self.given, self.what, self.rule
        )
    }
}

impl std::error::Error for NameError {}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError::new($what, text, $rule))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

checked_name!(
    /// Name of a snapshot or of a persistent overlay: a file name that is safe in a path, in a boot menu and on a
    /// kernel command line, and that cannot be taken for an id or for an `@` target.
    SnapshotName,
    "snapshot name",
    is_snapshot_name,
    "1 to 64 of a-z A-Z 0-9 . _ - with a letter first"
);

checked_name!(
    /// Name of a unit without `.toml`: `sshd`, or `getty@tty1` for an instance of `getty@`.
    UnitName,
    "unit name",
    is_unit_name,
    "1 to 128 of a-z A-Z 0-9 . _ : - @, with a letter or digit first"
);

impl UnitName {
    /// What stands behind the `@` of an instance: `tty1` of `getty@tty1`.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let (_, instance) = self.as_str().split_once('@')?;
        (!instance.is_empty()).then_some(instance)
    }

    /// The template of an instance, or itself if it is one: `getty@` for both `getty@tty1` and `getty@`.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        let at = self.as_str().find('@')?;
        self.as_str().get(..=at)
    }

    /// Whether this names a template, which is no unit itself.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.template() == Some(self.as_str())
    }
}

fn is_snapshot_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    text.len() <= 64
        && text.bytes().all(legal)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
}

fn is_unit_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':' | b'@');
    text.len() <= 128
        && text.bytes().all(legal)
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric())
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_plain_positive_number() {
        assert_eq!("42".parse::<SnapshotId>().unwrap().get(), 42);
        for bad in ["", "0", "-1", "+1", "007", "1x", "4294967296", "1 "] {
            assert!(bad.parse::<SnapshotId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn hostile_snapshot_names_are_refused() {
        for bad in [
            "",
            "../x",
            "a/b",
            "a\nb",
            "1st",
            "@booted",
            "a b",
            "é",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<SnapshotName>().is_err(), "{bad:?} was accepted");
        }
        assert_eq!(
            "web-42.b".parse::<SnapshotName>().unwrap().as_str(),
            "web-42.b"
        );
    }

    #[test]
    fn a_refusal_shows_the_name_escaped_and_cut() {
        let shown = format!("a\n{}", "b".repeat(500))
            .parse::<UnitName>()
            .unwrap_err()
            .to_string();
        assert!(
            shown.starts_with("\"a\\nbbb") && shown.len() < 200,
            "{shown}"
        );
    }

    #[test]
    fn an_instance_knows_its_template() {
        let parts = |text: &str| {
            let name: UnitName = text.parse().unwrap();
            let own = |part: Option<&str>| part.map(str::to_owned);
            (
                own(name.template()),
                own(name.instance()),
                name.is_template(),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("web"), (None, None, false));
        assert_eq!(parts("getty@"), (some("getty@"), None, true));
        assert_eq!(parts("a@b@c"), (some("a@"), some("b@c"), false));
    }

    #[test]
    fn unit_names_allow_instances_and_no_parent_directory() {
        assert!("getty@tty1".parse::<UnitName>().is_ok());
        assert!("..".parse::<UnitName>().is_err() && "a/../b".parse::<UnitName>().is_err());
    }
}
