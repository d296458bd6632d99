//! What becomes of PID 1 when it crashes: a fault of ours, bad memory, a program file that cannot be read any more.
//!
//! The kernel would panic. Instead the handler, which runs on a stack of its own, executes the program anew, with words
//! that were prepared while all was well and with all descriptors left open. It allocates nothing, takes no lock and asks
//! the C library for nothing but system calls.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::{Cannot, Result, SysError};

/// What a crash is told by.
pub const SIGNALS: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];
/// The handler's stack: an AVX-512 signal frame takes 3.5 KiB, the handler itself well under 1 KiB.
const STACK: usize = 64 * 1024;
/// After so many numbers in a row that are not open, no descriptor is expected any more.
const GAP: c_int = 4096;

/// What the handler executes, in the kernel's form.
struct Prepared {
    /// Tried in order.
    programs: [CString; 2],
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    /// Two digits of the signal.
    signal: *mut u8,
    _strings: Vec<Vec<u8>>,
}

/// Null: a crash is the end.
static NEXT: AtomicPtr<Prepared> = AtomicPtr::new(null_mut());

/// Gives the crash signals a handler with a stack of its own. Without [`prepare`] it does nothing yet.
///
/// # Errors
/// No memory for the stack, or the kernel refuses.
pub fn arm() -> Result<()> {
    let failed = |error: nix::errno::Errno| SysError::new("prepare", "for a crash", error);
    let mut stack: Vec<u8> = Vec::new();
    stack
        .try_reserve_exact(STACK)
        .map_err(std::io::Error::other)
        .cannot("prepare", "for a crash")?;
    let stack = libc::stack_t {
        // For as long as this program runs.
        ss_sp: stack.leak().as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: STACK,
    };
    // SAFETY: the stack is large enough, used by nobody else and never freed.
    if unsafe { libc::sigaltstack(&raw const stack, null_mut()) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(SysError::new("prepare", "for a crash", error));
    }
    // A crash in the handler is the end, as without it.
    let flags = SaFlags::SA_ONSTACK | SaFlags::SA_NODEFER | SaFlags::SA_RESETHAND;
    let action = SigAction::new(SigHandler::Handler(crashed), flags, SigSet::empty());
    for signal in SIGNALS {
        // SAFETY: the handler keeps to system calls and to memory that is prepared beforehand.
        unsafe { sigaction(signal, &action) }.map_err(failed)?;
    }
    Ok(())
}

/// What a crash of PID 1 executes from now on: this very program, or the one at `program` if that cannot be had, with these
/// arguments behind its name. The one numbered `signal_at`, which has two digits, becomes the signal.
///
/// # Errors
/// A text has a NUL in it.
pub fn prepare(program: &str, arguments: &[String], signal_at: usize) -> Result<()> {
    let text = |text: &str| CString::new(text).cannot("prepare", "for a crash");
    let programs = [text("/proc/self/exe")?, text(program)?];
    let bytes = |text: CString| text.into_bytes_with_nul();
    let mut strings = vec![bytes(text("rinit")?)];
    for argument in arguments {
        strings.push(bytes(text(argument)?));
    }
    let words = strings.len();
    for (key, value) in std::env::vars_os() {
        let entry = [key.as_bytes(), b"=", value.as_bytes()].concat();
        strings.push(bytes(CString::new(entry).cannot("prepare", "for a crash")?));
    }
    // Moving a vector does not move its bytes.
    let signal = strings.get_mut(signal_at.saturating_add(1));
    let signal = signal.filter(|word| word.len() == 3);
    let signal = signal.map_or(null_mut(), |word| word.as_mut_ptr());
    let pointers = |strings: &[Vec<u8>]| -> Vec<*const c_char> {
        let all = strings.iter().map(|string| string.as_ptr().cast());
        all.chain([null()]).collect()
    };
    let (argv, envp) = strings.split_at(words);
    let next = Box::new(Prepared {
        argv: pointers(argv),
        envp: pointers(envp),
        programs,
        signal,
        _strings: strings,
    });
    let old = NEXT.swap(Box::into_raw(next), Ordering::AcqRel);
    if !old.is_null() {
        // SAFETY: made by `Box::into_raw` above; there is one thread, and a handler that runs never comes back to it.
        drop(unsafe { Box::from_raw(old) });
    }
    Ok(())
}

extern "C" fn crashed(signal: c_int) {
    // SAFETY: no pointers. A copy of PID 1 that does a piece of work just dies of it.
    if unsafe { libc::getpid() } == 1 {
        // SAFETY: null, or a value that is freed only after it was exchanged, by the very thread this runs on.
        if let Some(next) = unsafe { NEXT.load(Ordering::Acquire).as_ref() } {
            execute(next, signal);
        }
    }
    // SAFETY: no pointers. By its default disposition, which is back, the signal ends this process when we return.
    unsafe { libc::raise(signal) };
}

fn execute(next: &Prepared, signal: c_int) {
    if !next.signal.is_null() {
        let digit = |number: c_int| b'0'.wrapping_add(u8::try_from(number).unwrap_or_default());
        let digits = [signal.wrapping_div(10) % 10, signal % 10].map(digit);
        // SAFETY: two bytes of a string of three, owned by `next`, which nobody reads before the exec.
        unsafe { next.signal.cast::<[u8; 2]>().write_unaligned(digits) };
    }
    let mut absent: c_int = 0;
    let mut number: c_int = 3;
    while absent < GAP {
        // SAFETY: no pointers; a number that is not open is an error of the call.
        let answer = unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        absent = if answer == 0 {
            0
        } else {
            absent.wrapping_add(1)
        };
        number = number.wrapping_add(1);
    }
    for program in &next.programs {
        // SAFETY: NUL-terminated strings and arrays that end with a null pointer, all kept by `next`.
        unsafe { libc::execve(program.as_ptr(), next.argv.as_ptr(), next.envp.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_prepared_can_be_exchanged_and_ends_with_null() {
        for arguments in [vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]] {
            prepare("/usr/bin/rinit", &arguments, 0).unwrap();
            // SAFETY: put there by this thread a moment ago.
            let next = unsafe { NEXT.load(Ordering::Acquire).as_ref() }.unwrap();
            assert_eq!(next.argv.len(), arguments.len() + 2);
            assert!(next.argv.last().unwrap().is_null() && next.envp.last().unwrap().is_null());
        }
        assert!(prepare("/x", &["a\0b".to_owned()], 0).is_err());
    }
}
