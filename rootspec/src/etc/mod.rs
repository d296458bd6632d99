//! Merging `/etc` of a deployment: what the boot stage does at a snapshot's first boot, and `rootctl` foretells. Pure: the
//! trees are listed, compared and changed elsewhere.
//!
//! | open | for |
//! |---|---|
//! | `stamp` | what is known of a file at a glance |
//! | `merge` | the decision: what changes from the old `/etc` to the new one |
//! | `accounts` | merging `passwd` and its kin line by line |

pub mod accounts;
pub mod merge;
pub mod stamp;
