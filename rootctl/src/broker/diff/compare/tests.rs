//! The walk over trees in memory, held against one that looks at every path.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::diff::item::Source;

/// A file system in memory that keeps what btrfs keeps: who was touched in which transaction.
#[derive(Debug, Clone)]
struct Memory {
    inodes: BTreeMap<u64, Held>,
    /// The running transaction.
    now: u64,
    next: u64,
}

#[derive(Debug, Clone, Default)]
struct Held {
    inode: Inode,
    entries: Entries,
    extents: Vec<Extent>,
    content: Vec<u8>,
}

impl Memory {
    fn new() -> Self {
        let mut memory = Self {
            inodes: BTreeMap::new(),
            now: 1,
            next: ROOT,
        };
        memory.make(0o040_755);
        memory
    }

    fn make(&mut self, mode: u32) -> u64 {
        let number = self.next;
        self.next += 1;
        let mut held = Held::default();
        held.inode.generation = self.now;
        held.inode.mode = mode;
        self.inodes.insert(number, held);
        self.touch(number);
        number
    }

    fn touch(&mut self, number: u64) -> &mut Held {
        let now = self.now;
        let held = self.inodes.get_mut(&number).unwrap();
        held.inode.transid = now;
        held
    }

    fn link(&mut self, number: u64, dir: u64, name: &[u8]) {
        let child = Child::Inode(number);
        self.touch(dir).entries.insert(name.to_vec(), child);
        let names = &mut self.touch(number).inode.names;
        names.push((dir, name.to_vec()));
    }

    fn unlink(&mut self, dir: u64, name: &[u8]) {
        let Some(Child::Inode(number)) = self.touch(dir).entries.remove(name) else {
            return;
        };
        let names = &mut self.touch(number).inode.names;
        names.retain(|(d, n)| !(*d == dir && n == name));
        let inside: Vec<_> = self.inodes[&number].entries.keys().cloned().collect();
        if self.inodes[&number].inode.names.is_empty() {
            for name in inside {
                self.unlink(number, &name);
            }
            self.inodes.remove(&number);
        }
    }

    /// Every write gets a place of its own on the disk, whatever is written; all trees share one disk.
    fn write(&mut self, number: u64, content: &[u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let address = NEXT.fetch_add(1, Relaxed) << 20;
        let held = self.touch(number);
        held.content = content.to_vec();
        held.inode.size = content.len() as u64;
        held.extents = vec![Extent {
            start: 0,
            length: 4096,
            source: Source::Disk { address, from: 0 },
        }];
    }

    fn file(&mut self, dir: u64, name: &[u8], content: &[u8]) -> u64 {
        let number = self.make(0o100_644);
        self.link(number, dir, name);
        self.write(number, content);
        number
    }

    fn dir(&mut self, dir: u64, name: &[u8]) -> u64 {
        let number = self.make(0o040_755);
        self.link(number, dir, name);
        number
    }

    fn rename(&mut self, (dir, name): (u64, &[u8]), (to, new): (u64, &[u8])) {
        let Some(Child::Inode(number)) = self.inodes[&dir].entries.get(name).copied() else {
            return;
        };
        self.unlink(to, new);
        if self.inodes.contains_key(&number) {
            self.link(number, to, new);
            self.unlink(dir, name);
        }
    }

    fn is_below(&self, number: u64, above: u64) -> bool {
        let mut at = number;
        while at != above {
            match self.inodes[&at].inode.names.first() {
                Some((dir, _)) => at = *dir,
                None => return false,
            }
        }
        true
    }

    /// A copy, and the transaction in which the two parted.
    fn snapshot(&mut self) -> (Self, u64) {
        let parted = self.now;
        self.now += 1;
        (self.clone(), parted)
    }

    fn touched(&self, since: u64, all: &mut HashSet<u64>) {
        let some = self.inodes.iter();
        let some = some.filter(|(_, held)| held.inode.transid >= since);
        all.extend(some.map(|(number, _)| *number));
    }

    fn paths(&self) -> BTreeMap<Vec<u8>, u64> {
        let mut all = BTreeMap::from([(Vec::new(), ROOT)]);
        let mut work = vec![(Vec::new(), ROOT)];
        while let Some((path, number)) = work.pop() {
            for (name, child) in &self.inodes[&number].entries {
                let Child::Inode(child) = child else { continue };
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    [&path[..], b"/", name].concat()
                };
                all.insert(path.clone(), *child);
                work.push((path, *child));
            }
        }
        all
    }
}

impl Tree for Memory {
    fn inode(&mut self, number: u64) -> Result<Option<Rc<Inode>>> {
        Ok(self
            .inodes
            .get(&number)
            .map(|held| Rc::new(held.inode.clone())))
    }

    fn entries(&mut self, number: u64) -> Result<Rc<Entries>> {
        Ok(Rc::new(self.inodes[&number].entries.clone()))
    }

    fn extents(&mut self, number: u64) -> Result<Rc<Vec<Extent>>> {
        Ok(Rc::new(self.inodes[&number].extents.clone()))
    }

    fn read(&mut self, path: &[u8], at: u64, buffer: &mut [u8]) -> Result<()> {
        let number = self.paths()[path];
        let at = usize::try_from(at).unwrap();
        buffer.copy_from_slice(&self.inodes[&number].content[at..at + buffer.len()]);
        Ok(())
    }
}

fn scope(old: &Memory, new: &Memory, parted: u64) -> Scope {
    let mut touched = HashSet::new();
    old.touched(parted, &mut touched);
    new.touched(parted, &mut touched);
    Scope {
        touched: Some(touched),
        parted: Some(parted),
        ..Scope::default()
    }
}

fn run(old: &mut Memory, new: &mut Memory, scope: &Scope) -> Outcome {
    compare(old, new, scope, &mut |_| ()).unwrap()
}

/// Changes as a person would say them.
fn said(outcome: &Outcome) -> Vec<String> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let say = |change: &Change| {
        let path = text(&change.path);
        let differs: Vec<_> = change.differs.iter().map(|what| what.name()).collect();
        match (&change.old, &change.new, &change.from) {
            (None, ..) => format!("+ {path}"),
            (_, None, _) => format!("- {path}"),
            (_, _, Some(from)) => format!("> {} {path} {}", text(from), differs.join(" ")),
            (_, _, None) => format!("~ {path} {}", differs.join(" ")),
        }
    };
    let said = outcome.changes.iter().map(say);
    said.map(|line| line.trim_end().to_owned()).collect()
}

fn difference(old: &mut Memory, new: &mut Memory, parted: u64) -> Vec<String> {
    let scope = scope(old, new, parted);
    said(&run(old, new, &scope))
}

/// A tree `a/b/c`, `a/x`, `y`, and its copy.
fn family() -> (Memory, Memory, u64) {
    let mut old = Memory::new();
    let a = old.dir(ROOT, b"a");
    let b = old.dir(a, b"b");
    old.file(b, b"c", b"c");
    old.file(a, b"x", b"x");
    old.file(ROOT, b"y", b"y");
    let (new, parted) = old.snapshot();
    (old, new, parted)
}

fn find(memory: &Memory, path: &str) -> u64 {
    memory.paths()[path.as_bytes()]
}

#[test]
fn copies_do_not_differ_and_the_same_bytes_written_again_are_no_change() {
    let (mut old, mut new, parted) = family();
    assert!(difference(&mut old, &mut new, parted).is_empty());
    let y = find(&new, "y");
    new.write(y, b"y");
    assert!(difference(&mut old, &mut new, parted).is_empty());
    let x = find(&new, "a/x");
    new.unlink(find(&new, "a"), b"x");
    new.file(find(&new, "a"), b"x", b"x");
    assert_ne!(find(&new, "a/x"), x);
    assert!(difference(&mut old, &mut new, parted).is_empty());
}

#[test]
fn each_kind_of_change_is_named() {
    let (mut old, mut new, parted) = family();
    let (a, x) = (find(&new, "a"), find(&new, "a/x"));
    new.write(find(&new, "y"), b"z");
    new.touch(x).inode.mode = 0o100_600;
    new.touch(x).inode.uid = 7;
    let attribute = (b"user.a".to_vec(), vec![1]);
    new.touch(a).inode.attributes.extend([attribute]);
    new.dir(a, b"d");
    new.unlink(find(&new, "a/b"), b"c");
    assert_eq!(
        difference(&mut old, &mut new, parted),
        [
            "~ a xattr",
            "- a/b/c",
            "+ a/d",
            "~ a/x mode owner",
            "~ y content"
        ]
    );
    let mut back = difference(&mut new, &mut old, parted);
    back.retain(|line| line.starts_with(['+', '-']));
    assert_eq!(back, ["+ a/b/c", "- a/d"]);
}

#[test]
fn a_renamed_folder_takes_everything_below_along() {
    let (mut old, mut new, parted) = family();
    new.rename((ROOT, b"a"), (ROOT, b"new"));
    new.write(find(&new, "new/b/c"), b"d");
    new.rename((ROOT, b"y"), (find(&new, "new"), b"y2"));
    assert_eq!(
        difference(&mut old, &mut new, parted),
        [
            "> a new",
            "> a/b new/b",
            "> a/b/c new/b/c content",
            "> a/x new/x",
            "> y new/y2"
        ]
    );
}

#[test]
fn a_folder_in_place_of_a_file_is_another_type_with_everything_below_added() {
    let (mut old, mut new, parted) = family();
    new.unlink(ROOT, b"y");
    let y = new.dir(ROOT, b"y");
    new.file(y, b"in", b"");
    assert_eq!(
        difference(&mut old, &mut new, parted),
        ["~ y type mode", "+ y/in"]
    );
    assert_eq!(
        difference(&mut new, &mut old, parted),
        ["~ y type mode", "- y/in"]
    );
}

#[test]
fn a_new_name_of_an_old_file_is_added_and_the_last_one_left_is_a_rename() {
    let (mut old, mut new, parted) = family();
    let y = find(&new, "y");
    new.link(y, find(&new, "a"), b"y");
    assert_eq!(difference(&mut old, &mut new, parted), ["+ a/y"]);
    new.unlink(ROOT, b"y");
    assert_eq!(difference(&mut old, &mut new, parted), ["> y a/y"]);
}

#[test]
fn equal_numbers_given_on_both_sides_are_two_files() {
    let (mut old, mut new, parted) = family();
    old.now = parted + 1;
    let one = old.file(ROOT, b"one", b"1");
    let two = new.file(ROOT, b"two", b"1");
    assert_eq!(one, two, "the same number");
    assert_eq!(difference(&mut old, &mut new, parted), ["- one", "+ two"]);
}

#[test]
fn strangers_are_compared_path_by_path() {
    let (mut old, _, _) = family();
    let (mut new, _, _) = family();
    new.rename((ROOT, b"y"), (ROOT, b"z"));
    new.write(find(&new, "a/x"), b"X");
    let everything = Scope::default();
    assert_eq!(
        said(&run(&mut old, &mut new, &everything)),
        ["~ a/x content", "- y", "+ z"]
    );
}

#[test]
fn a_path_filter_keeps_renames_that_begin_or_end_there() {
    let (mut old, mut new, parted) = family();
    new.rename((ROOT, b"y"), (find(&new, "a/b"), b"y"));
    new.write(find(&new, "a/x"), b"X");
    let mut filtered = |path: &str| {
        let mut scope = scope(&old, &new, parted);
        scope.paths = vec![path.as_bytes().to_vec()];
        said(&run(&mut old.clone(), &mut new, &scope))
    };
    assert_eq!(filtered("a/b"), ["> y a/b/y"]);
    assert_eq!(filtered("y"), ["> y a/b/y"]);
    assert_eq!(filtered("a/x"), ["~ a/x content"]);
    assert!(filtered("a/xx").is_empty() && filtered("nowhere").is_empty());
    let strangers = Scope {
        paths: vec![b"a/x".to_vec()],
        ..Scope::default()
    };
    assert_eq!(
        said(&run(&mut old, &mut new, &strangers)),
        ["~ a/x content"]
    );
}

#[test]
fn what_not_everybody_may_list_is_left_out_and_that_is_said() {
    let mut old = Memory::new();
    let home = old.dir(ROOT, b"home");
    let private = old.dir(home, b"private");
    old.file(private, b"letter", b"1");
    old.touch(private).inode.mode = 0o040_711;
    let (mut new, parted) = old.snapshot();
    new.write(find(&new, "home/private/letter"), b"2");
    let look = |new: &mut Memory, public_only| {
        let mut scope = scope(&old, new, parted);
        scope.public_only = public_only;
        let outcome = run(&mut old.clone(), new, &scope);
        (said(&outcome), outcome.hidden)
    };
    assert_eq!(
        look(&mut new, false),
        (vec!["~ home/private/letter content".to_owned()], false)
    );
    assert_eq!(look(&mut new, true), (vec![], true));
    // Being opened in the new one does not tell what was in the old one.
    new.touch(private).inode.mode = 0o040_755;
    let (shown, hidden) = look(&mut new, true);
    assert_eq!(
        (shown, hidden),
        (vec!["~ home/private mode".to_owned()], true)
    );
    let secret = new.dir(ROOT, b"secret");
    new.touch(secret).inode.mode = 0o040_700;
    new.file(secret, b"key", b"");
    assert!(look(&mut new, true).0.contains(&"+ secret".to_owned()));
    assert!(!look(&mut new, true).0.contains(&"+ secret/key".to_owned()));
}

#[test]
fn damage_is_an_error_with_its_path() {
    let (mut old, mut new, parted) = family();
    new.now += 1;
    let child = Child::Inode(4711);
    new.touch(find(&new, "a"))
        .entries
        .insert(b"lost".to_vec(), child);
    let scope = scope(&old, &new, parted);
    let error = compare(&mut old, &mut new, &scope, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("/a/lost"), "{error}");
    // A folder that is in itself ends at the longest path.
    let mut round = Memory::new();
    let dir = round.dir(ROOT, b"round");
    let child = Child::Inode(dir);
    round.touch(dir).entries.insert(b"round".to_vec(), child);
    let error = compare(
        &mut Memory::new(),
        &mut round,
        &Scope::default(),
        &mut |_| (),
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("16384 bytes"), "{error}");
}

/// Numbers that are the same in every run: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }
}

/// One random change.
fn stir(memory: &mut Memory, dice: &mut Dice) {
    let all: Vec<(Vec<u8>, u64)> = memory.paths().into_iter().collect();
    let is_dir = |number: &u64| memory.inodes[number].inode.kind() == Kind::Dir;
    let dirs: Vec<u64> = all.iter().map(|(_, n)| *n).filter(is_dir).collect();
    let files: Vec<u64> = all.iter().map(|(_, n)| *n).filter(|n| !is_dir(n)).collect();
    let dir = dirs[dice.below(dirs.len())];
    let name = [b'a' + u8::try_from(dice.below(6)).unwrap()];
    let taken = memory.inodes[&dir].entries.contains_key(&name[..]);
    let entry = {
        let from = dirs[dice.below(dirs.len())];
        let names: Vec<_> = memory.inodes[&from].entries.keys().cloned().collect();
        names
            .get(dice.below(names.len().max(1)))
            .cloned()
            .map(|name| (from, name))
    };
    let content = [b"1", b"2", b"3"][dice.below(3)];
    match (dice.below(8), entry) {
        (0 | 1, _) if !taken => drop(memory.file(dir, &name, content)),
        (2, _) if !taken => drop(memory.dir(dir, &name)),
        (3, _) if !files.is_empty() => memory.write(files[dice.below(files.len())], content),
        (4, _) => {
            let mode = [0o755, 0o700][dice.below(2)];
            let (_, number) = all[dice.below(all.len())];
            let held = memory.touch(number);
            held.inode.mode = held.inode.mode & 0o170_000 | mode;
        }
        (5, Some((from, old))) => memory.unlink(from, &old),
        (6, Some((from, old))) => {
            let Child::Inode(number) = memory.inodes[&from].entries[&old] else {
                return;
            };
            let there = memory.inodes[&dir].entries.get(&name[..]);
            let replaced = there.is_none_or(|child| {
                matches!(child, Child::Inode(n) if *n != number && memory.inodes[n].entries.is_empty() && !memory.is_below(from, *n))
            });
            if replaced && !memory.is_below(dir, number) {
                memory.rename((from, &old), (dir, &name));
            }
        }
        (7, _) if !taken && !files.is_empty() => {
            memory.link(files[dice.below(files.len())], dir, &name);
        }
        _ => {}
    }
}

/// The naive way: every path of both.
fn naive(old: &Memory, new: &Memory) -> BTreeMap<Vec<u8>, String> {
    let (one, other) = (old.paths(), new.paths());
    let paths: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let said = paths.into_iter().filter_map(|path| {
        let sides = (
            one.get(path).map(|n| &old.inodes[n]),
            other.get(path).map(|n| &new.inodes[n]),
        );
        let word = match sides {
            (None, Some(_)) => "+".to_owned(),
            (Some(_), None) => "-".to_owned(),
            (Some(a), Some(b)) => {
                let all = [
                    ("type", a.inode.kind() != b.inode.kind()),
                    (
                        "content",
                        a.inode.kind() == b.inode.kind() && a.content != b.content,
                    ),
                    ("mode", a.inode.permissions() != b.inode.permissions()),
                ];
                let some: Vec<_> = all
                    .iter()
                    .filter(|(_, is)| *is)
                    .map(|(what, _)| *what)
                    .collect();
                if some.is_empty() {
                    return None;
                }
                some.join(" ")
            }
            (None, None) => return None,
        };
        Some((path.clone(), word))
    });
    said.collect()
}

fn must_agree(old: &mut Memory, new: &mut Memory, scope: &Scope, what: &str) -> usize {
    let outcome = run(old, new, scope);
    let mut told = BTreeMap::new();
    let mut renames = 0;
    for change in &outcome.changes {
        let differs: Vec<_> = change.differs.iter().map(|what| what.name()).collect();
        match (&change.old, &change.new, &change.from) {
            (None, ..) => drop(told.insert(change.path.clone(), "+".to_owned())),
            (_, None, _) => drop(told.insert(change.path.clone(), "-".to_owned())),
            (_, _, Some(from)) => {
                renames += 1;
                told.insert(from.clone(), "-".into());
                told.insert(change.path.clone(), "+".into());
            }
            _ => drop(told.insert(change.path.clone(), differs.join(" "))),
        }
    }
    assert_eq!(told, naive(old, new), "{what}");
    renames
}

#[test]
fn random_changes_on_both_sides_come_out_as_the_naive_way_finds_them() {
    let mut renames = 0;
    for seed in 1..400u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut old = Memory::new();
        for _ in 0..30 {
            stir(&mut old, &mut dice);
            old.now += 1;
        }
        let (mut new, parted) = old.snapshot();
        for _ in 0..dice.below(20) {
            stir(&mut new, &mut dice);
            new.now += 1;
        }
        for _ in 0..dice.below(8) {
            stir(&mut old, &mut dice);
            old.now += 1;
        }
        let exact = scope(&old, &new, parted);
        renames += must_agree(&mut old, &mut new, &exact, &format!("seed {seed}"));
        // An earlier moment only means more to look at.
        let early = scope(&old, &new, parted / 2);
        must_agree(&mut old, &mut new, &early, &format!("seed {seed}, early"));
        must_agree(
            &mut old,
            &mut new,
            &Scope::default(),
            &format!("seed {seed}, all"),
        );
    }
    assert!(renames > 100, "only {renames} renames came up");
}
