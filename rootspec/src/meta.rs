//! `meta.toml`: what a snapshot is. Written once when the snapshot is published, never changed afterwards.

use serde::{Deserialize, Serialize};

use crate::spot::{Spot, read_toml};
use crate::{SnapshotId, SnapshotName};

/// Largest `meta.toml` that is read, in bytes.
pub const MAX_SIZE: usize = 4096;

/// The content of `meta.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of the format.
    pub schema: u32,
    /// The snapshot's id; the directory has the same name.
    pub id: SnapshotId,
    /// Subvolume UUID of `root`, or the image's SHA-256: a swapped directory is noticed.
    pub uuid: String,
    /// The snapshot it was made from.
    pub parent: Option<SnapshotId>,
    /// Its ancestors, nearest first: the tree survives deleted inner nodes.
    #[serde(default)]
    pub lineage: Vec<SnapshotId>,
    /// What its content was copied from, nearest first, where that is another line than `lineage`: a copy may be placed
    /// anywhere in the tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copied: Vec<SnapshotId>,
    /// The snapshot whose change it has once more, on another ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redoes: Option<SnapshotId>,
    /// Its name, if it has one.
    pub name: Option<SnapshotName>,
    /// When it was published, in seconds since 1970 (UTC).
    pub created: u64,
    /// One line for people.
    #[serde(default)]
    pub note: String,
    /// Extra words for the kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// Whose `/etc` the first boot merges forward.
    pub etc_base: Option<SnapshotId>,
    /// How it was made.
    pub origin: Origin,
    /// Its kernel and initramfs; a snapshot without them cannot be deployed.
    pub kernel: Option<Kernel>,
    /// The image that holds its root, where that is no subvolume.
    pub image: Option<Image>,
}

/// How a snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What kind of work: `import`, `copy` or `run`.
    pub kind: String,
    /// The command or the source, for people.
    #[serde(default)]
    pub detail: String,
}

/// Kernel and initramfs of a snapshot: they and the snapshot are one unit and never boot apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Release, as in `/usr/lib/modules/RELEASE`.
    pub release: String,
    /// The kernel image.
    pub vmlinuz: BootFile,
    /// The initramfs.
    pub initrd: BootFile,
}

/// A file that is copied to the ESP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFile {
    /// BLAKE2b-512 of its bytes, 128 hex digits: names the copy and is checked by Limine.
    pub blake2b: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The image that holds a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// `root.sqfs`
    Squashfs,
    /// `root.erofs`
    Erofs,
}

impl Meta {
    /// Version written by this program.
    pub const SCHEMA: u32 = 1;

    /// The text of the file.
    ///
    /// # Errors
    /// Only if a value cannot be written as TOML, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// What its content was copied from, nearest first.
    #[must_use]
    pub fn content(&self) -> &[SnapshotId] {
        if self.copied.is_empty() {
            &self.lineage
        } else {
            &self.copied
        }
    }

    /// Reads the text of `file`, which must be about snapshot `id`.
    ///
    /// # Errors
    /// The text is damaged, has a newer format, or is about another snapshot.
    pub fn from_toml(file: &str, text: &str, id: SnapshotId) -> Result<Self, Spot> {
        let meta: Self = read_toml(file, text, Self::SCHEMA)?;
        if meta.id != id {
            let words = format!("it is about snapshot {}, expected {id}", meta.id);
            return Err(Spot::whole(file, words));
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Meta {
        let file = BootFile {
            blake2b: "ab".repeat(64),
            size: 7,
        };
        Meta {
            schema: 1,
            id: SnapshotId::new(3).unwrap(),
            uuid: "0123".into(),
            parent: SnapshotId::new(2),
            lineage: vec![SnapshotId::new(2).unwrap(), SnapshotId::new(1).unwrap()],
            copied: vec![],
            redoes: None,
            name: Some("web".parse().unwrap()),
            created: 1_700_000_000,
            note: "a \"quoted\" note".into(),
            cmdline: String::new(),
            etc_base: SnapshotId::new(2),
            origin: Origin {
                kind: "run".into(),
                detail: "apt-get install nginx".into(),
            },
            kernel: Some(Kernel {
                release: "6.1".into(),
                vmlinuz: file.clone(),
                initrd: file,
            }),
            image: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = sample().to_toml().unwrap();
        assert_eq!(Meta::from_toml("m", &text, sample().id).unwrap(), sample());
        assert!(text.len() < MAX_SIZE);
    }

    #[test]
    fn a_meta_file_about_another_snapshot_is_refused() {
        let text = sample().to_toml().unwrap();
        let error = Meta::from_toml("m", &text, SnapshotId::new(9).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "m: it is about snapshot 3, expected 9");
    }

    #[test]
    fn a_future_format_is_named() {
        let text = sample()
            .to_toml()
            .unwrap()
            .replace("schema = 1", "schema = 8");
        let error = Meta::from_toml("m", &text, sample().id)
            .unwrap_err()
            .to_string();
        assert!(error.contains("format 8"), "{error}");
    }

    #[test]
    fn damage_is_shown_with_its_line() {
        let text = sample()
            .to_toml()
            .unwrap()
            .replace("created = ", "created = x");
        let error = Meta::from_toml("m", &text, sample().id)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("created = x1700000000") && error.contains('^'),
            "{error}"
        );
    }

    #[test]
    fn cutting_the_file_anywhere_never_gives_a_valid_snapshot_with_a_kernel() {
        let text = sample().to_toml().unwrap();
        for length in 0..text.len() - 1 {
            if let Ok(meta) = Meta::from_toml("m", &text[..length], sample().id) {
                assert!(
                    meta.kernel.is_none() || meta == sample(),
                    "cut at {length}: {meta:?}"
                );
            }
        }
    }
}
