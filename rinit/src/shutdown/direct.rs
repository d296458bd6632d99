//! The end of the machine where the orderly way fails: nothing is unmounted, but it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sys::console::Consoles;
use sys::power;
use sys::process;

use super::How;

/// Writing what is in memory to the disks, in milliseconds.
const SYNC: u64 = 20_000;

/// Takes the orderly way, which does not come back. If it does, by a fault of ours or because it was refused, the other.
pub(crate) fn surely(orderly: impl FnOnce(), direct: impl FnOnce()) {
    // The text of a panic is with the hook; what matters now is that the machine ends.
    catch_unwind(AssertUnwindSafe(orderly)).ok();
    direct();
}

/// Ends the machine by a single system call, after a bounded try to save what is in memory. Comes back only if the kernel
/// refuses, and then has said so.
pub(crate) fn directly(how: How) {
    let mut consoles = Consoles::open();
    let word = how.word();
    consoles.say(&format!(
        "rinit: {word} at once, without unmounting: the orderly way failed\n"
    ));
    sync();
    let Err(error) = power::end(how.machine());
    consoles.say(&format!("rinit: {}\n", sys::chain(&error)));
}

/// Bounded: a disk may not answer.
pub(super) fn sync() {
    process::limited(SYNC, || {
        sys::kernel::sync();
        0
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_on_the_orderly_way_does_not_keep_the_machine_up() {
        let mut ended = 0;
        surely(|| panic!("a fault on the way"), || ended += 1);
        surely(|| {}, || ended += 1);
        assert_eq!(ended, 2);
    }
}
