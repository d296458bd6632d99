use super::*;
use rootspec::compile::{Source, compile};

/// A plan of one unit with one path; unit 0.
fn plan(kind: &str) -> Plan {
    let text = format!(
        "schema = 1\nkind = \"{kind}\"\n[exec]\nstart = \"/x\"\n[[path]]\nexists = \"/a\"\nlimit = {{ count = 2, window = \"10s\", pause = \"30s\" }}\n"
    );
    let source = Source {
        name: "a".parse().unwrap(),
        file: "a.toml".into(),
        text,
    };
    let plan = compile(&[source], &[]);
    assert_eq!(plan.problems, Vec::<String>::new());
    plan
}

fn watches(kind: &str) -> Watches {
    let mut watches = Watches::default();
    assert_eq!(watches.adopt(&plan(kind)), [0]);
    watches
}

const START: Deed = Deed::Start(0);
const LOOK: Deed = Deed::Look(0, 0);

fn told(watches: &mut Watches, now: u64) -> Option<Deed> {
    watches.told((0, 0), |_| false, now)
}

#[test]
fn it_is_looked_again_when_the_unit_has_ended() {
    let mut service = watches("service");
    assert_eq!(told(&mut service, 1), Some(START));
    assert_eq!(told(&mut service, 2), None, "it runs");
    assert_eq!(service.note(0, Outcome::Up, 3), []);
    assert_eq!(service.note(0, Outcome::Ended, 4), [LOOK]);
    assert_eq!(told(&mut service, 5), Some(START));
    let mut oneshot = watches("oneshot");
    assert_eq!(told(&mut oneshot, 1), Some(START));
    assert_eq!(oneshot.note(0, Outcome::Up, 2), [LOOK]);
}

#[test]
fn what_is_told_while_the_unit_moves_is_not_lost() {
    let mut watches = watches("oneshot");
    assert_eq!(watches.told((0, 0), |_| true, 1), None);
    assert_eq!(watches.note(0, Outcome::Up, 2), [START]);
    assert_eq!(watches.note(0, Outcome::Up, 3), [LOOK]);
}

#[test]
fn after_too_many_starts_it_rests_and_goes_on() {
    let mut watches = watches("oneshot");
    for now in 0..2 {
        assert_eq!(told(&mut watches, now), Some(START));
        assert_eq!(watches.note(0, Outcome::Up, now), [LOOK]);
    }
    assert_eq!(told(&mut watches, 5), None);
    assert_eq!(watches.deadline(), Some(30_005));
    assert_eq!(watches.time(30_004), []);
    assert_eq!(watches.time(30_005), [START], "what was told is not lost");
    assert_eq!(watches.deadline(), None);
}

#[test]
fn after_a_failure_it_rests_and_looks_again() {
    let mut watches = watches("service");
    assert_eq!(told(&mut watches, 0), Some(START));
    assert_eq!(watches.note(0, Outcome::NotStarted, 10), []);
    assert_eq!(told(&mut watches, 20), None);
    assert_eq!(watches.time(30_010), [LOOK]);
}

#[test]
fn only_a_changed_path_is_watched_anew() {
    let mut watches = watches("service");
    assert_eq!(told(&mut watches, 0), Some(START));
    assert_eq!(watches.adopt(&plan("service")), Vec::<UnitId>::new());
    assert_eq!(watches.note(0, Outcome::Ended, 1), [LOOK]);
    let mut other = plan("service");
    other.units[0].paths[0].limit = 9;
    assert_eq!(watches.adopt(&other), [0]);
    other.units[0].paths = Box::default();
    assert_eq!(watches.adopt(&other), [0]);
    assert!(watches.is_empty());
    // Nobody is there whom a late word could concern.
    assert_eq!(told(&mut watches, 2), None);
}
