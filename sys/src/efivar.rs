//! EFI variables through efivarfs: four bytes of attributes, then the value, written in one call.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::error::{Cannot, Result, SysError};

/// Where the kernel shows EFI variables.
pub const DIR: &str = "/sys/firmware/efi/efivars";
/// Namespace of the Boot Loader Interface (`LoaderEntryOneShot` and its kin).
pub const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Kept over a reboot, visible to boot services and to the running system: what loader variables need.
pub const PERSISTENT: u32 = 7;
/// Largest variable that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// The variables of a machine.
#[derive(Debug, Clone)]
pub struct EfiVariables {
    dir: PathBuf,
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its attributes.
    pub attributes: u32,
    /// Its value.
    pub data: Vec<u8>,
}

impl EfiVariables {
    /// The machine's variables; `None` when it was not started by EFI or efivarfs is not mounted.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        let here = Self::at(DIR);
        let mut entries = std::fs::read_dir(&here.dir).ok()?;
        entries.next().is_some().then_some(here)
    }

    /// Variables as files in `dir`.
    #[must_use]
    pub fn at(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
        }
    }

    fn path(&self, name: &str, namespace: &str) -> PathBuf {
        self.dir.join(format!("{name}-{namespace}"))
    }

    /// Reads a variable; `None` when it is not set.
    ///
    /// # Errors
    /// It cannot be read, or is shorter than its attributes.
    pub fn read(&self, name: &str, namespace: &str) -> Result<Option<Variable>> {
        let path = self.path(name, namespace);
        let bytes = match crate::fs::read(&path, LIMIT) {
            Err(error) if error.is_absent() => return Ok(None),
            result => result?,
        };
        match bytes.split_first_chunk::<4>() {
            Some((attributes, data)) => Ok(Some(Variable {
                attributes: u32::from_le_bytes(*attributes),
                data: data.to_vec(),
            })),
            None => Err(SysError::invalid("read", path, "it is cut short")),
        }
    }

    /// Sets a variable. Flash wears out: call it only when the value changes.
    ///
    /// # Errors
    /// The firmware refuses (full, write-protected).
    pub fn write(&self, name: &str, namespace: &str, variable: &Variable) -> Result<()> {
        let path = self.path(name, namespace);
        make_changeable(&path);
        let mut bytes = variable.attributes.to_le_bytes().to_vec();
        bytes.extend_from_slice(&variable.data);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .cannot("set", &path)?;
        // The kernel takes one write as the whole value; a second one would be another value.
        let written = file.write(&bytes).cannot("set", &path)?;
        if written == bytes.len() {
            Ok(())
        } else {
            let why = format!("{written} of {} bytes were taken", bytes.len());
            Err(SysError::invalid("set", path, why))
        }
    }

    /// Deletes a variable; one that is not set is fine.
    ///
    /// # Errors
    /// The firmware refuses.
    pub fn delete(&self, name: &str, namespace: &str) -> Result<()> {
        let path = self.path(name, namespace);
        make_changeable(&path);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.cannot("delete", path),
        }
    }
}

/// efivarfs protects variables it does not know against `rm -rf` by the immutable flag.
fn make_changeable(path: &Path) {
    if let Ok(file) = std::fs::File::open(path) {
        if let Ok(flags) = ioctl_getflags(&file) {
            if flags.contains(IFlags::IMMUTABLE) {
                // If this fails, the write itself will say why.
                ioctl_setflags(&file, flags & !IFlags::IMMUTABLE).ok();
            }
        }
    }
}

/// Text as loaders store it: UTF-16, little endian, with a NUL behind.
#[must_use]
pub fn to_utf16(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// Reads such a text, up to the first NUL; what is no character becomes a replacement mark.
#[must_use]
pub fn from_utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| match pair {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        })
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdir::TestDir;

    #[test]
    fn a_variable_is_written_with_its_attributes_in_front() {
        let dir = TestDir::new("efi");
        let variables = EfiVariables::at(dir.path());
        let value = Variable {
            attributes: PERSISTENT,
            data: to_utf16("rootctl 7"),
        };
        variables
            .write("LoaderEntryOneShot", LOADER, &value)
            .unwrap();
        let raw = std::fs::read(dir.join(&format!("LoaderEntryOneShot-{LOADER}"))).unwrap();
        assert_eq!(&raw[..6], [7, 0, 0, 0, b'r', 0]);
        assert_eq!(
            variables.read("LoaderEntryOneShot", LOADER).unwrap(),
            Some(value)
        );
        variables.delete("LoaderEntryOneShot", LOADER).unwrap();
        variables.delete("LoaderEntryOneShot", LOADER).unwrap();
        assert_eq!(variables.read("LoaderEntryOneShot", LOADER).unwrap(), None);
    }

    #[test]
    fn texts_survive_the_way_through_utf16() {
        assert_eq!(
            from_utf16(&to_utf16("rootctl 7 \u{1f600}")),
            "rootctl 7 \u{1f600}"
        );
        assert_eq!(from_utf16(&[b'a', 0, 0, 0, b'b', 0]), "a");
        assert_eq!(from_utf16(&[1]), "");
    }
}
