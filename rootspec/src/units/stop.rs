//! `[stop]`: how a unit is stopped.

use serde::{Deserialize, Serialize};

use super::attributes::told_value;
use super::{Millis, Signal};
use crate::plan::LastSignal;

/// `[stop]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// The signal that asks it to end.
    pub signal: Signal,
    /// How long it may take before it is killed.
    pub timeout: Millis,
    /// Who gets the signal and who is killed.
    pub kill: Kill,
    /// What it gets after the timeout.
    pub final_signal: FinalSignal,
    /// SIGHUP follows the signal, for shells and what has their manners.
    pub hup: bool,
    /// What comes first after the timeout.
    pub on_timeout: OnTimeout,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            signal: Signal::TERM,
            timeout: Millis(20_000),
            kill: Kill::Cgroup,
            final_signal: FinalSignal(LastSignal::Kill),
            hup: false,
            on_timeout: OnTimeout::Kill,
        }
    }
}

/// Who is signalled and killed when a unit stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kill {
    /// All of its processes get the signal; what is left is killed.
    Cgroup,
    /// The main process gets the signal; what is left is killed.
    Mixed,
    /// The process group of the main process only; others may outlive it.
    Group,
    /// The main process only; others may outlive it.
    Main,
}

impl Kill {
    /// Others than the main process and its like may outlive the stop.
    #[must_use]
    pub fn spares_others(self) -> bool {
        match self {
            Self::Cgroup | Self::Mixed => false,
            Self::Group | Self::Main => true,
        }
    }
}

/// What comes first when it has not ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// The final signal.
    Kill,
    /// SIGABRT to the main process, which may leave a core dump; then the final signal.
    Abort,
}

/// The signal after which nothing is expected any more: a signal's name, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalSignal(pub LastSignal);

fn final_signal(text: &str) -> Result<FinalSignal, String> {
    let signal = match super::value::parse_signal(text) {
        Some(9) => LastSignal::Kill,
        Some(number) => LastSignal::Other(number),
        None if text == "none" => LastSignal::Nothing,
        None => {
            return Err(format!(
                "expected a signal such as \"KILL\" or \"QUIT\", or \"none\", found {text:?}"
            ));
        }
    };
    Ok(FinalSignal(signal))
}
told_value!(FinalSignal, final_signal);
