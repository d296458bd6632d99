//! `rootctl svc logs`

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rootspec::protocol::init::{LogFiles, Units, method};

use super::Context;
use crate::cli::Logs;
use crate::client::{Client, Exit};

/// How often a followed log is looked at. A file cannot be waited for without inotify, and a person reads slower.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Prints the log of a unit; with `--follow` goes on until interrupted.
pub(super) fn run(context: Context<'_>, args: &Logs) -> Result<Exit> {
    let ask = Units {
        units: vec![args.unit.clone()],
    };
    let logs: LogFiles = Client::init()?.call(method::LOGS, &ask)?;
    if context.out.is_json() {
        context.out.answer(&logs, || Ok(()))?;
        return Ok(Exit::Done);
    }
    for path in &logs.files {
        context.out.detail(&format!("reading {path}"));
        let mut log = Log::open(Path::new(path))?;
        log.copy(|bytes| context.out.raw(bytes))?;
        if args.follow {
            loop {
                std::thread::sleep(LOOK_AGAIN);
                log.reopen_if_replaced()?;
                log.copy(|bytes| context.out.raw(bytes))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// A log file that is being written, rotated and truncated by somebody else.
#[derive(Debug)]
struct Log<'a> {
    path: &'a Path,
    file: File,
    read: u64,
}

impl<'a> Log<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("cannot open the log {}", path.display()))?;
        Ok(Self {
            path,
            file,
            read: 0,
        })
    }

    /// Hands out what was added since the last time.
    fn copy(&mut self, mut out: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let reading = || format!("cannot read the log {}", self.path.display());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = self.file.read(&mut buffer).with_context(reading)?;
            if count == 0 {
                return Ok(());
            }
            self.read += count as u64;
            out(buffer.get(..count).unwrap_or_default())?;
        }
    }

    /// After a rotation the name belongs to a new file; after a truncation the old one starts anew.
    fn reopen_if_replaced(&mut self) -> Result<()> {
        let Ok(now) = std::fs::metadata(self.path) else {
            return Ok(()); // between two names: look again later
        };
        let open = self.file.metadata().context("cannot look at the log")?;
        if (now.dev(), now.ino()) != (open.dev(), open.ino()) {
            *self = Self::open(self.path)?;
        } else if open.len() < self.read {
            self.file
                .seek(SeekFrom::Start(0))
                .context("cannot read the log from its start")?;
            self.read = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_followed_log_survives_rotation_and_truncation() {
        let dir = std::env::temp_dir().join(format!("rootctl-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a");
        std::fs::write(&path, "one").unwrap();
        let mut log = Log::open(&path).unwrap();
        let mut text = Vec::new();
        let mut take = |log: &mut Log<'_>| {
            log.reopen_if_replaced().unwrap();
            log.copy(|bytes| {
                text.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        };
        take(&mut log);
        std::fs::rename(&path, dir.join("a.1")).unwrap();
        take(&mut log);
        std::fs::write(&path, " two").unwrap();
        take(&mut log);
        std::fs::write(&path, " 3").unwrap();
        take(&mut log);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "one two 3");
    }
}
