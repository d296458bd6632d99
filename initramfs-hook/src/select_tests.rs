//! What boots in which situation.

use super::*;
use rootspec::meta::{BootFile, Kernel, Origin};
use rootspec::trial::Trial;

fn id(n: u32) -> SnapshotId {
    SnapshotId::new(n).unwrap()
}

fn meta(n: u32, kernel: Option<(&str, &str)>) -> Meta {
    Meta {
        schema: 1,
        id: id(n),
        uuid: String::new(),
        parent: None,
        lineage: vec![],
        copied: Vec::new(),
        name: None,
        created: 0,
        note: String::new(),
        cmdline: String::new(),
        etc_base: None,
        redoes: None,
        origin: Origin {
            kind: "import".into(),
            detail: String::new(),
        },
        kernel: kernel.map(|(release, hash)| {
            let file = BootFile {
                blake2b: hash.into(),
                size: 1,
            };
            Kernel {
                release: release.into(),
                vmlinuz: file.clone(),
                initrd: file,
            }
        }),
        image: None,
    }
}

fn good(n: u32, hash: &str) -> Candidate {
    Candidate {
        id: id(n),
        meta: Some(meta(n, Some(("6.1", hash)))),
        problem: None,
    }
}

fn broken(n: u32, why: &str) -> Candidate {
    Candidate {
        problem: Some(why.into()),
        ..good(n, "k")
    }
}

fn state() -> State {
    State {
        good: Some(id(5)),
        previous: Some(id(3)),
        ..State::empty()
    }
}

fn ask(request: &str, state: Option<&State>, candidates: &[Candidate]) -> Option<Choice> {
    select(&Situation {
        request: request.parse().ok(),
        state,
        release: "6.1",
        candidates,
        refused: &[],
    })
}

#[test]
fn what_is_asked_for_boots_and_nothing_else_has_to_be_looked_at() {
    let choice = ask("7", Some(&state()), &[good(7, "k")]).unwrap();
    assert_eq!((choice.id, choice.degraded), (id(7), false));
    assert_eq!(choice.reason, "snapshot 7 was asked for");
}

#[test]
fn without_a_request_the_last_good_one_boots() {
    let all = [good(3, "k"), good(5, "k"), good(9, "k")];
    let choice = ask("", Some(&state()), &all).unwrap();
    assert_eq!((choice.id, choice.degraded), (id(5), false));
    assert_eq!(ask("previous", Some(&state()), &all).unwrap().id, id(3));
}

#[test]
fn the_order_of_retreat_is_good_previous_newest() {
    let mut all = vec![
        good(3, "k"),
        good(5, "k"),
        broken(7, "its root is missing"),
        good(4, "k"),
        good(6, "k"),
    ];
    let choice = ask("7", Some(&state()), &all).unwrap();
    assert_eq!((choice.id, choice.degraded), (id(5), true));
    assert_eq!(
        choice.reason,
        "snapshot 7 was refused: its root is missing; fell back to the last good snapshot"
    );
    all[1].problem = Some("x".into());
    assert_eq!(ask("7", Some(&state()), &all).unwrap().id, id(3));
    all[0].problem = Some("x".into());
    assert_eq!(ask("7", Some(&state()), &all).unwrap().id, id(6));
    all[4].problem = Some("x".into());
    assert_eq!(ask("7", Some(&state()), &all).unwrap().id, id(4));
    all[3].problem = Some("x".into());
    assert_eq!(ask("7", Some(&state()), &all), None);
}

#[test]
fn a_retreat_never_leads_to_another_kernel() {
    let all = [good(5, "other"), broken(7, "x"), good(3, "k")];
    assert_eq!(ask("7", Some(&state()), &all).unwrap().id, id(3));
    let mut stranger = good(3, "k");
    stranger.meta = Some(meta(3, Some(("6.9", "k"))));
    assert_eq!(
        ask(
            "7",
            Some(&state()),
            &[good(5, "other"), broken(7, "x"), stranger]
        ),
        None
    );
}

#[test]
fn where_the_requested_meta_file_is_unreadable_the_release_alone_decides() {
    let mut unreadable = broken(7, "cut short");
    unreadable.meta = None;
    let all = [good(5, "any"), unreadable];
    assert_eq!(ask("7", Some(&state()), &all).unwrap().id, id(5));
}

#[test]
fn a_snapshot_of_another_kernel_is_refused_even_when_asked_for() {
    let mut stranger = good(7, "k");
    stranger.meta = Some(meta(7, Some(("6.9", "k9"))));
    let choice = ask("7", Some(&state()), &[stranger, good(5, "k")]).unwrap();
    assert_eq!(choice.id, id(5));
    assert!(
        choice
            .reason
            .contains("it belongs to kernel 6.9, running is 6.1"),
        "{}",
        choice.reason
    );
}

#[test]
fn a_snapshot_without_a_known_kernel_boots_when_asked_for_and_is_no_retreat() {
    let mut bare = good(7, "k");
    bare.meta = Some(meta(7, None));
    assert_eq!(ask("7", None, &[bare.clone()]).unwrap().id, id(7));
    assert_eq!(ask("8", Some(&state()), &[bare]), None);
}

#[test]
fn without_a_state_record_the_command_line_is_obeyed_and_else_the_newest_boots() {
    assert_eq!(ask("3", None, &[good(3, "k")]).unwrap().id, id(3));
    let choice = ask("", None, &[good(3, "k"), good(8, "k")]).unwrap();
    assert_eq!((choice.id, choice.degraded), (id(8), true));
    let choice = ask("good", None, &[good(3, "k")]).unwrap();
    assert!(
        choice.reason.contains("(good) is not known"),
        "{}",
        choice.reason
    );
}

#[test]
fn a_missing_snapshot_is_named() {
    let choice = ask("9", Some(&state()), &[good(5, "k")]).unwrap();
    assert!(
        choice
            .reason
            .starts_with("snapshot 9 was refused: it does not exist;")
    );
}

#[test]
fn what_failed_in_this_boot_is_not_tried_again() {
    let all = [good(5, "k"), good(7, "k"), good(3, "k")];
    let refused = [
        Refusal {
            id: id(7),
            why: "it has no /usr/bin/rinit".into(),
        },
        Refusal {
            id: id(5),
            why: "damaged".into(),
        },
    ];
    let choice = select(&Situation {
        request: "7".parse().ok(),
        state: Some(&state()),
        release: "6.1",
        candidates: &all,
        refused: &refused,
    })
    .unwrap();
    assert_eq!(choice.id, id(3));
    assert_eq!(
        choice.reason,
        "snapshot 7 was refused: it has no /usr/bin/rinit; snapshot 5 was refused: damaged; \
         fell back to the snapshot that was good before"
    );
}

#[test]
fn a_snapshot_on_trial_is_no_retreat() {
    let state = State {
        trial: Some(Trial::armed(id(9), 2)),
        ..state()
    };
    let all = [broken(5, "x"), broken(3, "x"), good(9, "k"), good(1, "k")];
    assert_eq!(ask("good", Some(&state), &all).unwrap().id, id(1));
}

#[test]
fn writing_to_a_snapshot_that_is_needed_is_refused_and_it_boots_read_only() {
    let pinned = State {
        pins: vec![id(8)],
        ..state()
    };
    for n in [5, 3, 8] {
        let settled = settle(&Mode::Rw, &meta(n, None), Some(&pinned)).unwrap();
        assert_eq!((settled.layout, settled.mode), (Layout::ReadOnly, Mode::Ro));
        assert!(settled.warning.unwrap().contains("rw is refused"));
    }
    let settled = settle(&Mode::Rw, &meta(7, None), Some(&pinned)).unwrap();
    assert_eq!(settled.layout, Layout::Writable);
}

#[test]
fn an_image_gets_an_overlay_whatever_was_asked_for() {
    let mut image = meta(7, None);
    image.image = Some(Image::Erofs);
    for (mode, size) in [("ro", "50%"), ("image", "50%"), ("tmpfs:size=64M", "64M")] {
        let settled = settle(&mode.parse().unwrap(), &image, None).unwrap();
        let layout = Layout::Image {
            image: Image::Erofs,
            size: size.into(),
        };
        assert_eq!(
            (settled.layout, settled.mode),
            (layout, Mode::Image),
            "{mode}"
        );
    }
    assert!(settle(&Mode::Rw, &image, None).is_err());
    assert!(settle(&Mode::Image, &meta(7, None), None).is_err());
}

#[test]
fn a_retreat_writes_nothing_and_takes_no_layer_of_another_snapshot() {
    for (asked, taken) in [
        ("ro", "ro"),
        ("tmpfs:size=9M", "tmpfs:size=9M"),
        ("persist:dev", "ro"),
        ("rw", "ro"),
        ("image", "tmpfs"),
    ] {
        assert_eq!(retreat_mode(&asked.parse().unwrap()).to_string(), taken);
    }
}
