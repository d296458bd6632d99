//! Trees of files: copied with everything that belongs to them, unpacked from a tar, added to `/var` where it lacks
//! something.
//!
//! | open | for |
//! |---|---|
//! | `add` | what a live tree lacks: made apart, then moved into place |
//! | `copy` | a folder with all below it: owners, modes, times, attributes, hard links |
//! | `unpack` | a tar, plain or compressed |
//! | `seed` | what a snapshot's `/var` has and the shared one lacks |

pub(crate) mod add;
pub(crate) mod copy;
pub(crate) mod seed;
#[cfg(test)]
pub(crate) mod testdir;
pub(crate) mod unpack;
