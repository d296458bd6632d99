//! Stories of what must be so when a unit starts.

use super::*;

#[test]
fn what_does_not_hold_skips_and_what_must_hold_fails() {
    let skips = "[condition]\npath_is_dir = \"/srv\"";
    let fails = "[assert]\npath_is_dir = \"/srv\"";
    let mut w = world(&[
        ("a", skips),
        ("b", fails),
        ("both", &format!("{skips}\n{fails}")),
        ("after", "[deps]\nneeds = [\"b\"]"),
    ]);
    for name in ["a", "after", "both"] {
        w.start(name);
    }
    assert_eq!(
        w.states(&["a", "b", "both", "after"]),
        ["down", "failed", "down", "failed"]
    );
    assert_eq!(w.reason("a"), "skipped: because not: path_is_dir /srv");
    assert_eq!(w.reason("b"), "because not: path_is_dir /srv");
    w.kernel().paths.insert("/srv".into());
    for name in ["a", "after", "both"] {
        w.start(name);
    }
    assert_eq!(w.states(&["a", "b", "both", "after"]), ["up"; 4]);
}

#[test]
fn values_with_an_exclamation_mark_are_turned_round() {
    let mut w = world(&[(
        "a",
        "[condition]\nfile_not_empty = [\"/yes\", \"!/no\"]\nac_power = false",
    )]);
    w.kernel().paths.insert("/yes".into());
    w.start("a");
    assert_eq!(w.state("a"), "up");
    w.stop("a");
    w.kernel().paths.insert("/no".into());
    w.start("a");
    assert_eq!(w.reason("a"), "skipped: although file_not_empty /no");
}

#[test]
fn the_snapshot_and_the_try_are_known_without_a_look() {
    let mut w = world(&[
        ("seven", "[condition]\nsnapshot = [\"7\"]"),
        ("tried", "[condition]\ntry = true"),
        ("calm", "[assert]\ntry = false"),
    ]);
    w.all.hands.snapshot = "7".to_owned();
    w.all.hands.trial = true;
    for name in ["seven", "tried", "calm"] {
        w.start(name);
    }
    assert_eq!(
        w.states(&["seven", "tried", "calm"]),
        ["up", "up", "failed"]
    );
    assert_eq!(w.reason("calm"), "although try");
    assert!(!w.log().iter().any(|line| line.starts_with("look")));
    w.all.hands.snapshot = String::new();
    w.stop("seven");
    w.start("seven");
    assert_eq!(w.state("seven"), "down");
}
