//! How a boot ends.

use serde::{Deserialize, Serialize};
use sys::power::End;

/// What comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// The machine starts again, through firmware and loader.
    Reboot,
    /// It is switched off.
    PowerOff,
    /// It stands still and stays on.
    Halt,
    /// The kernel that was loaded beforehand (`kexec_file_load(2)`).
    Kexec,
    /// The same kernel, with the root at [`super::soft::NEXT`].
    Soft,
}

const ALL: [How; 5] = [How::Reboot, How::PowerOff, How::Halt, How::Kexec, How::Soft];

impl How {
    /// Its word in requests, and for the shutdown stage.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Halt => "halt",
            Self::Kexec => "kexec",
            Self::Soft => "soft-reboot",
        }
    }

    /// The way back from [`Self::word`].
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        ALL.into_iter().find(|how| how.word() == word)
    }

    /// What is said when it begins.
    pub(crate) fn doing(self) -> &'static str {
        match self {
            Self::Reboot => "rebooting",
            Self::PowerOff => "switching off",
            Self::Halt => "halting",
            Self::Kexec => "starting the loaded kernel",
            Self::Soft => "starting the next root",
        }
    }

    /// What the kernel is asked for. A root that cannot be started is left by a reboot: something must happen.
    pub(crate) fn machine(self) -> End {
        match self {
            Self::Reboot | Self::Soft => End::Reboot,
            Self::PowerOff => End::PowerOff,
            Self::Halt => End::Halt,
            Self::Kexec => End::Kexec,
        }
    }
}

/// Signals as commands, as systemd has them from `SIGRTMIN` on (34 in its C library); true: at once, without waiting for
/// anybody.
pub(crate) fn of_signal(number: i32) -> Option<(How, bool)> {
    Some(match number.checked_sub(34)? {
        3 => (How::Halt, false),
        4 => (How::PowerOff, false),
        5 => (How::Reboot, false),
        6 => (How::Kexec, false),
        7 => (How::Soft, false),
        13 => (How::Halt, true),
        14 => (How::PowerOff, true),
        15 => (How::Reboot, true),
        16 => (How::Kexec, true),
        17 => (How::Soft, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_others_are_none() {
        for how in ALL {
            assert_eq!(How::of_word(how.word()), Some(how));
        }
        assert_eq!(How::of_word("explode"), None);
    }

    #[test]
    fn signals_mean_what_they_mean_elsewhere() {
        assert_eq!(of_signal(38), Some((How::PowerOff, false)));
        assert_eq!(of_signal(49), Some((How::Reboot, true)));
        assert_eq!(
            (of_signal(15), of_signal(34), of_signal(64)),
            (None, None, None)
        );
    }
}
