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
