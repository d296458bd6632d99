//! Memory of this process.

/// Gives what was freed back to the kernel. The C library keeps it for later else: after a burst, for good.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; it takes the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}
