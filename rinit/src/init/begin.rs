//! PID 1 begins: at boot, or in the place of another program.

use std::convert::Infallible;

use rootspec::held::Definitions;
use sys::epoll::Interest;
use sys::helper::Helper;
use sys::kernel::{Kernel, Linux};
use sys::power::{self, ThreeKeys};
use sys::signal::Signals;

use super::{Init, LOADER, PANIC, SIGNALS};
use crate::load::{self, Loaded, Loading};
use crate::reexec::Arrival;
use crate::shutdown::soft;
use crate::supervisor::Event;
use crate::voice::Voice;
use crate::{rescue, setup};

/// Boots. Comes back only if not even waiting is possible.
///
/// # Errors
/// No descriptors to be had for what the loop waits with.
pub(crate) fn run() -> sys::error::Result<Infallible> {
    let mut problems = Vec::new();
    // First of all, so that it works while we prepare the rest.
    let loading = Loading::start(load::Reuse::IfUnchanged);
    // Every service costs us half a dozen.
    if let Err(error) = sys::descriptors::raise() {
        problems.push(sys::chain(&error));
    }
    let signals = Signals::take_over()?;
    setup::mounts(&mut problems);
    setup::folders(&mut problems);
    let voice = Voice::open();
    hear_panics();
    let mut kernel = Linux::new()?;
    setup::hostname(&mut problems);
    setup::machine_id();
    // In a namespace that is not ours to decide.
    power::three_keys(ThreeKeys::TellInit).ok();
    let began = kernel.now();
    let loaded = match loading {
        Ok(loading) => wait_for_plan(&mut kernel, loading),
        Err(error) => Err(sys::chain(&error)),
    };
    let mut loaded = loaded.unwrap_or_else(|why| Loaded {
        kept: rescue::instead(&format!("the unit files could not be read: {why}")),
        unchanged: false,
    });
    // Not before: while we waited for the loader only, signals would have kept us awake.
    kernel.epoll().add(&signals, SIGNALS, Interest::Read)?;
    loaded.kept.plan.problems.append(&mut problems);
    let mut init = Init::new(kernel, signals, voice, loaded, began);
    prepare_for_crash(&mut init);
    init.begin(false);
    init.work()
}

/// Goes on where another program was, or this one before it crashed: in its place, with its children and descriptors. Comes
/// back only if not even waiting is possible.
///
/// # Errors
/// No descriptors to be had for what the loop waits with.
pub(crate) fn resume(arrival: &Arrival) -> sys::error::Result<Infallible> {
    let signals = Signals::take_over()?;
    hear_panics();
    let mut kernel = Linux::new()?;
    let began = kernel.now();
    let mut voice = Voice::open();
    let definitions = arrival.definitions();
    let whole = definitions.is_ok();
    let definitions = definitions.unwrap_or_else(|why| {
        voice.shout(&format!("the unit files are read anew: {why}"));
        let loaded = match Loading::start(load::Reuse::IfUnchanged) {
            Ok(loading) => wait_for_plan(&mut kernel, loading),
            Err(error) => Err(sys::chain(&error)),
        };
        let kept = loaded.map(|loaded| loaded.kept);
        Definitions {
            kept: kept.unwrap_or_else(|why| {
                rescue::instead(&format!("the unit files could not be read: {why}"))
            }),
            successors: Vec::new(),
        }
    });
    kernel.epoll().add(&signals, SIGNALS, Interest::Read)?;
    let loaded = Loaded {
        kept: definitions.kept,
        unchanged: false,
    };
    let mut init = Init::new(kernel, signals, voice, loaded, began);
    prepare_for_crash(&mut init);
    let successors = definitions.successors.into_iter().collect();
    init.arrive(arrival, successors, whole);
    // Whoever died meanwhile.
    init.children = true;
    init.guarded(Init::lap);
    init.work()
}

fn prepare_for_crash(init: &mut Init) {
    if let Err(error) = init.prepare_for_crash() {
        let text = sys::chain(&error);
        init.voice
            .shout(&format!("a crash would be the end: {text}"));
    }
}

/// Waits for the loader, and for it only, until its deadline.
fn wait_for_plan(kernel: &mut Linux, mut loading: Loading) -> Result<Loaded, String> {
    let said = |error: sys::SysError| sys::chain(&error);
    let deadline = kernel.now().saturating_add(load::DEADLINE);
    kernel
        .epoll()
        .add(&loading.worker.output, LOADER, Interest::Read)
        .map_err(said)?;
    let mut happenings = Vec::new();
    let answer = loop {
        if let Some(answer) = loading.poll() {
            break answer;
        }
        if kernel.now() >= deadline {
            sys::process::signal(&loading.worker.pidfd, 9).ok();
            break Err("rinit-plan hangs; it was killed".to_owned());
        }
        kernel.set_timer(Some(deadline)).map_err(said)?;
        kernel.wait(&mut happenings).map_err(said)?;
    };
    kernel.epoll().remove(&loading.worker.output).ok();
    answer
}

/// Keeps the text of a panic for our log instead of printing it, which could block.
fn hear_panics() {
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        PANIC.with(|place| {
            if let Ok(mut place) = place.try_borrow_mut() {
                *place = text;
            }
        });
    }));
}

impl Init {
    /// Opens all sockets, says what is wrong with the plan, and wants the default group up. `found`: what runs already is
    /// taken over.
    pub(crate) fn begin(&mut self, found: bool) {
        if let Err(why) = self.all.hands.kernel.cgroups() {
            let text = format!("services run without cgroups: {why}");
            self.voice.shout(&text);
        }
        if let Some(Err(error)) = self.kernel().helper().map(Helper::fd) {
            let text = sys::chain(&error);
            self.voice
                .shout(&format!("{text}; units that need it do not start"));
        }
        if let Err(error) = self.control.open(&mut self.all.hands.kernel) {
            let text = sys::chain(&error);
            self.voice.shout(&text);
        }
        let plan = self.all.core.plan();
        for problem in &plan.problems {
            self.voice.shout(problem);
        }
        let (units, group) = (plan.units.len(), plan.find(&self.settings.default_group));
        self.all.hands.listen(plan);
        if let Some(left) = soft::carried() {
            let left = left.unwrap_or_else(|why| {
                let text =
                    format!("what units have left in their descriptor stores is lost: {why}");
                self.voice.shout(&text);
                Vec::new()
            });
            self.all.hands.take_left(plan, left);
        }
        self.watch_over(false);
        self.all.handle(Event::Loaded);
        self.begin_timers();
        self.adopt_paths();
        if found {
            let mut inbox = std::collections::VecDeque::new();
            self.find_everything(&mut inbox);
            for event in inbox {
                self.all.handle(event);
            }
        }
        self.voice.shout(&format!(
            "version {} starts the group {} of {} units{}",
            env!("CARGO_PKG_VERSION"),
            self.settings.default_group,
            units,
            if self.unchanged {
                ", by the plan that was kept"
            } else {
                ""
            }
        ));
        if let Some(group) = group {
            self.all.handle(Event::Start(group));
        }
        self.lap();
    }
}
