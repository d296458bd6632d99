//! What a unit's end means for the system as a whole.

use serde::{Deserialize, Serialize};

/// `on.failure_action` and `on.success_action`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recourse {
    /// Nothing.
    #[default]
    None,
    /// The machine starts again.
    Reboot,
    /// It is switched off.
    Poweroff,
    /// Everything stops but a login on the console.
    Rescue,
    /// The next root is started by the same kernel.
    SoftReboot,
    /// The snapshot that was good before becomes the default, and the machine starts again.
    Rollback,
}

impl Recourse {
    /// Its word in unit files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reboot => "reboot",
            Self::Poweroff => "poweroff",
            Self::Rescue => "rescue",
            Self::SoftReboot => "soft-reboot",
            Self::Rollback => "rollback",
        }
    }
}

/// `restart.on_limit`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLimit {
    /// The unit has failed, and nothing else.
    #[default]
    Fail,
    /// The machine starts again.
    Reboot,
    /// It is switched off.
    Poweroff,
    /// Everything stops but a login on the console.
    Rescue,
    /// The snapshot that was good before becomes the default, and the machine starts again.
    Rollback,
}

impl From<OnLimit> for Recourse {
    fn from(from: OnLimit) -> Self {
        match from {
            OnLimit::Fail => Self::None,
            OnLimit::Reboot => Self::Reboot,
            OnLimit::Poweroff => Self::Poweroff,
            OnLimit::Rescue => Self::Rescue,
            OnLimit::Rollback => Self::Rollback,
        }
    }
}
