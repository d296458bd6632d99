//! Descriptors that a unit leaves for its next run (`sd_pid_notify_with_fds(3)`).
//!
//! They are somebody else's: they are closed by whoever may wait, and watched only where that waits for nobody.

use rootspec::plan::{Keep, Plan, Unit};
use serde::{Deserialize, Serialize};
use sys::kernel::Kernel;

use super::Hands;
use super::datagram::Message;
use super::hold::{Age, Fd};
use super::token::{Kind, token};
use crate::supervisor::{Core, UnitId};

/// What they are called if their sender does not say.
const NAME: &str = "stored";

/// What one unit has left.
#[derive(Debug)]
pub(super) struct Store<Fd> {
    /// How many it may leave.
    max: usize,
    all: Vec<Stored<Fd>>,
}

#[derive(Debug)]
struct Stored<Fd> {
    name: Box<str>,
    fd: Fd,
    /// It is let go of when the other side hangs up.
    watched: bool,
}

impl<Fd> Store<Fd> {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// In the order in which they came.
    pub(super) fn fds(&self) -> impl Iterator<Item = &Fd> {
        self.all.iter().map(|stored| &stored.fd)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|stored| &*stored.name)
    }
}

/// A descriptor of the store, for the program that we become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldStored {
    name: Box<str>,
    pub(super) fd: Fd,
    watched: bool,
}

/// What one unit has left for a program that knows nothing else about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    unit: Box<str>,
    stored: Vec<HeldStored>,
}

impl Left {
    /// Numbers of its descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = i32> + '_ {
        self.stored.iter().map(|stored| stored.fd.0)
    }
}

impl<K: Kernel> Hands<K> {
    /// How many descriptors a unit has left.
    pub(crate) fn stored(&self, id: UnitId) -> usize {
        self.runs
            .at(id)
            .store
            .as_ref()
            .map_or(0, |store| store.len())
    }

    /// From now on the unit may leave what its definition says.
    pub(super) fn open_store(&mut self, id: UnitId, unit: &Unit) {
        let max = usize::from(unit.fdstore.max);
        let store = &mut self.runs.at_mut(id).store;
        match store {
            Some(store) => store.max = max,
            None if max > 0 => {
                *store = Some(Box::new(Store {
                    max,
                    all: Vec::new(),
                }));
            }
            None => {}
        }
    }

    /// Does what a notification says about descriptors; those that nobody wants are let go of.
    pub(super) fn store_came(&mut self, id: UnitId, message: &Message, fds: Vec<K::Fd>) {
        let unwanted = if message.stores {
            self.store(id, message, fds)
        } else {
            fds
        };
        self.kernel.discard(unwanted);
        if let (true, Some(name)) = (message.removes, &message.fd_name) {
            self.remove_stored(id, |_, stored| *stored.name == **name);
        }
    }

    /// Returns what is not kept: what is there already, and what is too much.
    fn store(&mut self, id: UnitId, message: &Message, fds: Vec<K::Fd>) -> Vec<K::Fd> {
        let Some(mut store) = self.runs.at_mut(id).store.take() else {
            return fds;
        };
        let mut unwanted = Vec::new();
        let mut too_many = false;
        for fd in fds {
            if store.len() >= store.max {
                too_many = true;
                unwanted.push(fd);
            } else if store.fds().any(|known| self.kernel.is_same(known, &fd)) {
                unwanted.push(fd);
            } else {
                let fd = self.kernel.keep(fd);
                let watched = !message.unwatched && self.watch_end(id, &fd);
                let name = message.fd_name.as_deref().unwrap_or(NAME).into();
                store.all.push(Stored { name, fd, watched });
            }
        }
        let max = store.max;
        self.runs.at_mut(id).store = Some(store);
        if too_many {
            let name = self.name_by_ear(id);
            self.note_once(format!(
                "{name}: it leaves more descriptors than [fdstore] max = {max}; the others are closed"
            ));
        }
        unwanted
    }

    fn watch_end(&mut self, id: UnitId, fd: &K::Fd) -> bool {
        let watched = self.kernel.watch_end(fd, token(Kind::Stored, id));
        watched.unwrap_or_else(|error| {
            self.note(sys::chain(&error));
            false
        })
    }

    fn remove_stored(&mut self, id: UnitId, goes: impl Fn(&mut K, &Stored<K::Fd>) -> bool) {
        let Some(store) = &mut self.runs.at_mut(id).store else {
            return;
        };
        let (mut gone, mut stay) = (Vec::new(), Vec::new());
        for stored in std::mem::take(&mut store.all) {
            if goes(&mut self.kernel, &stored) {
                gone.push(stored);
            } else {
                stay.push(stored);
            }
        }
        store.all = stay;
        self.let_go(gone);
    }

    fn let_go(&mut self, gone: Vec<Stored<K::Fd>>) {
        for stored in gone.iter().filter(|stored| stored.watched) {
            // Closing alone does not end it: the unit may have a copy.
            self.kernel.unwatch(&stored.fd);
        }
        let fds = gone.into_iter().map(|stored| stored.fd).collect();
        self.kernel.discard(fds);
    }

    /// The other side of some has hung up.
    pub(super) fn stored_ended(&mut self, id: UnitId) {
        self.remove_stored(id, |kernel, stored| {
            stored.watched && kernel.has_ended(&stored.fd)
        });
    }

    /// Lets go of everything that a unit has left. What it leaves then has to be opened anew.
    pub(super) fn forget(&mut self, id: UnitId) {
        if let Some(store) = self.runs.at_mut(id).store.take() {
            self.let_go(store.all);
        }
    }
}

impl Hands<sys::kernel::Linux> {
    /// What a unit has left, for the program that we become.
    pub(super) fn hold_stored(store: &Store<std::os::fd::OwnedFd>) -> Vec<HeldStored> {
        let all = store.all.iter().map(|stored| HeldStored {
            name: stored.name.clone(),
            fd: Fd::of(&stored.fd),
            watched: stored.watched,
        });
        all.collect()
    }

    /// What units have left that is to be kept as long as there is the unit.
    pub(crate) fn left_for_good(&self, core: &Core) -> Vec<Left> {
        let left = self.runs.iter().filter_map(|(id, run)| {
            let (unit, store) = (core.unit(id), run.store.as_ref()?);
            let goes_on = unit.fdstore.keep == Keep::Always && store.len() > 0;
            goes_on.then(|| Left {
                unit: unit.name.clone(),
                stored: Self::hold_stored(store),
            })
        });
        left.collect()
    }

    /// Takes over what units of another root have left for those of the same name. Nobody wants the rest.
    pub(crate) fn take_left(&mut self, plan: &Plan, left: Vec<Left>) {
        for Left { unit, stored } in left {
            let id = plan.find(&unit);
            if let Some((id, unit)) = id.and_then(|id| Some((id, plan.unit(id)?))) {
                self.take_stored(id, unit, stored, Age::Fresh);
            }
        }
        self.kernel.discard(sys::handoff::take_rest());
    }

    /// Takes back what a unit has left, and lets it leave more.
    pub(super) fn take_stored(&mut self, id: UnitId, unit: &Unit, held: Vec<HeldStored>, age: Age) {
        self.open_store(id, unit);
        let mut all = Vec::new();
        for HeldStored { name, fd, watched } in held {
            let fd = match age {
                Age::Fresh => fd.take_any(),
                Age::Stale => fd.take(),
            };
            if let Some(fd) = fd {
                let watched = watched && self.watch_end(id, &fd);
                all.push(Stored { name, fd, watched });
            }
        }
        match &mut self.runs.at_mut(id).store {
            Some(store) => store.all = all,
            None => self.let_go(all),
        }
    }
}
