//! The boot stage: from the exec of `/init` to the exec of the system's PID 1.
//!
//! A boot, step by step, and the file to open for each:
//!
//! | step | open |
//! |---|---|
//! | 1. mount `/proc`, `/sys`, `/dev`, `/run` | `early` |
//! | 2. read the command line, load modules | `boot`, `modules`, `pattern` |
//! | 3. a trial that Limine's menu starts by default: the menu is put back | `disarm` |
//! | 4. wait for the root device | `find` (waiting), `device` (matching) |
//! | 5. open the store, read its two small records | `store` |
//! | 6. count the try, if it is one | `attempt` |
//! | 7. choose the snapshot, say why | `select` |
//! | 8. put the tree together | `assemble`, `overlay`, `persist`, `etc` |
//! | 9. write the boot report | `boot` |
//! | 10. leave for the new root | `init` |
//!
//! | also | open |
//! |---|---|
//! | the order of the steps | `boot` |
//! | being PID 1: what must never happen | `init` |
//! | when nothing can be booted | `emergency` |
//! | the same work inside another initramfs, and for the kernel's module requests | `roles` |
//! | what is said, and where | `say` |
//! | hooks for initramfs-tools, dracut, mkinitcpio | the folders of these names beside `src` |
#![forbid(unsafe_code)]

pub mod assemble;
pub mod attempt;
pub mod boot;
pub mod device;
pub mod disarm;
pub mod early;
pub mod emergency;
pub mod etc;
pub mod find;
pub mod init;
pub mod modules;
pub mod overlay;
pub mod pattern;
pub mod persist;
pub mod roles;
pub mod say;
pub mod select;
pub mod stage;
pub mod store;
