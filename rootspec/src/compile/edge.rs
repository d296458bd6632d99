//! What a unit's file says about other units.

use std::ops::Range;

use crate::UnitName;
use crate::plan::TieKind;
use crate::units::UnitFile;

/// Another unit, and the place where it is named.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) says: Says,
    pub(super) to: UnitName,
    /// Absent: somebody else's file says it.
    pub(super) span: Option<Range<usize>>,
}

/// The key that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Needs,
    Wants,
    Milestone,
    PreparedBy,
    RequiresActive,
    BoundTo,
    PartOf,
    Upholds,
    Conflicts,
    After,
    Before,
    SoftAfter,
    ReloadWith,
    OnFailure,
    OnSuccess,
    Times,
    Watches,
}

impl Says {
    /// It stands between two names: "a needs b".
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Needs => "needs",
            Self::Wants => "wants",
            Self::Milestone => "has the milestone",
            Self::PreparedBy => "is prepared by",
            Self::RequiresActive => "requires",
            Self::BoundTo => "is bound to",
            Self::PartOf => "is part of",
            Self::Upholds => "upholds",
            Self::Conflicts => "conflicts with",
            Self::After => "is after",
            Self::Before => "is before",
            Self::SoftAfter => "is softly after",
            Self::ReloadWith => "reloads with",
            Self::OnFailure => "on failure starts",
            Self::OnSuccess => "on success starts",
            Self::Times => "has a timer for",
            Self::Watches => "watches paths for",
        }
    }

    /// Without the other one this one cannot be.
    pub(super) fn is_hard(self) -> bool {
        self.is_need() || matches!(self, Self::Milestone | Self::RequiresActive)
    }

    /// Without the other one this one makes no sense.
    pub(super) fn is_vital(self) -> bool {
        self.is_hard() || matches!(self, Self::Times | Self::Watches)
    }

    /// The plan's needs.
    pub(super) fn is_need(self) -> bool {
        matches!(self, Self::Needs | Self::PreparedBy | Self::BoundTo)
    }

    /// The other one comes first.
    pub(super) fn is_later(self) -> bool {
        self.is_hard() || matches!(self, Self::Wants | Self::After | Self::SoftAfter)
    }

    /// The plan's orders.
    pub(super) fn is_order(self) -> bool {
        self.is_later() && !self.is_need() && self != Self::Wants
    }

    /// The other one is started for it, now or later.
    pub(super) fn starts(self) -> bool {
        self.is_need()
            || matches!(self, Self::Wants | Self::Times | Self::Watches)
            || self.tie().is_some_and(TieKind::starts)
    }

    /// The plan's tie.
    pub(super) fn tie(self) -> Option<TieKind> {
        match self {
            Self::Milestone => Some(TieKind::Milestone),
            Self::RequiresActive => Some(TieKind::Requires),
            Self::BoundTo | Self::PartOf => Some(TieKind::Follows),
            Self::PreparedBy => Some(TieKind::Prepared),
            Self::Upholds => Some(TieKind::Upholds),
            Self::Conflicts => Some(TieKind::Conflicts),
            Self::ReloadWith => Some(TieKind::Reloads),
            Self::OnFailure => Some(TieKind::OnFailure),
            Self::OnSuccess => Some(TieKind::OnSuccess),
            Self::Needs
            | Self::Wants
            | Self::After
            | Self::Before
            | Self::SoftAfter
            | Self::Times
            | Self::Watches => None,
        }
    }
}

/// Everything one file says.
pub(super) fn edges(file: &UnitFile) -> Vec<Edge> {
    let deps = &file.deps;
    let watched: Vec<_> = file.path.iter().filter_map(|p| p.unit.clone()).collect();
    let timed: Vec<_> = file.timer.iter().filter_map(|t| t.unit.clone()).collect();
    [
        (Says::Needs, &deps.needs),
        (Says::Wants, &deps.wants),
        (Says::Milestone, &deps.milestone),
        (Says::PreparedBy, &deps.prepared_by),
        (Says::RequiresActive, &deps.requires_active),
        (Says::BoundTo, &deps.bound_to),
        (Says::PartOf, &deps.part_of),
        (Says::Upholds, &deps.upholds),
        (Says::Conflicts, &deps.conflicts),
        (Says::After, &deps.after),
        (Says::Before, &deps.before),
        (Says::SoftAfter, &deps.soft_after),
        (Says::ReloadWith, &deps.reload_with),
        (Says::OnFailure, &file.on.failure),
        (Says::OnSuccess, &file.on.success),
        (Says::Times, &timed),
        (Says::Watches, &watched),
    ]
    .into_iter()
    .flat_map(|(says, names)| {
        names.iter().map(move |name| Edge {
            says,
            to: name.get_ref().clone(),
            span: Some(name.span()),
        })
    })
    .collect()
}
