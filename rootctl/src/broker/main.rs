//! rootctld: the broker. It alone touches the store of snapshots and the EFI system partition.
//!
//! | open | for |
//! |---|---|
//! | `serve` | connections: one request after the other, limits, who may do what (`access`) |
//! | `service` | the table of methods: what a request calls |
//! | `guard` | answers that are no: refusals with the next command |
//! | `site` | where the store and the ESP are: folders given, or mounts of the running system |
//! | `store` | the layout on btrfs: open, lock, list, publish, delete; its settings |
//! | `state` | the state record: read both slots, write the other one |
//! | `roles` | who is booted, next, good; what a target resolves to |
//! | `status` | the answers of Status, List and Show |
//! | `diff` | what differs between two snapshots |
//! | `menu` | boot menus as a pure function of record and metas: GRUB and Limine |
//! | `esp` | files on the ESP: copied once, exchanged, collected |
//! | `deploy` | arming a trial: `plan` decides, `apply` acts step by step |
//! | `units` | what the snapshot's own `rinit` finds wrong with its units |
//! | `confirm`, `rollback` | making a snapshot the default |
//! | `seal` | what is relied on is read-only |
//! | `reconcile` | what every change does first: finish what a power cut interrupted |
//! | `oneshot`, `by_menu` | telling the loader to try an entry once |
//! | `initramfs` | the builder: modules, tables, cpio |
//! | `run` | a command in a copy of a snapshot |
//! | `etc` | the live `/etc` of deployments: changed, merged, put back, saved |
//! | `edit` | sessions: a shell in a copy of a snapshot, which is kept or dropped |
//! | `import`, `tree` | a folder or tar becomes the first snapshot |
//! | `copy`, `delete`, `undelete` | snapshots copied, deleted and brought back |
//! | `journal` | what was done, by whom, and what came of it |
//! | `doctor` | every rule of the layout; a snapshot to the last byte |
//! | `gc` | snapshots that no rule keeps |
//! | `replay` | the change of a snapshot made once more on another one, or undone |
//! | `freeze` | snapshots that may be changed in place, and may no longer |
//! | `relabel`, `keep` | names and notes; what nothing deletes |
//! | `checks`, `boot_files` | what a root must have before it is published; its kernel and initramfs |
#![forbid(unsafe_code)]

mod access;
mod args;
mod boot_files;
mod by_menu;
mod checks;
mod confirm;
mod copy;
mod delete;
mod deploy;
mod diff;
mod doctor;
mod edit;
mod esp;
mod etc;
mod freeze;
mod gc;
mod guard;
mod import;
mod initramfs;
mod journal;
mod keep;
mod menu;
mod oneshot;
mod progress;
mod reconcile;
mod relabel;
mod replay;
mod roles;
mod rollback;
mod run;
mod seal;
mod serve;
mod service;
mod session;
mod site;
mod state;
mod status;
mod store;
mod tree;
mod undelete;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(2);
        }
    };
    match serve::main(&args) {
        Ok(code) => code,
        Err(error) => {
            progress::log(&guard::words(&error));
            ExitCode::FAILURE
        }
    }
}
