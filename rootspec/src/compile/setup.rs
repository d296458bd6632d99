//! `[exec]` and `[sandbox]` to the work of the executor: numbers instead of words.

use crate::setup::{Place, Sandbox, Setup};
use crate::units::{self, MaybePath};

/// `None`: PID 1 can do without an executor, which is a program more to start.
pub(super) fn lower(
    exec: &units::Exec,
    sandbox: Option<&units::Sandbox>,
    dirs: &[Box<str>],
) -> Option<Setup> {
    let setup = Setup {
        sandbox: sandbox
            .map(|table| super::sandbox::lower(table, dirs))
            .unwrap_or_default(),
        ..attributes(exec)
    };
    (setup != Setup::default()).then_some(setup)
}

fn attributes(from: &units::Exec) -> Setup {
    Setup {
        env_files: from.env_files.iter().map(place).collect(),
        env_unset: from.env_unset.0.iter().map(|n| n.as_str().into()).collect(),
        nice: from.nice.map(|nice| nice.0).filter(|nice| *nice != 0),
        sched: from.sched.map(|sched| (sched.policy, sched.priority)),
        affinity: from
            .affinity
            .as_ref()
            .map(|c| c.0.clone())
            .unwrap_or_default(),
        io: from.io.map(|io| io.0),
        timer_slack: from.timer_slack.map(|slack| slack.0),
        coredump_filter: from.coredump_filter.map(|filter| filter.0),
        ignore_sigpipe: from.ignore_sigpipe,
        limits: from
            .limits
            .set()
            .into_iter()
            .map(|(number, pair)| (number, pair.soft, pair.hard))
            .collect(),
        sandbox: Sandbox::default(),
    }
}

fn place(from: &MaybePath) -> Place {
    Place {
        path: from.path.as_str().into(),
        optional: from.optional,
    }
}
