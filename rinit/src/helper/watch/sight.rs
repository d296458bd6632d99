//! What one unit looks at: its paths, and what leads to them. It may hang with the file system that it looks at.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rootspec::plan::{self, Looks};
use sys::inotify::{Inotify, Told};

/// One path, and what is looked for.
#[derive(Debug)]
struct Look {
    what: Looks,
    path: PathBuf,
    /// There was something.
    there: bool,
}

#[derive(Debug, Default)]
struct Entry {
    looks: Vec<Look>,
    /// Permissions of folders that are to be made.
    mkdir: Option<u32>,
    /// PID 1 has been told, and has not asked since.
    told: bool,
    /// Something has changed that PID 1 has not been told.
    changed: bool,
}

/// What a watch of the kernel is for.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    entry: usize,
    look: usize,
    /// The name in this folder that is on the way; absent: it is the path itself.
    name: Option<OsString>,
}

/// The paths of one unit.
#[derive(Debug)]
pub(super) struct Sight {
    inotify: Inotify,
    entries: Vec<Entry>,
    /// By the numbers of the kernel's watches.
    places: BTreeMap<i32, Vec<Place>>,
}

impl Sight {
    /// Looks at these from now on.
    ///
    /// # Errors
    /// They cannot be watched, or their folders not be made.
    pub(super) fn new(paths: &[plan::Path]) -> sys::error::Result<Self> {
        let entries: Vec<Entry> = paths.iter().map(Entry::of).collect();
        for entry in &entries {
            entry.make_folders()?;
        }
        let mut sight = Self {
            inotify: Inotify::new()?,
            entries,
            places: BTreeMap::new(),
        };
        sight.settle()?;
        for entry in &mut sight.entries {
            // What was there before is no change.
            entry.changed = false;
        }
        Ok(sight)
    }

    /// What tells of changes.
    pub(super) fn inotify(&self) -> &Inotify {
        &self.inotify
    }

    /// PID 1 wants to know of the entry of this number again.
    pub(super) fn asked(&mut self, number: u32) {
        let entry = usize::try_from(number).ok();
        if let Some(entry) = entry.and_then(|at| self.entries.get_mut(at)) {
            entry.told = false;
        }
    }

    /// The numbers of the entries that PID 1 is to be told of.
    pub(super) fn news(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        for (number, entry) in (0_u8..).zip(&mut self.entries) {
            if !entry.told && (entry.changed || entry.looks.iter().any(Look::holds)) {
                entry.told = true;
                entry.changed = false;
                all.push(number);
            }
        }
        all
    }

    /// Watches everything on the way to each path, as far as there is something, from the root on: what appears behind a
    /// folder that is watched already is told. What is not on the way any more is watched no longer.
    ///
    /// # Errors
    /// The kernel allows no more, or a folder may not be looked at.
    pub(super) fn settle(&mut self) -> sys::error::Result<()> {
        let before = std::mem::take(&mut self.places);
        for number in 0..self.entries.len() {
            let looks = self
                .entries
                .get(number)
                .map_or(0, |entry| entry.looks.len());
            for look in 0..looks {
                self.settle_look(number, look)?;
            }
        }
        let over = before
            .keys()
            .filter(|number| !self.places.contains_key(number));
        over.for_each(|number| self.inotify.forget(*number));
        Ok(())
    }

    fn settle_look(&mut self, entry: usize, look: usize) -> sys::error::Result<()> {
        let Some(found) = self
            .entries
            .get(entry)
            .and_then(|entry| entry.looks.get(look))
        else {
            return Ok(());
        };
        let (what, path) = (found.what, found.path.clone());
        let mut at = PathBuf::from("/");
        let mut there = true;
        for part in path.iter().skip(1) {
            let name = Some(part.to_owned());
            if !self.place(&at, Told::Names, Place { entry, look, name })? {
                there = false;
                break;
            }
            at.push(part);
        }
        let own = match what {
            Looks::Exists | Looks::Glob => None,
            Looks::NotEmpty => Some(Told::Names),
            Looks::Changed => Some(Told::Written),
            Looks::Modified => Some(Told::Writing),
        };
        if let (true, Some(told)) = (there, own) {
            let name = None;
            there = self.place(&at, told, Place { entry, look, name })?;
        }
        if let (Some(entry), Some(_)) = (self.entries.get_mut(entry), own) {
            if let Some(look) = entry.looks.get_mut(look) {
                let was_there = std::mem::replace(&mut look.there, there);
                entry.changed |= look.is_edge() && was_there != there;
            }
        }
        Ok(())
    }

    /// Watches what is at a path; false: there is nothing.
    fn place(&mut self, path: &Path, told: Told, place: Place) -> sys::error::Result<bool> {
        let number = match self.inotify.watch(path, told) {
            Ok(number) => number,
            Err(error) if matches!(error.errno(), Some(NO_ENTRY | NO_FOLDER | TOO_MANY_LINKS)) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let places = self.places.entry(number).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
        Ok(true)
    }

    /// Takes what has happened.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(super) fn take_changes(&mut self) -> sys::error::Result<()> {
        let mut moved = false;
        for change in self.inotify.read()? {
            if change.watch < 0 {
                // The kernel lost count.
                let all = self.entries.iter_mut();
                all.for_each(|entry| entry.changed |= entry.looks.iter().any(Look::is_edge));
                moved = true;
            }
            if change.gone {
                moved |= self.places.remove(&change.watch).is_some();
            }
            let Some(places) = self.places.get(&change.watch) else {
                continue;
            };
            for place in places {
                let Some(entry) = self.entries.get_mut(place.entry) else {
                    continue;
                };
                let Some(look) = entry.looks.get(place.look) else {
                    continue;
                };
                match &place.name {
                    // It is about the path itself, or in it.
                    None => {
                        let counts = !change.writing || look.what == Looks::Modified;
                        entry.changed |= look.is_edge() && counts;
                        moved |= change.name.is_none();
                    }
                    // A folder on the way is another one, or is gone.
                    Some(_) if change.name.is_none() => moved = true,
                    // Something on the way to it, or it is replaced.
                    name if change.name == *name => {
                        let own = look.path.file_name() == name.as_deref();
                        entry.changed |= look.is_edge() && own && !change.writing;
                        moved = true;
                    }
                    Some(_) => {}
                }
            }
        }
        if moved {
            self.settle()?;
        }
        Ok(())
    }
}

/// ENOENT, ENOTDIR and ELOOP.
const NO_ENTRY: i32 = 2;
const NO_FOLDER: i32 = 20;
const TOO_MANY_LINKS: i32 = 40;

impl Entry {
    fn of(path: &plan::Path) -> Self {
        let looks = path.looks.iter().map(|(what, path)| Look {
            what: *what,
            path: PathBuf::from(&**path),
            there: false,
        });
        Self {
            looks: looks.collect(),
            mkdir: path.mkdir,
            ..Self::default()
        }
    }

    fn make_folders(&self) -> sys::error::Result<()> {
        use sys::error::Cannot;
        let Some(mode) = self.mkdir else {
            return Ok(());
        };
        for look in &self.looks {
            let folder = match look.what {
                Looks::Exists => continue,
                Looks::Glob => look.path.parent().unwrap_or(&look.path),
                Looks::Changed | Looks::Modified | Looks::NotEmpty => &look.path,
            };
            if !folder.exists() {
                let mut builder = DirBuilder::new();
                let made = builder.recursive(true).mode(mode).create(folder);
                made.cannot("make", folder)?;
            }
        }
        Ok(())
    }
}

impl Look {
    /// It is about what happens, not about what is.
    fn is_edge(&self) -> bool {
        matches!(self.what, Looks::Changed | Looks::Modified)
    }

    /// What it looks for is so.
    fn holds(&self) -> bool {
        match self.what {
            Looks::Exists => self.path.exists(),
            Looks::Glob => self.has_match(),
            Looks::NotEmpty => {
                let entries = std::fs::read_dir(&self.path);
                entries.is_ok_and(|mut entries| entries.next().is_some())
            }
            Looks::Changed | Looks::Modified => false,
        }
    }

    fn has_match(&self) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let (Some(folder), Some(pattern)) = (self.path.parent(), self.path.file_name()) else {
            return false;
        };
        let Ok(entries) = std::fs::read_dir(folder) else {
            return false;
        };
        let fits = |name: &OsStr| fits(pattern.as_bytes(), name.as_bytes());
        entries.flatten().any(|entry| fits(&entry.file_name()))
    }
}

/// `*` stands for any bytes, `?` for one; names that begin with a dot only fit where the pattern does.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    // Where to go on if it does not fit: behind the last star, one byte further in the name.
    let mut again: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                again = Some((rest, name));
                pattern = rest;
            }
            (Some((wanted, rest)), Some((byte, others))) if *wanted == b'?' || wanted == byte => {
                (pattern, name) = (rest, others);
            }
            (None, None) => return true,
            _ => {
                let Some((behind, from)) = again else {
                    return false;
                };
                let Some((_, shorter)) = from.split_first() else {
                    return false;
                };
                again = Some((behind, shorter));
                (pattern, name) = (behind, shorter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use std::io::Write;
    use sys::epoll::{Epoll, Interest};

    const NOTHING: [u8; 0] = [];

    struct Story {
        dir: PathBuf,
        sight: Sight,
        epoll: Epoll,
    }

    fn path(looks: &[(Looks, String)], mkdir: Option<u32>) -> plan::Path {
        let looks = looks
            .iter()
            .map(|(what, path)| (*what, path.as_str().into()));
        plan::Path {
            unit: 0,
            looks: looks.collect(),
            mkdir,
            limit: 0,
            window: 0,
            pause: 0,
        }
    }

    impl Drop for Story {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.dir).ok();
        }
    }

    impl Story {
        /// A folder of its own, with one entry for each of these; the last one makes its folders.
        fn begin(name: &str, looks: &[(Looks, &str)]) -> Self {
            let dir =
                std::env::temp_dir().join(format!("rinit-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            let last = looks.len() - 1;
            let entries = looks.iter().enumerate().map(|(number, (what, at))| {
                let at = dir.join(at).display().to_string();
                path(&[(*what, at)], (number == last).then_some(0o700))
            });
            let entries: Vec<_> = entries.collect();
            let sight = Sight::new(&entries).unwrap();
            let epoll = Epoll::new().unwrap();
            epoll.add(sight.inotify(), 1, Interest::Read).unwrap();
            Self { dir, sight, epoll }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.join(path)
        }

        /// What is told when the changes that there are have been taken.
        fn told(&mut self) -> Vec<u8> {
            self.sight.take_changes().unwrap();
            self.sight.news()
        }

        /// The same, once there is one at least.
        fn told_soon(&mut self) -> Vec<u8> {
            self.epoll.wait(&mut Vec::new()).unwrap();
            self.told()
        }

        fn ask(&mut self, number: u32) -> Vec<u8> {
            self.sight.asked(number);
            self.told()
        }
    }

    #[test]
    fn a_path_is_told_when_it_appears_however_deep() {
        let mut story = Story::begin("deep", &[(Looks::Exists, "a/b/c")]);
        assert_eq!(story.told(), NOTHING);
        fs::create_dir_all(story.at("a")).unwrap();
        assert_eq!(story.told_soon(), NOTHING);
        fs::create_dir_all(story.at("a/b")).unwrap();
        assert_eq!(story.told_soon(), NOTHING);
        fs::write(story.at("a/b/c"), "").unwrap();
        assert_eq!(story.told_soon(), [0]);
        assert_eq!(story.told(), NOTHING, "once");
        assert_eq!(story.ask(0), [0], "it is still there");
        fs::remove_dir_all(story.at("a")).unwrap();
        assert_eq!(story.ask(0), NOTHING);
        fs::create_dir_all(story.at("a/b/c")).unwrap();
        assert_eq!(story.told_soon(), [0]);
    }

    #[test]
    fn a_change_is_told_once_and_what_follows_when_it_is_asked_for() {
        let dir = Story::begin("changed", &[(Looks::Exists, "none")]);
        fs::write(dir.at("f"), "").unwrap();
        let mut story = Story::begin("changed", &[(Looks::Changed, "f")]);
        assert_eq!(story.told(), NOTHING);
        fs::write(story.at("f"), "1").unwrap();
        assert_eq!(story.told_soon(), [0]);
        assert_eq!(story.ask(0), NOTHING);
        fs::write(story.at("f"), "2").unwrap();
        fs::write(story.at("other"), "2").unwrap();
        assert_eq!(story.told_soon(), [0]);
        fs::write(story.at("f"), "3").unwrap();
        assert_eq!(story.told_soon(), NOTHING, "not before it is asked for");
        assert_eq!(story.ask(0), [0], "and then at once");
        fs::rename(story.at("other"), story.at("f")).unwrap();
        assert_eq!(story.ask(0), [0], "it was replaced");
        fs::write(story.at("f"), "4").unwrap();
        assert_eq!(story.ask(0), [0], "the new one is watched too");
        fs::remove_file(story.at("f")).unwrap();
        assert_eq!(story.ask(0), [0], "it is gone");
    }

    #[test]
    fn a_write_that_goes_on_is_no_change_but_a_modification() {
        let dir = Story::begin("open", &[(Looks::Exists, "none")]);
        fs::write(dir.at("f"), "").unwrap();
        let looks = [(Looks::Changed, "f"), (Looks::Modified, "f")];
        let mut story = Story::begin("open", &looks);
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(story.at("f"))
            .unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(story.told_soon(), [1]);
        drop(file);
        assert_eq!(story.told_soon(), [0]);
    }

    #[test]
    fn a_folder_with_something_in_it_and_names_that_fit_are_seen() {
        let looks = [(Looks::Glob, "jobs/*.job"), (Looks::NotEmpty, "spool")];
        let mut story = Story::begin("spool", &looks);
        assert!(story.at("spool").is_dir());
        assert_eq!(story.told(), NOTHING);
        fs::write(story.at("spool/1"), "").unwrap();
        assert_eq!(story.told_soon(), [1]);
        fs::create_dir(story.at("jobs")).unwrap();
        fs::write(story.at("jobs/a.txt"), "").unwrap();
        assert_eq!(story.told_soon(), NOTHING);
        fs::write(story.at("jobs/a.job"), "").unwrap();
        assert_eq!(story.told_soon(), [0]);
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("*.job", "a.job", true),
            ("*.job", ".job", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("?", "", false),
            ("a?", "ab", true),
            ("*a", "b", false),
            ("**", "x", true),
        ] {
            let found = fits(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_not_on_the_way_any_more_is_watched_no_longer() {
        let dir = Story::begin("moved", &[(Looks::Exists, "none")]);
        fs::create_dir(dir.at("a")).unwrap();
        fs::write(dir.at("a/f"), "").unwrap();
        let mut story = Story::begin("moved", &[(Looks::Changed, "a/f")]);
        // With mkdir the path itself is a folder to make; there is something already.
        let before = story.sight.places.len();
        fs::rename(story.at("a"), story.at("b")).unwrap();
        assert_eq!(story.told_soon(), [0], "it is gone");
        assert!(story.sight.places.len() < before);
        fs::write(story.at("b/f"), "1").unwrap();
        assert_eq!(story.ask(0), NOTHING, "that is another path");
        fs::create_dir(story.at("a")).unwrap();
        fs::write(story.at("a/f"), "").unwrap();
        assert_eq!(story.told_soon(), [0]);
    }
}
