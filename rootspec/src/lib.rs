//! Plain data that the boot stage, `rinit` and `rootctl` must agree on. No I/O, no `unsafe`.
//!
//! | open | for |
//! |---|---|
//! | `id` | snapshot ids and names, unit names: checked once, trusted afterwards |
//! | `target` | how people name a snapshot (`7`, `web`, `@booted`, `web~2`) and what that resolves to |
//! | `paths` | every path, directory and file name we own |
//! | `path_text` | paths as text: bytes that are no UTF-8 are escaped |
//! | `civil` | days as dates |
//! | `calendar` | calendar times, such as `Mon..Fri 02:00`, and when the next one is |
//! | `cmdline` | the kernel command line: parsed by the boot stage, rendered into menus |
//! | `limine` | the line of `limine.conf` that arms a trial where Limine keeps no state |
//! | `state` | the state record: two slots of 4 KiB that say what boots |
//! | `trial` | the counted try of a new snapshot as a pure state machine |
//! | `meta` | `meta.toml`, written once per snapshot |
//! | `etc` | merging the `/etc` of deployments |
//! | `over` | `over/NAME.toml`: what a persistent writable root was made from |
//! | `report` | the boot report: what the boot stage chose, and why |
//! | `units` | the schema of one file in `/etc/rinit`, its values and its error messages |
//! | `compile` | unit files to a boot plan: dependencies resolved, cycles and gaps named |
//! | `fstab` | lines of `/etc/fstab` as units |
//! | `lint` | what looks wrong although it can be compiled |
//! | `plan` | the boot plan that `rinit` runs, and its binary form |
//! | `kept` | all that a boot starts from, as `rinit-plan` hands it to `rinit` |
//! | `stored` | the same, kept for the next boot with what it was compiled from |
//! | `syslog` | messages of syslog(3) |
//! | `times` | what timers depend on beside their files, as `rinit-plan` hands it to `rinit` |
//! | `held` | what a running `rinit` hands to the program it becomes |
//! | `settings` | the settings of `rinit` |
//! | `logs` | what PID 1 tells its logger |
//! | `record` | one record of a log as a line of text |
//! | `mounting` | what mounting a file system means, as words for `rinit` |
//! | `setup` | what the executor of `rinit` does between PID 1 and a program |
//! | `protocol` | the messages of both control sockets |
//! | `samples` | stored formats as their first version has them; they are read for ever |
//! | `spot` | errors that point at a place in a text |
//! | `nearest` | "did you mean" |
#![forbid(unsafe_code)]

pub mod calendar;
pub mod changeover;
pub mod civil;
pub mod cmdline;
pub mod compile;
pub mod etc;
pub mod fstab;
pub mod held;
pub mod id;
pub mod kept;
pub mod limine;
pub mod lint;
pub mod logs;
pub mod meta;
pub mod mounting;
mod nearest;
pub mod over;
pub mod path_text;
pub mod paths;
pub mod plan;
pub mod protocol;
pub mod record;
pub mod report;
#[cfg(test)]
mod samples;
pub mod settings;
pub mod setup;
pub mod spot;
pub mod state;
pub mod stored;
pub mod syslog;
pub mod target;
pub mod times;
pub mod toml_value;
pub mod trial;
pub mod units;

pub use id::{SnapshotId, SnapshotName, UnitName};
