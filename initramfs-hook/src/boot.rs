//! The order of a boot, from the found device to the complete tree; shared by PID 1 and by the helper of other
//! initramfs generators.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::cmdline::Mode;
use rootspec::meta::Meta;
use rootspec::paths::run;
use rootspec::report::BootReport;

use crate::assemble::{Job, assemble};
use crate::attempt::{self, Entry};
use crate::device::Root;
use crate::disarm::{self, Menu};
use crate::find::{self, Wanted};
use crate::say::Voice;
use crate::select::{self, Candidate, Choice, Refusal, Settled, Situation};
use crate::stage::Stage;
use crate::store::Store;

/// Why a boot ended here.
#[derive(Debug)]
pub struct Failure {
    /// The cause.
    pub error: anyhow::Error,
    /// What was refused on the way.
    pub refused: Vec<String>,
    /// True when it was a counted try: then the way back is a reboot.
    pub trial: bool,
}

/// A complete tree.
#[derive(Debug)]
pub struct Ready {
    /// The program to hand over to.
    pub init: PathBuf,
    /// True on a counted try.
    trial: bool,
    /// On a counted try, where its failure is written down.
    record: Option<(Store, SnapshotId)>,
}

impl Ready {
    /// The program could not take over: on a counted try that is recorded.
    #[must_use]
    pub fn failed(self, error: anyhow::Error, voice: &mut Voice) -> Failure {
        if let Some((mut store, id)) = self.record {
            attempt::record_failure(&mut store, id, &sys::chain(error.as_ref()), voice);
        }
        Failure {
            error,
            refused: Vec::new(),
            trial: self.trial,
        }
    }
}

/// From waiting for the device to the complete tree at `target` and the boot report.
///
/// # Errors
/// Nothing can be booted; a counted try was recorded as far as that went.
pub fn build(stage: &mut Stage, target: &Path) -> Result<Ready, Failure> {
    // Before anything that can hang: from here on a reset leads to the good snapshot.
    let menu = disarm::on_arrival(stage, stage.deadline());
    stage.pause_before("root");
    // The command line alone says until then whether this is a counted try.
    let (trial, refusal) = (
        stage.line.is_counted_try(),
        menu.refusal().map(str::to_owned),
    );
    let early = |error| Failure {
        error,
        refused: refusal.clone().into_iter().collect(),
        trial,
    };
    let root = find_root(stage).map_err(early)?;
    let found_ms = sys::clock::since_boot_ms();
    let opened = Store::open(&root, stage.line.degraded, &mut stage.voice);
    let mut store = opened.map_err(early)?;
    stage.pause_before("select");
    let done = enter(stage, &mut store, target, menu)?;
    let report = report(stage, &root, &done, found_ms);
    // A boot without its report is poorer, and still a boot.
    if let Err(error) = write_report(&report) {
        stage.voice.warn(format!("no boot report: {error:#}"));
    }
    // Without it rinit reads the unit files.
    if let Err(error) = store.pass_plan_on(done.choice.id) {
        stage
            .voice
            .warn(format!("the boot plan is not used: {error:#}"));
    }
    let took = report.assembled_ms.saturating_sub(stage.started_ms);
    stage.voice.note(&format!(
        "snapshot {} on {} in mode {} after {took} ms: {}",
        done.choice.id,
        root.node.display(),
        done.settled.mode,
        done.choice.reason
    ));
    store.hide();
    let counted = done.entry != Entry::Ordinary;
    Ok(Ready {
        trial: counted || stage.line.is_counted_try(),
        record: counted.then_some((store, done.choice.id)),
        init: done.init,
    })
}

/// Loads what is on the list while the device is looked for. The file system's own modules take longest and depend on
/// no device, so they load beside the rest.
fn find_root(stage: &mut Stage) -> Result<Root> {
    let wanted = Wanted {
        device: stage.line.root.clone(),
        deadline: stage.deadline(),
        degraded: stage.line.degraded,
    };
    let file_systems: &[_] = match stage.line.mode {
        Mode::Tmpfs { .. } | Mode::Image => &["btrfs", "overlay"],
        Mode::Ro | Mode::Persist(_) | Mode::Rw => &["btrfs"],
    };
    let (loader, voice) = (&stage.loader, &mut stage.voice);
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new();
        let load = || loader.load_file_systems(file_systems);
        let beside = thread.spawn_scoped(threads, load);
        let at_once = loader.table().wanted_at_once().iter();
        let mut problems: Vec<String> = at_once.flat_map(|name| loader.load(name)).collect();
        let root = find::find(&wanted, loader, voice);
        problems.extend(match beside {
            Ok(thread) => thread.join().unwrap_or_default(),
            Err(_no_thread) => load(),
        });
        problems.into_iter().for_each(|problem| voice.warn(problem));
        root
    })
}

/// A boot that worked out.
struct Done {
    choice: Choice,
    settled: Settled,
    entry: Entry,
    init: PathBuf,
    assembled_ms: u64,
}

/// Tries the snapshots in the order of retreat. A counted try has no retreat here: it ends in a reboot, because the
/// loader's default is the good snapshot with its own kernel.
fn enter(stage: &mut Stage, store: &mut Store, target: &Path, menu: Menu) -> Result<Done, Failure> {
    let wish = select::wish(stage.line.snap, store.state());
    let stuck = menu.refusal().map(str::to_owned);
    let entry = match wish.filter(|_| stage.line.count) {
        Some(id) => count(stage, store, id, &menu)?,
        None => Entry::Ordinary,
    };
    // The ESP need not stay mounted any longer.
    drop(menu);
    let release = sys::clock::kernel_release();
    let mode = stage.line.mode.clone();
    let mut candidates: Vec<Candidate> = wish
        .map(|id| store.candidate(id, &mode))
        .into_iter()
        .collect();
    let mut complete = false;
    let stuck = wish.zip(stuck).map(|(id, why)| Refusal { id, why });
    let mut refused: Vec<Refusal> = stuck.into_iter().collect();
    loop {
        let situation = Situation {
            request: stage.line.snap,
            state: store.state(),
            release: &release,
            candidates: &candidates,
            refused: &refused,
        };
        let choice = select::select(&situation);
        let lost = choice.as_ref().is_none_or(|choice| choice.degraded);
        if let (Entry::Try { .. }, Some(id), true) = (entry, wish, lost) {
            let refusals = select::refusals(&situation);
            return Err(give_up_trial(stage, store, id, &refusals));
        }
        match choice {
            None if complete => {
                return Err(Failure {
                    error: anyhow::anyhow!("no snapshot can be started with kernel {release}"),
                    refused: select::refusals(&situation),
                    trial: stage.line.is_counted_try(),
                });
            }
            None => {
                candidates = store.candidates(&mode);
                complete = true;
            }
            Some(choice) => match try_one(stage, store, &candidates, choice.clone(), target) {
                Ok((choice, settled, init)) => {
                    return Ok(Done {
                        choice,
                        settled,
                        entry,
                        init,
                        assembled_ms: sys::clock::since_boot_ms(),
                    });
                }
                Err(error) => {
                    let why = sys::chain(error.as_ref());
                    let words = format!("snapshot {} was refused: {why}", choice.id);
                    stage.voice.note(&words);
                    refused.push(Refusal { id: choice.id, why });
                }
            },
        }
    }
}

fn count(
    stage: &mut Stage,
    store: &mut Store,
    id: SnapshotId,
    menu: &Menu,
) -> Result<Entry, Failure> {
    match attempt::enter(store, id, &boot_id(), stage.line.trial) {
        Ok(entry) => {
            menu.arm_next(entry, stage);
            Ok(entry)
        }
        Err(error) => Err(Failure {
            error,
            refused: Vec::new(),
            trial: true,
        }),
    }
}

fn give_up_trial(stage: &mut Stage, store: &mut Store, id: SnapshotId, why: &[String]) -> Failure {
    let reason = why.join("; ");
    attempt::record_failure(store, id, &reason, &mut stage.voice);
    Failure {
        error: anyhow::anyhow!("{reason}"),
        refused: Vec::new(),
        trial: true,
    }
}

/// Puts the chosen snapshot together. When only the writable root over it fails, the snapshot itself still boots.
fn try_one(
    stage: &mut Stage,
    store: &Store,
    candidates: &[Candidate],
    mut choice: Choice,
    target: &Path,
) -> Result<(Choice, Settled, PathBuf)> {
    let meta = candidates
        .iter()
        .find(|candidate| candidate.id == choice.id)
        .and_then(|candidate| candidate.meta.as_ref())
        .ok_or_else(|| anyhow::anyhow!("its meta file is unreadable"))?;
    let safe = select::retreat_mode(&stage.line.mode);
    if choice.degraded {
        return in_mode(stage, store, meta, &safe, target).map(|(how, init)| (choice, how, init));
    }
    let asked = stage.line.mode.clone();
    match in_mode(stage, store, meta, &asked, target) {
        Err(error) if matches!(asked, Mode::Persist(_)) && !on_trial(store, meta.id) => {
            let why = sys::chain(error.as_ref());
            stage.voice.warn(format!("mode {asked} was refused: {why}"));
            let (settled, init) = in_mode(stage, store, meta, &safe, target)?;
            choice.degraded = true;
            choice.reason = format!("{}, but mode {asked} was refused: {why}", choice.reason);
            Ok((choice, settled, init))
        }
        result => result.map(|(settled, init)| (choice, settled, init)),
    }
}

fn on_trial(store: &Store, id: SnapshotId) -> bool {
    let trial = store.state().and_then(|state| state.trial.as_ref());
    trial.is_some_and(|trial| trial.id == id)
}

fn in_mode(
    stage: &mut Stage,
    store: &Store,
    meta: &Meta,
    mode: &Mode,
    target: &Path,
) -> Result<(Settled, PathBuf)> {
    let settled = select::settle(mode, meta, store.state()).map_err(anyhow::Error::msg)?;
    if let Some(warning) = &settled.warning {
        stage.voice.warn(warning.clone());
    }
    stage.pause_before("assemble");
    let job = Job {
        store,
        line: &stage.line,
        meta,
        layout: &settled.layout,
        release: &sys::clock::kernel_release(),
        target,
    };
    let init = assemble(&job, &stage.loader, &mut stage.voice)?;
    Ok((settled, init))
}

fn boot_id() -> String {
    let text = sys::fs::read_text("/proc/sys/kernel/random/boot_id", 128);
    text.unwrap_or_default().trim().to_owned()
}

fn report(stage: &Stage, root: &Root, done: &Done, found_ms: u64) -> BootReport {
    let (try_number, tries_max) = match done.entry {
        Entry::Ordinary => (None, None),
        Entry::Try { number, max } => (Some(number), Some(max)),
    };
    let asked = match stage.line.snap {
        Some(rootspec::cmdline::SnapshotRequest::Id(id)) => Some(id),
        Some(_) | None => None,
    };
    BootReport {
        schema: BootReport::SCHEMA,
        snapshot: Some(done.choice.id),
        requested: asked.filter(|id| *id != done.choice.id),
        mode: done.settled.mode.to_string(),
        reason: done.choice.reason.clone(),
        degraded: done.choice.degraded,
        try_number,
        tries_max,
        root_uuid: root.uuid.clone(),
        root_device: Some(root.node.display().to_string()),
        boot_id: boot_id(),
        started_ms: stage.started_ms,
        found_ms,
        assembled_ms: done.assembled_ms,
        warnings: stage.voice.warnings().to_vec(),
    }
}

fn write_report(report: &BootReport) -> Result<()> {
    let path = Path::new(run::BOOT_REPORT);
    if let Some(dir) = path.parent() {
        sys::fs::make_dir(dir, 0o755)?;
    }
    // In memory: nothing to sync, and no reader yet.
    Ok(std::fs::write(path, report.to_toml()?)?)
}
