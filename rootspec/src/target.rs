//! How people name a snapshot, and what that resolves to.

use std::fmt;
use std::str::FromStr;

use crate::{SnapshotId, SnapshotName};

/// A snapshot as typed: `7`, `web`, a unique prefix of a name, `@booted`, `@next`, `@good`, `@prev`, `@base`, and any
/// of these with `~N` for the N-th ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    base: Base,
    back: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Id(SnapshotId),
    Name(SnapshotName),
    Role(Role),
}

/// A snapshot by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The one that is running.
    Booted,
    /// The one that boots next: on trial if armed, else the good one.
    Next,
    /// The last confirmed good one.
    Good,
    /// The one that was good before.
    Prev,
    /// The first one imported.
    Base,
}

const ROLES: [(&str, Role); 5] = [
    ("@booted", Role::Booted),
    ("@next", Role::Next),
    ("@good", Role::Good),
    ("@prev", Role::Prev),
    ("@base", Role::Base),
];

/// What a resolver must know of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    pub name: Option<SnapshotName>,
    /// Its ancestors, nearest first.
    pub lineage: Vec<SnapshotId>,
}

/// Why a target means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetError {
    /// It cannot be a target.
    Malformed(String),
    /// No snapshot is meant.
    Unknown(String),
    /// More than one snapshot is meant.
    Ambiguous(String, Vec<SnapshotId>),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(
                f,
                "{text:?} names no snapshot: use a number, a name, @booted, @next, @good, @prev or @base, with ~N for ancestors"
            ),
            Self::Unknown(text) => {
                write!(f, "there is no snapshot {text}: see `rootctl snap list`")
            }
            Self::Ambiguous(text, ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "{text} may mean any of the snapshots {}: use the number",
                    ids.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for TargetError {}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let malformed = || TargetError::Malformed(text.chars().take(80).collect());
        let (name, back) = match text.split_once('~') {
            None => (text, 0),
            Some((name, count)) => (name, count.parse().map_err(|_digits| malformed())?),
        };
        let role = ROLES
            .iter()
            .find(|(word, _)| *word == name)
            .map(|(_, role)| Base::Role(*role));
        let base = role
            .or_else(|| name.parse().ok().map(Base::Id))
            .or_else(|| name.parse().ok().map(Base::Name))
            .ok_or_else(malformed)?;
        Ok(Self { base, back })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Id(id) => id.fmt(f)?,
            Base::Name(name) => name.fmt(f)?,
            Base::Role(role) => {
                let word = ROLES
                    .iter()
                    .find(|(_, r)| r == role)
                    .map_or("", |(word, _)| word);
                f.write_str(word)?;
            }
        }
        if self.back > 0 {
            write!(f, "~{}", self.back)
        } else {
            Ok(())
        }
    }
}

impl Target {
    /// Finds the snapshot that is meant among `all`; `role` answers who has a role now.
    ///
    /// # Errors
    /// Nothing or more than one is meant.
    pub fn resolve(
        &self,
        all: &[Candidate],
        role: impl Fn(Role) -> Option<SnapshotId>,
    ) -> Result<SnapshotId, TargetError> {
        let unknown = || TargetError::Unknown(self.to_string());
        let id = match &self.base {
            Base::Id(id) => *id,
            Base::Role(which) => role(*which).ok_or_else(unknown)?,
            Base::Name(name) => by_name(all, name.as_str())?,
        };
        let start = all.iter().find(|c| c.id == id).ok_or_else(unknown)?;
        let Some(steps) = self.back.checked_sub(1) else {
            return Ok(id);
        };
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        start.lineage.get(steps).copied().ok_or_else(unknown)
    }
}

fn by_name(all: &[Candidate], wanted: &str) -> Result<SnapshotId, TargetError> {
    let named = |fits: &dyn Fn(&str) -> bool| -> Vec<SnapshotId> {
        all.iter()
            .filter(|c| c.name.as_ref().is_some_and(|n| fits(n.as_str())))
            .map(|c| c.id)
            .collect()
    };
    // A name may be given again: the newest snapshot of that name is meant. A prefix must be unique.
    if let Some(newest) = named(&|name| name == wanted).into_iter().max() {
        return Ok(newest);
    }
    let prefixed = named(&|name| name.starts_with(wanted));
    match prefixed.as_slice() {
        [] => Err(TargetError::Unknown(wanted.to_owned())),
        [only] => Ok(*only),
        _ => Err(TargetError::Ambiguous(wanted.to_owned(), prefixed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn tree() -> Vec<Candidate> {
        let node = |n, name: &str, lineage: &[u32]| Candidate {
            id: id(n),
            name: name.parse().ok(),
            lineage: lineage.iter().map(|n| id(*n)).collect(),
        };
        vec![
            node(1, "base", &[]),
            node(2, "web", &[1]),
            node(3, "web", &[2, 1]),
            node(4, "db", &[1]),
        ]
    }

    fn find(text: &str) -> Result<u32, TargetError> {
        let role = |r| (r == Role::Booted).then(|| id(2));
        text.parse::<Target>()?
            .resolve(&tree(), role)
            .map(SnapshotId::get)
    }

    #[test]
    fn numbers_names_prefixes_roles_and_ancestors_resolve() {
        for (text, expected) in [
            ("4", 4),
            ("web", 3),
            ("d", 4),
            ("@booted", 2),
            ("web~1", 2),
            ("web~2", 1),
            ("3~0", 3),
        ] {
            assert_eq!(find(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_named_with_the_next_command() {
        for bad in ["9", "zz", "@next", "web~3", "1~1"] {
            let error = find(bad).unwrap_err();
            assert!(matches!(error, TargetError::Unknown(_)), "{bad}: {error}");
        }
        assert!(
            find("9")
                .unwrap_err()
                .to_string()
                .contains("rootctl snap list")
        );
        for bad in ["", "../x", "@x", "web~x", "a b", "~1"] {
            assert!(matches!(find(bad), Err(TargetError::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn a_prefix_of_two_names_is_ambiguous() {
        let mut all = tree();
        all.push(Candidate {
            id: id(5),
            name: "dark".parse().ok(),
            lineage: vec![],
        });
        let target: Target = "d".parse().unwrap();
        let error = target.resolve(&all, |_| None).unwrap_err();
        assert_eq!(
            error,
            TargetError::Ambiguous("d".into(), vec![id(4), id(5)])
        );
    }
}
