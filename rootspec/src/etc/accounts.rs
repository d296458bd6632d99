//! Merging `passwd` and its kin by line: each line is one user or group, named in front of the first colon. Pure.

use std::collections::HashMap;
use std::path::Path;

/// The files that are merged this way (passwd(5), group(5), shadow(5), gshadow(5), subuid(5), subgid(5)).
const FILES: [&str; 6] = ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"];

/// True for one of the account files, `path` being below `/etc`.
pub fn is_one(path: &Path) -> bool {
    FILES.iter().any(|name| path == Path::new(name))
}

/// Name and how many lines of that name came before: `subuid` may have several for one user.
type Key<'a> = (&'a str, usize);

fn keyed(text: &str) -> Vec<(Key<'_>, &str)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let name = line.split_once(':').map_or(line, |(name, _)| name);
            let count = counts.entry(name).or_default();
            let key = (name, *count);
            *count += 1;
            (key, line)
        })
        .collect()
}

/// The merged text: our lines in our order, then upstream's new ones. A line changed on both sides stays ours.
pub fn merge(base: &str, ours: &str, theirs: &str) -> String {
    let base: HashMap<_, _> = keyed(base).into_iter().collect();
    let their_lines = keyed(theirs);
    let their_map: HashMap<_, _> = their_lines.iter().copied().collect();
    let our_lines = keyed(ours);
    let mut result = String::new();
    for (key, line) in &our_lines {
        let unchanged = base.get(key) == Some(line);
        let kept = match their_map.get(key) {
            Some(new) if unchanged => Some(*new),
            None if unchanged => None,
            Some(_) | None => Some(*line),
        };
        if let Some(line) = kept {
            result.push_str(line);
            result.push('\n');
        }
    }
    let our_map: HashMap<_, _> = our_lines.into_iter().collect();
    for (key, line) in their_lines {
        // In the base and not here: deleted here, and stays so.
        if !our_map.contains_key(&key) && !base.contains_key(&key) {
            result.push_str(line);
            result.push('\n');
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "root:x:0\ndaemon:x:1\ngames:x:5\n";

    #[test]
    fn a_user_added_here_and_one_added_upstream_are_both_there() {
        let ours = "root:x:0\ndaemon:x:1\ngames:x:5\nanna:x:1000\n";
        let theirs = "root:x:0\ndaemon:x:1\ngames:x:5\nsshd:x:101\n";
        assert_eq!(
            merge(BASE, ours, theirs),
            format!("{BASE}anna:x:1000\nsshd:x:101\n")
        );
    }

    #[test]
    fn a_changed_line_stays_ours_and_an_unchanged_one_follows_upstream() {
        let ours = "root:SECRET:0\ndaemon:x:1\ngames:x:5\n";
        let theirs = "root:x:0:new\ndaemon:x:1:new\ngames:x:5\n";
        assert_eq!(
            merge(BASE, ours, theirs),
            "root:SECRET:0\ndaemon:x:1:new\ngames:x:5\n"
        );
    }

    #[test]
    fn deleted_lines_stay_deleted_on_either_side() {
        let ours = "root:x:0\ndaemon:x:1\nanna:x:1000\n";
        let theirs = "root:x:0\ngames:x:5\n";
        assert_eq!(merge(BASE, ours, theirs), "root:x:0\nanna:x:1000\n");
    }

    #[test]
    fn several_ranges_of_one_user_are_kept_apart() {
        let base = "anna:100000:65536\n";
        let ours = "anna:100000:65536\nanna:300000:65536\n";
        let theirs = "anna:100000:65536\nbert:165536:65536\n";
        assert_eq!(
            merge(base, ours, theirs),
            format!("{ours}bert:165536:65536\n")
        );
    }

    #[test]
    fn a_last_line_without_newline_and_lines_without_colon_survive() {
        assert_eq!(
            merge("+\n", "+\nroot:x:0", "+\nbin:x:2"),
            "+\nroot:x:0\nbin:x:2\n"
        );
    }
}
