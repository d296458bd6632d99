//! `snap new`: a snapshot as a copy of another. Shares everything with it, kernel and initramfs included.

use anyhow::Result;
use rootspec::meta::Origin;
use rootspec::paths::store as names;
use rootspec::protocol::store::{Made, New};
use rootspec::{SnapshotId, SnapshotName};
use sys::btrfs::Access;

use crate::guard::Guard;
use crate::session::Session;
use crate::store::publish::{Draft, Facts, Place};
use crate::store::{Store, subvol};

/// Longest note, in bytes: the meta file has a limit.
const LONGEST_NOTE: usize = 400;
/// A btrfs that is quite full cannot even delete: this much is left alone, in bytes.
const RESERVE: u64 = 32 << 20;

/// Copies a snapshot.
pub(crate) fn new(session: &mut Session, ask: &New) -> Result<Made> {
    let name = name(ask.name.as_deref())?;
    let note = note(ask.note.clone())?;
    let from = session.resolve_or_own(ask.from.as_deref(), "rootctl snap new --from N")?;
    let parent = session.whole(from)?.clone();
    let place = place(session, ask)?;
    may_be_copied(session, from)?;
    must_have_room(&session.store, 0)?;
    let id = session.next_id()?;
    if ask.dry_run == Some(true) {
        return Ok(Made {
            id,
            steps: steps(from, id, &place),
        });
    }
    let meta = {
        let draft = Draft::new(&session.store, session.lock()?, id)?;
        let source = session.store.snapshot(from);
        subvol::snapshot(&source.join(names::ROOT), &draft.root(), Access::ReadOnly)?;
        if parent.kernel.is_some() {
            for file in [names::KERNEL, names::INITRD] {
                sys::copy::copy_file(source.join(file), draft.dir().join(file))?;
            }
        }
        draft.publish(Facts {
            name,
            note,
            origin: Origin {
                kind: "copy".into(),
                detail: format!("of {from}"),
            },
            kernel: parent.kernel.clone(),
            etc_base: session.etc_base(&parent),
            redoes: None,
            place,
            source: Some(parent),
        })?
    };
    session.published(meta);
    Ok(Made {
        id,
        steps: Vec::new(),
    })
}

fn steps(from: SnapshotId, id: SnapshotId, place: &Place) -> Vec<String> {
    let place = match place {
        Place::BelowSource => format!("below {from}"),
        Place::Below(other) => format!("below {}", other.id),
        Place::BesideSource => format!("beside {from}"),
        Place::Top => "on its own".to_owned(),
    };
    vec![
        format!("copy snapshot {from} with its kernel and initramfs, read-only"),
        format!("publish the copy as snapshot {id}, {place}"),
    ]
}

/// Where in the tree the copy is wanted.
fn place(session: &Session, ask: &New) -> Result<Place> {
    match (ask.beside == Some(true), &ask.under, ask.top == Some(true)) {
        (false, None, false) => Ok(Place::BelowSource),
        (true, None, false) => Ok(Place::BesideSource),
        (false, None, true) => Ok(Place::Top),
        (false, Some(target), false) => {
            let id = session.resolve(target)?;
            Ok(Place::Below(Box::new(session.whole(id)?.clone())))
        }
        _ => Guard::usage("a copy has one place: beside, under or top").err(),
    }
}

/// Checks a name somebody typed.
pub(crate) fn name(text: Option<&str>) -> Result<Option<SnapshotName>> {
    text.map(|text| {
        text.parse()
            .map_err(|e: rootspec::id::NameError| Guard::usage(e.to_string()).into())
    })
    .transpose()
}

/// Checks a note somebody typed: one line.
pub(crate) fn note(text: Option<String>) -> Result<String> {
    let text = text.unwrap_or_default();
    if text.len() > LONGEST_NOTE || text.chars().any(char::is_control) {
        return Guard::usage(format!(
            "a note is one line of at most {LONGEST_NOTE} bytes"
        ))
        .err();
    }
    Ok(text)
}

/// Images cannot be changed by copying them. What may still change is no ground for anything: nobody could tell later what was
/// changed in a copy of it.
pub(crate) fn may_be_copied(session: &Session, id: SnapshotId) -> Result<()> {
    session.must_be_frozen(id, "be copied")?;
    if session.whole(id)?.image.is_some() {
        return Guard::refused(format!("snapshot {id} is an image and cannot be copied"))
            .next("rootctl snap list, and take one without the mark `image`")
            .err();
    }
    Ok(())
}

/// Refuses, with numbers, when the file system is nearly full.
pub(crate) fn must_have_room(store: &Store, wanted: u64) -> Result<()> {
    let space = sys::space::of(store.dir())?;
    let needed = wanted.saturating_add(RESERVE);
    if space.free >= needed {
        return Ok(());
    }
    let size = crate::deploy::plan::size;
    Guard::refused(format!(
        "the file system of the store has {} free of {}; {} are needed; nothing was written",
        size(space.free),
        size(space.total),
        size(needed)
    ))
    .next("rootctl snap gc --now, or rootctl snap delete --now what is not needed")
    .err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_and_notes_are_refused_with_the_rule() {
        for bad in ["../x", "a/b", "-rf", "7", "@good", "a\nb", ""] {
            let error = name(Some(bad)).unwrap_err().to_string();
            assert!(error.contains("is no snapshot name"), "{error}");
        }
        assert_eq!(name(None).unwrap(), None);
        assert!(note(Some("a\nb".into())).is_err() && note(Some("x".repeat(401))).is_err());
        assert_eq!(note(Some("fine \u{e9}".into())).unwrap(), "fine \u{e9}");
    }
}
