//! What a boot starts from where there is no usable plan: somebody must be able to log in. The plan that was compiled when
//! the snapshot was deployed, which lies in memory and needs no `rinit-plan`; without one a plain value.

use rootspec::kept::Kept;
use rootspec::paths::run;
use rootspec::plan::{
    Exec, Exits, FdStore, Kill, Output, Plan, Policy, RESCUE, Ready, Restart, Unit, Work,
};
use rootspec::settings::Settings;

use crate::{load, reuse};

/// The units of the snapshot, without what was changed in `/etc`; else nothing but a way to log in. Because of `why`.
pub(crate) fn instead(why: &str) -> Kept {
    match reuse::as_deployed(run::PLAN).and_then(|bytes| load::started_from(&bytes)) {
        Ok(kept) => limited(
            kept,
            format!("{why}; the units that came with the snapshot are started"),
        ),
        Err(_) => nothing_but_a_login(format!("{why}; only a rescue login is started")),
    }
}

/// The same, known not to be what the unit files say.
fn limited(mut kept: Kept, why: String) -> Kept {
    kept.plan.problems.insert(0, why.clone());
    kept.settings.rescue = Some(why);
    kept
}

fn nothing_but_a_login(why: String) -> Kept {
    let settings = Settings {
        default_group: RESCUE.to_owned(),
        rescue: Some(why.clone()),
        ..Settings::default()
    };
    let plan = Plan {
        units: vec![login()],
        problems: vec![why],
        ..Plan::default()
    };
    Kept { settings, plan }
}

/// The same as `planner/rescue.toml`, which `rinit-plan` adds where the default group is absent; a test compares them.
pub(crate) fn login() -> Unit {
    let exec = Exec {
        start: vec![vec!["/sbin/sulogin".to_owned()]],
        umask: 0o022,
        stdout: Output::Tty,
        stderr: Output::Tty,
        tty: Some("/dev/console".into()),
        ..Exec::default()
    };
    Unit {
        name: RESCUE.into(),
        description: "Rescue login".into(),
        work: Work::Service(Box::new(exec)),
        needs: Vec::new(),
        wants: Vec::new(),
        after: Vec::new(),
        ties: Box::default(),
        conditions: Vec::new(),
        ready: Ready::Exec,
        start_timeout: 90_000,
        restart: Restart {
            policy: Policy::Always,
            delay: 1_000,
            backoff_percent: 200,
            max_delay: 30_000,
            reset_after: 60_000,
            limit: 0,
            window: 60_000,
            success: Exits::default(),
        },
        conduct: None,
        stop_signal: 15,
        stop_timeout: 20_000,
        kill: Kill::Cgroup,
        fdstore: FdStore::default(),
        care: None,
        gate: None,
        sockets: Vec::new(),
        timers: Box::default(),
        paths: Box::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::compile::{Source, compile};

    #[test]
    fn it_is_what_the_unit_file_says_and_can_be_started() {
        let source = Source {
            name: RESCUE.parse().unwrap(),
            file: "rescue.toml".to_owned(),
            text: include_str!("planner/rescue.toml").to_owned(),
        };
        let kept = nothing_but_a_login("because".to_owned());
        assert_eq!(kept.plan.units, compile(&[source], &[]).units);
        assert_eq!(kept.plan.problems, ["because"]);
        assert_eq!(kept.plan.find(&kept.settings.default_group), Some(0));
    }
}
