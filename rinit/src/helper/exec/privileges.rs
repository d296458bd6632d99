//! The last steps: what the program may be and do.

use rootspec::setup::Sandbox;
use sys::privilege::{self, Note};
use sys::process::Ids;

use super::{Step, about};

/// Gives up capabilities and becomes the user, with what it keeps.
pub(super) fn become_user(ids: Option<&Ids>, sandbox: &Sandbox) -> Step {
    let told = |key: &'static str| move |error: sys::SysError| about(key, &error);
    if sandbox.secure_bits != 0 {
        privilege::secure_bits(sandbox.secure_bits).map_err(told("[sandbox] securebits"))?;
    }
    if let Some(mask) = sandbox.bounding {
        privilege::bound_to(mask).map_err(told("[sandbox] caps"))?;
    }
    match (ids, sandbox.ambient) {
        (None, 0) => Ok(()),
        (Some(ids), 0) => sys::executor::become_user(ids).map_err(told("[exec] user")),
        (ids, ambient) => {
            privilege::become_user_with(ids, ambient).map_err(told("[sandbox] ambient"))
        }
    }
}

/// Closes the door behind us: after this only what the filter allows is possible, so the program must follow.
pub(super) fn close(sandbox: &Sandbox) -> Step {
    if sandbox.no_new_privs {
        privilege::no_new_privileges().map_err(|error| about("[sandbox] no_new_privs", &error))?;
    }
    let Some(filter) = &sandbox.filter else {
        return Ok(());
    };
    let note = if filter.log {
        Note::Refused
    } else {
        Note::Nothing
    };
    privilege::filter_calls(&filter.program, note)
        .map_err(|error| about("[sandbox.seccomp]", &error))
}
