//! What this process, and whatever it becomes, may never do again: capabilities, their rules, system calls.

use std::os::fd::AsRawFd;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::error::{Cannot, Result, SysError};
use crate::executor::become_user;
use crate::process::Ids;

/// A set of capabilities: bit `n` is capability `n` of `linux/capability.h`.
pub type Mask = u64;

fn each(mask: Mask) -> impl Iterator<Item = CapabilitySet> {
    let one = |bit: u32| 1_u64.checked_shl(bit).unwrap_or_default();
    (0..u64::BITS)
        .map(one)
        .filter(move |bit| mask & bit != 0)
        .map(CapabilitySet::from_bits_retain)
}

/// Takes all capabilities but these out of what any later program can get.
///
/// # Errors
/// We may not (`EPERM`).
pub fn bound_to(keep: Mask) -> Result<()> {
    for capability in each(!keep) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Beyond the last one that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => {
                let shown = format!("capability {}", capability.bits().trailing_zeros());
                return Err(SysError::new("drop", shown, error));
            }
        }
    }
    Ok(())
}

/// Sets bits of `linux/securebits.h`.
///
/// # Errors
/// We may not (`EPERM`).
pub fn secure_bits(bits: u32) -> Result<()> {
    let bits = CapabilitiesSecureBits::from_bits_retain(bits);
    rustix::thread::set_capabilities_secure_bits(bits).cannot("set", "the secure bits")
}

/// Changes to a user, if one is given, and keeps these capabilities all the same, for the program too.
///
/// # Errors
/// They are not ours to keep.
pub fn become_user_with(ids: Option<&Ids>, ambient: Mask) -> Result<()> {
    let object = "ambient capabilities";
    if let Some(ids) = ids {
        rustix::thread::set_keep_capabilities(true).cannot("keep", object)?;
        become_user(ids)?;
    }
    let wanted = CapabilitySet::from_bits_retain(ambient);
    let had = rustix::thread::capabilities(None).cannot("keep", object)?;
    let root = ids.is_none_or(|ids| ids.uid == 0);
    let sets = CapabilitySets {
        effective: if root { had.effective } else { wanted },
        permitted: if root { had.permitted } else { wanted },
        inheritable: wanted,
    };
    rustix::thread::set_capabilities(None, sets).cannot("keep", object)?;
    for capability in each(ambient) {
        rustix::thread::configure_capability_in_ambient_set(capability, true)
            .cannot("keep", object)?;
    }
    Ok(())
}

/// Programs with set-user-id bits or capabilities of their own gain nothing from now on.
///
/// # Errors
/// None that the kernel documents.
pub fn no_new_privileges() -> Result<()> {
    rustix::thread::set_no_new_privs(true).cannot("give up", "new privileges")
}

/// Whether refused calls are noted in the kernel's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// They are not.
    Nothing,
    /// They are, if the kernel audits.
    Refused,
}

/// Installs a filter of system calls (seccomp(2)), each instruction as one number: code, two jumps and an operand from
/// high to low. Gives up new privileges too, without which the kernel would not let everybody do this.
///
/// # Errors
/// The kernel has no filters, or this is none.
pub fn filter_calls(program: &[u64], note: Note) -> Result<()> {
    no_new_privileges()?;
    let object = "the filter of system calls";
    let mut instructions: Vec<libc::sock_filter> = program.iter().copied().map(unpack).collect();
    let length = u16::try_from(instructions.len())
        .map_err(|error| SysError::invalid("install", object, error.to_string()))?;
    let filter = libc::sock_fprog {
        len: length,
        filter: instructions.as_mut_ptr(),
    };
    let flags = match note {
        Note::Nothing => 0,
        Note::Refused => libc::SECCOMP_FILTER_FLAG_LOG,
    };
    // SAFETY: the structure and the instructions it points at outlive the call, and the length is theirs.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const filter,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).cannot("install", object)
    }
}

fn unpack(instruction: u64) -> libc::sock_filter {
    let [code_high, code_low, jt, jf, a, b, c, d] = instruction.to_be_bytes();
    libc::sock_filter {
        code: u16::from_be_bytes([code_high, code_low]),
        jt,
        jf,
        k: u32::from_be_bytes([a, b, c, d]),
    }
}

/// Switches the loopback device of our network namespace on.
///
/// # Errors
/// We may not, or there is none.
pub fn loopback_up() -> Result<()> {
    let object = "the loopback device";
    let kind = rustix::net::SocketType::DGRAM;
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(rustix::net::AddressFamily::INET, kind, flags, None)
        .cannot("switch on", object)?;
    // SAFETY: all-zero bytes are a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *place = std::ffi::c_char::try_from(*byte).unwrap_or_default();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
    // SAFETY: the structure is the one this request takes, and outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if answer == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error()).cannot("switch on", object)
    }
}
