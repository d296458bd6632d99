//! `snap gc`: snapshots that no rule keeps go into the trash, and what has been there long enough is thrown away.
//!
//! | open | for |
//! |---|---|
//! | `policy` | which snapshots stay (pure) |

mod policy;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::protocol::store::{Collect, Collected, CollectedOne, Fate};

use crate::delete;
use crate::guard::{Guard, words};
use crate::progress::Progress;
use crate::session::Session;
use crate::store::trash;
use policy::{Fact, Policy, Verdict};

/// Collects, or says exactly what would be collected.
pub(crate) fn collect(
    session: &mut Session,
    ask: &Collect,
    progress: &mut Progress<'_>,
) -> Result<Collected> {
    let policy = match &ask.keep {
        None => Policy::default(),
        Some(text) => text.parse().map_err(|why: String| {
            Guard::usage(format!("the policy {text:?} cannot be used: {why}"))
                .next("rootctl snap gc --keep last=10,daily=7,weekly=4,monthly=6,trash=14")
        })?,
    };
    // Without the record nobody knows what boots.
    session.record.need()?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let mut all = living(session, &policy, now, ask.now == Some(true));
    all.extend(buried(session, &policy, now, ask.now == Some(true))?);
    if let Some(only) = &ask.only {
        // What somebody saw and agreed to; anything that has changed since stays.
        for one in all.iter_mut().filter(|one| one.verdict != Fate::Stays) {
            if !only.contains(&one.id) {
                one.verdict = Fate::Stays;
                "it was not among those that were asked about".clone_into(&mut one.why);
            }
        }
    }
    if ask.dry_run != Some(true) {
        act(session, &all, progress)?;
    }
    Ok(Collected {
        policy: policy.to_string(),
        snapshots: all,
    })
}

fn act(session: &mut Session, all: &[CollectedOne], progress: &mut Progress<'_>) -> Result<()> {
    let of = |verdict: Fate, there: bool| -> Vec<SnapshotId> {
        let some = all
            .iter()
            .filter(|one| one.verdict == verdict && one.deleted.is_none() == there);
        some.map(|one| one.id).collect()
    };
    let (to_trash, at_once, old) = (
        of(Fate::Trash, true),
        of(Fate::Purge, true),
        of(Fate::Purge, false),
    );
    let gone = [to_trash, at_once.clone()].concat();
    if !gone.is_empty() {
        progress.step(&format!("delete {} snapshots", gone.len()));
        delete::bury(session, &gone)?;
    }
    let over = [at_once, old].concat();
    if !over.is_empty() {
        progress.step(&format!("throw {} deleted snapshots away", over.len()));
        delete::purge(session, &over)?;
    }
    Ok(())
}

/// What becomes of the snapshots that are there.
fn living(session: &Session, policy: &Policy, now: u64, at_once: bool) -> Vec<CollectedOne> {
    let facts: Vec<Fact> = session
        .entries
        .iter()
        .map(|entry| {
            let meta = entry.meta.as_ref();
            let refusal = delete::may_go(entry.id, session).err();
            let damaged = entry.damage.is_some();
            Fact {
                id: entry.id,
                created: meta.map(|meta| meta.created),
                protected: match refusal {
                    Some(error) => Some(words(&error)),
                    None if damaged => Some("it is damaged: a person decides".to_owned()),
                    None if entry.unfrozen.is_some() => {
                        Some("it is unfrozen: a person decides".to_owned())
                    }
                    None => None,
                },
                needs: meta
                    .and_then(|meta| meta.etc_base)
                    .filter(|_| !session.store.etc(entry.id).exists()),
            }
        })
        .collect();
    let verdicts = policy.decide(&facts, now);
    let both = session.entries.iter().zip(verdicts);
    both.map(|(entry, verdict)| {
        let (verdict, why) = match verdict {
            Verdict::Stays(why) => (Fate::Stays, why),
            Verdict::Goes if at_once => (Fate::Purge, "no part of the policy keeps it".to_owned()),
            Verdict::Goes => (Fate::Trash, "no part of the policy keeps it".to_owned()),
        };
        let meta = entry.meta.as_ref();
        CollectedOne {
            id: entry.id,
            name: meta.and_then(|m| m.name.as_ref()).map(ToString::to_string),
            created: meta.map_or(0, |m| m.created),
            deleted: None,
            verdict,
            why,
        }
    })
    .collect()
}

/// What becomes of those in the trash.
fn buried(
    session: &Session,
    policy: &Policy,
    now: u64,
    at_once: bool,
) -> Result<Vec<CollectedOne>> {
    let one = |gone: trash::Trashed| {
        let days = policy.trash_days();
        let (verdict, why) = match gone.deleted {
            _ if at_once => (Fate::Purge, "it was deleted".to_owned()),
            None => (Fate::Stays, "nobody knows when it was deleted".to_owned()),
            Some(deleted) if policy.is_over(deleted, now) => (
                Fate::Purge,
                format!("it was deleted {days} days ago or more"),
            ),
            Some(_) => (
                Fate::Stays,
                format!("it was deleted less than {days} days ago"),
            ),
        };
        let meta = gone.entry.meta.as_ref();
        CollectedOne {
            id: gone.entry.id,
            name: meta.and_then(|m| m.name.as_ref()).map(ToString::to_string),
            created: meta.map_or(0, |m| m.created),
            deleted: Some(gone.deleted.unwrap_or(0)),
            verdict,
            why,
        }
    };
    Ok(trash::all(&session.store)?.into_iter().map(one).collect())
}
