//! `snap verify`: a snapshot to the last byte. btrfs holds a checksum of every block and says so when one does not fit, but
//! only to whoever reads it; so everything is read, from the disk and not from memory.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::meta::{BootFile, Meta};
use rootspec::path_text::escape;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Check, Diagnosis, Targets};

use super::{Found, is_open};
use crate::deploy::plan;
use crate::diff;
use crate::esp::{self, copies};
use crate::guard::{Guard, words};
use crate::progress::Progress;
use crate::session::Session;
use crate::status::FIX;

/// Most unreadable files that are named.
const MOST_NAMED: usize = 20;
/// How often it says how far it is.
const TICK: Duration = Duration::from_secs(2);

/// Reads snapshots whole; each is one check of the answer.
pub(crate) fn verify(
    session: &Session,
    ask: &Targets,
    progress: &mut Progress<'_>,
) -> Result<Diagnosis> {
    let mut ids = Vec::new();
    for target in &ask.targets {
        let id = session.resolve(target)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Guard::usage("no snapshot was named").err();
    }
    let checks = ids.into_iter().map(|id| {
        let mut found = Found::default();
        match session.whole(id) {
            Ok(meta) => whole(session, meta, &mut found, progress),
            Err(error) => found.failure(&error),
        }
        Check {
            name: format!("snapshot {id}"),
            findings: found.0,
        }
    });
    Ok(Diagnosis {
        checks: checks.collect(),
    })
}

fn whole(session: &Session, meta: &Meta, found: &mut Found, progress: &mut Progress<'_>) {
    let id = meta.id;
    let dir = session.store.snapshot(id);
    let copy =
        || format!("rootctl diff {id} (what differs from its parent), then deploy another one");
    if is_open(session, meta) {
        found.error("its root is writable: somebody may have changed it", copy());
    }
    if session.is_unfrozen(id) {
        found.warning(
            "it is unfrozen: what is in its root now is compared with nothing",
            format!("rootctl snap freeze {id}"),
        );
    } else if meta.image.is_none() {
        match diff::was_changed(&session.store, meta) {
            Ok(false) => {}
            Ok(true) => found.error(
                "something in its root was changed after it was published",
                copy(),
            ),
            Err(error) => found.failure(&error),
        }
    }
    if let Some(kernel) = &meta.kernel {
        for (name, published) in [
            (names::KERNEL, &kernel.vmlinuz),
            (names::INITRD, &kernel.initrd),
        ] {
            boot_file(&dir.join(name), published, id, found);
        }
    }
    progress.step(&format!("read snapshot {id}"));
    let mut reader = Reader::default();
    reader.all(&dir, progress);
    for (path, error) in &reader.unreadable {
        let shown = escape(
            path.strip_prefix(&dir)
                .unwrap_or(path)
                .as_os_str()
                .as_encoded_bytes(),
        );
        found.error(
            format!("cannot read {shown}: {error}"),
            format!("see `dmesg`; once another one is good, rootctl snap delete {id}"),
        );
    }
    if reader.more > 0 {
        let more = format!("{} more files cannot be read", reader.more);
        found.error(more, "see `dmesg`, and copy the disk while you can");
    }
    if let Err(error) = on_esp(session, id, found) {
        found.failure(&error);
    }
}

fn boot_file(path: &Path, published: &BootFile, id: SnapshotId, found: &mut Found) {
    match copies::boot_file(path) {
        Ok(there) if there == *published => {}
        Ok(_) => found.error(
            format!("{} is not what was published", path.display()),
            format!("rootctl run {id} -- true (the copy gets one of its own), then rootctl snap delete {id}"),
        ),
        Err(error) => found.error(
            words(&error),
            "see `dmesg`, and copy the disk while you can",
        ),
    }
}

/// The copies on the ESP that its menu entry names.
fn on_esp(session: &Session, id: SnapshotId, found: &mut Found) -> Result<()> {
    let (Some(state), true) = (session.current(), session.site.has_esp()) else {
        return Ok(());
    };
    let settings = session.settings()?;
    let esp_dir = session.site.esp()?;
    let facts = esp::look(esp_dir.path(), settings)?;
    let plan = plan::plan(
        state,
        session.metas(),
        settings,
        &session.site.claim(),
        &facts,
    )?;
    let own = esp::own_dir(esp_dir.path());
    let named = plan.menu.entries().iter().filter(|entry| entry.id == id);
    for file in named.flat_map(|entry| [&entry.kernel, &entry.initrd]) {
        if let Err(error) = copies::verify(file, &own) {
            found.error(words(&error), FIX);
        }
    }
    Ok(())
}

/// Reads files whole and drops what it read.
#[derive(Default)]
struct Reader {
    unreadable: Vec<(PathBuf, io::Error)>,
    more: u64,
    files: u64,
    last: Option<Instant>,
}

impl Reader {
    /// Everything below a folder. Links are not followed.
    fn all(&mut self, dir: &Path, progress: &mut Progress<'_>) {
        let top = match sys::fs::open_dir(dir) {
            Ok(top) => top,
            Err(error) => return self.note(dir.to_owned(), error.source),
        };
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.note(folder, error);
                    continue;
                }
            };
            for entry in entries {
                let found = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
                match found {
                    Ok((path, kind)) if kind.is_dir() => folders.push(path),
                    Ok((path, kind)) if kind.is_file() => self.one(&top, dir, path, progress),
                    Ok(_) => {}
                    Err(error) => self.note(folder.clone(), error),
                }
            }
        }
    }

    fn one(&mut self, top: impl AsFd, dir: &Path, path: PathBuf, progress: &mut Progress<'_>) {
        if let Err(error) = read(top, path.strip_prefix(dir).unwrap_or(&path)) {
            self.note(path, error);
        }
        self.files += 1;
        let last = self.last.get_or_insert_with(Instant::now);
        if last.elapsed() >= TICK {
            *last = Instant::now();
            progress.step(&format!("{} files read", self.files));
        }
    }

    fn note(&mut self, path: PathBuf, error: io::Error) {
        if self.unreadable.len() < MOST_NAMED {
            self.unreadable.push((path, error));
        } else {
            self.more += 1;
        }
    }
}

/// Reads a file below `top`. Where the root is writable, somebody may have put another thing in its place meanwhile: no
/// link is followed, no pipe waited for.
fn read(top: impl AsFd, path: &Path) -> io::Result<()> {
    let mut file = sys::fs::open_plain(top, path).map_err(|error| error.source)?;
    // What is in memory was checked when it came there, maybe long ago.
    drop(sys::space::forget_cached(&file));
    let mut piece = vec![0; 256 * 1024];
    while file.read(&mut piece)? > 0 {}
    Ok(())
}
