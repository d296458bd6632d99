//! Areas to swap to.

use std::ffi::CString;

use crate::error::{Cannot, Result, SysError};

/// Paths of the areas in use (`/proc/swaps`, proc_swaps(5)).
///
/// # Errors
/// It cannot be read; a kernel without swap has no such file.
pub fn active() -> Result<Vec<String>> {
    let text = crate::fs::read_text("/proc/swaps", 1 << 20)?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<String> {
    let paths = text.lines().skip(1).filter_map(|line| {
        let path = line.split_ascii_whitespace().next()?;
        // A file that was deleted has no path any more.
        path.starts_with('/')
            .then(|| crate::mountinfo::unescape(path))
    });
    paths.collect()
}

/// What is told to the device about pages that are free again (`SWAP_FLAG_DISCARD…` of `linux/swap.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Nothing.
    No,
    /// Everything when it is put into use, and pages as they become free.
    Both,
    /// Everything when it is put into use.
    Once,
    /// Pages as they become free.
    Pages,
}

/// Puts an area into use. Areas of higher `priority` are filled first; without one the kernel chooses.
///
/// # Errors
/// It is no swap area (`EINVAL`), or already in use (`EBUSY`).
pub fn on(path: &str, priority: Option<u16>, discard: Discard) -> Result<()> {
    const PREFER: i32 = 0x8000;
    const DISCARD: i32 = 0x1_0000;
    const DISCARD_ONCE: i32 = 0x2_0000;
    const DISCARD_PAGES: i32 = 0x4_0000;
    let name = CString::new(path).cannot("swap to", path)?;
    let order = priority.map_or(0, |priority| PREFER | i32::from(priority & 0x7fff));
    let told = match discard {
        Discard::No => 0,
        Discard::Both => DISCARD,
        Discard::Once => DISCARD | DISCARD_ONCE,
        Discard::Pages => DISCARD | DISCARD_PAGES,
    };
    // SAFETY: a NUL-terminated string that outlives the call.
    if unsafe { libc::swapon(name.as_ptr(), order | told) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(SysError::new("swap to", path, error))
}

/// Takes an area out of use: what is in it is read back first, which takes its time.
///
/// # Errors
/// It is in no use (`EINVAL`), or does not fit into memory (`ENOMEM`).
pub fn off(path: &str) -> Result<()> {
    let name = CString::new(path).cannot("stop swapping to", path)?;
    // SAFETY: a NUL-terminated string that outlives the call.
    if unsafe { libc::swapoff(name.as_ptr()) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(SysError::new("stop swapping to", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_their_blanks() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                    /dev/vda2                               partition\t1\t0\t-2\n\
                    /my\\040swap                              file\t1\t0\t-3\n";
        assert_eq!(parse(text), ["/dev/vda2", "/my swap"]);
        assert_eq!(parse(""), Vec::<String>::new());
    }
}
