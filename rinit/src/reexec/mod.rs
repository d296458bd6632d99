//! PID 1 becomes another program, or the same one anew, while everything else goes on.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | on request: tried first, then done |
//! | `held` | everything that is handed over, as one value |
//! | `arrive` | the other side: the program that goes on |
//! | `spare` | what a crash goes on from, written again after changes |
//!
//! What is handed over lies in two files in memory (see [`rootspec::held`]), named by descriptor on the command line:
//!
//! ```text
//! rinit @resume STATE DEFINITIONS SIGNAL TIMES
//! ```
//!
//! SIGNAL is 0 on request, and the signal of the crash otherwise; TIMES is when earlier crashes were, or `-`.
//!
//! On request the new program first reads all of it in a child, so one that could not go on is not executed. Then the
//! state is written once more, at the end of a lap, when no child is between clone and exec: what only this program's
//! memory knows is not to be lost.

mod arrive;
mod held;
mod spare;

use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use sys::epoll::Interest;
use sys::handoff;
use sys::process::Worker;

use crate::hands::hold::Age;
use crate::init::{Init, Phase};

pub(crate) use arrive::{Arrival, check};
pub(crate) use spare::Spare;

/// The role's word on the command line.
pub(crate) const ROLE: &str = "@resume";
/// The same, for a child that only tries.
pub(crate) const CHECK: &str = "@resume-check";
/// How long the new program may take to read the state, and children to execute their programs, in milliseconds.
const PATIENCE: u64 = 5_000;
/// What the child says when all is well.
const FINE: &str = "fine";

/// A request under way, or what became of it.
#[derive(Debug)]
pub(crate) enum Reexec {
    /// The new program reads the state in a child.
    Trying {
        worker: Worker,
        said: Vec<u8>,
        due: u64,
    },
    /// It can read it. It takes over as soon as no child is in between.
    Ready { due: u64 },
    /// It was not to be.
    Failed(String),
    /// We are it, with so many units.
    Done(u32),
}

impl Reexec {
    /// When to look again at the latest.
    pub(crate) fn due(&self) -> Option<u64> {
        match self {
            Self::Trying { due, .. } | Self::Ready { due } => Some(*due),
            Self::Failed(_) | Self::Done(_) => None,
        }
    }
}

impl Init {
    /// Begins to become the program at our own path.
    ///
    /// # Errors
    /// Not now, or no process to be had; in words.
    pub(crate) fn begin_reexec(&mut self) -> Result<(), String> {
        if self.phase == Phase::Stopping {
            return Err("the system goes down".to_owned());
        }
        if let Some(Reexec::Trying { .. } | Reexec::Ready { .. }) = self.reexec {
            return Ok(());
        }
        let said = |error: sys::SysError| sys::chain(&error);
        let (state, definitions, _) = self.write_held()?;
        let numbers = [state.as_raw_fd(), definitions.as_raw_fd()];
        let program = self.program().to_owned();
        let worker = sys::process::fork_worker(move |output| {
            handoff::keep(&numbers);
            let [state, definitions] = numbers.map(|number| number.to_string());
            let mut command = Command::new(&program);
            command.args([CHECK, &state, &definitions]);
            let told = output.try_clone();
            let error = sys::process::become_program(&mut command, output);
            if let Ok(mut told) = told {
                use std::io::Write;
                told.write_all(sys::chain(&error).as_bytes()).ok();
            }
            1
        })
        .map_err(said)?;
        let epoll = self.all.hands.kernel.epoll();
        epoll
            .add(&worker.output, crate::init::SUCCESSOR, Interest::Read)
            .map_err(said)?;
        self.reexec = Some(Reexec::Trying {
            worker,
            said: Vec::new(),
            due: sys::timer::now().saturating_add(PATIENCE),
        });
        Ok(())
    }

    /// What became of the request; `None`: nothing yet.
    pub(crate) fn outcome_of_reexec(&self) -> Option<Result<u32, String>> {
        match &self.reexec {
            Some(Reexec::Trying { .. } | Reexec::Ready { .. }) => None,
            Some(Reexec::Failed(why)) => Some(Err(why.clone())),
            Some(Reexec::Done(units)) => Some(Ok(*units)),
            None => Some(Err("nobody has asked for it".to_owned())),
        }
    }

    /// After a lap: goes on with the request. Comes back unless we become another program.
    pub(crate) fn go_on_with_reexec(&mut self) {
        let now = sys::timer::now();
        if let Some(Reexec::Trying { .. }) = self.reexec {
            if let Some(Reexec::Trying { worker, said, due }) = self.reexec.take() {
                self.reexec = Some(self.try_on(worker, said, due, now));
            }
        }
        let Some(Reexec::Ready { due }) = self.reexec else {
            return self.tell_failure();
        };
        if !self.is_in_between() {
            let why = self.become_successor();
            self.reexec = Some(Reexec::Failed(why));
        } else if now >= due {
            let why = "a process does not get to execute its program; try again later";
            self.reexec = Some(Reexec::Failed(why.to_owned()));
        }
        self.tell_failure();
    }

    /// Once, to the log and to whoever asked.
    fn tell_failure(&mut self) {
        if let Some(Reexec::Failed(why)) = &self.reexec {
            let text = format!("cannot be executed anew: {why}");
            self.voice.shout(&text);
            self.answer_waiting();
            self.reexec = None;
        }
    }

    fn try_on(&mut self, mut worker: Worker, mut said: Vec<u8>, due: u64, now: u64) -> Reexec {
        let mut bytes = [0; 1024];
        let over = match worker.output.read(&mut bytes) {
            Ok(0) => true,
            Ok(length) => {
                said.extend_from_slice(bytes.get(..length).unwrap_or_default());
                said.len() > bytes.len()
            }
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if !over && now < due {
            return Reexec::Trying { worker, said, due };
        }
        self.all.hands.kernel.epoll().remove(&worker.output).ok();
        let said = String::from_utf8_lossy(&said).into_owned();
        let program = self.program();
        if over && said == FINE {
            return Reexec::Ready {
                due: now.saturating_add(PATIENCE),
            };
        }
        sys::process::signal(&worker.pidfd, 9).ok();
        Reexec::Failed(match (over, said.as_str()) {
            (false, _) => format!("{program} does not get to read the state"),
            (true, "") => format!("{program} died while it read the state"),
            (true, why) => format!("{program}: {why}"),
        })
    }

    /// Something under way is known to this program only.
    fn is_in_between(&self) -> bool {
        let hands = &self.all.hands;
        let waits = hands.kernel.is_flying() || hands.is_looking();
        let paths = self.watchers.is_in_between();
        waits || paths || self.is_reading() || self.timers.is_writing()
    }

    /// Comes back only with the reason why not.
    fn become_successor(&mut self) -> String {
        self.tell_news();
        self.flush_logs();
        self.all.hands.tidy(usize::MAX);
        // Closed by the exec they would hold it up.
        self.all.hands.kernel.let_go().ok();
        let (state, definitions, mut kept) = match self.write_held() {
            Ok(written) => written,
            Err(why) => return why,
        };
        let numbers = [state.as_raw_fd(), definitions.as_raw_fd()];
        kept.extend(numbers);
        let arguments = spare::arguments(numbers, 0, &self.crashes);
        let program = self.program().to_owned();
        match handoff::become_program(&program, &arguments, &kept) {
            Ok(never) => match never {},
            Err(error) => sys::chain(&error),
        }
    }

    /// State and definitions as files in memory, and all descriptors that the state names.
    fn write_held(&mut self) -> Result<(OwnedFd, OwnedFd, Vec<i32>), String> {
        let said = |error: sys::SysError| sys::chain(&error);
        let held = self.hold();
        let state = handoff::seal("rinit-state", &held.to_bytes()?).map_err(said)?;
        let bytes = self.definitions().to_bytes();
        let bytes = bytes.map_err(|why| why.to_string())?;
        let definitions = handoff::seal("rinit-definitions", &bytes).map_err(said)?;
        Ok((state, definitions, held.descriptors()))
    }
}

/// Whether a request for it or a crash made us go on.
fn age(signal: i32) -> Age {
    if signal == 0 { Age::Fresh } else { Age::Stale }
}
