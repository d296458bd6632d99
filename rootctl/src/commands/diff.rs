//! `rootctl diff`

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use rootspec::path_text::escape;
use rootspec::protocol::store::{
    BootChange, Diff as Ask, DiffChange, DiffCount, Differences, PackageChange, method,
};

use super::Context;
use crate::cli::Diff;
use crate::client::{Client, Exit};
use crate::output::{Cell, Tone};

/// Prints what differs, part by part.
pub(super) fn run(context: Context<'_>, args: Diff) -> Result<Exit> {
    let parts = Parts::of(&args);
    let path = |path: &std::path::PathBuf| escape(path.as_os_str().as_bytes());
    let (from, to) = match args.other {
        Some(other) => (Some(args.one), other),
        None => (None, args.one),
    };
    let yes = |is: bool| is.then_some(true);
    let ask = Ask {
        from,
        to,
        paths: (!args.paths.is_empty()).then(|| args.paths.iter().map(path).collect()),
        times: yes(args.times),
        content_only: yes(args.content),
        counts_only: yes(args.stat),
    };
    let mut client = Client::store(context.global)?;
    let mut found: Differences =
        client.call_with_progress(method::DIFF, &ask, |p| context.out.progress(p))?;
    parts.keep(&mut found);
    context.out.answer(&found, || {
        let all = !context.global.verbose;
        let mut rows = Vec::new();
        packages(&found.packages, args.stat, &mut rows);
        boot(&found.boot, &mut rows);
        for count in &found.counts {
            let changes = found.changes.iter();
            let own: Vec<_> = changes.filter(|change| change.part == count.part).collect();
            part(count, &own, all, &mut rows);
        }
        if rows.is_empty() {
            let line = format!("snapshots {} and {}: nothing differs", found.from, found.to);
            context.out.line(&line)?;
        }
        for table in rows {
            context.out.table(&table)?;
        }
        Ok(())
    })?;
    if let Some(remark) = &found.remark {
        context.out.remark(&format!("note: {remark}"));
    }
    if found.unlisted > 0 {
        let more = found.unlisted;
        context.out.remark(&format!(
            "{more} more are not listed: name a folder with --path"
        ));
    }
    if found.hidden {
        context
            .out
            .remark("folders that not everybody may list were left out: sudo rootctl diff …");
    }
    Ok(Exit::Done)
}

/// What is shown: the parts named, or all.
#[derive(Debug, Clone, Copy)]
struct Parts {
    pkg: bool,
    boot: bool,
    etc: bool,
    files: bool,
}

impl Parts {
    fn of(args: &Diff) -> Self {
        let none = !(args.pkg || args.boot || args.etc || args.files);
        Self {
            pkg: args.pkg || none,
            boot: args.boot || none,
            etc: args.etc || none,
            files: args.files || none,
        }
    }

    fn has(self, part: &str) -> bool {
        match part {
            "etc" => self.etc,
            "boot" => self.boot,
            _ => self.files,
        }
    }

    fn keep(self, found: &mut Differences) {
        if !self.pkg {
            found.packages.clear();
        }
        if !self.boot {
            found.boot.clear();
        }
        found.counts.retain(|count| self.has(&count.part));
        found.changes.retain(|change| self.has(&change.part));
    }
}

type Table = Vec<Vec<Cell>>;

fn sign(change: &str) -> Cell {
    let (sign, tone) = match change {
        "added" => ("  +", Tone::Good),
        "removed" => ("  -", Tone::Bad),
        "renamed" => ("  >", Tone::Warning),
        _ => ("  ~", Tone::Warning),
    };
    Cell::new(sign, tone)
}

fn title(text: String) -> Table {
    vec![vec![Cell::new(text, Tone::Strong)]]
}

fn packages(all: &[PackageChange], stat: bool, rows: &mut Vec<Table>) {
    if all.is_empty() {
        return;
    }
    let number = |what: &str| all.iter().filter(|p| p.change == what).count() as u64;
    let words = numbers(&[
        (number("added"), "added"),
        (number("removed"), "removed"),
        (number("modified"), "other version"),
    ]);
    rows.push(title(format!("packages: {words}")));
    if stat {
        return;
    }
    let row = |package: &PackageChange| {
        let name = match &package.architecture {
            // The same name may be there for two.
            Some(architecture) if several(all, package) => {
                format!("{}:{architecture}", package.name)
            }
            _ => package.name.clone(),
        };
        let version = match (&package.before, &package.after) {
            (Some(before), Some(after)) => format!("{before} -> {after}"),
            (one, other) => one.clone().or(other.clone()).unwrap_or_default(),
        };
        vec![sign(&package.change), name.into(), version.into()]
    };
    rows.push(all.iter().map(row).collect());
}

fn several(all: &[PackageChange], package: &PackageChange) -> bool {
    all.iter()
        .filter(|other| other.name == package.name)
        .count()
        > 1
}

fn boot(all: &[BootChange], rows: &mut Vec<Table>) {
    if all.is_empty() {
        return;
    }
    rows.push(title("boot files".into()));
    let row = |change: &BootChange| {
        let (before, after) = (&change.before, &change.after);
        let release = |state: &Option<_>| {
            let state: Option<&rootspec::protocol::store::BootState> = state.as_ref();
            state.map(|s| s.release.clone()).unwrap_or_default()
        };
        let (word, text) = match (before, after) {
            (None, _) => ("added", release(after)),
            (_, None) => ("removed", release(before)),
            _ if release(before) == release(after) => {
                ("modified", format!("{}, rebuilt", release(after)))
            }
            _ => (
                "modified",
                format!("{} -> {}", release(before), release(after)),
            ),
        };
        vec![sign(word), change.what.clone().into(), text.into()]
    };
    rows.push(all.iter().map(row).collect());
}

/// One part: its numbers, then its paths. With `fold`, what is below a folder that went or came as a whole is counted.
fn part(count: &DiffCount, changes: &[&DiffChange], fold: bool, rows: &mut Vec<Table>) {
    let words = numbers(&[
        (count.added, "added"),
        (count.removed, "removed"),
        (count.modified, "modified"),
        (count.renamed, "renamed"),
    ]);
    if words.is_empty() {
        return;
    }
    let name = match count.part.as_str() {
        "files" => "other files".to_owned(),
        part => format!("/{part}"),
    };
    let bytes = match (count.bytes_before, count.bytes_after) {
        (0, 0) => String::new(),
        (before, after) => format!("; {} -> {}", size(before), size(after)),
    };
    rows.push(title(format!("{name}: {words}{bytes}")));
    let folded = if fold {
        folded(changes)
    } else {
        BTreeMap::new()
    };
    let mut table = Vec::new();
    for change in changes {
        let below = match folded.get(change.path.as_str()) {
            Some(Fold::Hidden) => continue,
            Some(Fold::Holds(count)) => format!("(and {count} below)"),
            None => String::new(),
        };
        let path = match &change.from {
            Some(from) => format!("{from} -> {}", change.path),
            None => change.path.clone(),
        };
        let mut details = details(change);
        if !below.is_empty() {
            details = format!("{details} {below}").trim_start().to_owned();
        }
        table.push(vec![sign(&change.change), path.into(), details.into()]);
    }
    if !table.is_empty() {
        rows.push(table);
    }
}

enum Fold {
    /// Only counted with the folder it went or came with.
    Hidden,
    /// A folder that so many paths went or came with.
    Holds(u64),
}

/// Which paths need no line of their own. The changes are in order: a folder comes before what is in it.
fn folded<'a>(changes: &[&'a DiffChange]) -> BTreeMap<&'a str, Fold> {
    let mut folded: BTreeMap<&str, Fold> = BTreeMap::new();
    // The folder that stands for a path, if that is not the path itself.
    let mut head: BTreeMap<&str, &str> = BTreeMap::new();
    let all: BTreeMap<&str, &DiffChange> = changes
        .iter()
        .map(|change| (change.path.as_str(), *change))
        .collect();
    for change in changes {
        let Some((dir, name)) = change.path.rsplit_once('/') else {
            continue;
        };
        let along = all.get(dir).is_some_and(|above| {
            let moved = match (&above.from, &change.from) {
                (Some(above), Some(own)) => own.rsplit_once('/') == Some((above.as_str(), name)),
                (None, None) => true,
                _ => false,
            };
            moved && above.change == change.change && change.change != "modified"
        });
        if !along || !change.differs.is_empty() {
            continue;
        }
        let top = head.get(dir).copied().unwrap_or(dir);
        head.insert(&change.path, top);
        folded.insert(&change.path, Fold::Hidden);
        if let Fold::Holds(count) = folded.entry(top).or_insert(Fold::Holds(0)) {
            *count += 1;
        }
    }
    folded
}

/// What is to be said of a path.
fn details(change: &DiffChange) -> String {
    let (before, after) = (&change.before, &change.after);
    let (Some(before), Some(after)) = (before, after) else {
        let one = before.as_ref().or(after.as_ref());
        return one.map_or(String::new(), |file| match file.kind.as_str() {
            "file" => size(file.size),
            kind => kind.to_owned(),
        });
    };
    let word = |what: &String| match what.as_str() {
        "type" => format!("{} -> {}", before.kind, after.kind),
        "content" if before.size != after.size => {
            format!("content {} -> {}", size(before.size), size(after.size))
        }
        "mode" => format!("mode {:04o} -> {:04o}", before.mode, after.mode),
        "owner" => format!(
            "owner {}:{} -> {}:{}",
            before.uid, before.gid, after.uid, after.gid
        ),
        other => other.to_owned(),
    };
    let words: Vec<String> = change.differs.iter().map(word).collect();
    words.join(", ")
}

/// The numbers that are not zero, with their words.
fn numbers(all: &[(u64, &str)]) -> String {
    let some = all.iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = some
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    words.join(", ")
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{}.{} {unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::protocol::store::DiffFile;

    fn file(kind: &str) -> Option<DiffFile> {
        Some(DiffFile {
            kind: kind.into(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 2048,
        })
    }

    fn change(word: &str, path: &str, from: Option<&str>, kind: &str) -> DiffChange {
        DiffChange {
            path: path.into(),
            part: "files".into(),
            change: word.into(),
            from: from.map(str::to_owned),
            differs: vec![],
            before: file(kind).filter(|_| word != "added"),
            after: file(kind).filter(|_| word != "removed"),
        }
    }

    #[test]
    fn what_came_with_a_folder_is_counted_with_it() {
        let mut edited = change("renamed", "/n/s/c", Some("/o/s/c"), "file");
        edited.differs = vec!["content".into()];
        let all = [
            change("added", "/a", None, "dir"),
            change("added", "/a/b", None, "dir"),
            change("added", "/a/b/c", None, "file"),
            change("renamed", "/n", Some("/o"), "dir"),
            change("renamed", "/n/s", Some("/o/s"), "dir"),
            change("renamed", "/n/s/b", Some("/o/s/b"), "file"),
            edited,
            change("renamed", "/n/s/d", Some("/elsewhere"), "file"),
            change("removed", "/z", None, "file"),
        ];
        let all: Vec<_> = all.iter().collect();
        let folded = folded(&all);
        let shown: Vec<String> = all
            .iter()
            .filter_map(|change| match folded.get(change.path.as_str()) {
                None => Some(change.path.clone()),
                Some(Fold::Holds(count)) => Some(format!("{} {count}", change.path)),
                Some(Fold::Hidden) => None,
            })
            .collect();
        assert_eq!(shown, ["/a 2", "/n 2", "/n/s/c", "/n/s/d", "/z"]);
    }

    #[test]
    fn details_name_both_sides() {
        let mut both = change("modified", "/x", None, "file");
        both.differs = ["content", "mode", "owner"].map(str::to_owned).to_vec();
        if let Some(after) = &mut both.after {
            (after.size, after.mode, after.uid) = (5 << 20, 0o600, 7);
        }
        assert_eq!(
            details(&both),
            "content 2.0 KiB -> 5.0 MiB, mode 0644 -> 0600, owner 0:0 -> 7:0"
        );
        assert_eq!(details(&change("added", "/x", None, "link")), "link");
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
