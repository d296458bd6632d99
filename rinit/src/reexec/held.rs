//! Everything that PID 1 knows beside its plan, as one value.

use rootspec::held::{Definitions, state_from_bytes, state_to_bytes};
use rootspec::kept::Kept;
use rootspec::plan::Recourse;
use serde::{Deserialize, Serialize};

use crate::confirm::Confirmation;
use crate::control::HeldControl;
use crate::gate::{Gate, Verdict};
use crate::hands::hold::{Fd, HeldRun};
use crate::init::{Init, Phase, Times};
use crate::logs::HeldLogs;
use crate::shutdown::Shutdown;
use crate::supervisor::{HeldCore, UnitId};
use crate::watch::HeldWatchers;

/// See the module. A field that an older program did not write has its default.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Version of the program that wrote it, for people.
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) core: HeldCore,
    #[serde(default)]
    pub(crate) runs: Vec<HeldRun>,
    pub(crate) phase: Phase,
    pub(crate) verdict: Verdict,
    pub(crate) times: Times,
    pub(crate) gate: Gate<UnitId>,
    #[serde(default)]
    pub(crate) confirming: Option<Confirmation>,
    /// What makes the boot that is being confirmed degraded.
    #[serde(default)]
    pub(crate) flaws: Vec<String>,
    #[serde(default)]
    pub(crate) rejecting: Option<u64>,
    /// What a unit asked for, and is not done.
    #[serde(default)]
    pub(crate) call: Option<(String, Recourse, String)>,
    #[serde(default)]
    pub(crate) shutdown: Option<Shutdown>,
    #[serde(default)]
    pub(crate) staged: bool,
    /// Last argument of the unit `boot-bad`.
    #[serde(default)]
    pub(crate) reasons: String,
    #[serde(default)]
    pub(crate) control: HeldControl,
    #[serde(default)]
    pub(crate) logs: HeldLogs,
    #[serde(default)]
    pub(crate) watchers: HeldWatchers,
    #[serde(default)]
    pub(crate) voice: Option<(Fd, Fd)>,
    /// The program `rinit-helper` that goes with the program that wrote this.
    #[serde(default)]
    pub(crate) helper: Option<Fd>,
}

impl Held {
    /// The form in which it is handed over.
    ///
    /// # Errors
    /// Only if the encoder fails.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let json = serde_json::to_vec(self).map_err(|why| why.to_string())?;
        Ok(state_to_bytes(&json))
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is damaged, or of a kind that we do not know; in words.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let json = state_from_bytes(bytes).map_err(|why| why.to_string())?;
        serde_json::from_slice(json).map_err(|why| format!("the state cannot be read: {why}"))
    }

    /// All descriptors that it names.
    pub(crate) fn descriptors(&self) -> Vec<i32> {
        let runs = self.runs.iter().flat_map(HeldRun::descriptors);
        let voice = self.voice.iter().flat_map(|(read, write)| [*read, *write]);
        let own = self.logs.descriptors().chain(voice);
        let own = own.chain(self.watchers.descriptors()).chain(self.helper);
        let all = runs.chain(self.control.descriptors());
        all.chain(own.map(|fd| fd.0)).collect()
    }
}

impl Init {
    /// Everything to go on from, at the end of a lap.
    pub(super) fn hold(&self) -> Held {
        let core = &self.all.core;
        Held {
            version: crate::init::VERSION.to_owned(),
            core: core.hold(),
            runs: self.all.hands.hold(|unit| &core.unit(unit).name),
            phase: self.phase,
            verdict: self.verdict.clone(),
            times: self.times,
            gate: self.gate.clone(),
            confirming: self.confirming.clone(),
            flaws: self.flaws.clone(),
            rejecting: self.rejecting,
            call: self.recourse.as_ref().map(|recourse| {
                let call = recourse.call();
                let name = core.unit(call.unit).name.to_string();
                (name, call.recourse, call.why.clone())
            }),
            shutdown: self.shutdown.clone(),
            staged: self.staged,
            reasons: self.all.hands.verdict.clone(),
            control: self.control.hold(),
            logs: self.logs.hold(),
            watchers: self.watchers.hold(),
            voice: self.voice.hold(),
            helper: self.all.hands.kernel.helper().and_then(|helper| {
                let fd = helper.fd().ok()?;
                Some(Fd::of(fd))
            }),
        }
    }

    /// The definitions we go by.
    pub(super) fn definitions(&self) -> Definitions {
        let core = &self.all.core;
        let successors = core.successors();
        Definitions {
            kept: Kept {
                settings: self.settings.clone(),
                plan: core.plan().clone(),
            },
            successors: successors
                .map(|(unit, next)| (unit, next.clone()))
                .collect(),
        }
    }
}
