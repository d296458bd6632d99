//! rootctl and rootctld on a real btrfs in a loop device: what a person types, what lies on the disk afterwards.
//!
//! | open | for |
//! |---|---|
//! | `store/bench.rs` | a store of its own for each test: image, mount, small root; taken away when dropped |
//! | `store/life.rs` | the ordinary life: init, copy, run, deploy, confirm, go back, delete |
//! | `store/doctor.rs` | what is broken is found |
//! | `store/listing.rs` | lists of many snapshots, some of which were changed by hand |
//! | `store/log.rs` | what the journal tells, and that it stands in nobody's way |
//! | `store/etc.rs` | the live `/etc`: changed, merged, put back, saved |
//! | `store/faults.rs` | the disk refuses a step: what remains, and what doing it once more makes of it |
//! | `store/freeze.rs` | snapshots changed in place, and frozen again |
//! | `store/gc.rs` | what the garbage collection takes, and what never |
//! | `store/tree.rs` | names, places, what is kept, deleted and brought back |
//! | `store/diff.rs` | what differs between two snapshots, held against a walk over both |
//! | `store/damage.rs` | broken input: a clear sentence, nothing lost |
//! | `store/by_menu.rs` | trials under a Limine that keeps no state: armed by the menu itself |
//! | `store/cuts.rs` | the broker dies at every step: what remains, and what the next command makes of it |
//! | `store/replay.rs` | changes made once more on another snapshot, or undone |
//! | `store/sessions.rs` | shells in copies: kept, dropped, held, killed |
//! | `store/shared.rs` | two stores on one ESP: neither takes the other's menu or boot files |
//! | `store/socket.rs` | the running system's way: socket activation, rights, two at once |
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_debug_implementations,
    reason = "a test program: what fails must say where"
)]

#[path = "store/bench.rs"]
mod bench;
#[path = "store/by_menu.rs"]
mod by_menu;
#[path = "store/cuts.rs"]
mod cuts;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/diff.rs"]
mod diff;
#[path = "store/doctor.rs"]
mod doctor;
#[path = "store/etc.rs"]
mod etc;
#[path = "store/faults.rs"]
mod faults;
#[path = "store/freeze.rs"]
mod freeze;
#[path = "store/gc.rs"]
mod gc;
#[path = "store/life.rs"]
mod life;
#[path = "store/listing.rs"]
mod listing;
#[path = "store/log.rs"]
mod log;
#[path = "store/replay.rs"]
mod replay;
#[path = "store/sessions.rs"]
mod sessions;
#[path = "store/shared.rs"]
mod shared;
#[path = "store/socket.rs"]
mod socket;
#[path = "store/tree.rs"]
mod tree;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// A test: its name as a sentence, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let obstacle = bench::obstacle();
    let tests: Vec<Test> = [
        life::TESTS,
        damage::TESTS,
        by_menu::TESTS,
        cuts::TESTS,
        shared::TESTS,
        socket::TESTS,
        diff::TESTS,
        tree::TESTS,
        gc::TESTS,
        doctor::TESTS,
        listing::TESTS,
        log::TESTS,
        sessions::TESTS,
        replay::TESTS,
        freeze::TESTS,
        faults::TESTS,
        etc::TESTS,
    ]
    .concat();
    let trials = tests
        .into_iter()
        .map(|(name, body)| {
            let obstacle = obstacle.clone();
            Trial::ignorable_test(name, move || match obstacle {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => match std::panic::catch_unwind(body) {
                    Ok(()) => Ok(Completion::Completed),
                    Err(panic) => Err(Failed::from(words(panic.as_ref()))),
                },
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}
