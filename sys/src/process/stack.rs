//! Stacks for children between clone and exec.
//!
//! They are mapped, not allocated: a thousand services that start at once would else leave a heap behind that is
//! resident and has nothing in it.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

/// Bytes of one. A child needs well under 2 KiB and gets no signal frame, as it has no handlers; only pages that were
/// written to cost anything.
const SIZE: usize = 16 * 1024;
/// So many are kept for those who come next.
const SPARE: usize = 8;

static SPARES: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

/// A piece of memory that a child runs on.
#[derive(Debug)]
pub(super) struct Stack {
    low: NonNull<c_void>,
}

// SAFETY: it is memory of the process, bound to no thread.
unsafe impl Send for Stack {}

impl Stack {
    /// One that nobody uses.
    ///
    /// # Errors
    /// No memory to be had.
    pub(super) fn take() -> std::io::Result<Self> {
        let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.map_or_else(Self::map, Ok)
    }

    fn map() -> std::io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: new memory, at a place the kernel chooses.
        let low = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, kind, -1, 0) };
        match NonNull::new(low) {
            Some(low) if low.as_ptr() != libc::MAP_FAILED => Ok(Self { low }),
            Some(_) | None => Err(std::io::Error::last_os_error()),
        }
    }

    /// Lowest address and size, both multiples of a page.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.low.as_ptr() as u64, SIZE as u64)
    }

    /// To be called when the child has executed its program or was collected.
    pub(super) fn give_back(self) {
        let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARE {
            spares.push(self);
        } else {
            // SAFETY: nobody runs on it any more, and it is given up here.
            unsafe { libc::munmap(self.low.as_ptr(), SIZE) };
        }
    }
}
