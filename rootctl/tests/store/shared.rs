//! Two stores, one ESP: what belongs to one is safe from the other.

use super::Test;
use super::bench::{Bench, RELEASE};

pub(crate) const TESTS: &[Test] = &[
    (
        "another_stores_menu_is_refused_by_both_uuids_and_left_alone",
        refused,
    ),
    ("a_store_made_again_takes_its_menu_back_when_told_to", again),
    (
        "what_the_loader_was_told_to_try_goes_with_the_menu",
        no_foreign_try,
    ),
    (
        "two_loaders_menus_of_two_stores_keep_their_boot_files",
        two_loaders,
    ),
    (
        "a_menu_from_before_it_named_its_store_is_written_anew_by_its_own_only",
        old_format,
    ),
];

/// A btrfs with the ESP of `first`, its root having a kernel of its own.
fn beside(first: &Bench, name: &str) -> Bench {
    let second = Bench::empty(name, 300);
    std::fs::remove_dir(second.esp()).unwrap();
    std::os::unix::fs::symlink(first.esp(), second.esp()).unwrap();
    let kernel = second.root().join(format!("boot/vmlinuz-{RELEASE}"));
    std::fs::write(kernel, format!("kernel of {name}\n")).unwrap();
    second
}

/// Everything on the ESP: names and contents.
fn esp(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![bench.esp()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                all.push((path.display().to_string(), content));
            }
        }
    }
    all.sort();
    all
}

fn refused() {
    let first = Bench::new("first");
    first.rootctl(&["snap", "new", "two"]).code(0);
    first.rootctl(&["deploy", "two"]).code(0);
    let before = esp(&first);
    let second = beside(&first, "second");
    let (ours, theirs) = (second.uuid(), first.uuid());
    second.init(&["--loader", "grub"]).code(3).says(&[
        &ours,
        &theirs,
        "rootctl/grub.cfg",
        "--replace-menu",
    ]);
    assert!(
        !second.store("FORMAT").exists() && !second.store("snaps/1").exists(),
        "it was refused before the import"
    );
    assert!(esp(&first) == before);

    // A store that was made without an ESP meets the menu later.
    let root = second.root().display().to_string();
    let top = second.top().display().to_string();
    let mut alone = second.command();
    alone.args(["--root", &top, "store", "init", "--import", &root]);
    super::bench::answer(&alone.output().unwrap()).code(0);
    second.rootctl(&["snap", "new", "two"]).code(0).says(&[
        "not compared with the record",
        &ours,
        &theirs,
    ]);
    for words in [
        &["deploy", "two"][..],
        &["-n", "deploy", "two"],
        &["rollback", "two"],
        &["-n", "rollback", "two"],
    ] {
        second
            .rootctl(words)
            .code(3)
            .says(&[&ours, &theirs, "--replace-menu"]);
    }
    let warnings = second.warnings();
    for words in [&ours, &theirs, "Next: ", "--replace-menu"] {
        assert!(warnings.contains(words), "{warnings} lacks {words}");
    }
    second
        .rootctl(&["-n", "deploy", "two", "--replace-menu"])
        .code(0)
        .says(&[&theirs, "whose menu is replaced"]);
    assert!(esp(&first) == before);
    first.must_boot();
    assert_eq!(first.warnings(), "[]");
}

fn again() {
    let old = Bench::new("old");
    let new = beside(&old, "new");
    new.init(&["--loader", "grub", "--replace-menu"]).code(0);
    assert!(new.grub().contains(&new.uuid()) && !new.grub().contains(&old.uuid()));
    new.must_boot();
    assert_eq!(new.warnings(), "[]");
    // What only the replaced menu named is garbage now, and goes with the next change.
    new.rootctl(&["snap", "new"]).code(0);
    let files = std::fs::read_dir(new.esp().join("rootctl")).unwrap();
    assert_eq!(files.count(), 5, "kernel, initramfs, two menus, grubenv");
    // Everything on the ESP can be made again from a store: the other one comes back the same way.
    assert!(old.warnings().contains(&new.uuid()), "{}", old.warnings());
    old.rootctl(&["rollback", "1"]).code(3);
    old.rootctl(&["rollback", "1", "--replace-menu"]).code(0);
    old.must_boot();
    assert_eq!(old.warnings(), "[]");
    new.rootctl(&["deploy", "2"]).code(3);
    new.rootctl(&["deploy", "2", "--replace-menu"]).code(0);
    assert_eq!(new.menu(), [1, 2]);
    new.must_boot();
    assert!(new.grubenv().contains("rootctl_trial=2\n"));
}

fn no_foreign_try() {
    let first = Bench::new("armed");
    first.rootctl(&["snap", "new"]).code(0);
    first.rootctl(&["deploy", "2"]).code(0);
    assert!(first.grubenv().contains("rootctl_trial=2\n"));
    let second = beside(&first, "taker");
    let words = ["--loader", "grub", "--replace-menu"];
    // Wherever the power goes, GRUB never finds the number of one store's trial beside the other's menu.
    let root = second.root().display().to_string();
    let mut init = vec!["store", "init", "--import", &root];
    init.extend(words);
    for at in ["E3", "E4", "E5", "E6"] {
        second
            .rootctl_with(&init, &[("ROOTCTLD_DIE_AT", at)])
            .code(1);
        let ours = second.grub().contains(&second.uuid());
        let told = second.grubenv().contains("rootctl_trial");
        assert!(!(ours && told), "{at}");
        assert_eq!(told, at == "E3", "{at}");
    }
    second.init(&words).code(0);
    second.must_boot();
    // The first store learns that its trial was never entered.
    first.booted(1);
    first.rootctl(&["rollback", "1", "--replace-menu"]).code(0);
    assert_eq!(first.menu(), [1]);
}

fn two_loaders() {
    let first = Bench::new("grub");
    let second = beside(&first, "limine");
    second.init(&["--loader", "limine"]).code(0);
    let conf = || std::fs::read_to_string(first.esp().join("EFI/BOOT/limine.conf")).unwrap();
    let has_all = |menu: &str| {
        let files = menu
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
            .filter(|word| word.ends_with(".vmz") || word.ends_with(".ird"));
        for file in files {
            assert!(first.esp().join("rootctl").join(file).exists(), "{file}");
        }
    };
    let change = "echo changed > /boot/vmlinuz-6.1.0-test";
    for bench in [&first, &second, &first] {
        bench
            .rootctl(&["run", "1", "--", "sh", "-c", change])
            .code(0);
        bench.rootctl(&["rollback", "2"]).code(0);
        bench.rootctl(&["rollback", "1"]).code(0);
        has_all(&first.grub());
        has_all(&conf());
        first.must_boot();
        assert_eq!(
            (first.warnings().as_str(), second.warnings().as_str()),
            ("[]", "[]")
        );
    }
}

fn old_format() {
    let bench = Bench::new("old-menu");
    let path = bench.esp().join("rootctl/grub.cfg");
    let menu = bench.grub();
    let old = menu.replacen(&format!(" Store {}", bench.uuid()), "", 1);
    assert_ne!(old, menu);
    std::fs::write(&path, &old).unwrap();
    bench
        .rootctl(&["snap", "new"])
        .code(0)
        .says(&["write the menu anew"]);
    assert_eq!(bench.grub(), menu);
    let foreign = old.replace(&bench.uuid(), "ffffffff-0000-1111-2222-333344445555");
    std::fs::write(&path, &foreign).unwrap();
    bench
        .rootctl(&["rollback", "2"])
        .code(3)
        .says(&["ffffffff-0000-1111-2222-333344445555", &bench.uuid()]);
    assert_eq!(bench.grub(), foreign);
}
