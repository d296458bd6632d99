//! Stories of three trees.

use super::super::stamp::Kind;
use super::*;

fn file(version: i64) -> Stamp {
    Stamp {
        kind: Kind::File {
            size: 10,
            modified: (version, 0),
        },
        mode: 0o644,
        uid: 0,
        gid: 0,
        identity: (1, version, 0),
    }
}

fn dir() -> Stamp {
    Stamp {
        kind: Kind::Dir,
        mode: 0o755,
        ..file(0)
    }
}

fn link(target: &str) -> Stamp {
    Stamp {
        kind: Kind::Link(target.as_bytes().to_vec()),
        ..file(0)
    }
}

fn tree(entries: &[(&str, Stamp)]) -> Listing {
    let mut listing = Listing::from([(PathBuf::new(), dir())]);
    listing.extend(
        entries
            .iter()
            .map(|(path, stamp)| (PathBuf::from(path), stamp.clone())),
    );
    listing
}

fn steps(base: &[(&str, Stamp)], ours: &[(&str, Stamp)], theirs: &[(&str, Stamp)]) -> Vec<Step> {
    merge(
        &tree(base),
        &tree(ours),
        &tree(theirs),
        &mut |_, _, _, _| false,
    )
}

fn take(path: &str) -> Step {
    Step::Take(path.into())
}

#[test]
fn nothing_changed_means_nothing_to_do() {
    let all = [("hosts", file(1)), ("ssl", dir()), ("ssl/cert", link("x"))];
    assert_eq!(steps(&all, &all, &all), []);
}

#[test]
fn a_file_changed_upstream_only_is_taken_and_one_changed_here_only_stays() {
    let base = [("a", file(1)), ("b", file(1))];
    assert_eq!(
        steps(
            &base,
            &[("a", file(1)), ("b", file(2))],
            &[("a", file(3)), ("b", file(1))]
        ),
        [take("a")]
    );
}

#[test]
fn a_file_changed_on_both_sides_stays_and_upstreams_is_put_beside_it() {
    let result = steps(&[("a", file(1))], &[("a", file(2))], &[("a", file(3))]);
    assert_eq!(result, [Step::Beside("a".into())]);
}

#[test]
fn the_same_change_on_both_sides_is_no_conflict() {
    assert_eq!(
        steps(&[("a", file(1))], &[("a", file(2))], &[("a", file(2))]),
        []
    );
    // The same content written at another time.
    let (base, ours, theirs) = (
        tree(&[("a", file(1))]),
        tree(&[("a", file(2))]),
        tree(&[("a", file(3))]),
    );
    let mut same =
        |one: Side, other: Side, _: &Path, _: Closer| one == Side::Ours && other == Side::Theirs;
    assert_eq!(merge(&base, &ours, &theirs, &mut same), []);
}

#[test]
fn a_touched_file_with_the_same_content_counts_as_unchanged() {
    let (base, ours, theirs) = (
        tree(&[("a", file(1))]),
        tree(&[("a", file(2))]),
        tree(&[("a", file(3))]),
    );
    let mut same =
        |one: Side, other: Side, _: &Path, _: Closer| one == Side::Ours && other == Side::Base;
    assert_eq!(merge(&base, &ours, &theirs, &mut same), [take("a")]);
}

#[test]
fn what_was_deleted_here_stays_deleted_and_what_was_deleted_upstream_goes_unless_changed() {
    let base = [("gone", file(1)), ("old", file(1)), ("mine", file(1))];
    let ours = [("old", file(1)), ("mine", file(2))];
    assert_eq!(
        steps(&base, &ours, &[("gone", file(2))]),
        [Step::Remove("old".into())]
    );
}

#[test]
fn new_folders_come_before_what_lies_in_them() {
    let theirs = [
        ("d", dir()),
        ("d/e", dir()),
        ("d/e/f", file(1)),
        ("l", link("d")),
    ];
    assert_eq!(
        steps(&[], &[], &theirs),
        [
            Step::MakeDir("d".into()),
            Step::MakeDir("d/e".into()),
            take("d/e/f"),
            take("l")
        ]
    );
}

#[test]
fn a_removed_folder_goes_after_what_lies_in_it() {
    let base = [("d", dir()), ("d/a", file(1)), ("d/b", file(1))];
    let removed: Vec<_> = ["d/b", "d/a", "d"]
        .map(|path| Step::Remove(path.into()))
        .into();
    assert_eq!(steps(&base, &base, &[]), removed);
}

#[test]
fn a_folder_deleted_here_is_made_again_for_a_new_file() {
    let base = [("d", dir()), ("d/a", file(1))];
    let theirs = [("d", dir()), ("d/a", file(1)), ("d/new", file(1))];
    assert_eq!(
        steps(&base, &[], &theirs),
        [Step::MakeDir("d".into()), take("d/new")]
    );
}

#[test]
fn a_folder_replaced_by_a_link_here_is_never_written_through() {
    let base = [("d", dir())];
    let ours = [("d", link("/usr/share/d"))];
    let theirs = [("d", dir()), ("d/new", file(1))];
    assert_eq!(steps(&base, &ours, &theirs), []);
}

#[test]
fn changes_of_type_follow_upstream_unless_something_was_added_here() {
    let folder = [("x", dir()), ("x/a", file(1))];
    assert_eq!(
        steps(&folder, &folder, &[("x", file(1))]),
        [
            Step::Remove("x/a".into()),
            Step::Remove("x".into()),
            take("x")
        ]
    );
    assert_eq!(
        steps(
            &[("x", file(1))],
            &[("x", file(1))],
            &[("x", dir()), ("x/a", file(1))]
        ),
        [
            Step::Remove("x".into()),
            Step::MakeDir("x".into()),
            take("x/a")
        ]
    );
    let own = [("x", dir()), ("x/a", file(1)), ("x/mine", file(1))];
    let result = steps(&folder, &own, &[("x", file(1))]);
    assert!(
        matches!(result.as_slice(), [Step::Remove(_), Step::Note(_)]),
        "{result:?}"
    );
}

#[test]
fn files_of_the_machine_are_kept_when_there_and_taken_when_not() {
    let result = steps(
        &[],
        &[("machine-id", file(1))],
        &[("machine-id", file(2)), ("mtab", link("x"))],
    );
    assert_eq!(result, [take("mtab")]);
    let result = steps(
        &[("resolv.conf", file(1))],
        &[("resolv.conf", file(1))],
        &[("resolv.conf", file(2))],
    );
    assert_eq!(result, []);
}

#[test]
fn account_files_changed_on_both_sides_are_merged_by_line() {
    let result = steps(
        &[("passwd", file(1))],
        &[("passwd", file(2))],
        &[("passwd", file(3))],
    );
    assert_eq!(result, [Step::Accounts("passwd".into())]);
    let result = steps(
        &[("x/passwd", file(1))],
        &[("x/passwd", file(2))],
        &[("x/passwd", file(3))],
    );
    assert_eq!(result, [Step::Beside("x/passwd".into())]);
}

#[test]
fn properties_of_a_folder_follow_upstream_when_unchanged_here() {
    let open = Stamp {
        mode: 0o700,
        ..dir()
    };
    let result = steps(&[("d", dir())], &[("d", dir())], &[("d", open.clone())]);
    assert_eq!(result, [Step::Properties("d".into())]);
    let own = Stamp {
        mode: 0o711,
        ..dir()
    };
    assert_eq!(steps(&[("d", dir())], &[("d", own)], &[("d", open)]), []);
}

#[test]
fn without_a_base_nothing_of_ours_is_lost() {
    let ours = [("a", file(1)), ("mine", file(1))];
    let theirs = [("a", file(2)), ("b", file(1))];
    let result = merge(
        &Listing::new(),
        &tree(&ours),
        &tree(&theirs),
        &mut |_, _, _, _| false,
    );
    assert_eq!(result, [Step::Beside("a".into()), take("b")]);
}

#[test]
fn merging_twice_changes_nothing_more() {
    // The result of a merge, merged again with the same upstream, is left alone.
    let (base, theirs) = (
        [("a", file(1)), ("b", file(1))],
        [("a", file(2)), ("b", file(2))],
    );
    let result = [("a", file(2)), ("b", file(9)), ("b.rootctl-new", file(2))];
    assert_eq!(steps(&base, &result, &theirs), [Step::Beside("b".into())]);
}

#[test]
fn attributes_are_compared_where_a_copy_has_another_identity() {
    let copied = Stamp {
        identity: (9, 9, 9),
        ..file(1)
    };
    let asked = std::cell::RefCell::new(Vec::new());
    let (base, ours, theirs) = (
        tree(&[("a", file(1))]),
        tree(&[("a", copied)]),
        tree(&[("a", file(2))]),
    );
    let mut same = |one: Side, other: Side, path: &Path, closer: Closer| {
        asked
            .borrow_mut()
            .push((one, other, path.to_owned(), closer));
        closer == Closer::Attributes
    };
    assert_eq!(merge(&base, &ours, &theirs, &mut same), [take("a")]);
    let expected = [
        (Side::Base, Side::Theirs, "a".into(), Closer::Content),
        (Side::Ours, Side::Base, "a".into(), Closer::Attributes),
    ];
    assert_eq!(asked.into_inner(), expected);
}

#[test]
fn what_was_changed_here_is_told_by_path() {
    let base = [
        ("a", file(1)),
        ("b", file(1)),
        ("d", dir()),
        ("d/x", file(1)),
    ];
    let ours = [
        ("a", file(2)),
        ("c", file(1)),
        ("d", dir()),
        ("d/x", file(1)),
    ];
    let found = changes(&tree(&base), &tree(&ours), &mut |_, _, _, _| false);
    let expected = [
        ("a", Difference::Modified),
        ("b", Difference::Removed),
        ("c", Difference::Added),
    ];
    assert_eq!(
        found,
        expected.map(|(path, what)| (PathBuf::from(path), what))
    );
}

#[test]
fn only_what_both_changed_differently_needs_a_decision() {
    let found = steps(
        &[("a", file(1)), ("b", file(1))],
        &[("a", file(2)), ("b", file(1))],
        &[("a", file(3)), ("b", file(2))],
    );
    let conflicts: Vec<_> = found.iter().filter(|step| step.is_conflict()).collect();
    assert_eq!(conflicts, [&Step::Beside("a".into())]);
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].word(), found[0].path()),
        ("beside", Some(Path::new("a")))
    );
}

#[test]
fn what_no_step_brings_is_named() {
    let base = tree(&[
        ("both", file(1)),
        ("deleted", file(1)),
        ("changed", file(1)),
        ("fine", file(1)),
        ("same", file(1)),
        ("d", dir()),
        ("d/old", file(1)),
    ]);
    let ours = tree(&[
        ("both", file(2)),
        ("changed", file(2)),
        ("fine", file(1)),
        ("same", file(3)),
        ("d", dir()),
        ("d/old", file(1)),
        ("d/own", file(1)),
    ]);
    let theirs = tree(&[
        ("both", file(3)),
        ("deleted", file(3)),
        ("fine", file(3)),
        ("same", file(3)),
    ]);
    let mut same = |_: Side, _: Side, _: &Path, _| false;
    let steps = merge(&base, &ours, &theirs, &mut same);
    assert!(steps.contains(&take("fine")) && steps.contains(&Step::Remove("d/old".into())));
    let left = left_out(&base, &ours, &theirs, &steps, &mut same);
    let paths: Vec<_> = left.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, ["both", "changed", "deleted"]);
}
