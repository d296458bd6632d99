//! Edit sessions: a shell in a writable copy of a snapshot. The snapshot itself is never touched; what was done stays until
//! the person keeps it as a new snapshot or drops it, whatever happens to shell, terminal, client and broker meanwhile.
//!
//! | open | for |
//! |---|---|
//! | `copy` | the copy: made, and published; `rootctl run` has the same |
//! | `shell` | beginning a session or going on with it |
//! | `inside` | the programs in it: started, watched, ended with the person's line |
//! | `keep` | a session becomes a snapshot |
//! | `discard` | sessions are thrown away |
//! | `show` | what sessions there are |
//! | `store::edits` | how they lie on the disk |

pub(crate) mod copy;
mod discard;
mod inside;
mod keep;
mod shell;
mod show;

pub(crate) use discard::discard;
pub(crate) use inside::enter;
pub(crate) use keep::keep;
pub(crate) use shell::{begin, plan};
pub(crate) use show::{all, one};
