//! The plan, kept for the next boot.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rootspec::compile::Facts;
use rootspec::kept::KeptError;
use rootspec::stored::{Origin, Stored};

use crate::folders::Places;
use crate::gather::gather;

/// How often it is read again because somebody has just changed something.
const ROUNDS: u32 = 5;

/// Why there is nothing to keep.
#[derive(Debug)]
pub(crate) enum Not {
    /// A boot should not start from it, or not without reading the files.
    Wanted(String),
    /// It cannot be encoded.
    Possible(String),
}

/// Compiles the files of `places`; what is just being changed is waited for.
///
/// # Errors
/// Why there is nothing to keep.
pub(crate) fn compiled(places: &Places, facts: &Facts) -> Result<Vec<u8>, Not> {
    let encoding = |why: KeptError| Not::Possible(why.to_string());
    for _ in 0..ROUNDS {
        let mut read = gather(places, facts.clone());
        if let Some(why) = &read.settings.rescue {
            return Err(Not::Wanted(why.clone()));
        }
        let inputs = std::mem::take(&mut read.reader).into_inputs();
        let inputs = inputs.map_err(Not::Wanted)?;
        let kept = read.into_kept().to_bytes().map_err(encoding)?;
        let stored = Stored::new(facts, inputs, &kept);
        match unsettled(&stored.origin) {
            Duration::ZERO => return stored.to_bytes().map_err(encoding),
            wait => std::thread::sleep(wait),
        }
    }
    Err(Not::Wanted("unit files are being changed".to_owned()))
}

fn unsettled(origin: &Origin) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    Duration::from_millis(u64::try_from(origin.unsettled(now)).unwrap_or_default())
}

/// Keeps it at `path`, if it is new. Returns what was done, in words.
///
/// # Errors
/// In words: it cannot be written.
pub(crate) fn write(path: &str, bytes: &[u8]) -> Result<String, String> {
    let limit = rootspec::stored::MAX_SIZE;
    if sys::fs::read_own(path, limit).is_ok_and(|old| old == bytes) {
        return Ok(format!("the plan in {path} is as it was"));
    }
    if let Some(dir) = Path::new(path).parent() {
        std::fs::create_dir_all(dir)
            .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    }
    sys::fs::write_atomic(path, bytes, 0o600).map_err(|error| sys::chain(&error))?;
    Ok(format!("the plan is kept in {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reuse::{as_deployed, unchanged};
    use crate::seen;
    use rootspec::kept::Kept;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    /// A root of unit files in a folder that is removed at the end.
    struct Tree(PathBuf);

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    impl Tree {
        fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("rinit-keep-{name}-{}", std::process::id()));
            for folder in ["etc", "usr/web.toml.d", "groups/default.d"] {
                fs::create_dir_all(dir.join(folder)).unwrap();
            }
            let tree = Self(dir);
            tree.write("usr/default.toml", "schema = 1\nkind = \"group\"\n");
            tree.write("usr/web.toml", &unit("/one"));
            tree
        }

        fn at(&self, path: &str) -> String {
            self.0.join(path).display().to_string()
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.at(path), text).unwrap();
        }

        fn places(&self) -> Places {
            Places {
                units: vec![self.at("etc"), self.at("run"), self.at("usr")],
                groups: vec![self.at("groups")],
                accounts: self.at("etc"),
                fstab: Some(self.at("etc/fstab")),
                boots: true,
            }
        }

        fn keep(&self) -> String {
            match compiled(&self.places(), &seen::facts()) {
                Ok(bytes) => write(&self.at("plan"), &bytes).unwrap(),
                Err(Not::Wanted(why)) => why,
                Err(Not::Possible(why)) => panic!("{why}"),
            }
        }

        fn reuse(&self) -> Result<Vec<u8>, String> {
            unchanged(&self.at("plan"))
        }
    }

    fn unit(program: &str) -> String {
        format!("schema = 1\n[exec]\nstart = \"{program}\"\n")
    }

    /// Numbers that look random and are the same in every run (a linear congruential generator, Knuth's constants).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            const STEP: u64 = 6_364_136_223_846_793_005;
            self.0 = self
                .0
                .wrapping_mul(STEP)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }

        fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[usize::try_from(self.below(of.len() as u64)).unwrap()]
        }
    }

    /// Units with needs and circles, mistakes, masks, drop-ins, instances and the words in braces.
    fn scatter(tree: &Tree, dice: &mut Dice) {
        const LINES: [&str; 12] = [
            "[deps]\nwants = [\"u1\", \"u2\"]\n",
            "[deps]\nneeds = [\"u3\"]\n",
            "[deps]\nafter = [\"u4\"]\nneeds = [\"t@one\"]\n",
            "[deps]\nneeds = [\"nobody\"]\n",
            "[gate]\nrequired = true\n",
            "[exec.env]\nB = \"{boot}\"\nS = \"{snapshot} of {unit}\"\n",
            "[cgroup]\nmemory_max = \"64M\"\n",
            "[[socket]]\nlisten = \"stream:/run/{name}.sock\"\n",
            "[sandbox]\nread_only_system = true\n",
            "[restart]\npolicy = \"always\"\n",
            "nonsense = 1\n",
            "",
        ];
        for number in 0..dice.below(12) {
            let folder = dice.one_of(&["etc", "usr", "usr"]);
            let name = dice.one_of(&["u", "u", "u", "t"]);
            let file = match name {
                "t" => format!("{folder}/t@.toml"),
                _ => format!("{folder}/u{number}.toml"),
            };
            let (one, two) = (dice.one_of(&LINES), dice.one_of(&LINES));
            let text = match dice.below(8) {
                0 => String::new(),
                _ if one == two => format!("{}{one}", unit("/x {boot}")),
                _ => format!("{}{one}{two}", unit("/x")),
            };
            tree.write(&file, &text);
            if dice.below(3) == 0 {
                tree.write(&format!("groups/default.d/u{number}"), "");
            }
            if dice.below(4) == 0 {
                let dir = tree.at(&format!("{file}.d"));
                fs::create_dir_all(&dir).unwrap();
                fs::write(format!("{dir}/10-x.toml"), dice.one_of(&LINES)).unwrap();
            }
        }
    }

    #[test]
    fn a_line_of_fstab_that_comes_goes_or_changes_is_seen() {
        let tree = Tree::new("fstab");
        tree.keep();
        assert!(tree.reuse().is_ok());
        for text in ["/dev/a /a ext4\n", "/dev/a /b ext4\n"] {
            tree.write("etc/fstab", text);
            assert!(tree.reuse().unwrap_err().ends_with("has changed"));
            tree.keep();
            let kept = Kept::from_bytes(&tree.reuse().unwrap()).unwrap();
            let name = text.split(' ').nth(1).unwrap().replace('/', "mount:");
            assert!(kept.plan.find(&name).is_some(), "{name}");
        }
        fs::remove_file(tree.at("etc/fstab")).unwrap();
        assert!(tree.reuse().is_err());
    }

    #[test]
    fn a_plan_that_was_kept_is_the_one_that_the_files_make() {
        let mut dice = Dice(20_26);
        let trees: Vec<Tree> = (0..60)
            .map(|number| {
                let tree = Tree::new(&format!("same-{number}"));
                scatter(&tree, &mut dice);
                tree
            })
            .collect();
        for tree in &trees {
            assert!(
                tree.keep().starts_with("the plan is kept"),
                "{}",
                tree.keep()
            );
            let kept = Kept::from_bytes(&tree.reuse().unwrap()).unwrap();
            assert_eq!(kept, gather(&tree.places(), seen::facts()).into_kept());
        }
    }

    #[test]
    fn every_kind_of_change_of_what_was_read_is_noticed() {
        type Change = fn(&Tree);
        let changes: [(&str, Change); 13] = [
            ("edit", |t| t.write("usr/web.toml", &unit("/other"))),
            ("same size", |t| t.write("usr/web.toml", &unit("/two"))),
            ("same time", |t| {
                let file = fs::File::options().write(true).open(t.at("usr/web.toml"));
                let (file, text) = (file.unwrap(), unit("/two"));
                let time = file.metadata().unwrap().modified().unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0).unwrap();
                file.set_modified(time).unwrap();
            }),
            ("replaced", |t| {
                t.write("new", &unit("/two"));
                fs::rename(t.at("new"), t.at("usr/web.toml")).unwrap();
            }),
            ("add", |t| t.write("usr/more.toml", &unit("/more"))),
            ("remove", |t| fs::remove_file(t.at("usr/web.toml")).unwrap()),
            ("override", |t| t.write("etc/web.toml", &unit("/two"))),
            ("mask", |t| t.write("etc/web.toml", "")),
            ("drop-in", |t| {
                t.write("usr/web.toml.d/10-x.toml", "[gate]\n");
            }),
            ("enable", |t| t.write("groups/default.d/web", "")),
            ("accounts", |t| t.write("etc/passwd", "")),
            ("first group", |t| {
                fs::create_dir(t.at("groups/more.d")).unwrap();
            }),
            ("first folder", |t| fs::create_dir(t.at("run")).unwrap()),
        ];
        let trees =
            changes.map(|(name, change)| (Tree::new(&name.replace(' ', "-")), name, change));
        for (tree, name, change) in &trees {
            tree.keep();
            assert!(tree.reuse().is_ok(), "{name}: {:?}", tree.reuse());
            change(tree);
            let why = tree.reuse().expect_err(name);
            assert!(why.ends_with("has changed"), "{name}: {why}");
            assert!(as_deployed(&tree.at("plan")).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_damaged_one_is_refused_and_so_is_one_that_others_may_write() {
        let tree = Tree::new("damaged");
        tree.keep();
        let path = tree.at("plan");
        let bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            assert!(tree.reuse().is_err(), "byte {at}");
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(tree.reuse().is_err(), "cut at {at}");
        }
        fs::write(&path, &bytes).unwrap();
        assert!(tree.reuse().is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(tree.reuse().unwrap_err().contains("others"));
        fs::rename(&path, tree.at("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(tree.reuse().is_err());
    }

    #[test]
    fn what_no_boot_should_start_from_is_not_kept() {
        let tree = Tree::new("unkept");
        std::os::unix::fs::symlink("nowhere", tree.at("usr/gone.toml")).unwrap();
        fs::create_dir(tree.at("usr/folder.toml")).unwrap();
        assert!(tree.keep().contains("folder.toml"), "{}", tree.keep());
        let tree = Tree::new("groupless");
        fs::remove_file(tree.at("usr/default.toml")).unwrap();
        assert!(tree.keep().contains("no usable group"), "{}", tree.keep());
        assert!(!Path::new(&tree.at("plan")).exists());
    }

    #[test]
    fn what_is_as_it_was_is_not_written_again() {
        let tree = Tree::new("again");
        tree.keep();
        let times = || fs::metadata(tree.at("plan")).unwrap().modified().unwrap();
        let before = times();
        assert!(tree.keep().ends_with("is as it was"));
        assert_eq!(times(), before);
    }
}
