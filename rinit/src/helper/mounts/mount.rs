//! A file system gets into its place, and out of it again.

use std::path::Path;
use std::time::Duration;

use rootspec::mounting::{self, Leave, Meaning, Mount, Whole, meaning};
use sys::block::Content;
use sys::mount::{self, Attributes, Reach, Request, Unmount};
use sys::{mountinfo, process, timer};

use super::{Step, check, wait};

/// Longest value that fsconfig(2) takes, in bytes; longer ones go the way of mount(2).
const LONGEST: usize = 255;
/// Pause between two tries to unmount what is in use, in milliseconds: nobody tells when it no longer is.
const AGAIN: u64 = 100;
/// `EROFS` and `EACCES`: what drivers answer for a device that can only be read.
const READ_ONLY: [i32; 2] = [30, 13];
/// Permissions of what has to be made above the place.
const PARENT_MODE: u32 = 0o755;
/// `EBUSY`
const BUSY: i32 = 16;

/// Properties of a mount in mount(8)'s words.
const ATTRIBUTES: [(&str, Attributes); 8] = [
    ("ro", Attributes::READ_ONLY),
    ("nosuid", Attributes::NO_SUID),
    ("nodev", Attributes::NO_DEV),
    ("noexec", Attributes::NO_EXEC),
    ("nosymfollow", Attributes::NO_SYMFOLLOW),
    ("noatime", Attributes::NO_ATIME),
    ("nodiratime", Attributes::NO_DIR_ATIME),
    ("strictatime", Attributes::STRICT_ATIME),
];

/// Waits for the device, checks what is on it, mounts it. What is mounted there already stays.
pub(super) fn mount(wanted: &Mount) -> Step {
    let deadline = timer::now().saturating_add(wanted.device_timeout);
    for device in &wanted.devices {
        wait::for_device(device, deadline)?;
    }
    let table = mountinfo::read().map_err(|error| sys::chain(&error))?;
    if let Some(found) = mountinfo::at(&table, &wanted.at) {
        super::say(&format!(
            "{} is mounted already, from {}",
            wanted.at, found.source
        ));
        return Ok(());
    }
    let what = mounting::path_of(&wanted.what);
    wait::for_device(&what, deadline)?;
    let options = meaning(wanted.options.iter().map(String::as_str));
    let kind = kind(wanted, &what, &options)?;
    if let Some(number) = sys::block::number_of(&what).filter(|_| mounting::is_device(&what)) {
        if !check::is_mounted(number, &table) {
            check::check(&what, &kind, wanted.fsck)?;
        }
    }
    let place = |why: String| format!("cannot mount {} on {}: {why}", wanted.what, wanted.at);
    let work = || {
        make_place(wanted, &what, &options)?;
        attach(wanted, &what, &kind, &options)
    };
    process::limited_words(wanted.timeout, work).map_err(place)
}

/// The type that was said, or that the device shows; empty: none is needed, or mount(8) has to find it out.
fn kind(wanted: &Mount, what: &str, options: &Meaning<'_>) -> Result<String, String> {
    if wanted.kind != "auto" || options.bind.is_some() || !Path::new(what).exists() {
        return Ok(wanted.kind.clone());
    }
    let found = sys::block::probe(what).map_err(|error| sys::chain(&error))?;
    Ok(match found {
        Some(Content::Btrfs(_)) => "btrfs",
        Some(Content::Squashfs) => "squashfs",
        Some(Content::Erofs) => "erofs",
        // The driver for the newest one reads the older ones too.
        Some(Content::Other("ext")) => "ext4",
        Some(Content::Other("luks")) => {
            return Err(format!("{what} is encrypted: mount what it is opened as"));
        }
        Some(Content::Other(kind)) => kind,
        None => "auto",
    }
    .to_owned())
}

/// Makes the place if it is not there: a folder, or a file if a file is to be bound.
fn make_place(wanted: &Mount, what: &str, options: &Meaning<'_>) -> Step {
    let at = Path::new(&wanted.at);
    if at.exists() {
        return Ok(());
    }
    let told = |error: sys::SysError| sys::chain(&error);
    let above: Vec<&Path> = at.ancestors().skip(1).filter(|dir| !dir.exists()).collect();
    for dir in above.into_iter().rev() {
        sys::fs::make_dir(dir, PARENT_MODE).map_err(told)?;
    }
    if options.bind.is_some() && Path::new(what).is_file() {
        let made = std::fs::File::options().append(true).create(true).open(at);
        return made
            .map(drop)
            .map_err(|error| format!("the file cannot be made: {error}"));
    }
    sys::fs::make_dir(at, wanted.mkdir_mode).map_err(told)
}

fn attach(wanted: &Mount, what: &str, kind: &str, options: &Meaning<'_>) -> Step {
    let mut attributes = Attributes::NONE;
    for (word, attribute) in ATTRIBUTES {
        if options.attributes.contains(word) {
            attributes = attributes.and(attribute);
        }
    }
    if let Some(whole) = options.bind {
        bind(wanted, what, whole, attributes)?;
    } else if needs_helper(what, kind, options) {
        with_helper(wanted, what, kind)?;
    } else {
        directly(wanted, (what, kind), options, attributes)?;
    }
    match options.propagation {
        Some(word) => mount::propagate(&wanted.at, word).map_err(|error| sys::chain(&error)),
        None => Ok(()),
    }
}

fn bind(wanted: &Mount, what: &str, whole: Whole, attributes: Attributes) -> Step {
    let reach = match whole {
        Whole::One => Reach::One,
        Whole::Tree => Reach::Tree,
    };
    let bound = || {
        let copy = mount::Mount::at(what, reach)?;
        copy.restrict(attributes, Reach::One)?;
        copy.attach_at(&wanted.at)
    };
    bound().map_err(|error| sys::chain(&error))
}

/// Types with a program of their own, images in files, and types that only its library can tell are left to mount(8).
fn needs_helper(what: &str, kind: &str, options: &Meaning<'_>) -> bool {
    let image = what.starts_with('/') && Path::new(what).is_file();
    let own = || super::find(&format!("mount.{kind}")).is_some();
    options.helper || image || kind == "auto" || kind.starts_with("fuse") || own()
}

fn with_helper(wanted: &Mount, what: &str, kind: &str) -> Step {
    let Some(program) = super::find("mount") else {
        return Err(if kind == "auto" {
            "its type is not known: say type".to_owned()
        } else {
            format!("there is no program mount, which {kind} needs")
        });
    };
    let options = wanted.options.join(",");
    let mut arguments = vec!["-t", kind];
    if !options.is_empty() {
        arguments.extend(["-o", &options]);
    }
    if wanted.rw_only {
        arguments.push("-w");
    }
    arguments.extend(["--", what, &wanted.at]);
    match super::run(&program, &arguments)? {
        (Some(0), _) => Ok(()),
        (_, words) if words.is_empty() => Err("mount failed and did not say why".to_owned()),
        (_, words) => Err(words),
    }
}

/// Without anybody's help. A device that can only be read is mounted read-only, unless that is a failure.
fn directly(
    wanted: &Mount,
    (what, kind): (&str, &str),
    options: &Meaning<'_>,
    attributes: Attributes,
) -> Step {
    let first = once(wanted, (what, kind), options, attributes);
    let Err(error) = first else {
        return Ok(());
    };
    let refused = error
        .errno()
        .is_some_and(|number| READ_ONLY.contains(&number));
    if !refused || wanted.rw_only || options.attributes.contains("ro") {
        return Err(sys::chain(&error));
    }
    let restricted = attributes.and(Attributes::READ_ONLY);
    match once(wanted, (what, kind), options, restricted) {
        Ok(()) => {
            super::say(&format!(
                "{what} can only be read: {} is read-only",
                wanted.at
            ));
            Ok(())
        }
        Err(_) => Err(sys::chain(&error)),
    }
}

fn once(
    wanted: &Mount,
    (what, kind): (&str, &str),
    options: &Meaning<'_>,
    attributes: Attributes,
) -> sys::error::Result<()> {
    let read_only = attributes.and(Attributes::READ_ONLY) == attributes;
    if options
        .rest
        .iter()
        .any(|(_, value)| value.is_some_and(|value| value.len() > LONGEST))
    {
        let words = options.rest.iter().map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => (*key).to_owned(),
        });
        let data = words.collect::<Vec<_>>().join(",");
        return mount::mount_from(what, kind, &wanted.at, attributes, &data);
    }
    let mut rest = options.rest.clone();
    rest.extend(read_only.then_some(("ro", None)));
    let request = Request {
        kind,
        source: what,
        options: &rest,
        attributes,
    };
    mount::Mount::new(&request)?.attach_at(&wanted.at)
}

/// Takes the mount away. It may be in use for a while by those that stop at the same time.
pub(super) fn unmount(at: &str, how: Leave, timeout: u64) -> Step {
    let how = match how {
        Leave::Free => Unmount::Now,
        Leave::Lazy => Unmount::Detach,
        Leave::Force => Unmount::Force,
    };
    let deadline = timer::now().saturating_add(timeout);
    loop {
        let table = mountinfo::read().map_err(|error| sys::chain(&error))?;
        if mountinfo::at(&table, at).is_none() {
            return Ok(());
        }
        let Err(error) = mount::unmount(at, how) else {
            continue;
        };
        if error.errno() != Some(BUSY) || timer::now() >= deadline {
            let next = format!("it stays mounted; next: fuser -vm {at}");
            return Err(format!("{}; {next}", sys::chain(&error)));
        }
        std::thread::sleep(Duration::from_millis(AGAIN));
    }
}
