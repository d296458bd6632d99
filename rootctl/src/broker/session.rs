//! The store as one request sees it: where it is, its record, its settings, its snapshots.

use anyhow::{Context, Result};
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::state::State;

use crate::guard::Guard;
use crate::progress::Progress;
use crate::reconcile;
use crate::roles::Roles;
use crate::site::Site;
use crate::state::{Record, next_id};
use crate::store::list::{self, Entry};
use crate::store::settings::Settings;
use crate::store::{Store, StoreLock, edits, trash};

/// An open store with everything read. Changes need the lock, which only [`Session::locked`] has.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it is.
    pub(crate) site: Site,
    /// The store.
    pub(crate) store: Store,
    /// The state record.
    pub(crate) record: Record,
    /// The settings, or why they cannot be used.
    pub(crate) settings: Result<Settings>,
    /// All snapshots, in the order of their numbers.
    pub(crate) entries: Vec<Entry>,
    /// The record as the next change will write it, where a look already tells that a trial has ended.
    settled: Option<State>,
    lock: Option<StoreLock>,
}

/// What is done before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// What was interrupted is finished.
    Reconcile,
    /// The same, and boot files on the ESP are read.
    Fix,
    /// Nothing: for a verdict that an unfinished confirmation must not forestall.
    Nothing,
}

impl Session {
    /// Reads everything; locks and writes nothing. Works on whatever is left of a damaged store.
    pub(crate) fn look(site: Site) -> Result<Self> {
        let store = Store::open(&site.top)?;
        let mut session = Self::read(site, store, None)?;
        session.settled = reconcile::foresee(&session);
        Ok(session)
    }

    /// The same without the snapshots, for those who know them otherwise: `entries` is empty.
    pub(crate) fn glance(site: Site) -> Result<Self> {
        let store = Store::open(&site.top)?;
        let mut session = Self::with(site, store, None, Vec::new());
        session.settled = reconcile::foresee(&session);
        Ok(session)
    }

    /// Takes the lock. Before anything is changed, [`Session::prepare`] has its turn.
    pub(crate) fn locked(site: Site, verb: &str) -> Result<Self> {
        let store = Store::open(&site.top)?;
        let lock = store.lock(verb)?;
        Self::read(site, store, Some(lock))
    }

    /// The same, as soon as the lock is free.
    pub(crate) fn locked_when_free(site: Site, verb: &str) -> Result<Self> {
        let store = Store::open(&site.top)?;
        let lock = store.lock_when_free(verb)?;
        Self::read(site, store, Some(lock))
    }

    /// Makes sure that the store may be changed, and finishes what an earlier change could not.
    pub(crate) fn prepare(&mut self, first: First, progress: &mut Progress<'_>) -> Result<()> {
        self.record.must_be_ours()?;
        match first {
            First::Reconcile => reconcile::reconcile(self, progress),
            First::Fix => reconcile::fix(self, progress),
            First::Nothing => Ok(()),
        }
    }

    fn read(site: Site, store: Store, lock: Option<StoreLock>) -> Result<Self> {
        let entries = list::all(&store)?;
        Ok(Self::with(site, store, lock, entries))
    }

    fn with(site: Site, store: Store, lock: Option<StoreLock>, entries: Vec<Entry>) -> Self {
        Self {
            record: Record::load(&store),
            settings: Settings::load(&store),
            entries,
            site,
            store,
            settled: None,
            lock,
        }
    }

    /// Permission to change.
    pub(crate) fn lock(&self) -> Result<&StoreLock> {
        self.lock
            .as_ref()
            .context("a change was tried without the lock")
    }

    /// Writes the state record.
    pub(crate) fn write_state(&mut self, new: State) -> Result<()> {
        let lock = self
            .lock
            .as_ref()
            .context("a change was tried without the lock")?;
        self.record.write(new, lock)
    }

    /// The settings, which menus need.
    pub(crate) fn settings(&self) -> Result<&Settings> {
        match &self.settings {
            Ok(settings) => Ok(settings),
            Err(error) => Guard::failed(crate::guard::words(error))
                .next("repair settings.toml in the store, then repeat the command")
                .err(),
        }
    }

    /// The running snapshot.
    pub(crate) fn booted(&self) -> Option<SnapshotId> {
        self.site.report.as_ref().and_then(|report| report.snapshot)
    }

    /// Who has which role.
    pub(crate) fn roles(&self) -> Roles {
        Roles::new(self.current(), self.booted(), &self.entries)
    }

    /// The record for people: with what is known by now, even if nobody has written it down yet.
    pub(crate) fn current(&self) -> Option<&State> {
        self.settled.as_ref().or_else(|| self.record.state())
    }

    /// Finds the snapshot that is meant.
    pub(crate) fn resolve(&self, target: &str) -> Result<SnapshotId> {
        let found = self.roles().resolve(target, &self.entries);
        found.map_err(|error| match trash::find(&self.store, target) {
            Ok(gone) => Guard::failed(format!("snapshot {} was deleted", gone.entry.id))
                .next(format!("rootctl snap undelete {}", gone.entry.id))
                .into(),
            Err(_) => error,
        })
    }

    /// Finds the snapshot that is meant, where nothing named means the running one, else the good one. `next` is the command
    /// that names one.
    pub(crate) fn resolve_or_own(&self, target: Option<&str>, next: &str) -> Result<SnapshotId> {
        let roles = self.roles();
        match (target, roles.booted.or(roles.good)) {
            (Some(target), _) => self.resolve(target),
            (None, Some(id)) => Ok(id),
            (None, None) => Guard::usage("there is neither a running nor a good snapshot")
                .next(next)
                .err(),
        }
    }

    /// The entry of a snapshot that exists.
    pub(crate) fn entry(&self, id: SnapshotId) -> Result<&Entry> {
        let place = self.entries.binary_search_by_key(&id, |entry| entry.id);
        place
            .ok()
            .and_then(|place| self.entries.get(place))
            .ok_or_else(|| {
                Guard::failed(format!("there is no snapshot {id}"))
                    .next("rootctl snap list")
                    .into()
            })
    }

    /// The meta of a snapshot that is whole.
    pub(crate) fn whole(&self, id: SnapshotId) -> Result<&Meta> {
        let entry = self.entry(id)?;
        match (&entry.damage, &entry.meta) {
            (None, Some(meta)) => Ok(meta),
            (damage, _) => Guard::refused(format!(
                "snapshot {id} is damaged: {}",
                damage.as_deref().unwrap_or("its meta file is absent")
            ))
            .next("rootctl snap list, and take another one")
            .err(),
        }
    }

    /// True if the snapshot may be changed in place.
    pub(crate) fn is_unfrozen(&self, id: SnapshotId) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.id == id && entry.unfrozen.is_some())
    }

    /// Refuses what may still change: it `cannot`, as in "cannot be copied".
    pub(crate) fn must_be_frozen(&self, id: SnapshotId, cannot: &str) -> Result<()> {
        if !self.is_unfrozen(id) {
            return Ok(());
        }
        Guard::refused(format!(
            "snapshot {id} is unfrozen, so it may still change, and cannot {cannot}"
        ))
        .next(format!("rootctl snap freeze {id}"))
        .err()
    }

    /// The metas of all snapshots that have one.
    pub(crate) fn metas(&self) -> impl Iterator<Item = &Meta> {
        self.entries.iter().filter_map(|entry| entry.meta.as_ref())
    }

    /// True if every snapshot's meta can be read; garbage on the ESP is collected only then.
    pub(crate) fn all_metas_readable(&self) -> bool {
        self.entries.iter().all(|entry| entry.meta.is_some())
    }

    /// The id for the next snapshot.
    pub(crate) fn next_id(&self) -> Result<SnapshotId> {
        let deleted = trash::ids(&self.store)?;
        let edits = edits::ids(&self.store)?;
        let snapshots = self.entries.iter().map(|entry| entry.id);
        let used = snapshots.chain(deleted).chain(edits);
        next_id(self.record.state(), used)
    }

    /// Takes note of a snapshot that was just published.
    pub(crate) fn published(&mut self, meta: Meta) {
        self.entries.push(Entry {
            id: meta.id,
            meta: Some(meta),
            damage: None,
            remark: None,
            unfrozen: None,
        });
        self.entries.sort_by_key(|entry| entry.id);
    }

    /// Whose `/etc` the first boot of a copy of `parent` merges forward: the nearest of it and its ancestors that was
    /// ever deployed, else the good one.
    pub(crate) fn etc_base(&self, parent: &Meta) -> Option<SnapshotId> {
        std::iter::once(parent.id)
            .chain(parent.content().iter().copied())
            .find(|id| self.store.etc(*id).is_dir())
            .or_else(|| self.record.state().and_then(|state| state.good))
    }
}
