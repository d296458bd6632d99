//! The live `/etc` of deployments: what was changed in it, what its next merge means, and putting it back.
//!
//! | open | for |
//! |---|---|
//! | `trees` | which `/etc` is meant; what a snapshot ships; listing and comparing |
//! | `changes` | what was changed in one |
//! | `merge` | what a first boot will merge, and merging by hand |
//! | `apply` | carrying out the steps of a merge |
//! | `restore` | single paths as the snapshot ships them |
//! | `save` | a new snapshot that ships the live `/etc` |
//!
//! The decision of a merge is that of the boot stage: `rootspec::etc`.

mod apply;
mod changes;
mod merge;
mod restore;
mod save;
mod trees;

pub(crate) use apply::apply;
pub(crate) use changes::changes;
pub(crate) use merge::{foretell, merge};
pub(crate) use restore::restore;
pub(crate) use save::save;
pub(crate) use trees::{Three, Tree};
