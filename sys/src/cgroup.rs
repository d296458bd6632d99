//! Control groups, version 2: one leaf per service instance below `rinit/`.
//!
//! PID 1 itself moves into `rinit/init` where controllers are to be had, because a group that hands controllers to its
//! children may hold no processes. Where the kernel offers none (a namespace, a hybrid set-up) grouping and killing
//! work all the same, only limits do not.

use std::fs::File;
use std::io::Write;
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

/// Groups that are looked at in one go: far more than there are services, and a bound for one that makes groups without end.
const MOST: usize = 1 << 16;

/// Longest list of processes that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The tree below our own group.
#[derive(Debug)]
pub struct Cgroups {
    dir: OwnedFd,
    path: PathBuf,
    controllers: Vec<String>,
}

/// One leaf. Its folder is not kept open: each process that is started costs as much as there are descriptors open.
#[derive(Debug)]
pub struct Group {
    name: Box<str>,
    events: Option<File>,
    /// See [`Group::is_spent`].
    spent: bool,
}

impl Group {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            events: None,
            spent: false,
        }
    }

    /// Its name below our group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its `cgroup.events`, which changes when the last process leaves; to be watched after [`Cgroups::is_populated`].
    #[must_use]
    pub fn events(&self) -> Option<&File> {
        self.events.as_ref()
    }

    /// True if everything in it was killed at once. A process that is started in such
    /// a group (`CLONE_INTO_CGROUP`) may be killed too, however much later: Linux 6.18 does so.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent
    }

    /// Nothing is to be started in it any more, see [`Group::is_spent`].
    #[must_use]
    pub fn spent(mut self) -> Self {
        self.spent = true;
        self
    }

    /// A file of it, seen from our group.
    fn file(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }
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

    /// Makes the leaf `name`. One of that name that is empty goes first; one with processes left in it is kept beside the
    /// new one.
    ///
    /// # Errors
    /// The name has a slash, or the kernel refuses.
    pub fn make(&self, name: &str) -> Result<Group> {
        let mut name = name.to_owned();
        let mut next = 2_u32;
        loop {
            match rustix::fs::mkdirat(&self.dir, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) => return Ok(Group::new(&name)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(SysError::new("make cgroup", &name, error)),
            }
            let mut group = Group::new(&name);
            if next > 99 {
                return Ok(group);
            }
            if !self.is_populated(&mut group)? {
                self.remove(group);
                if rustix::fs::mkdirat(&self.dir, &name, Mode::from_raw_mode(0o755)).is_ok() {
                    return Ok(Group::new(&name));
                }
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
        rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .cannot("find cgroup", name)?;
        Ok(Group::new(name))
    }

    /// Names of all leaves but that of PID 1.
    #[must_use]
    pub fn leaves(&self) -> Vec<String> {
        let all = children(&self.dir).into_iter();
        all.filter(|name| !name.contains('/') && name != "init")
            .collect()
    }

    /// Opens a leaf's folder, for `clone3`.
    ///
    /// # Errors
    /// It is gone.
    pub fn open_leaf(&self, group: &Group) -> Result<OwnedFd> {
        crate::fs::open_dir_at(&self.dir, group.name())
    }

    /// Removes a leaf with the groups its processes made in it. One that is not empty stays; `make` copes with it.
    pub fn remove(&self, group: Group) {
        let name = group.name();
        if rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
        for inner in self.inner(&group).iter().rev() {
            rustix::fs::unlinkat(&self.dir, group.file(inner), AtFlags::REMOVEDIR).ok();
        }
        rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR).ok();
    }

    /// Kills everything in every leaf, PID 1's own excepted.
    pub fn kill_all(&self) {
        for name in self.leaves() {
            self.kill(&mut Group::new(&name)).ok();
        }
    }

    /// Writes one limit.
    ///
    /// # Errors
    /// The controller is not to be had (`ENOENT`), or the value is refused.
    pub fn set(&self, group: &Group, file: &str, value: &str) -> Result<()> {
        let path = group.file(file);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::openat(&self.dir, &path, flags, Mode::empty()).cannot("open", &path)?;
        rustix::io::write(&fd, value.as_bytes()).cannot("write", &path)?;
        Ok(())
    }

    /// Gives it to a user and group: the folder and what it takes to move processes and controllers below it, not its
    /// limits. Without an owner it stays root's, and is marked only.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn delegate(&self, group: &Group, owner: Option<(u32, u32)>) -> Result<()> {
        let dir = self.open_leaf(group)?;
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            for file in DELEGATED {
                rustix::fs::chownat(&dir, file, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .cannot("set the owner of", group.file(file))?;
            }
            rustix::fs::fchown(&dir, uid, gid).cannot("set the owner of", group.name())?;
        }
        // Linux 5.7; before that nobody can look for it either.
        rustix::fs::fsetxattr(&dir, MARK, b"1", XattrFlags::empty()).ok();
        Ok(())
    }

    /// True while there is a process in it or below it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_populated(&self, group: &mut Group) -> Result<bool> {
        let mut text = [0; 256];
        let (file, watched) = match group.events.take() {
            Some(file) => (file, true),
            None => (
                File::from(self.read_file(&group.file("cgroup.events"))?),
                false,
            ),
        };
        let length =
            rustix::io::pread(&file, &mut text, 0).cannot("read", group.file("cgroup.events"))?;
        let text = std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default();
        let populated = text.lines().any(|line| line == "populated 1");
        // Only what is watched, or is to be, stays open.
        group.events = (populated || watched).then_some(file);
        Ok(populated)
    }

    fn read_file(&self, path: &str) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, path, flags, Mode::empty()).cannot("open", path)
    }

    /// True if there are no groups in it, and its controllers go to none.
    #[must_use]
    pub fn is_pristine(&self, group: &Group) -> bool {
        let handed_on = self.read_file(&group.file("cgroup.subtree_control"));
        let handed_on = handed_on.and_then(|file| {
            let read = rustix::io::read(&file, &mut [0_u8; 16]);
            read.cannot("read", group.name())
        });
        // An empty list is an empty line.
        !self.has_inner(group) && handed_on.is_ok_and(|length| length <= 1)
    }

    /// Two links and one per folder in it: most services make none.
    fn has_inner(&self, group: &Group) -> bool {
        let found = rustix::fs::statat(&self.dir, group.name(), AtFlags::empty());
        found.map_or(true, |found| found.st_nlink > 2)
    }

    /// Groups below it, parents first, as paths below it.
    fn inner(&self, group: &Group) -> Vec<String> {
        if !self.has_inner(group) {
            return Vec::new();
        }
        self.open_leaf(group).map_or_else(|_| Vec::new(), children)
    }

    /// The processes in it and in groups below it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn processes(&self, group: &Group) -> Result<Vec<u32>> {
        let mut found = self.processes_at(&group.file("cgroup.procs"))?;
        for inner in self.inner(group) {
            let path = group.file(&format!("{inner}/cgroup.procs"));
            // Gone meanwhile: then there is nobody in it.
            found.extend(self.processes_at(&path).unwrap_or_default());
        }
        Ok(found)
    }

    fn processes_at(&self, path: &str) -> Result<Vec<u32>> {
        let file = self.read_file(path)?;
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let length = rustix::io::read(&file, &mut piece).cannot("read", path)?;
            text.extend_from_slice(piece.get(..length).unwrap_or_default());
            // The kernel stops short of a full buffer by less than a line, except at the end.
            if length < piece.len() / 2 || text.len() > LONGEST {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
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
    pub fn signal(&self, group: &Group, number: i32) -> Result<()> {
        for pid in self.processes(group)? {
            // A descriptor would come as late after the list as the signal does.
            crate::process::signal_pid(pid, number).ok();
        }
        Ok(())
    }

    /// Kills everything in it and below it, at once (Linux 5.14), or one by one where the kernel cannot.
    ///
    /// # Errors
    /// Neither works.
    pub fn kill(&self, group: &mut Group) -> Result<()> {
        group.spent = true;
        match self.set(group, "cgroup.kill", "1") {
            Err(error) if error.is_absent() => self.signal(group, libc::SIGKILL),
            result => result,
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

/// All groups below `dir`, parents first, as relative paths; at most [`MOST`].
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
            if is_dir && name != "." && name != ".." && found.len() < MOST {
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
