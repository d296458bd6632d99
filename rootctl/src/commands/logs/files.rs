//! The files of logs: which there are, the records in them in order, and what is added to them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No record is longer: a longer line is none, and skipped.
const LONGEST: u64 = 64 << 10;

/// The log of one unit in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// Whose it is.
    pub(super) unit: String,
    dir: PathBuf,
    /// Numbers of its old files, the oldest first.
    old: Vec<u32>,
}

/// All logs in a folder, by unit.
pub(super) fn logs(dir: &Path) -> io::Result<Vec<Log>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if let Some((unit, number)) = unit_of(&name) {
            let old = found.entry(unit.to_owned()).or_default();
            old.extend(number);
        }
    }
    let logs = found.into_iter().map(|(unit, mut old)| {
        old.sort_unstable_by(|one, other| other.cmp(one));
        Log {
            unit,
            dir: dir.to_owned(),
            old,
        }
    });
    Ok(logs.collect())
}

/// The unit that a file belongs to, and its number if it is an old one.
pub(super) fn unit_of(name: &str) -> Option<(&str, Option<u32>)> {
    if let Some(unit) = name.strip_suffix(".log") {
        return Some((unit, None));
    }
    let (rest, number) = name.rsplit_once('.')?;
    Some((rest.strip_suffix(".log")?, Some(number.parse().ok()?)))
}

impl Log {
    /// The file with this number; 0 is the present one.
    fn path(&self, number: u32) -> PathBuf {
        let unit = &self.unit;
        self.dir.join(match number {
            0 => format!("{unit}.log"),
            number => format!("{unit}.log.{number}"),
        })
    }

    /// Reads it from its oldest record on.
    pub(super) fn read(&self) -> Reader {
        let mut left: Vec<u32> = self.old.clone();
        left.push(0);
        left.reverse();
        Reader {
            log: self.clone(),
            left,
            now: None,
        }
    }
}

/// Reads one log: old files first, then the present one, then what is added.
#[derive(Debug)]
pub(super) struct Reader {
    log: Log,
    /// Numbers of files to be read, the next one at the end.
    left: Vec<u32>,
    now: Option<BufReader<File>>,
}

impl Reader {
    /// It reads this log.
    pub(super) fn is_of(&self, log: &Log) -> bool {
        self.log.unit == log.unit && self.log.dir == log.dir
    }

    /// The next line, without its end; `None`: there is no more for now. Half a line is not there yet.
    ///
    /// # Errors
    /// A file cannot be read; the next call goes on behind it.
    pub(super) fn line(&mut self) -> Result<Option<String>, (PathBuf, io::Error)> {
        loop {
            if let Some(file) = &mut self.now {
                match line_of(file) {
                    Ok(Some(line)) => return Ok(Some(line)),
                    Ok(None) => {}
                    Err(why) => {
                        self.now = None;
                        return Err((self.log.path(0), why));
                    }
                }
            }
            let Some(number) = self.left.pop() else {
                return Ok(None);
            };
            let path = self.log.path(number);
            match File::open(&path) {
                Ok(file) => self.now = Some(BufReader::new(file)),
                // It has been turned over in between, or there is none yet.
                Err(why) if why.kind() == ErrorKind::NotFound => {}
                Err(why) => return Err((path, why)),
            }
        }
    }

    /// To be called when the files have changed and [`Self::line`] has no more: finds where to go on.
    pub(super) fn look_again(&mut self) {
        let identity = |data: &std::fs::Metadata| (data.dev(), data.ino());
        let Some(open) = self.now.as_ref().and_then(|f| f.get_ref().metadata().ok()) else {
            self.left = vec![0];
            return;
        };
        // Our file may have got a number by now, and newer ones follow it; or it has gone, and all that are there do. In
        // between a number may be free: a logger was killed while it turned them over.
        let is_ours = |number: &u32| {
            let found = std::fs::metadata(self.log.path(*number));
            found.is_ok_and(|found| identity(&found) == identity(&open))
        };
        let most = u32::from(u8::MAX).saturating_add(1);
        let ours = (0..most).find(is_ours).unwrap_or(most);
        self.left = (0..ours).collect();
    }
}

/// One whole line; bytes that are no UTF-8 come from a damaged file.
fn line_of(file: &mut BufReader<File>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let count = file.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)?;
    if bytes.last() == Some(&b'\n') || u64::try_from(count) == Ok(LONGEST) {
        bytes.pop();
        return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
    }
    // Its end may still come.
    file.seek_relative(-i64::try_from(count).unwrap_or_default())?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("rootctl-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    fn rest(reader: &mut Reader) -> Vec<String> {
        std::iter::from_fn(|| reader.line().unwrap()).collect()
    }

    #[test]
    fn old_files_come_first_and_others_are_no_logs() {
        let dir = Dir::new("files");
        for (name, text) in [
            ("a.log.10", "1\n"),
            ("a.log.2", "2\n"),
            ("a.log.1", "3\n"),
            ("a.log", "4\n"),
            ("b@c.log.1", "x\n"),
            ("a.log.old", "?"),
            ("notes", "?"),
        ] {
            dir.write(name, text);
        }
        let logs = logs(&dir.0).unwrap();
        let units: Vec<&str> = logs.iter().map(|log| &*log.unit).collect();
        assert_eq!(units, ["a", "b@c"]);
        assert_eq!(rest(&mut logs[0].read()), ["1", "2", "3", "4"]);
        assert_eq!(rest(&mut logs[1].read()), ["x"]);
    }

    #[test]
    fn a_followed_log_survives_being_turned_over_twice() {
        let dir = Dir::new("follow");
        dir.write("a.log", "1\n2");
        let mut reader = logs(&dir.0).unwrap()[0].read();
        assert_eq!(rest(&mut reader), ["1"]);
        let mut file = File::options()
            .append(true)
            .open(dir.0.join("a.log"))
            .unwrap();
        file.write_all(b"\n3\n").unwrap();
        for (number, text) in [(1, "4\n5\n"), (0, "6\n")] {
            let rename = |from: &str, to: &str| {
                std::fs::rename(dir.0.join(from), dir.0.join(to)).ok();
            };
            rename("a.log.1", "a.log.2");
            rename("a.log", "a.log.1");
            assert!(number < 2);
            dir.write("a.log", text);
        }
        assert_eq!(rest(&mut reader), ["2", "3"]);
        // A logger that was killed on the way has left number 1 free.
        for (from, to) in [("a.log.2", "a.log.3"), ("a.log.1", "a.log.2")] {
            std::fs::rename(dir.0.join(from), dir.0.join(to)).unwrap();
        }
        reader.look_again();
        assert_eq!(rest(&mut reader), ["4", "5", "6"]);
        reader.look_again();
        assert_eq!(rest(&mut reader), [""; 0]);
    }

    #[test]
    fn a_line_without_an_end_is_no_reason_to_read_for_ever() {
        let dir = Dir::new("long");
        dir.write("a.log", &"x".repeat(200_000));
        let mut reader = logs(&dir.0).unwrap()[0].read();
        assert_eq!(rest(&mut reader).len(), 3);
    }
}
