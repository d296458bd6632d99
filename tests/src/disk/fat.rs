//! A FAT file system inside an image file, reached with mkfs.fat and mtools only: nothing is mounted,
//! so no vfat in the host's kernel and no root are needed.

use crate::run;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A FAT at a place in an image file.
#[derive(Debug, Clone)]
pub struct Fat {
    image: PathBuf,
    offset: u64,
    bytes: u64,
}

impl Fat {
    /// The FAT that begins at byte `offset` of `image` and has `bytes` bytes.
    pub fn new(image: &Path, offset: u64, bytes: u64) -> Self {
        Self {
            image: image.to_path_buf(),
            offset,
            bytes,
        }
    }

    /// Makes an empty FAT32.
    ///
    /// # Errors
    /// When mkfs.fat fails.
    pub fn format(&self, label: &str, volume_id: u32) -> Result<()> {
        let mut mkfs = run::command("mkfs.fat", ["-F", "32", "-S", "512", "-n", label]);
        mkfs.arg("-i").arg(format!("{volume_id:08x}"));
        mkfs.arg("--offset")
            .arg((self.offset / super::gpt::SECTOR).to_string());
        // Its last argument counts blocks of 1 KiB.
        run::quiet(mkfs.arg(&self.image).arg((self.bytes / 1024).to_string()))
    }

    /// Copies a host file to `target` (`/EFI/BOOT/BOOTX64.EFI`), making the folders above it and
    /// replacing an older file.
    ///
    /// # Errors
    /// When mtools fail, for example because the ESP is full.
    pub fn put(&self, source: &Path, target: &str) -> Result<()> {
        let mut above = String::new();
        for folder in target
            .trim_matches('/')
            .split('/')
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            above.push('/');
            above.push_str(folder);
            if !self.exists(&above) {
                run::quiet(&mut self.tool("mmd", &[&above]))?;
            }
        }
        let mut copy = self.mtool("mcopy");
        run::quiet(copy.arg("-o").arg(source).arg(format!("::{target}")))
            .with_context(|| format!("cannot copy {} to {target} of the ESP", source.display()))
    }

    /// Writes `bytes` as the file `target`.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn write(&self, target: &str, bytes: &[u8]) -> Result<()> {
        let scratch = crate::paths::Scratch::new("fat")?;
        let file = scratch.join("file");
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
        self.put(&file, target)
    }

    /// Copies a host folder with all its files to the folder `target` of the FAT (`/` for its root).
    ///
    /// # Errors
    /// When the folder cannot be read or mtools fail.
    pub fn put_tree(&self, source: &Path, target: &str) -> Result<()> {
        let entries =
            fs::read_dir(source).with_context(|| format!("cannot read {}", source.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", source.display()))?;
            let name = format!(
                "{}/{}",
                target.trim_end_matches('/'),
                entry.file_name().to_string_lossy()
            );
            if entry.path().is_dir() {
                self.put_tree(&entry.path(), &name)?;
            } else {
                self.put(&entry.path(), &name)?;
            }
        }
        Ok(())
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When the FAT has no such file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let scratch = crate::paths::Scratch::new("fat")?;
        let file = scratch.join("file");
        let mut copy = self.mtool("mcopy");
        run::quiet(copy.arg("-n").arg(format!("::{name}")).arg(&file))
            .with_context(|| format!("cannot read {name} of the ESP"))?;
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Whether a file or folder of this name is there.
    pub fn exists(&self, name: &str) -> bool {
        run::succeeds(&mut self.tool("mdir", &[name]))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete(&self, name: &str) -> Result<()> {
        run::quiet(&mut self.tool("mdel", &[name]))
    }

    /// All files with their full names (`/rootctl/grub.cfg`), as mdir lists them.
    ///
    /// # Errors
    /// When mdir fails.
    pub fn list(&self) -> Result<Vec<String>> {
        let mut list = self.mtool("mdir");
        let text = run::output(list.args(["-/", "-b", "::"]))?;
        Ok(text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("::"))
            .filter(|name| !name.ends_with('/'))
            .map(str::to_owned)
            .collect())
    }

    fn tool(&self, program: &str, names: &[&str]) -> std::process::Command {
        let mut tool = self.mtool(program);
        tool.args(names.iter().map(|name| format!("::{name}")));
        tool
    }

    fn mtool(&self, program: &str) -> std::process::Command {
        let mut at = OsString::from(&self.image);
        at.push(format!("@@{}", self.offset));
        let mut tool = run::command(program, ["-i"]);
        // mtools refuses geometries it finds odd, which those of partitions often are.
        tool.arg(at).env("MTOOLS_SKIP_CHECK", "1");
        tool
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Scratch;

    /// A plain machine without mtools cannot run these; `cargo xtask test` installs them first.
    fn fat(scratch: &Scratch) -> Option<Fat> {
        let image = scratch.join("image");
        fs::File::create(&image).unwrap().set_len(48 << 20).unwrap();
        let fat = Fat::new(&image, 1 << 20, 40 << 20);
        run::succeeds(&mut run::command("mkfs.fat", ["--help"])).then_some(())?;
        fat.format("ESP", 0x1234_ABCD).unwrap();
        Some(fat)
    }

    #[test]
    fn what_is_written_is_read_back_and_listed() {
        let scratch = Scratch::new("fat-test").unwrap();
        let Some(fat) = fat(&scratch) else { return };
        fat.write("/EFI/BOOT/long-name.cfg", b"first").unwrap();
        fat.write("/EFI/BOOT/long-name.cfg", b"second").unwrap();
        assert_eq!(fat.read("/EFI/BOOT/long-name.cfg").unwrap(), b"second");
        assert_eq!(fat.list().unwrap(), ["/EFI/BOOT/long-name.cfg"]);
        fat.delete("/EFI/BOOT/long-name.cfg").unwrap();
        assert!(!fat.exists("/EFI/BOOT/long-name.cfg"));
        assert!(fat.read("/absent").is_err());
    }
}
