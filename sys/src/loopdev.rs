//! An image file as a block device.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use linux_raw_sys::loop_device::{LOOP_CLR_FD, LOOP_CONFIGURE, LOOP_CTL_GET_FREE, loop_config};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Cannot, Result, SysError};
use crate::ioctl;

/// `LO_FLAGS_READ_ONLY`
const READ_ONLY: u32 = 1;
/// `LO_FLAGS_AUTOCLEAR`: gone when its last user is.
const AUTOCLEAR: u32 = 4;
/// How often another process may snatch the free device we were told of.
const RACES: u32 = 16;

/// A loop device. It lives as long as this value, a mount of it, or another user of it.
#[derive(Debug)]
pub struct LoopDevice {
    _device: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Makes `image` a read-only block device that disappears with its last user (Linux 5.8).
    ///
    /// # Errors
    /// The `loop` module is not loaded, or the kernel refuses the file.
    pub fn read_only(image: impl AsFd, shown: &Path) -> Result<Self> {
        let image = image.as_fd();
        let control = open("/dev/loop-control".as_ref(), OFlags::RDWR)?;
        for _race in 0..RACES {
            let number = free_number(&control).cannot("get a free loop device for", shown)?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = open(&path, OFlags::RDONLY)?;
            // SAFETY: the structure is integers and arrays of them, for which all bits zero are valid.
            let mut config: loop_config = unsafe { std::mem::zeroed() };
            config.fd = u32::try_from(image.as_raw_fd()).unwrap_or(u32::MAX);
            config.info.lo_flags = READ_ONLY | AUTOCLEAR;
            // SAFETY: LOOP_CONFIGURE reads one loop_config; its descriptor is open for the time of the call.
            match unsafe { ioctl::set::<LOOP_CONFIGURE, _>(&device, config) } {
                Ok(()) => {
                    return Ok(Self {
                        _device: device,
                        path,
                    });
                }
                Err(Errno::BUSY) => {}
                Err(error) => return Err(SysError::new("make a block device of", shown, error)),
            }
        }
        Err(SysError::new("make a block device of", shown, Errno::BUSY))
    }

    /// Its device node.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Loop devices that have a file, as their nodes.
#[must_use]
pub fn in_use() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/sys/class/block");
    let entries = entries.into_iter().flatten().flatten();
    // `loop/` is there while a file is attached (drivers/block/loop.c).
    let used = entries.filter(|entry| entry.path().join("loop/backing_file").exists());
    used.map(|entry| Path::new("/dev").join(entry.file_name()))
        .collect()
}

/// Takes the file from a loop device; from one in use, when its last user is gone.
///
/// # Errors
/// It is none, or has no file.
pub fn detach(device: &Path) -> Result<()> {
    let file = open(device, OFlags::RDONLY)?;
    // SAFETY: LOOP_CLR_FD takes no argument.
    unsafe { ioctl::act::<LOOP_CLR_FD>(&file) }.cannot("detach", device)
}

fn open(path: &Path, access: OFlags) -> Result<File> {
    let fd = rustix::fs::open(path, access | OFlags::CLOEXEC, Mode::empty());
    fd.map(File::from).cannot("open", path)
}

/// LOOP_CTL_GET_FREE answers with the call's value.
struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE takes no argument and writes nothing.
unsafe impl rustix::ioctl::Ioctl for GetFree {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        answer: rustix::ioctl::IoctlOutput,
        _argument: *mut rustix::ffi::c_void,
    ) -> rustix::io::Result<i32> {
        Ok(answer)
    }
}

fn free_number(control: &File) -> rustix::io::Result<i32> {
    // SAFETY: see `GetFree`.
    unsafe { rustix::ioctl::ioctl(control, GetFree) }
}
