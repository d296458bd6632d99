//! Lists of many snapshots: what is kept of them is never what somebody has changed meanwhile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Test;
use super::bench::{Bench, shell};

pub(crate) const TESTS: &[Test] = &[(
    "a_list_of_many_snapshots_tells_what_anybody_has_changed_since_the_last_one",
    changed_by_hand,
)];

/// From so many on something is kept, and some more.
const MANY: u32 = 40;

fn list(bench: &Bench) -> String {
    bench.rootctl(&["snap", "list", "--json"]).code(0).out
}

/// Where the broker keeps what it knows of this store: in the host's `/run`, so it is taken away when dropped.
struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn kept(bench: &Bench) -> PathBuf {
    Path::new("/run/rootctl/lists").join(bench.uuid())
}

/// What is kept and what is read must be the same.
#[track_caller]
fn must_agree(bench: &Bench, after: &str) -> String {
    let found = list(bench);
    fs::remove_file(kept(bench)).unwrap();
    assert_eq!(found, list(bench), "after: {after}");
    found
}

fn changed_by_hand() {
    let bench = Bench::new("listing");
    let _kept = Kept(kept(&bench));
    for _ in 1..MANY {
        bench.rootctl(&["snap", "new", "--from", "1"]).code(0);
    }
    list(&bench);
    // That it is asked at all: the next list says what only the kept file says.
    let text = fs::read_to_string(kept(&bench)).unwrap();
    let (before, behind) = text.split_once("\"id\":20,").unwrap();
    let behind = behind.replacen("\"note\":\"\"", "\"note\":\"out of the file\"", 1);
    fs::write(kept(&bench), format!("{before}\"id\":20,{behind}")).unwrap();
    assert!(list(&bench).contains("out of the file"));
    must_agree_after_hands(&bench);
    must_agree_after_commands(&bench);
    useless_files(&bench);
}

fn must_agree_after_hands(bench: &Bench) {
    fs::remove_file(kept(bench)).unwrap();
    list(bench);
    let hands: [(&str, &str, &str); 8] = [
        (
            "a kernel cut short",
            "truncate -s 5 7/vmlinuz",
            "has 5 bytes",
        ),
        ("a kernel gone", "rm 8/vmlinuz", "8/vmlinuz"),
        (
            "a meta file edited",
            "sed -i 's/^note = .*/note = \"by hand\"/' 9/meta.toml",
            "by hand",
        ),
        (
            "a meta file overwritten",
            "echo nonsense > 10/meta.toml",
            "nonsense",
        ),
        (
            "another root",
            "btrfs -q subvolume delete 12/root && btrfs -q subvolume snapshot -r 11/root 12/root",
            "is another subvolume",
        ),
        ("a folder gone", "mv 13 ../tmp/13", "\"id\": 14"),
        (
            "two folders exchanged",
            "mv 14 x && mv 15 14 && mv x 15",
            "expected 14",
        ),
        (
            "a label by hand",
            "printf 'schema = 1\\nnote = \"labelled\"\\n' > 16/label.toml",
            "labelled",
        ),
    ];
    for (what, script, word) in hands {
        shell(&format!(
            "cd {} && {script}",
            bench.store("snaps").display()
        ));
        let found = must_agree(bench, what);
        assert!(found.contains(word), "after: {what}\n{found}");
    }
}

fn must_agree_after_commands(bench: &Bench) {
    let commands: [&[&str]; 7] = [
        &["snap", "unfreeze", "23"],
        &["snap", "rename", "20", "shop"],
        &["snap", "new", "branch", "--from", "21"],
        &["snap", "new", "leaf", "--from", "branch"],
        &["snap", "delete", "branch"],
        &["snap", "undelete", "branch"],
        &["snap", "note", "22", "a word"],
    ];
    for words in commands {
        bench.rootctl(words).code(0);
        must_agree(bench, &words.join(" "));
    }
}

/// What is no such file, or what others may have written, counts for nothing.
fn useless_files(bench: &Bench) {
    let found = list(bench);
    let good = fs::read_to_string(kept(bench)).unwrap();
    let lie = good.replacen("\"a word\"", "\"a lie\"", 1);
    assert!(lie != good);
    for bad in ["", "{", "\0\0\0", "[1]", &good[..good.len() / 2]] {
        fs::write(kept(bench), bad).unwrap();
        assert_eq!(list(bench), found, "{bad:.20}");
    }
    fs::write(kept(bench), &lie).unwrap();
    fs::set_permissions(kept(bench), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(list(bench), found, "others may have written it");
    // Mounted anew, it may have been elsewhere.
    fs::write(kept(bench), lie).unwrap();
    fs::set_permissions(kept(bench), fs::Permissions::from_mode(0o600)).unwrap();
    bench.cut_power();
    assert!(!list(bench).contains("a lie"));
}
