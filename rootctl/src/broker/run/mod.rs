//! `rootctl run`: a command in a writable copy of a snapshot. Its success publishes the copy, anything else throws it
//! away; the snapshot itself is never touched.
//!
//! | open | for |
//! |---|---|
//! | `enter` | the namespaces: stage one leaves ours, stage two is process 1 of the new ones |
//! | `places` | the mounts that the command sees |
//! | `terminal` | stage two of a session: a shell on a terminal of its own |

mod enter;
mod places;
mod terminal;

pub(crate) use enter::{code, enter, inside};
pub(crate) use places::Additions;

use std::process::Command;

use anyhow::{Context, Result};
use rootspec::meta::Origin;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Ran, Run};
use sys::btrfs::Access;
use sys::run::Stream;

use crate::boot_files;
use crate::copy::{must_be_subvolume, must_have_room, name, note};
use crate::guard::Guard;
use crate::progress::{Progress, point};
use crate::session::Session;
use crate::store::publish::{Draft, Facts, Place};
use crate::store::subvol;

/// Room that package work usually takes, in bytes; below it the work is refused instead of failing half-way.
const ROOM: u64 = 64 << 20;

/// Runs the command.
pub(crate) fn run(session: &mut Session, ask: Run, progress: &mut Progress<'_>) -> Result<Ran> {
    let name = name(ask.name.as_deref())?;
    let note = note(ask.note)?;
    if ask.argv.is_empty() || ask.argv.iter().any(|word| word.contains('\0')) {
        return Guard::usage("no command was given")
            .next("rootctl run TARGET -- COMMAND")
            .err();
    }
    let from = session.resolve(&ask.target)?;
    let parent = session.whole(from)?.clone();
    must_be_subvolume(parent.image.is_some(), from)?;
    must_have_room(&session.store, ROOM)?;
    let id = session.next_id()?;
    if ask.dry_run == Some(true) {
        return Ok(Ran {
            id: Some(id),
            status: 0,
            steps: vec![
                format!("copy snapshot {from}, writable"),
                format!("run in the copy: {}", ask.argv.join(" ")),
                "if it fails, throw the copy away".to_owned(),
                "else check it, and build its initramfs if what that is made of was changed"
                    .to_owned(),
                format!("publish it, read-only, as snapshot {id}"),
            ],
        });
    }
    let (status, meta) = {
        let draft = Draft::new(&session.store, session.lock()?, id)?;
        let source = session.store.snapshot(from);
        progress.step(&format!("copy snapshot {from}"));
        subvol::snapshot(&source.join(names::ROOT), &draft.root(), Access::ReadWrite)?;
        let before = boot_files::built_from(&draft.root(), parent.kernel.as_ref());
        point("S2");
        let status = command(&draft, &ask.argv, progress)?;
        point("S3");
        if status == 0 {
            progress.step("check the new root");
            let kernel =
                boot_files::of_changed(&draft, &parent, before, Some(&source), progress).context(
                    "the command succeeded, but what it left cannot be a snapshot; its work was thrown away",
                )?;
            let facts = Facts {
                name,
                note,
                origin: Origin {
                    kind: "run".into(),
                    detail: ask.argv.join(" ").chars().take(300).collect(),
                },
                kernel: Some(kernel),
                etc_base: session.etc_base(&parent),
                place: Place::BelowSource,
                source: Some(parent),
            };
            progress.step(&format!("publish snapshot {id}"));
            (status, Some(draft.publish(facts)?))
        } else {
            (status, None)
        }
    };
    let published = meta.is_some();
    if let Some(meta) = meta {
        session.published(meta);
    }
    Ok(Ran {
        id: published.then_some(id),
        status,
        steps: Vec::new(),
    })
}

/// Starts ourselves as the first stage, and passes the command's output on.
fn command(draft: &Draft<'_>, argv: &[String], progress: &mut Progress<'_>) -> Result<i32> {
    progress.step(&format!("run {}", argv.join(" ")));
    let mut stage = Command::new("/proc/self/exe");
    stage
        .args(["enter", "--dir"])
        .arg(draft.root())
        .arg("--")
        .args(argv);
    let status = sys::run::lines(&mut stage, &mut |stream, line| {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        progress.output(stream, &format!("{line}\n"));
    })?;
    Ok(code(status))
}
