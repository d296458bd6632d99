//! The executor, `rinit-helper exec`: a process of the unit that prepares itself and becomes the program.
//!
//! PID 1 may neither wait nor fail, so whatever can hang (a mount, a file of another system) or be refused is done
//! here. A failure is told to PID 1 in one sentence that names the key, and costs this start only.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | the steps, in order |
//! | `environment` | files of variables |
//! | `mounts`, `devices`, `fresh` | what it sees |
//! | `privileges` | what it may do |

mod devices;
mod environment;
mod fresh;
mod mounts;
mod privileges;

use rootspec::setup::{Errand, Sandbox, Setup};
use rootspec::units::LIMIT_NAMES;
use sys::executor::{self, BrokenPipe, Report};
use sys::namespace::Own;
use sys::process::Ids;

/// Why a step failed: a whole sentence.
pub(crate) type Step = Result<(), String>;

/// One executor at its start.
#[derive(Debug)]
pub(crate) struct Executor {
    errand: Vec<u8>,
    report: Report,
}

impl Executor {
    /// From the two descriptors named in the arguments. `None`: nobody gave them to us.
    pub(crate) fn take_over(errand: &str, report: &str) -> Option<Self> {
        let (errand, report) = (errand.parse().ok()?, report.parse().ok()?);
        let (errand, report) = executor::take_over(errand, report).ok()?;
        Some(Self { errand, report })
    }

    /// Becomes the program; comes back only after a failure, which has been reported.
    pub(crate) fn run(self) {
        match Errand::from_bytes(&self.errand) {
            Ok(errand) => become_program(errand, self.report),
            Err(why) => {
                let words = format!("rinit does not understand itself: {why}");
                self.report.failed(&words);
            }
        }
    }
}

fn become_program(mut errand: Errand, report: Report) {
    if let Err(why) = prepare(&mut errand) {
        let next = format!("next: rootctl svc logs {}", errand.unit);
        return report.failed(&format!("{why}; {next}"));
    }
    let error = executor::execute(&errand.argv, &errand.env);
    report.not_executed(&error);
}

/// Everything before the program, in an order that keeps each right until it is no longer needed.
fn prepare(errand: &mut Errand) -> Step {
    let setup = &errand.setup;
    environment::complete(&mut errand.env, setup)?;
    let id = std::process::id();
    let own = errand.own_id.iter().map(|name| format!("{name}={id}"));
    errand.env.extend(own);
    attributes(setup)?;
    namespaces(&setup.sandbox)?;
    if setup.sandbox.own_mounts {
        mounts::arrange(&setup.sandbox.mounts)?;
    }
    limits(setup)?;
    let ids = errand.ids.as_ref().map(|ids| Ids {
        uid: ids.uid,
        gid: ids.gid,
        groups: ids.groups.clone(),
    });
    privileges::become_user(ids.as_ref(), &setup.sandbox)?;
    let workdir = errand.workdir.as_deref().unwrap_or("/");
    std::env::set_current_dir(workdir)
        .map_err(|error| sys::SysError::new("enter", workdir, error))
        .map_err(|error| about("[exec] workdir", &error))?;
    let pipe = if setup.ignore_sigpipe {
        BrokenPipe::IsAnError
    } else {
        BrokenPipe::Ends
    };
    executor::broken_pipe(pipe).map_err(|error| about("[exec] ignore_sigpipe", &error))?;
    privileges::close(&setup.sandbox)
}

/// What needs nothing but to be left. Process ids of its own it was born with.
fn namespaces(sandbox: &Sandbox) -> Step {
    let all = [
        (sandbox.own_net, Own::Network, "[sandbox] private"),
        (sandbox.own_ipc, Own::Ipc, "[sandbox] private"),
        (sandbox.own_hostname, Own::HostName, "[sandbox] protect"),
        (sandbox.own_mounts, Own::Mounts, "[sandbox]"),
    ];
    for (_, what, key) in all.into_iter().filter(|(wanted, ..)| *wanted) {
        sys::namespace::have_own(what).map_err(|error| about(key, &error))?;
    }
    if sandbox.own_net {
        sys::privilege::loopback_up().map_err(|error| about("[sandbox] private", &error))?;
    }
    Ok(())
}

/// "{key}: {error and its causes}".
pub(crate) fn about(key: &str, error: &sys::SysError) -> String {
    format!("{key}: {}", sys::chain(error))
}

fn attributes(setup: &Setup) -> Step {
    let told = |key| move |error: sys::SysError| about(key, &error);
    if let Some(nice) = setup.nice {
        executor::nice(nice).map_err(told("[exec] nice"))?;
    }
    if let Some((policy, priority)) = setup.sched {
        executor::schedule(policy, priority).map_err(told("[exec] sched"))?;
    }
    if !setup.affinity.is_empty() {
        executor::run_on(&setup.affinity).map_err(told("[exec] affinity"))?;
    }
    if let Some(io) = setup.io {
        executor::io_priority(io).map_err(told("[exec] io"))?;
    }
    if let Some(slack) = setup.timer_slack {
        executor::timer_slack(slack).map_err(told("[exec] timer_slack"))?;
    }
    if let Some(bits) = setup.coredump_filter {
        executor::coredump_filter(bits).map_err(told("[exec] coredump_filter"))?;
    }
    Ok(())
}

fn limits(setup: &Setup) -> Step {
    for (number, soft, hard) in &setup.limits {
        let name = usize::try_from(*number)
            .ok()
            .and_then(|at| LIMIT_NAMES.get(at));
        let key = format!("[exec.limits] {}", name.unwrap_or(&"?"));
        executor::limit(*number, *soft, *hard).map_err(|error| about(&key, &error))?;
    }
    Ok(())
}
