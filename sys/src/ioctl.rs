//! The four shapes of ioctl this crate uses, so that each call site makes one promise.

use std::os::fd::AsFd;

use rustix::io::Result;
use rustix::ioctl::{Getter, NoArg, Opcode, Setter, Updater, ioctl};

/// Passes one value to the kernel.
///
/// # Safety
/// `OP` must read one `T` and write nothing.
pub(crate) unsafe fn set<const OP: Opcode, T>(fd: impl AsFd, value: T) -> Result<()> {
    // SAFETY: the caller promises that OP and T belong together.
    let call = unsafe { Setter::<OP, T>::new(value) };
    // SAFETY: the same promise.
    unsafe { ioctl(fd, call) }
}

/// Gets one value from the kernel.
///
/// # Safety
/// `OP` must fill one whole `T` when it succeeds.
pub(crate) unsafe fn get<const OP: Opcode, T>(fd: impl AsFd) -> Result<T> {
    // SAFETY: the caller promises that OP and T belong together.
    let call = unsafe { Getter::<OP, T>::new() };
    // SAFETY: the same promise.
    unsafe { ioctl(fd, call) }
}

/// Passes one value to the kernel, which puts another one in its place.
///
/// # Safety
/// `OP` must read one `T` and write one whole `T` or nothing.
pub(crate) unsafe fn exchange<const OP: Opcode, T>(fd: impl AsFd, value: &mut T) -> Result<()> {
    // SAFETY: the caller promises that OP and T belong together.
    let call = unsafe { Updater::<OP, T>::new(value) };
    // SAFETY: the same promise.
    unsafe { ioctl(fd, call) }
}

/// Asks the kernel to do something that takes no value.
///
/// # Safety
/// `OP` must not look at its argument.
pub(crate) unsafe fn act<const OP: Opcode>(fd: impl AsFd) -> Result<()> {
    // SAFETY: the caller promises that OP takes no argument.
    let call = unsafe { NoArg::<OP>::new() };
    // SAFETY: the same promise.
    unsafe { ioctl(fd, call) }
}
