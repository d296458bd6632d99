//! The kernel seam: the only crate with `unsafe`. Safe, typed faces over system calls; no policy.
//!
//! | open | for |
//! |---|---|
//! | `error` | `SysError`, and how a chain of causes becomes one line |
//! | `fs` | reading with a limit, writes that survive a power cut, barriers, locks |
//! | `copy` | copying one file, link or node with everything that belongs to it |
//! | `tree` | walking and changing a tree relative to an open folder |
//! | `process` | starting programs from PID 1, collecting the dead |
//! | `executor` | the other side of `process`: a helper that prepares itself and becomes another program |
//! | `helper` | the program beside PID 1, held open |
//! | `handoff` | what a process gives to the program it becomes |
//! | `crash` | what becomes of PID 1 when it crashes |
//! | `signal`, `epoll`, `timer` | everything PID 1 waits for, as descriptors |
//! | `cgroup` | a control group per service |
//! | `descriptors` | how many descriptors a process may have open |
//! | `probe` | what conditions ask about the machine |
//! | `peek` | pipes: looking without taking |
//! | `kernel` | the calls that supervision needs, as a trait; `fake` is its double for tests |
//! | `memory` | giving memory back to the kernel |
//! | `clock` | time since the kernel started |
//! | `run` | starting a helper program and waiting for it |
//! | `btrfs` | subvolumes, snapshots, their properties |
//! | `btrfs_search` | the items of a subvolume's tree, the changed ones first of all |
//! | `mount` | mounts by descriptor, attributes, classic mounts |
//! | `mountinfo` | what is mounted where |
//! | `swap` | areas to swap to |
//! | `switchroot` | leaving the initramfs, changing the root |
//! | `block` | superblocks, what the kernel lists in `/sys/class/block` |
//! | `gpt` | partition tables |
//! | `watch` | waiting for changes in folders |
//! | `uevent` | the kernel's messages about devices |
//! | `module` | inserting kernel modules |
//! | `loopdev` | an image file as a block device |
//! | `watchdog` | the device that resets a machine which stands still |
//! | `console` | saying something on every console without ever waiting for it |
//! | `terminal` | pseudo-terminals, raw mode, bytes between two terminals |
//! | `efivar` | EFI variables |
//! | `power` | reboot, power-off, halt |
//! | `privilege` | capabilities, system calls: what is given up for good |
//! | `namespace` | namespaces and sessions of this process, being process 1 of one |
//! | `inotify` | being told of changes below a path |
//! | `inherit` | descriptors left open by whoever started us, waiting on them |
//! | `node` | device nodes, owners, times, attributes |
//! | `space` | free space, reading past the page cache |
//! | `btrfs_fs` | a whole btrfs: its UUID |
//! | `listen` | sockets and pipes that are opened for a service |
//! | `stray` | descriptors that came unasked, and may take long to close |
//! | `socket` | Unix sockets: listening, credentials, passing descriptors |
//! | `../bare/bench.rs` | a program of its own without a C library, for `cargo xtask bench init` |
#![allow(
    unsafe_code,
    reason = "this crate exists to hold the unsafe calls, each with its reason"
)]

pub mod block;
pub mod btrfs;
pub mod btrfs_fs;
pub mod btrfs_search;
pub mod cgroup;
pub mod clock;
pub mod console;
pub mod copy;
pub mod crash;
pub mod descriptors;
pub mod efivar;
pub mod epoll;
pub mod error;
pub mod executor;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod fs;
pub mod gpt;
pub mod handoff;
pub mod helper;
pub mod inherit;
pub mod inotify;
mod ioctl;
pub mod kernel;
pub mod listen;
pub mod loopdev;
pub mod memory;
pub mod module;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod node;
pub mod peek;
pub mod power;
pub mod privilege;
pub mod probe;
pub mod process;
pub mod run;
pub mod signal;
pub mod socket;
pub mod space;
pub mod stray;
pub mod swap;
pub mod switchroot;
pub mod terminal;
pub mod timer;
pub mod tree;
pub mod uevent;
pub mod watch;
pub mod watchdog;

#[cfg(test)]
mod testdir;

pub use error::{Cannot, SysError, chain};
