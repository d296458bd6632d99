//! `label.toml`: name and note of a snapshot, where they were changed after it was published, and whether it is unfrozen. The meta
//! file is written once; this one is replaced as a whole, by rename, and nothing that boots depends on it.

use std::path::Path;

use anyhow::{Context, Result};
use rootspec::SnapshotName;
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use rootspec::spot::read_toml;
use serde::{Deserialize, Serialize};

use super::StoreLock;

/// Largest file that is read, in bytes.
const LIMIT: u64 = 4096;

/// The content of `label.toml`. It counts instead of what the meta file says, both parts of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    /// Version of the format.
    schema: u32,
    /// The name; absent: it has none.
    pub(crate) name: Option<SnapshotName>,
    /// One line for people.
    #[serde(default)]
    pub(crate) note: String,
    /// Its root may be written to; absent: it is as it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unfrozen: Option<Unfrozen>,
}

/// That a snapshot may be changed in place, which somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfrozen {
    /// Since when, in seconds since 1970 (UTC).
    pub(crate) since: u64,
    /// What its initramfs was built from, as found before anything could be changed; absent: that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) built_from: Option<String>,
}

impl Label {
    /// Version written by this program.
    const SCHEMA: u32 = 1;

    /// What a snapshot is called now, and whether it is unfrozen.
    pub(crate) fn of(meta: &Meta, unfrozen: Option<Unfrozen>) -> Self {
        Self {
            schema: Self::SCHEMA,
            name: meta.name.clone(),
            note: meta.note.clone(),
            unfrozen,
        }
    }

    /// Lets it count instead of the meta file's words; gives what it says besides.
    pub(super) fn put_on(self, meta: &mut Meta) -> Option<Unfrozen> {
        meta.name = self.name;
        meta.note = self.note;
        self.unfrozen
    }

    /// Reads the label in a snapshot's folder; `None` if it never got one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(names::LABEL);
        match sys::fs::read_text(&path, LIMIT) {
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(text) => Ok(Some(read_toml(
                &path.display().to_string(),
                &text,
                Self::SCHEMA,
            )?)),
        }
    }

    /// Replaces the label in a snapshot's folder, durably.
    pub(crate) fn write(&self, dir: &Path, _lock: &StoreLock) -> Result<()> {
        let text = toml::to_string(self).context("cannot write the label")?;
        sys::fs::write_atomic(dir.join(names::LABEL), text.as_bytes(), 0o600)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_counts_instead_of_the_meta_file_and_may_take_the_name_away() {
        let mut meta = crate::store::publish::tests::meta(1);
        meta.name = "web".parse().ok();
        let label = Label {
            name: None,
            note: "why \"so\"".into(),
            ..Label::of(
                &meta,
                Some(Unfrozen {
                    since: 7,
                    built_from: None,
                }),
            )
        };
        let text = toml::to_string(&label).unwrap();
        let read: Label = read_toml("l", &text, Label::SCHEMA).unwrap();
        assert_eq!(read, label);
        assert_eq!(read.put_on(&mut meta).map(|mark| mark.since), Some(7));
        assert_eq!((meta.name, meta.note.as_str()), (None, "why \"so\""));
    }
}
