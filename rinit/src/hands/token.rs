//! The numbers that descriptors are watched under: what it is in the upper half, whose it is in the lower.

use crate::supervisor::UnitId;

/// What is watched of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// How the start of its main process went.
    Main = 1,
    /// How the start of a helper went.
    Helper,
    /// The pipe it tells its readiness by.
    Ready,
    /// The socket it tells its readiness by.
    Notify,
    /// Its cgroup.
    Group,
    /// A socket that starts it.
    Socket,
    /// Answers about its conditions.
    Look,
    /// A main process that we did not start.
    Gone,
    /// How the start of an asker went.
    Asker,
    /// A descriptor that it left for its next run.
    Stored,
}

/// First upper half that is free for others.
pub(crate) const OTHERS: u64 = 16 << 32;

pub(crate) fn token(kind: Kind, unit: UnitId) -> u64 {
    (u64::from(kind as u32) << 32) | u64::from(unit)
}

/// Takes a number apart; `None`: it is none of a unit.
pub(crate) fn split(token: u64) -> Option<(Kind, UnitId)> {
    let kind = match token >> 32 {
        1 => Kind::Main,
        2 => Kind::Helper,
        3 => Kind::Ready,
        4 => Kind::Notify,
        5 => Kind::Group,
        6 => Kind::Socket,
        7 => Kind::Look,
        8 => Kind::Gone,
        9 => Kind::Asker,
        10 => Kind::Stored,
        _ => return None,
    };
    let unit = u32::try_from(token & u64::from(u32::MAX)).ok()?;
    Some((kind, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_as_what_it_was_made_of() {
        let kinds = [
            Kind::Main,
            Kind::Helper,
            Kind::Ready,
            Kind::Notify,
            Kind::Group,
            Kind::Socket,
            Kind::Look,
            Kind::Gone,
            Kind::Asker,
            Kind::Stored,
        ];
        for kind in kinds {
            assert_eq!(split(token(kind, 77)), Some((kind, 77)));
        }
        assert_eq!((split(OTHERS), split(u64::MAX)), (None, None));
    }
}
