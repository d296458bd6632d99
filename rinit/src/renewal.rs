//! The unit files are read again while the system runs: to say what taking them would do, and to take them.
//!
//! They are read by the loader, as at boot. One request at a time; another one is told to come back.

use rootspec::kept::Kept;
use rootspec::plan::RESCUE;
use rootspec::protocol::init::Planned;
use sys::epoll::Interest;

use crate::init::Init;
use crate::load::{self, Loading};
use crate::rescue;
use crate::supervisor::{Changeover, Event, UnitId};

/// What is done with the files once they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Say what taking them would do.
    Plan,
    /// Take them, if they are those of this digest.
    Apply(Option<String>),
}

/// The loader is at work, or has just been.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// It reads.
    Reading {
        loading: Loading,
        due: u64,
        purpose: Purpose,
    },
    /// It is through.
    Done(Result<Renewed, String>),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Renewed {
    /// What taking the files would do.
    Planned(Planned),
    /// They were taken: these units move.
    Applied(Vec<UnitId>),
}

impl Renewal {
    /// When the loader has had time enough.
    pub(crate) fn due(&self) -> Option<u64> {
        match self {
            Self::Reading { due, .. } => Some(*due),
            Self::Done(_) => None,
        }
    }
}

impl Init {
    /// Has the unit files read. False: somebody else waits for that already.
    ///
    /// # Errors
    /// The loader cannot be started.
    pub(crate) fn renew(&mut self, purpose: Purpose) -> Result<bool, String> {
        if let Some(Renewal::Reading { .. }) = self.renewal {
            return Ok(false);
        }
        let said = |error: sys::SysError| sys::chain(&error);
        let loading = Loading::start(load::Reuse::Never).map_err(said)?;
        let epoll = self.all.hands.kernel.epoll();
        epoll
            .add(&loading.worker.output, crate::init::LOADER, Interest::Read)
            .map_err(said)?;
        self.renewal = Some(Renewal::Reading {
            loading,
            due: sys::timer::now().saturating_add(load::DEADLINE),
            purpose,
        });
        Ok(true)
    }

    /// True while the files are being read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.renewal, Some(Renewal::Reading { .. }))
    }

    /// Goes on reading, and does what is to be done when that is through.
    pub(crate) fn go_on_renewing(&mut self) {
        let Some(Renewal::Reading { loading, due, .. }) = &mut self.renewal else {
            return;
        };
        let overdue = sys::timer::now() >= *due;
        let answer = match loading.poll() {
            Some(answer) => answer,
            None if overdue => {
                sys::process::signal(&loading.worker.pidfd, 9).ok();
                Err("the loader hangs; it was killed".to_owned())
            }
            None => return,
        };
        let Some(Renewal::Reading {
            loading, purpose, ..
        }) = self.renewal.take()
        else {
            return;
        };
        self.all
            .hands
            .kernel
            .epoll()
            .remove(&loading.worker.output)
            .ok();
        let done = answer.and_then(|loaded| self.renewed_by(loaded.kept, &purpose));
        self.renewal = Some(Renewal::Done(done));
    }

    /// What came of it, once.
    pub(crate) fn take_renewed(&mut self) -> Option<Result<Renewed, String>> {
        match self.renewal.take() {
            Some(Renewal::Done(done)) => Some(done),
            other => {
                self.renewal = other;
                None
            }
        }
    }

    fn renewed_by(&mut self, loaded: Kept, purpose: &Purpose) -> Result<Renewed, String> {
        if let Some(why) = loaded.settings.rescue {
            return Err(why);
        }
        let digest = loaded.plan.digest();
        let problems = loaded.plan.problems.clone();
        let mut plan = loaded.plan;
        // Where the kernel command line asked for it, it is in no file.
        if self.settings.default_group == RESCUE && plan.find(RESCUE).is_none() {
            plan.units.push(rescue::login());
        }
        let changeover = self.all.core.changeover(plan);
        match purpose {
            Purpose::Plan => Ok(Renewed::Planned(Planned {
                steps: changeover.steps.values().cloned().collect(),
                problems,
                digest,
            })),
            Purpose::Apply(Some(asked)) if *asked != digest => {
                Err("the unit files have changed since they were looked at".to_owned())
            }
            Purpose::Apply(_) => Ok(Renewed::Applied(self.adopt(changeover))),
        }
    }

    fn adopt(&mut self, changeover: Changeover) -> Vec<UnitId> {
        let moving = changeover.moving();
        for step in changeover.steps.values() {
            let deed = step.deed.word();
            self.voice
                .note(&format!("{deed} {}: {}", step.unit, step.why));
        }
        self.all.handle(Event::Adopt(Box::new(changeover)));
        // Their rules may be others now.
        self.hand_over_logs();
        self.adopt_timers();
        self.adopt_paths();
        moving
    }
}
