//! What a boot starts from where there is no usable plan: somebody must be able to log in. A plain value, so that nothing
//! has to be read for it.

use rootspec::kept::Kept;
use rootspec::plan::{Exec, Kill, Output, Plan, Policy, RESCUE, Ready, Restart, Unit, Work};
use rootspec::settings::Settings;

/// Nothing but a way to log in, because of `why`.
pub(crate) fn instead(why: String) -> Kept {
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
fn login() -> Unit {
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
            success_codes: Vec::new(),
            success_signals: Vec::new(),
        },
        stop_signal: 15,
        stop_timeout: 20_000,
        kill: Kill::Cgroup,
        gate: None,
        sockets: Vec::new(),
        timers: Box::default(),
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
        let kept = instead("because".to_owned());
        assert_eq!(kept.plan.units, compile(&[source], &[]).units);
        assert_eq!(kept.plan.problems, ["because"]);
        assert_eq!(kept.plan.find(&kept.settings.default_group), Some(0));
    }
}
