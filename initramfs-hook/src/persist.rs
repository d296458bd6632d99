//! Mode `persist:NAME`: a writable btrfs snapshot of a snapshot, made at first use.

use anyhow::{Context, Result, bail};
use rootspec::SnapshotName;
use rootspec::meta::Meta;
use rootspec::over::{self, Over};
use rootspec::paths::{self, store as names};
use sys::btrfs::{self, Access};
use sys::mount::Mount;

use crate::say::Voice;
use crate::store::{Store, part};

/// The writable root `name`, detached; made from the chosen snapshot if it does not exist.
///
/// # Errors
/// It cannot be made, or was made from a snapshot with another kernel.
pub fn root(
    store: &Store,
    name: &SnapshotName,
    chosen: &Meta,
    release: &str,
    voice: &mut Voice,
) -> Result<Mount> {
    let path = format!("{}/{}/{name}", names::DIR, names::OVER);
    if sys::fs::exists_at(store, &path) {
        check_base(store, name, chosen, release, voice)?;
    } else {
        make(store, name, chosen)
            .with_context(|| format!("cannot make the writable root {name}"))?;
        voice.note(&format!(
            "made the writable root {name} from snapshot {}",
            chosen.id
        ));
    }
    Ok(part(store, &path)?)
}

fn make(store: &Store, name: &SnapshotName, chosen: &Meta) -> Result<()> {
    let dir = store.path(&format!("{}/{}", names::DIR, names::OVER));
    sys::fs::make_dir(&dir, 0o700)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let record = Over {
        schema: Over::SCHEMA,
        base: chosen.id,
        created: now.map_or(0, |since| since.as_secs()),
    };
    // The record first: without the subvolume it says nothing, and is written again.
    let file = dir.join(format!("{name}.toml"));
    sys::fs::write_atomic(file, record.to_toml()?.as_bytes(), 0o600)?;
    let root = format!("{}/{}", paths::snapshot_dir(chosen.id), names::ROOT);
    let source = sys::fs::open_dir_at(store, root)?;
    let dir = sys::fs::open_dir(dir)?;
    Ok(btrfs::snapshot(
        &source,
        &dir,
        name.as_str(),
        Access::ReadWrite,
    )?)
}

/// A root that was made from another snapshot boots only if that one has the running kernel.
fn check_base(
    store: &Store,
    name: &SnapshotName,
    chosen: &Meta,
    release: &str,
    voice: &mut Voice,
) -> Result<()> {
    let file = format!("{}/{}/{name}.toml", names::DIR, names::OVER);
    let limit = u64::try_from(over::MAX_SIZE).unwrap_or(u64::MAX);
    let text = match sys::fs::read_text_at(store, &file, limit) {
        Ok(text) => text,
        Err(error) => {
            voice.warn(format!(
                "nobody knows what the writable root {name} was made from: {}",
                sys::chain(&error)
            ));
            return Ok(());
        }
    };
    let base = Over::from_toml(&file, &text)?.base;
    if base == chosen.id {
        return Ok(());
    }
    let meta = store.candidate(base, &rootspec::cmdline::Mode::Ro).meta;
    match meta.and_then(|meta| meta.kernel) {
        Some(kernel) if kernel.release != release => bail!(
            "the writable root {name} was made from snapshot {base} with kernel {}, running is {release}: \
             boot snapshot {base}, or take another name",
            kernel.release
        ),
        Some(_) | None => voice.warn(format!(
            "the writable root {name} was made from snapshot {base}, not from {}: it shows nothing newer",
            chosen.id
        )),
    }
    Ok(())
}
