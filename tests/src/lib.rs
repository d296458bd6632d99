//! The test machine: what it takes to see the whole system run, on a host that has only Debian's packages.
//!
//! Which file to open:
//! - [`host`]: the programs and headers this host must have, and the Debian packages that bring them;
//! - [`programs`]: builds our own programs, static and dynamic, and says where they lie;
//! - [`rootfs`]: the Debian root made by mmdebstrap, kept as a tar;
//! - [`disk`]: disk images: GPT, FAT, btrfs through a loop device;
//! - [`grub`], [`limine`]: put a boot loader into an image without its installer;
//! - [`limine_reader`], [`grub_reader`]: second readers of the menus, made apart from their writers;
//! - [`initramfs`]: a small busybox initramfs, for probes and for trials of the loaders;
//! - [`hooks`]: images that other generators of initramfs make with our hooks;
//! - [`store_image`]: a small store on an image, laid out by hand; [`stage_run`]: the boot stage over it;
//! - [`system`]: a whole installed system on a disk; [`guest`]: questions to it while it runs;
//! - [`qemu`]: starts and steers QEMU; [`console`]: reads the serial line and talks to a login shell;
//! - [`ns`]: runs a program as process 1 of fresh namespaces;
//! - [`inside`]: a running rinit there, and questions to it;
//! - [`stray`]: descriptors that take long to close, for whoever did not ask for them;
//! - [`powercut`]: every state in which a cut of the power may leave a disk, built and judged;
//! - [`manual`]: the man pages, made from the verbs and from `docs/`;
//! - [`fuzz`]: builds and runs the fuzz targets beside this package;
//! - [`bench`]: what the benchmark of boots starts, and how its time stamps are judged;
//! - [`tier`]: the front of the tests that may be skipped for a reason, and the summary over all tiers;
//! - [`isolate`]: keeps our mounts and processes from outliving us;
//! - [`run`], [`say`], [`paths`]: commands, terminal output, where things are kept.
//!
//! `tests/` beside this folder holds the tests: `namespaces`, `init`, `supervise`, `sandbox`, `apply`, `stage`,
//! `boot_stage`, `hooks` (tier 2), `loaders`, `boot`, `hook_boots`, `powercut` (tier 3).
//! `src/bin/xtask` is the front door (`cargo xtask`): one file per verb.
#![forbid(unsafe_code)]

pub mod bench;
pub mod console;
pub mod disk;
pub mod fuzz;
pub mod grub;
pub mod grub_reader;
pub mod guest;
pub mod hooks;
pub mod host;
pub mod initramfs;
pub mod inside;
pub mod isolate;
pub mod limine;
pub mod limine_reader;
pub mod manual;
pub mod ns;
pub mod paths;
pub mod powercut;
pub mod programs;
pub mod qemu;
pub mod rootfs;
pub mod run;
pub mod say;
pub mod stage_run;
pub mod store_image;
pub mod stray;
pub mod system;
pub mod tier;
pub mod varlink;
