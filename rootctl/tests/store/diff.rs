//! `rootctl diff` against a walk over both snapshots that compares every path, over random changes; and stories.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rootspec::path_text::{escape, unescape};
use rootspec::protocol::store::{DiffChange, Differences};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[
    (
        "diff_finds_what_a_walk_over_both_snapshots_finds",
        random_changes,
    ),
    ("diff_tells_a_person_what_a_command_changed", story),
    (
        "diff_with_one_target_compares_it_with_its_parent",
        one_target,
    ),
    (
        "diff_of_strangers_compares_everything_and_says_so",
        strangers,
    ),
    (
        "diff_of_copies_placed_elsewhere_follows_what_was_copied",
        placed_elsewhere,
    ),
    ("diff_reads_only_what_extents_cannot_tell", reads_little),
    ("diff_sees_what_was_written_to_an_opened_snapshot", opened),
    ("diff_refuses_what_cannot_be_compared", bad_input),
];

/// Changes a published snapshot, as an administrator could.
fn edit(bench: &Bench, id: u32, work: impl FnOnce(&Path)) {
    let root = bench.store(&format!("snaps/{id}/root"));
    let seal = |value: &str| {
        shell(&format!(
            "btrfs property set -t subvol {} ro {value}",
            root.display()
        ));
    };
    seal("false");
    work(&root);
    seal("true");
}

fn new(bench: &Bench, from: u32) -> u32 {
    let made = bench
        .rootctl(&["snap", "new", "--from", &from.to_string()])
        .code(0);
    made.out.trim().parse().unwrap()
}

fn diff(bench: &Bench, words: &[&str]) -> Differences {
    let words = [&["diff", "--json"], words].concat();
    serde_json::from_str(&bench.rootctl(&words).code(0).out).unwrap()
}

fn between(bench: &Bench, one: u32, other: u32) -> Differences {
    diff(bench, &[&one.to_string(), &other.to_string()])
}

/// One path as a walk sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Content, target or device number.
    content: Vec<u8>,
}

impl Seen {
    /// What differs, in the words of the answer.
    fn differs(&self, other: &Self) -> BTreeSet<String> {
        // Of a subvolume inside only the name is told.
        if self.kind != other.kind && [self.kind, other.kind].contains(&"subvolume") {
            return BTreeSet::from(["type".to_owned()]);
        }
        let content = match other.kind {
            "file" => "content",
            "link" => "target",
            _ => "device",
        };
        let all = [
            ("type", self.kind != other.kind),
            (
                content,
                self.kind == other.kind && self.content != other.content,
            ),
            ("mode", self.mode != other.mode),
            ("owner", self.owner != other.owner),
            ("xattr", self.attributes != other.attributes),
        ];
        let some = all.into_iter().filter(|(_, differs)| *differs);
        some.map(|(what, _)| what.to_owned()).collect()
    }
}

/// Every path below a root.
fn walk(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut all = BTreeMap::new();
    let mut work = vec![root.to_owned()];
    while let Some(path) = work.pop() {
        let found = path.symlink_metadata().unwrap();
        let kind = found.file_type();
        // A subvolume inside; in a snapshot an empty folder stands for it.
        let inner = kind.is_dir() && path != root && matches!(found.ino(), 2 | 256);
        let (kind, content) = if inner {
            ("subvolume", Vec::new())
        } else if kind.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            work.extend(entries.map(|entry| entry.unwrap().path()));
            ("dir", Vec::new())
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            ("link", target.as_os_str().as_bytes().to_vec())
        } else if kind.is_file() {
            ("file", std::fs::read(&path).unwrap())
        } else if kind.is_fifo() {
            ("fifo", Vec::new())
        } else {
            assert!(kind.is_char_device());
            ("char", found.rdev().to_ne_bytes().to_vec())
        };
        let here = sys::fs::open_dir(path.parent().unwrap()).unwrap();
        let name = Path::new(path.file_name().unwrap());
        let entry = sys::copy::Entry::new(std::os::fd::AsFd::as_fd(&here), name);
        let seen = Seen {
            kind,
            mode: if inner { 0 } else { found.mode() & 0o7777 },
            owner: if inner {
                (0, 0)
            } else {
                (found.uid(), found.gid())
            },
            attributes: if inner {
                BTreeMap::new()
            } else {
                sys::copy::xattrs(entry).unwrap().into_iter().collect()
            },
            content,
        };
        let path = path.strip_prefix(root).unwrap();
        all.insert(path.as_os_str().as_bytes().to_vec(), seen);
    }
    all
}

fn bytes(path: &str) -> Vec<u8> {
    let bytes = unescape(path).unwrap();
    assert_eq!(bytes.first(), Some(&b'/'), "{path}");
    bytes[1..].to_vec()
}

/// The answer must say of every path what the walk says.
#[track_caller]
fn must_be_right(bench: &Bench, one: u32, other: u32) -> Differences {
    let [old, new] = [one, other].map(|id| walk(&bench.store(&format!("snaps/{id}/root"))));
    let answer = between(bench, one, other);
    let mut told: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    let mut tell = |path: Vec<u8>, what: String| {
        let text = escape(&path);
        assert_eq!(told.insert(path, what), None, "{text} is told twice");
    };
    for change in &answer.changes {
        let DiffChange {
            path,
            change: word,
            from,
            differs,
            ..
        } = change;
        let differs: BTreeSet<String> = differs.iter().cloned().collect();
        match (word.as_str(), from) {
            ("renamed", Some(from)) => {
                let (from, path) = (bytes(from), bytes(path));
                let (before, after) = (old.get(&from), new.get(&path));
                let real = before.unwrap().differs(after.unwrap());
                assert_eq!(differs, real, "{change:?}");
                tell(from, "removed".into());
                tell(path, "added".into());
            }
            ("added" | "removed", None) => {
                assert!(differs.is_empty(), "{change:?}");
                tell(bytes(path), word.clone());
            }
            ("modified", None) => tell(bytes(path), format!("{differs:?}")),
            _ => panic!("{change:?}"),
        }
    }
    let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let real = match (old.get(path), new.get(path)) {
            (None, Some(_)) => Some("added".to_owned()),
            (Some(_), None) => Some("removed".to_owned()),
            (Some(one), Some(other)) if !one.differs(other).is_empty() => {
                Some(format!("{:?}", one.differs(other)))
            }
            _ => None,
        };
        assert_eq!(
            told.remove(path),
            real,
            "{one} to {other}: /{}",
            escape(path)
        );
    }
    assert!(told.is_empty(), "{one} to {other}: not there: {told:?}");
    answer
}

/// Numbers that are the same in every run: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let at = self.below(all.len().max(1) as u64);
        all.get(usize::try_from(at).unwrap()).cloned()
    }
}

/// Paths below a root that may be changed: folders, and all.
fn places(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut dirs, mut all) = (vec![root.to_owned()], Vec::new());
    let mut at = 0;
    while let Some(dir) = dirs.get(at).cloned() {
        let mut inside: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        inside.sort();
        for path in inside {
            let found = path.symlink_metadata().unwrap();
            if found.is_dir() && !matches!(found.ino(), 2 | 256) {
                dirs.push(path.clone());
            }
            all.push(path);
        }
        at += 1;
    }
    (dirs, all)
}

/// Content of every form a file system treats in its own way.
fn content(dice: &mut Dice) -> Vec<u8> {
    let size = [0_u64, 10, 1500, 4096, 70_000, 300_000][usize::try_from(dice.below(6)).unwrap()];
    let seed = dice.below(5);
    (0..size)
        .map(|n| (n.wrapping_mul(seed + 1) >> 7).to_le_bytes()[0])
        .collect()
}

/// One random change. Whatever is not possible there is no change.
fn change(dice: &mut Dice, root: &Path, step: usize) {
    let (dirs, all) = places(root);
    let dir = dice.one_of(&dirs).unwrap();
    let mut name = format!("n{}", dice.below(12)).into_bytes();
    if dice.below(8) == 0 {
        name.extend(b"\xff \n\\x");
    }
    let free = dir.join(std::ffi::OsStr::from_bytes(&name));
    let some = dice.one_of(&all).unwrap_or_else(|| free.clone());
    let other = dice.one_of(&all).unwrap_or_else(|| free.clone());
    let is_file = some.symlink_metadata().is_ok_and(|m| m.is_file());
    // Names that are no text go to programs as they are.
    let program = |words: &[&str], paths: &[&Path], more: &[&str]| {
        let mut command = std::process::Command::new(words[0]);
        drop(
            command
                .args(&words[1..])
                .args(paths)
                .args(more)
                .output()
                .unwrap(),
        );
    };
    match dice.below(20) {
        0..=2 => drop(std::fs::write(&free, content(dice))),
        3 if is_file => {
            // The same again: no change.
            let bytes = std::fs::read(&some).unwrap();
            std::fs::write(&some, bytes).unwrap();
        }
        4 if is_file => {
            // As package managers and editors replace a file; half of the time with the same content.
            let mut bytes = std::fs::read(&some).unwrap();
            if dice.below(2) == 0 {
                bytes.push(b'!');
            }
            let beside = some.with_file_name("beside");
            std::fs::write(&beside, bytes).unwrap();
            std::fs::rename(&beside, &some).unwrap();
        }
        5 if is_file => {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::options().write(true).open(&some).unwrap();
            file.write_at(b"edited", dice.below(9000)).unwrap();
        }
        6 if is_file => {
            let file = std::fs::File::options().write(true).open(&some).unwrap();
            file.set_len(dice.below(100_000)).unwrap();
        }
        7 if !some.is_symlink() => {
            let mode = [0o644, 0o755, 0o600, 0o4755][usize::try_from(dice.below(4)).unwrap()];
            drop(std::fs::set_permissions(
                &some,
                std::fs::Permissions::from_mode(mode),
            ));
        }
        8 => {
            let owner = u32::try_from(dice.below(3)).unwrap();
            drop(std::os::unix::fs::lchown(&some, Some(owner), Some(owner)));
        }
        9 if !some.is_symlink() => {
            let value = [dice.below(3).to_le_bytes()[0]];
            drop(sys::node::set_attribute(&some, "user.test", &value));
        }
        10 | 11 => drop(std::fs::rename(&some, &free)),
        12 => drop(std::fs::rename(&some, &other)),
        13 => drop(std::fs::remove_file(&some)),
        14 => drop(std::fs::remove_dir_all(&some)),
        15 => drop(std::fs::hard_link(&some, &free)),
        16 => drop(symlink(format!("target{}", dice.below(3)), &free)),
        17 => drop(std::fs::create_dir(&free)),
        18 if is_file => program(&["cp", "--reflink=always"], &[&some, &free], &[]),
        19 if dice.below(3) == 0 => {
            let inside = |kind: &str| dir.join(format!("{kind}{step}"));
            let minor = dice.below(9).to_string();
            program(&["btrfs", "subvolume", "create"], &[&inside("sub")], &[]);
            program(&["mknod"], &[&inside("dev")], &["c", "1", &minor]);
            program(&["mkfifo"], &[&inside("fifo")], &[]);
        }
        _ => {}
    }
}

fn random_changes() {
    for seed in 1..4_u64 {
        let bench = Bench::new("diff");
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut step = 0;
        let mut changes = |bench: &Bench, id: u32, count: usize| {
            edit(bench, id, |root| {
                let play = root.join("srv");
                std::fs::create_dir_all(play.join("a/b/c")).unwrap();
                for _ in 0..count {
                    step += 1;
                    change(&mut dice, &play, step);
                }
            });
        };
        changes(&bench, 1, 120);
        let two = new(&bench, 1);
        changes(&bench, two, 60);
        let three = new(&bench, two);
        changes(&bench, three, 60);
        let four = new(&bench, 1);
        changes(&bench, four, 60);
        let all = [1, two, three, four];
        let every_pair = |all: &[u32]| {
            for one in all {
                for other in all {
                    let answer = must_be_right(&bench, *one, *other);
                    assert_eq!(answer.basis, "changes", "{one} to {other}");
                }
            }
        };
        every_pair(&all);
        // What they were copied from is changed afterwards: now both sides have changes of their own.
        changes(&bench, 1, 20);
        changes(&bench, two, 20);
        every_pair(&all);
        // An ancestor that is gone takes the moment of parting with it.
        bench
            .rootctl(&["snap", "delete", "-y", &two.to_string()])
            .code(0);
        every_pair(&[1, three, four]);
    }
}

fn lines<'a>(answer: &'a super::bench::Answer, word: &str) -> Vec<&'a str> {
    answer.out.lines().filter(|l| l.contains(word)).collect()
}

fn story() {
    let bench = Bench::new("story");
    let status = |versions: &[(&str, &str)]| -> String {
        let one = |(name, version): &(&str, &str)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            )
        };
        versions.iter().map(one).collect()
    };
    let database = "usr/lib/sysimage/dpkg/status";
    edit(&bench, 1, |root| {
        let all = status(&[("libc6", "2.36-9"), ("nano", "7.2-1")]);
        std::fs::write(root.join(database), all).unwrap();
        for dir in ["srv/old/deep", "srv/gone"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
            std::fs::write(root.join(dir).join("file"), "1").unwrap();
        }
        std::fs::write(root.join("srv/touched"), "1").unwrap();
        std::fs::write(root.join("srv/mode"), "1").unwrap();
        std::fs::write(root.join("etc/hosts"), "1").unwrap();
    });
    let two = new(&bench, 1);
    edit(&bench, two, |root| {
        let all = status(&[("libc6", "2.36-10"), ("tmux", "3.3a-3")]);
        std::fs::write(root.join(database), all).unwrap();
        std::fs::rename(root.join("srv/old"), root.join("srv/new")).unwrap();
        std::fs::remove_dir_all(root.join("srv/gone")).unwrap();
        std::fs::create_dir_all(root.join("srv/came/deep")).unwrap();
        std::fs::write(root.join("srv/came/deep/x"), vec![1; 5000]).unwrap();
        std::fs::write(root.join("srv/touched"), "1").unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(root.join("srv/mode"), mode).unwrap();
        std::fs::write(root.join("etc/hosts"), "12").unwrap();
        std::fs::write(root.join("boot/extra"), "").unwrap();
    });
    let answer = bench.rootctl(&["diff", "1", "2"]).code(0).says(&[
        "packages: 1 added, 1 removed, 1 other version",
        "2.36-9 -> 2.36-10",
        "/etc: 1 modified; 1 B -> 2 B",
        "/boot: 1 added",
        "other files: 3 added, 2 removed, 2 modified, 3 renamed",
        "/srv/old -> /srv/new",
        "mode 0644 -> 0600",
    ]);
    assert_eq!(answer.err, "", "nothing to remark");
    let [came] = lines(&answer, "/srv/came")[..] else {
        panic!("{}", answer.out)
    };
    assert!(came.ends_with("dir (and 2 below)"), "{came}");
    assert!(lines(&answer, "touched").is_empty(), "{}", answer.out);
    let all = bench.rootctl(&["diff", "1", "2", "-v"]).code(0);
    assert_eq!(lines(&all, "/srv/came").len(), 3, "{}", all.out);
    let times = bench.rootctl(&["diff", "1", "2", "--times"]).code(0);
    assert_eq!(lines(&times, "touched").len(), 1, "{}", times.out);
    let content = bench.rootctl(&["diff", "1", "2", "--content"]).code(0);
    assert!(lines(&content, "/srv/mode").is_empty(), "{}", content.out);
    let etc = bench.rootctl(&["diff", "1", "2", "--etc"]).code(0);
    assert_eq!(etc.out.lines().count(), 2, "{}", etc.out);
    let stat = bench.rootctl(&["diff", "1", "2", "--stat"]).code(0);
    assert_eq!(stat.out.lines().count(), 4, "{}", stat.out);
    let path = ["diff", "1", "2", "--path", "/srv/new/", "--path", "etc"];
    let answer = bench.rootctl(&path).code(0);
    assert!(lines(&answer, "packages").is_empty(), "{}", answer.out);
    assert_eq!(lines(&answer, "came").len(), 0, "{}", answer.out);
    assert_eq!(lines(&answer, "/etc/hosts").len(), 1, "{}", answer.out);
    bench
        .rootctl(&["diff", "2", "2"])
        .code(0)
        .says(&["nothing differs"]);
}

fn one_target() {
    let bench = Bench::new("parent");
    bench
        .rootctl(&["run", "1", "--", "sh", "-c", "echo x > /etc/new"])
        .code(0);
    let answer = diff(&bench, &["2"]);
    assert_eq!((answer.from.get(), answer.to.get()), (1, 2));
    let paths: Vec<_> = answer.changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["/etc/new"]);
    bench
        .rootctl(&["diff", "@base"])
        .code(2)
        .says(&["no parent", "rootctl diff OTHER 1"]);
    // A kernel of its own.
    let script = "dd if=/dev/zero of=/boot/vmlinuz-6.1.0-test bs=1000 count=300 2>/dev/null";
    bench
        .rootctl(&["run", "2", "--", "sh", "-c", script])
        .code(0);
    let answer = diff(&bench, &["3"]);
    let boot: Vec<_> = answer.boot.iter().map(|b| b.what.as_str()).collect();
    assert!(boot.contains(&"kernel"), "{boot:?}");
    bench.rootctl(&["diff", "3", "--boot"]).code(0).says(&[
        "boot files",
        "kernel",
        "rebuilt",
        "/boot/vmlinuz",
    ]);
}

fn strangers() {
    let bench = Bench::new("strangers");
    let two = new(&bench, 1);
    // What was received from elsewhere is a subvolume of its own: here one that was filled file by file.
    let root = bench.store("snaps/2/root");
    shell(&format!(
        "btrfs property set -t subvol {0} ro false && btrfs subvolume delete {0} >/dev/null && \
         btrfs subvolume create {0} >/dev/null && cp -a --reflink=never {1}/. {0}/",
        root.display(),
        bench.store("snaps/1/root").display()
    ));
    let fd = sys::btrfs::open(&root).unwrap();
    let uuid = sys::btrfs::info(&fd).unwrap().uuid;
    let meta = bench.store("snaps/2/meta.toml");
    let text = std::fs::read_to_string(&meta).unwrap();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("uuid", _)) => format!("uuid = \"{uuid}\"\n"),
        _ => format!("{line}\n"),
    });
    std::fs::write(&meta, lines.collect::<String>()).unwrap();
    edit(&bench, two, |root| {
        std::fs::rename(root.join("etc/passwd"), root.join("etc/moved")).unwrap();
        std::fs::write(root.join("usr/bin/rinit"), "tinir").unwrap();
    });
    let answer = must_be_right(&bench, 1, 2);
    assert_eq!(answer.basis, "everything");
    let said: Vec<_> = answer
        .changes
        .iter()
        .map(|c| format!("{} {}", c.change, c.path))
        .collect();
    assert_eq!(
        said,
        [
            "added /etc/moved",
            "removed /etc/passwd",
            "modified /usr/bin/rinit"
        ]
    );
    assert!(answer.bytes_read > 1_000_000, "{}", answer.bytes_read);
    bench
        .rootctl(&["diff", "1", "2"])
        .code(0)
        .says(&["no copies of one another", "everything was compared"]);
}

fn placed_elsewhere() {
    let bench = Bench::new("placed");
    edit(&bench, 1, |root| {
        std::fs::write(root.join("srv"), "base").unwrap();
    });
    let two = new(&bench, 1);
    edit(&bench, two, |root| {
        std::fs::write(root.join("usr/two"), "two").unwrap();
    });
    let three = new(&bench, 1);
    let place = |from: u32, words: &[&str]| -> u32 {
        let from = from.to_string();
        let made = bench.rootctl(&[&["snap", "new", "--from", &from], words].concat());
        made.code(0).out.trim().parse().unwrap()
    };
    let under = place(two, &["--under", &three.to_string()]);
    let top = place(two, &["--top"]);
    let child = place(under, &[]);
    edit(&bench, child, |root| {
        std::fs::write(root.join("srv"), "child").unwrap();
    });
    let every_pair = |all: &[u32]| {
        for one in all {
            for other in all {
                let answer = must_be_right(&bench, *one, *other);
                assert_eq!(answer.basis, "changes", "{one} to {other}");
            }
        }
    };
    every_pair(&[1, two, three, under, top, child]);
    // The place in the tree is gone, and so is what was copied: what is left still tells.
    for id in [three, two] {
        bench
            .rootctl(&["snap", "delete", "--now", &id.to_string()])
            .code(0);
    }
    every_pair(&[1, under, top, child]);
}

fn reads_little() {
    let bench = Bench::new("extents");
    let large: Vec<u8> = (0..8_000_000u32)
        .map(|n| (n >> 9).to_le_bytes()[0])
        .collect();
    edit(&bench, 1, |root| {
        std::fs::write(root.join("srv"), &large).unwrap();
    });
    let two = new(&bench, 1);
    edit(&bench, two, |root| {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options()
            .write(true)
            .open(root.join("srv"))
            .unwrap();
        // The same bytes at another place of the disk: not a change, and nothing else of the file is read for that.
        file.write_all_at(&large[4_000_000..4_000_100], 4_000_000)
            .unwrap();
    });
    let answer = must_be_right(&bench, 1, two);
    assert!(answer.changes.is_empty(), "{:?}", answer.changes);
    assert!(
        (1..=8192).contains(&answer.bytes_read),
        "{}",
        answer.bytes_read
    );
}

fn opened() {
    let bench = Bench::new("opened");
    let two = new(&bench, 1);
    let root = bench.store("snaps/2/root");
    shell(&format!(
        "btrfs property set -t subvol {} ro false",
        root.display()
    ));
    // Nobody has committed this yet.
    std::fs::write(root.join("etc/fresh"), vec![1; 100_000]).unwrap();
    let answer = must_be_right(&bench, 1, two);
    assert_eq!(answer.changes.len(), 1, "{:?}", answer.changes);
}

fn bad_input() {
    let bench = Bench::new("bad");
    let two = new(&bench, 1).to_string();
    bench
        .rootctl(&["diff", "1", "9"])
        .code(1)
        .says(&["there is no snapshot 9", "rootctl snap list"]);
    bench.rootctl(&["diff", "../x", "1"]).code(2);
    bench.rootctl(&["diff"]).code(2);
    for path in ["../etc", "/usr/../etc"] {
        bench
            .rootctl(&["diff", "1", "2", "--path", path])
            .code(2)
            .says(&["has .. in it"]);
    }
    // A path that is in neither is no mistake of the store.
    let nothing = ["diff", "1", "2", "--path", "/no/such/place\\"];
    bench.rootctl(&nothing).code(0).says(&["nothing differs"]);
    let many: Vec<String> = (0..300).map(|n| format!("--path=/{n}")).collect();
    let many: Vec<&str> = ["diff", "1", "2"]
        .into_iter()
        .chain(many.iter().map(String::as_str))
        .collect();
    bench.rootctl(&many).code(2).says(&["at most 256 paths"]);
    // Damage is named, and the others can still be compared.
    let three = new(&bench, 1);
    std::fs::write(bench.store("snaps/2/meta.toml"), "schema = 1\n").unwrap();
    bench
        .rootctl(&["diff", "1", &two])
        .code(3)
        .says(&["snapshot 2 is damaged", "rootctl snap list"]);
    between(&bench, 1, three);
    bench.rootctl(&["snap", "delete", "-y", "3"]).code(0);
    bench
        .rootctl(&["diff", "1", "3"])
        .code(1)
        .says(&["snapshot 3 was deleted"]);
}
