//! Control groups, version 2: one leaf per service instance below `rinit/`.
//!
//! PID 1 itself moves into `rinit/init` where controllers are to be had, because a group that hands controllers to its
//! children may hold no processes. Where the kernel offers none (a namespace, a hybrid set-up) grouping and killing
//! work all the same, only limits do not.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid, XattrFlags};

use crate::error::{Cannot, Result, SysError};
use crate::mountinfo;

/// Where cgroup2 is mounted when nobody has mounted it.
const MOUNT: &str = "/sys/fs/cgroup";
/// Our group, below the one we found ourselves in.
const OURS: &str = "rinit";
/// The files that whoever a group is delegated to must be able to write (the kernel's cgroup-v2 document, "Delegation").
const DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
/// Tells container managers that a group is theirs to use (systemd's CGROUP_DELEGATION).
const MARK: &str = "user.delegate";
/// The controllers that limits of services need.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// The tree below our own group.
#[derive(Debug)]
pub struct Cgroups {
    dir: OwnedFd,
    path: PathBuf,
    controllers: Vec<String>,
}

/// One leaf.
#[derive(Debug)]
pub struct Group {
    name: String,
    dir: OwnedFd,
    events: Option<File>,
}

impl Cgroups {
    /// Finds cgroup2 or mounts it, makes our group and hands on the controllers that are to be had.
    ///
    /// # Errors
    /// The kernel has no cgroup2, or we may not change it.
    pub fn open() -> Result<Self> {
        let table = mountinfo::read()?;
        let found = table.iter().find(|entry| entry.kind == "cgroup2");
        let mount = match found {
            Some(entry) => PathBuf::from(&entry.target),
            None => {
                use crate::mount::Attributes;
                let plain = Attributes::NO_SUID
                    .and(Attributes::NO_DEV)
                    .and(Attributes::NO_EXEC);
                crate::mount::mount("cgroup2", MOUNT, plain, "")?;
                PathBuf::from(MOUNT)
            }
        };
        Self::below(&base(&mount))
    }

    fn below(base: &Path) -> Result<Self> {
        let path = base.join(OURS);
        crate::fs::make_dir(&path, 0o755)?;
        let dir = crate::fs::open_dir(&path)?;
        let offered =
            crate::fs::read_text(base.join("cgroup.controllers"), 4096).unwrap_or_default();
        let usable = |name: &&str| offered.split_whitespace().any(|word| word == *name);
        let wanted: Vec<&str> = CONTROLLERS.into_iter().filter(usable).collect();
        let mut controllers = Vec::new();
        if !wanted.is_empty() {
            move_ourselves(&path)?;
            for name in wanted {
                let switch = format!("+{name}");
                let both = write(&base.join("cgroup.subtree_control"), &switch)
                    .and_then(|()| write(&path.join("cgroup.subtree_control"), &switch));
                // A busy parent or a controller that version 1 holds: limits of that kind are not to be had.
                if both.is_ok() {
                    controllers.push(name.to_owned());
                }
            }
        }
        Ok(Self {
            dir,
            path,
            controllers,
        })
    }

    /// Controllers that limits can be set for.
    #[must_use]
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// Our group as a path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the leaf `name`. One of that name that is empty is used again; one with processes left in it is kept
    /// beside the new one.
    ///
    /// # Errors
    /// The name has a slash, or the kernel refuses.
    pub fn make(&self, name: &str) -> Result<Group> {
        let mut name = name.to_owned();
        let mut next = 2_u32;
        loop {
            match rustix::fs::mkdirat(&self.dir, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) => return self.open_leaf(&name),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(SysError::new("make cgroup", &name, error)),
            }
            let mut group = self.open_leaf(&name)?;
            if !group.is_populated()? || next > 99 {
                return Ok(group);
            }
            let plain = name.split('#').next().unwrap_or_default().to_owned();
            name = format!("{plain}#{next}");
            next = next.saturating_add(1);
        }
    }

    /// A leaf that was made before, also by a program that this process was.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<Group> {
        self.open_leaf(name)
    }

    /// Names of all leaves but that of PID 1.
    #[must_use]
    pub fn leaves(&self) -> Vec<String> {
        let all = children(&self.dir).into_iter();
        all.filter(|name| !name.contains('/') && name != "init")
            .collect()
    }

    fn open_leaf(&self, name: &str) -> Result<Group> {
        let dir = crate::fs::open_dir_at(&self.dir, name)?;
        Ok(Group {
            name: name.to_owned(),
            dir,
            events: None,
        })
    }

    /// Removes a leaf with the groups its processes made in it. One that is not empty stays; `make` copes with it.
    pub fn remove(&self, group: Group) {
        let name = group.name.clone();
        if rustix::fs::unlinkat(&self.dir, &name, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
        for inner in children(&group.dir).iter().rev() {
            rustix::fs::unlinkat(&group.dir, inner, AtFlags::REMOVEDIR).ok();
        }
        rustix::fs::unlinkat(&self.dir, &name, AtFlags::REMOVEDIR).ok();
    }

    /// Kills everything in every leaf, PID 1's own excepted.
    pub fn kill_all(&self) {
        for name in self.leaves() {
            if let Ok(group) = self.open_leaf(&name) {
                group.kill().ok();
            }
        }
    }
}

/// The group we are in, seen from the mount: the namespace's root, or deeper when there is no cgroup namespace.
fn base(mount: &Path) -> PathBuf {
    let table = crate::fs::read_text("/proc/self/cgroup", 1 << 16).unwrap_or_default();
    let own = table
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default();
    // Where an earlier program of this very process has moved it to.
    let own = own.strip_suffix("rinit/init").unwrap_or(own);
    let whole = mount.join(own);
    if own.split('/').any(|part| part == "..") || !whole.is_dir() {
        return mount.to_owned();
    }
    whole
}

fn move_ourselves(ours: &Path) -> Result<()> {
    let init = ours.join("init");
    crate::fs::make_dir(&init, 0o755)?;
    write(&init.join("cgroup.procs"), "0")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = File::options()
        .write(true)
        .open(path)
        .cannot("open", path)?;
    file.write_all(text.as_bytes()).cannot("write", path)
}

/// All groups below `dir`, parents first, as relative paths; at most 1000.
fn children(dir: impl AsFd) -> Vec<String> {
    let dir = dir.as_fd();
    let mut found: Vec<String> = Vec::new();
    let mut next = 0;
    let mut at = String::from(".");
    loop {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(dir, at.as_str(), flags, Mode::empty());
        let entries = opened.and_then(Dir::read_from);
        for entry in entries.into_iter().flatten().flatten() {
            let is_dir = entry.file_type() == rustix::fs::FileType::Directory;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if is_dir && name != "." && name != ".." && found.len() < 1000 {
                let inner = if at == "." {
                    name.to_owned()
                } else {
                    format!("{at}/{name}")
                };
                found.push(inner);
            }
        }
        match found.get(next) {
            Some(inner) => at.clone_from(inner),
            None => return found,
        }
        next = next.saturating_add(1);
    }
}

impl Group {
    /// Its name below our group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory, for `clone3`.
    #[must_use]
    pub fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Its `cgroup.events`, which changes when the last process leaves; to be watched after [`Group::is_populated`].
    #[must_use]
    pub fn events(&self) -> Option<&File> {
        self.events.as_ref()
    }

    /// Writes one limit.
    ///
    /// # Errors
    /// The controller is not to be had (`ENOENT`), or the value is refused.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        self.write(file, value)
    }

    /// Gives it to a user and group: the folder and what it takes to move processes and controllers below it, not its
    /// limits. Without an owner it stays root's, and is marked only.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delegate(&self, owner: Option<(u32, u32)>) -> Result<()> {
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            for file in DELEGATED {
                let object = || format!("{}/{file}", self.name);
                rustix::fs::chownat(&self.dir, file, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .cannot("set the owner of", object())?;
            }
            rustix::fs::fchown(&self.dir, uid, gid).cannot("set the owner of", &self.name)?;
        }
        // Linux 5.7; before that nobody can look for it either.
        rustix::fs::fsetxattr(&self.dir, MARK, b"1", XattrFlags::empty()).ok();
        Ok(())
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let object = || format!("{}/{file}", self.name);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&self.dir, file, flags, Mode::empty()).cannot("open", object())?;
        rustix::io::write(&fd, value.as_bytes()).cannot("write", object())?;
        Ok(())
    }

    /// True while there is a process in it or below it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_populated(&mut self) -> Result<bool> {
        let object = || format!("{}/cgroup.events", self.name);
        let mut text = [0; 256];
        let file = match self.events.take() {
            Some(file) => file,
            None => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                let opened = rustix::fs::openat(&self.dir, "cgroup.events", flags, Mode::empty());
                File::from(opened.cannot("open", object())?)
            }
        };
        let length = rustix::io::pread(&file, &mut text, 0).cannot("read", object())?;
        self.events = Some(file);
        let text = std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default();
        Ok(text.lines().any(|line| line == "populated 1"))
    }

    /// The processes in it and in groups below it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let mut found = self.processes_at("cgroup.procs")?;
        for inner in children(&self.dir) {
            // Gone meanwhile: then there is nobody in it.
            found.extend(
                self.processes_at(&format!("{inner}/cgroup.procs"))
                    .unwrap_or_default(),
            );
        }
        Ok(found)
    }

    fn processes_at(&self, path: &str) -> Result<Vec<u32>> {
        let object = || format!("{}/{path}", self.name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.dir, path, flags, Mode::empty());
        let mut text = String::new();
        let mut file = File::from(opened.cannot("open", object())?).take(1 << 20);
        file.read_to_string(&mut text).cannot("read", object())?;
        // 0: a process of a namespace we do not see.
        Ok(text
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter(|pid| *pid > 0)
            .collect())
    }

    /// Sends a signal to each process in it and below it.
    ///
    /// # Errors
    /// They cannot be listed; one that has just gone is no error.
    pub fn signal(&self, number: i32) -> Result<()> {
        for pid in self.processes()? {
            if let Ok(process) = crate::process::pidfd(pid) {
                crate::process::signal(process, number).ok();
            }
        }
        Ok(())
    }

    /// Kills everything in it and below it, at once (Linux 5.14), or one by one where the kernel cannot.
    ///
    /// # Errors
    /// Neither works.
    pub fn kill(&self) -> Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(error) if error.is_absent() => self.signal(libc::SIGKILL),
            result => result,
        }
    }
}
