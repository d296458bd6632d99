//! The two things that must be written in the machine's own language: a system call that leaves `errno` alone, and
//! `clone3` with a stack of its own for the child.
//!
//! A child that shares our memory must not touch thread-local storage, and the C library's `errno` is just that.

use std::ffi::c_void;

/// `struct clone_args` of clone(2), first version with a cgroup (88 bytes).
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("sys::process knows the system call instruction of x86-64 and AArch64 only");

/// One system call with up to four arguments; the kernel's answer as it is (an error is `-errno`).
///
/// # Safety
/// As for the system call itself: pointers must be valid for what it does with them.
#[inline]
pub(super) unsafe fn call(number: i64, a: usize, b: usize, c: usize, d: usize) -> isize {
    // SAFETY: the caller's promise; what takes four arguments does not look at the fifth.
    unsafe { call5(number, [a, b, c, d, 0]) }
}

/// The same with five.
///
/// # Safety
/// As for [`call`].
#[inline]
pub(super) unsafe fn call5(number: i64, arguments: [usize; 5]) -> isize {
    let [a, b, c, d, e] = arguments;
    let answer: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for the arguments; the instruction clobbers rcx and r11 only.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller vouches for the arguments; the kernel keeps all registers but x0.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack),
        );
    }
    answer
}

/// `clone3`; the child runs `start(argument)` on the stack named in `args` and never comes back here.
///
/// # Safety
/// `args` must name a stack that lives until the child has executed a program or died, and `start` must never return
/// and be sound in a process that shares our memory: no thread-local storage, no allocation, no panic.
pub(super) unsafe fn clone3(
    args: &CloneArgs,
    start: unsafe extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> isize {
    let size = std::mem::size_of::<CloneArgs>();
    let answer: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the parent falls through with rax set. The child finds its registers as they were and a fresh, aligned
    // stack; it calls `start` and does not return, so nothing below the call is ever executed by it.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => answer,
            in("rdi") args, in("rsi") size,
            in("r12") argument, in("r13") start,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above, with x0 as the answer.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x9",
            "blr x10",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") args => answer, in("x1") size,
            in("x9") argument, in("x10") start,
            lateout("x30") _,
        );
    }
    answer
}
