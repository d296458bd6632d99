//! The unit's own view of the file system: what is writable, read-only, hidden, replaced.
//!
//! What stays writable and what is bound is taken by descriptor before anything changes, with the properties it has:
//! neither a read-only parent nor a tmpfs above it gets in the way, and nothing becomes writable that is not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rootspec::setup::{Mount as Wanted, What};
use sys::SysError;
use sys::error::{Cannot, Result};
use sys::mount::{self, Attributes, Mount, Reach, Request};

use super::fresh::{make_folder, memory};
use super::{Step, about, devices};

/// An empty file that stands in for hidden ones.
const BLANK: &str = "/run/rinit/blank";
/// Nothing in memory is a device, and nothing there gains privileges.
const PLAIN: Attributes = Attributes::NO_SUID.and(Attributes::NO_DEV);
/// What is hidden can be passed through, in case something in it is shown again, but is empty.
const PASSABLE: &str = "mode=0711";

/// Changes what we see; we are in a mount namespace of our own.
pub(super) fn arrange(wanted: &[Wanted]) -> Step {
    // Mounts made outside still appear here; ours never appear outside.
    mount::receive_only("/").map_err(|error| about("[sandbox]", &error))?;
    if wanted.iter().any(|item| item.what == What::Hidden) {
        blank().map_err(|error| about("[sandbox]", &error))?;
    }
    let mut taken = Vec::new();
    for item in wanted {
        match take(item) {
            Ok(mount) => taken.push((item, mount)),
            Err(error) => forgive(item, error)?,
        }
    }
    let mut scene = Scene::default();
    for (item, mount) in taken {
        if let Err(error) = scene.place(item, mount) {
            forgive(item, error)?;
        }
    }
    // Not before: mount points are made in them.
    for (item, path) in scene.closing {
        let closed = mount::restrict(path, Attributes::READ_ONLY, Reach::One);
        closed.map_err(|error| told(item, &error))?;
    }
    Ok(())
}

fn told(item: &Wanted, error: &SysError) -> String {
    match &*item.key {
        "dirs" => about("[dirs]", error),
        key => about(&format!("[sandbox] {key}"), error),
    }
}

/// What is absent and may be is no failure.
fn forgive(item: &Wanted, error: SysError) -> Step {
    if item.optional && error.is_absent() {
        Ok(())
    } else {
        Err(told(item, &error))
    }
}

fn blank() -> Result<()> {
    if Path::new(BLANK).exists() {
        return Ok(());
    }
    std::fs::write(BLANK, "").cannot("make", BLANK)?;
    std::fs::set_permissions(BLANK, std::fs::Permissions::from_mode(0o000)).cannot("make", BLANK)
}

/// What must be taken as it is now.
fn take(item: &Wanted) -> Result<Option<Mount>> {
    match &item.what {
        What::Writable => Mount::at(&*item.at, Reach::Tree).map(Some),
        What::Bind { from, read_only } => {
            let mount = Mount::at(&**from, Reach::Tree)?;
            if *read_only {
                mount.restrict(Attributes::READ_ONLY, Reach::Tree)?;
            }
            Ok(Some(mount))
        }
        What::ReadOnly | What::Tmpfs(_) | What::Hidden | What::Devices | What::New(_) => Ok(None),
    }
}

/// What has been changed so far.
#[derive(Default)]
struct Scene<'a> {
    /// Our own file systems, in which mount points are made.
    own: Vec<&'a str>,
    /// Those that become read-only at the end.
    closing: Vec<(&'a Wanted, &'a str)>,
}

impl<'a> Scene<'a> {
    fn place(&mut self, item: &'a Wanted, taken: Option<Mount>) -> Result<()> {
        let at: &str = &item.at;
        match (&item.what, taken) {
            (What::Writable | What::Bind { .. }, Some(mount)) => {
                self.point(at, &mount)?;
                mount.attach_at(at)
            }
            // Taken above.
            (What::Writable | What::Bind { .. }, None) => Ok(()),
            (What::ReadOnly, _) if at == "/" => {
                mount::restrict(at, Attributes::READ_ONLY, Reach::Tree)
            }
            (What::ReadOnly, _) => {
                let mount = Mount::at(at, Reach::Tree)?;
                mount.restrict(Attributes::READ_ONLY, Reach::Tree)?;
                mount.attach_at(at)
            }
            (What::Tmpfs(options), _) => {
                let mount = memory(options, PLAIN)?;
                self.point(at, &mount)?;
                mount.attach_at(at)?;
                self.own.push(at);
                Ok(())
            }
            (What::Hidden, _) => self.hide(item),
            (What::Devices, _) => {
                devices::arrange()?;
                self.own.push(at);
                self.closing.push((item, at));
                Ok(())
            }
            (What::New(kind), _) => {
                std::fs::metadata(at).cannot("mount on", at)?;
                let mount = Mount::new(&Request {
                    kind,
                    source: kind,
                    options: &[],
                    attributes: PLAIN.and(Attributes::NO_EXEC),
                })?;
                mount.attach_at(at)
            }
        }
    }

    fn hide(&mut self, item: &'a Wanted) -> Result<()> {
        let at: &str = &item.at;
        if std::fs::metadata(at).cannot("hide", at)?.is_dir() {
            memory(PASSABLE, PLAIN.and(Attributes::NO_EXEC))?.attach_at(at)?;
            self.own.push(at);
            self.closing.push((item, at));
            return Ok(());
        }
        let mount = Mount::at(BLANK, Reach::One)?;
        let closed = Attributes::READ_ONLY.and(Attributes::NO_EXEC);
        mount.restrict(closed.and(PLAIN), Reach::One)?;
        mount.attach_at(at)
    }

    /// Makes the place to mount on, but only in what is ours.
    fn point(&self, at: &str, mount: &Mount) -> Result<()> {
        let inside = |own: &&str| {
            at.strip_prefix(own)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if Path::new(at).exists() || !self.own.iter().any(inside) {
            return Ok(());
        }
        let parents = at.match_indices('/').skip(1);
        for folder in parents.filter_map(|(end, _)| at.get(..end)) {
            make_folder(folder)?;
        }
        if mount.is_folder()? {
            make_folder(at)
        } else {
            std::fs::write(at, "").cannot("make", at)
        }
    }
}
