//! The table of methods.

use anyhow::{Context, Result};
use rootspec::protocol::init::Problem;
use rootspec::protocol::session::{Shell, ShellEnded};
use rootspec::protocol::store::{self, Run, method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sys::socket::Peer;

use crate::access::{Changers, may_change_here};
use crate::args::Args;
use crate::diff::Reader;
use crate::guard::{self, Guard};
use crate::journal::{self, Asked, Journal};
use crate::progress::{Progress, log};
use crate::session::{First, Session};
use crate::site::Site;
use crate::store::Store;
use crate::{
    confirm, copy, delete, deploy, diff, doctor, edit, etc, freeze, gc, import, initramfs, keep,
    relabel, replay, rollback, run, status, undelete, units,
};

/// A reply.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The result.
    Value(Value),
    /// An error's name and parameters.
    Error(&'static str, Value),
}

/// What answers the requests of one connection.
#[derive(Debug)]
pub(crate) struct Service<'a> {
    args: &'a Args,
    peer: Peer,
}

/// Varlink's own interface, which every service answers.
mod own {
    pub(super) const INTERFACE: &str = "org.varlink.service";
    pub(super) const INFO: &str = "org.varlink.service.GetInfo";
    pub(super) const DESCRIPTION: &str = "org.varlink.service.GetInterfaceDescription";
    pub(super) const METHOD_NOT_FOUND: &str = "org.varlink.service.MethodNotFound";
    pub(super) const INTERFACE_NOT_FOUND: &str = "org.varlink.service.InterfaceNotFound";
    /// The interface's text, as the Varlink specification gives it.
    pub(super) const TEXT: &str = "# The Varlink service interface
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
";
}

impl<'a> Service<'a> {
    /// For the connection of `peer`.
    pub(crate) fn new(args: &'a Args, peer: Peer) -> Self {
        Self { args, peer }
    }

    /// Answers one call.
    pub(crate) fn call(
        &self,
        name: &str,
        parameters: Value,
        progress: &mut Progress<'_>,
    ) -> Answer {
        match name {
            own::INFO => return Answer::Value(info()),
            own::DESCRIPTION => return description(&parameters),
            _ => {}
        }
        match self.work(name, parameters, progress) {
            Ok(Some(value)) => Answer::Value(value),
            Ok(None) => Answer::Error(own::METHOD_NOT_FOUND, json!({ "method": name })),
            Err(error) => {
                let (error_name, problem): (_, Problem) = guard::reply(&error);
                // A broker that rootctl started shares its terminal, and rootctl says it anyway.
                if self.args.patience.is_some() {
                    log(&format!(
                        "{name} for user {}: {}",
                        self.peer.uid, problem.reason
                    ));
                }
                let value = serde_json::to_value(problem).unwrap_or_default();
                Answer::Error(error_name, value)
            }
        }
    }

    /// Does the work of a method; `None` when there is no such method.
    fn work(&self, name: &str, given: Value, progress: &mut Progress<'_>) -> Result<Option<Value>> {
        let asked = Asked {
            peer: &self.peer,
            method: name,
            given: &given,
            time: crate::store::publish::now(),
        };
        if let Some(value) = self.looking(asked, progress)? {
            return Ok(Some(value));
        }
        if let Some(value) = self.editing(asked, progress)? {
            return Ok(Some(value));
        }
        match self.replaying(asked, progress)? {
            Some(value) => Ok(Some(value)),
            None => self.changing(asked, progress),
        }
    }

    /// The methods that change nothing in the store.
    fn looking(&self, asked: Asked<'_>, progress: &mut Progress<'_>) -> Result<Option<Value>> {
        let given = asked.given;
        let value = match asked.method {
            method::STATUS => json(status::status(&self.look()?)?)?,
            method::LIST => {
                let session = Session::glance(Site::find(self.args)?)?;
                json(status::list(&session, &take(given)?)?)?
            }
            method::HISTORY => json(status::history(&self.look()?, &take(given)?)?)?,
            method::SHOW => json(status::show(&self.look()?, &take(given)?)?)?,
            method::DIFF => {
                let reader = match self.must_be_allowed() {
                    Ok(()) => Reader::Trusted,
                    Err(_) => Reader::Anybody,
                };
                json(diff::diff(&self.look()?, &take(given)?, reader, progress)?)?
            }
            method::VERIFY => {
                // It reads for minutes.
                self.must_be_allowed()?;
                json(doctor::verify(&self.look()?, &take(given)?, progress)?)?
            }
            method::LOG => {
                // It holds what others typed.
                self.must_be_allowed()?;
                json(journal::show(&self.look()?, &take(given)?)?)?
            }
            method::SESSIONS => {
                // It says who works at what.
                self.must_be_allowed()?;
                json(edit::all(&self.look()?)?)?
            }
            method::ETC_DIFF => {
                // It names what lies in folders that not everybody may list.
                self.must_be_allowed()?;
                json(etc::changes(&self.look()?, &take(given)?)?)?
            }
            method::ETC_CONFLICTS => {
                self.must_be_allowed()?;
                json(etc::foretell(&self.look()?, &take(given)?)?)?
            }
            method::CHECK_UNITS => {
                // It starts a program of the snapshot.
                self.must_be_allowed()?;
                json(units::check(&self.look()?, &take(given)?)?)?
            }
            method::BUILD_INITRAMFS => {
                self.must_be_allowed()?;
                json(initramfs::build_to_file(&take(given)?, progress)?)?
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// The methods that change the store, unless only a plan is wanted.
    fn changing(&self, asked: Asked<'_>, progress: &mut Progress<'_>) -> Result<Option<Value>> {
        let given = asked.given;
        let value = match asked.method {
            method::NEW => {
                let ask = take(given)?;
                self.change(asked, progress, |session, _| copy::new(session, &ask))?
            }
            method::DELETE => {
                let ask = take(given)?;
                self.change(asked, progress, |session, _| delete::delete(session, &ask))?
            }
            method::UNDELETE => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    undelete::undelete(session, &ask, progress)
                })?
            }
            method::COLLECT => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    gc::collect(session, &ask, progress)
                })?
            }
            method::LABEL => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    relabel::relabel(session, &ask, progress)
                })?
            }
            method::KEEP => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    keep::keep(session, &ask, progress)
                })?
            }
            method::FREEZE => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    freeze::freeze(session, &ask, progress)
                })?
            }
            method::DEPLOY => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    deploy::deploy(session, &ask, progress)
                })?
            }
            method::ROLLBACK => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    rollback::rollback(session, &ask, progress)
                })?
            }
            method::BOOT_OK => {
                let ask: store::BootOk = take(given)?;
                let first = match ask.reject {
                    Some(_) => First::Nothing,
                    None => First::Reconcile,
                };
                self.locked(asked, first, progress, |session, progress| {
                    confirm::boot_ok(session, &ask, progress)?;
                    status::status(session)
                })?
            }
            method::DOCTOR => {
                let ask: store::Doctor = take(given)?;
                match ask.fix {
                    Some(true) => self.locked(asked, First::Fix, progress, |session, _| {
                        Ok(doctor::doctor(session))
                    })?,
                    Some(false) | None => json(doctor::doctor(&self.look()?))?,
                }
            }
            method::INIT => {
                self.must_be_allowed()?;
                let site = Site::find(self.args)?;
                let store = Store::at(&site.top);
                let made = import::init(site, take(given)?, progress)?;
                journal::first(&store, asked, made.id, progress);
                json(made)?
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// The methods that make changes once more, or undo them. A plan reads whole trees, and names what not everybody may list.
    fn replaying(&self, asked: Asked<'_>, progress: &mut Progress<'_>) -> Result<Option<Value>> {
        let given = asked.given;
        let value = match asked.method {
            method::REBASE => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    replay::rebase(session, &ask, progress)
                })?
            }
            method::SYNC => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    replay::sync(session, &ask, progress)
                })?
            }
            method::REVERT => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    replay::revert(session, &ask, progress)
                })?
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// The methods about work in copies, and those that change a live `/etc`.
    fn editing(&self, asked: Asked<'_>, progress: &mut Progress<'_>) -> Result<Option<Value>> {
        let given = asked.given;
        let value = match asked.method {
            method::SHELL => json(self.shell(asked, &take(given)?, progress)?)?,
            method::RUN => self.run(asked, &take(given)?, progress)?,
            method::KEEP_SESSION => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    edit::keep(session, &ask, progress)
                })?
            }
            method::DROP_SESSIONS => {
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    edit::discard(session, &ask, progress)
                })?
            }
            method::ETC_MERGE => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    etc::merge(session, &ask, progress)
                })?
            }
            method::ETC_RESTORE => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    etc::restore(session, &ask, progress)
                })?
            }
            method::ETC_SAVE => {
                self.must_be_allowed()?;
                let ask = take(given)?;
                self.change(asked, progress, |session, progress| {
                    etc::save(session, &ask, progress)
                })?
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    /// A shell in a session. The store is locked while the session begins, and free while somebody works in it.
    fn shell(
        &self,
        asked: Asked<'_>,
        ask: &Shell,
        progress: &mut Progress<'_>,
    ) -> Result<ShellEnded> {
        self.must_be_allowed()?;
        if ask.dry_run == Some(true) {
            return edit::plan(&self.look()?, ask);
        }
        let mut begun = None;
        self.locked(asked, First::Reconcile, progress, |session, progress| {
            let edit = edit::begin(session, ask, &self.peer, progress)?;
            let answer = json!({ "session": edit.record.id });
            begun = Some((session.store.clone(), edit));
            Ok(answer)
        })?;
        let (store, edit) = begun.context("a session has not begun")?;
        let exit = edit::enter(&edit, ask, progress)?;
        Ok(ShellEnded {
            session: Some(edit::one(&store, &edit.record)),
            exit: Some(exit),
            steps: Vec::new(),
        })
    }

    /// A command in a copy. The store is locked while the copy is made and while it ends, and free while the command runs.
    fn run(&self, asked: Asked<'_>, ask: &Run, progress: &mut Progress<'_>) -> Result<Value> {
        if ask.dry_run == Some(true) {
            return json(run::plan(&self.look()?, ask)?);
        }
        let mut begun = None;
        self.locked(asked, First::Reconcile, progress, |session, progress| {
            begun = Some(run::begin(session, ask, &self.peer, progress)?);
            Ok(journal::LATER)
        })?;
        let edit = begun.context("a command has not begun")?;
        let ended = run::command(&edit, &ask.argv, progress);
        let session = Session::locked_when_free(self.site(asked)?, asked.verb())?;
        let session = (session, First::Reconcile);
        Self::on(session, asked, progress, |session, progress| {
            run::end(session, edit, ended, progress)
        })
    }

    /// A look at the store: no lock, no write.
    fn look(&self) -> Result<Session> {
        Session::look(Site::find(self.args)?)
    }

    /// Changes the store, after everything was finished that was interrupted. A dry run only looks: it takes no lock, puts
    /// nothing in order and leaves no line in the journal.
    fn change<T: Serialize>(
        &self,
        asked: Asked<'_>,
        progress: &mut Progress<'_>,
        work: impl FnOnce(&mut Session, &mut Progress<'_>) -> Result<T>,
    ) -> Result<Value> {
        if asked.says("dry_run") == Some(true) {
            return json(work(&mut Session::look(self.site(asked)?)?, progress)?);
        }
        self.locked(asked, First::Reconcile, progress, work)
    }

    /// Works on the locked store, and writes down what came of it.
    fn locked<T: Serialize>(
        &self,
        asked: Asked<'_>,
        first: First,
        progress: &mut Progress<'_>,
        work: impl FnOnce(&mut Session, &mut Progress<'_>) -> Result<T>,
    ) -> Result<Value> {
        self.must_be_allowed()?;
        let session = Session::locked(self.site(asked)?, asked.verb())?;
        Self::on((session, first), asked, progress, work)
    }

    /// The same, in a session that has the lock.
    fn on<T: Serialize>(
        (mut session, first): (Session, First),
        asked: Asked<'_>,
        progress: &mut Progress<'_>,
        work: impl FnOnce(&mut Session, &mut Progress<'_>) -> Result<T>,
    ) -> Result<Value> {
        let mut journal = Journal::begin(&session, asked);
        let done = session.prepare(first, progress).and_then(|()| {
            journal.in_order(&session);
            json(work(&mut session, progress)?)
        });
        journal.end(&session, &done, progress);
        done
    }

    fn site(&self, asked: Asked<'_>) -> Result<Site> {
        Ok(Site::find(self.args)?.with_menu(asked.says("replace_menu")))
    }

    fn must_be_allowed(&self) -> Result<()> {
        let changers = match &self.args.group {
            Some(name) => Changers::Group(name.clone()),
            None => Changers::RootOnly,
        };
        // A broker started by rootctl runs as the person who typed: the file system's own rules hold, and what needs root
        // fails where it needs it. On the socket the broker is root and must ask who is there.
        if own_user() == Some(self.peer.uid) || may_change_here(&self.peer, &changers) {
            return Ok(());
        }
        Guard::refused(format!("user {} may only look", self.peer.uid))
            .next("sudo rootctl …")
            .err()
    }
}

/// Who we run as.
fn own_user() -> Option<u32> {
    let own = std::fs::metadata("/proc/self").ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&own))
}

fn take<T: DeserializeOwned>(given: &Value) -> Result<T> {
    let given = match given {
        Value::Null => json!({}),
        given => given.clone(),
    };
    serde_json::from_value(given)
        .map_err(|error| Guard::usage(format!("the request is not understood: {error}")).into())
}

fn json<T: Serialize>(answer: T) -> Result<Value> {
    serde_json::to_value(answer).context("cannot write the answer")
}

fn info() -> Value {
    json!({
        "vendor": "rootctl",
        "product": "rootctld",
        "version": env!("CARGO_PKG_VERSION"),
        "url": "",
        "interfaces": [own::INTERFACE, store::INTERFACE],
    })
}

fn description(given: &Value) -> Answer {
    let text = match given.get("interface").and_then(Value::as_str) {
        Some(own::INTERFACE) => own::TEXT,
        Some(store::INTERFACE) => store::DESCRIPTION,
        other => {
            let value = json!({ "interface": other.unwrap_or_default() });
            return Answer::Error(own::INTERFACE_NOT_FOUND, value);
        }
    };
    Answer::Value(json!({ "description": text }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn call(uid: u32, name: &str, given: Value) -> Answer {
        let args = Args::parse_from(["rootctld"]);
        let peer = Peer {
            pid: 1,
            uid,
            gid: uid,
        };
        let mut send = |_: &str, _: &str| {};
        Service::new(&args, peer).call(name, given, &mut Progress::new(&mut send))
    }

    #[test]
    fn varlinks_own_interface_is_answered() {
        let Answer::Value(info) = call(1, own::INFO, Value::Null) else {
            panic!("no info")
        };
        assert_eq!(info["interfaces"][1], store::INTERFACE);
        let Answer::Value(text) = call(1, own::DESCRIPTION, json!({"interface": store::INTERFACE}))
        else {
            panic!("no description")
        };
        assert_eq!(text["description"], store::DESCRIPTION);
        for (name, given, error) in [
            (
                own::DESCRIPTION,
                json!({"interface": "a.b"}),
                own::INTERFACE_NOT_FOUND,
            ),
            ("a.b.C", Value::Null, own::METHOD_NOT_FOUND),
        ] {
            assert!(matches!(call(1, name, given), Answer::Error(n, _) if n == error));
        }
    }

    #[test]
    fn changes_are_refused_to_others_than_root() {
        for name in [
            method::NEW,
            method::DELETE,
            method::UNDELETE,
            method::COLLECT,
            method::VERIFY,
            method::LOG,
            method::LABEL,
            method::KEEP,
            method::REBASE,
            method::REVERT,
            method::RUN,
            method::SHELL,
            method::SESSIONS,
            method::KEEP_SESSION,
            method::DROP_SESSIONS,
            method::ETC_DIFF,
            method::ETC_CONFLICTS,
            method::ETC_MERGE,
            method::ETC_RESTORE,
            method::ETC_SAVE,
            method::DEPLOY,
            method::CHECK_UNITS,
            method::BOOT_OK,
            method::ROLLBACK,
            method::INIT,
            method::BUILD_INITRAMFS,
        ] {
            let mut given = json!({
                "targets": [], "target": "1", "onto": "1", "argv": ["true"], "session": "1", "sessions": [], "paths": [],
            });
            if name == method::KEEP {
                given["keep"] = json!(true);
            }
            let Answer::Error(error, value) = call(54_321, name, given) else {
                panic!("{name} was allowed")
            };
            assert_eq!(error, store::error::REFUSED, "{name}: {value}");
        }
    }

    #[test]
    fn requests_of_another_shape_are_wrong_usage() {
        let Answer::Error(error, value) = call(0, method::DEPLOY, json!({"target": 7})) else {
            panic!("understood")
        };
        assert_eq!(error, store::error::USAGE, "{value}");
    }
}
