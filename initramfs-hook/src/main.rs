//! `rinit-boot`: `/init` of an initramfs, or a helper of another one. The library's index says which file to open.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        initramfs_hook::init::live()
    }
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    initramfs_hook::roles::act(&arguments)
}
