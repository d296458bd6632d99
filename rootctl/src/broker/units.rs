//! The units of a snapshot, judged by the program that would read them: the snapshot's own `rinit-plan --check`. It knows
//! the schema of its version, and what it says here it would say at boot.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::kept::KeptError;
use rootspec::paths::{program, store as names};
use rootspec::protocol::store::One;
use rootspec::protocol::units::{Checked, UnitProblem, WARNING};
use rootspec::stored::Stored;
use sys::run::Stream;

use crate::guard::Guard;
use crate::session::Session;

/// How long the program of a snapshot may take: it reads a few hundred small files.
const LIMIT: Duration = Duration::from_secs(60);

/// What is wrong with the units of a snapshot, for `rootctl svc check --snapshot`.
pub(crate) fn check(session: &Session, ask: &One) -> Result<Checked> {
    let id = session.resolve(&ask.target)?;
    look(session, id)?.or_else(|why| {
        Guard::failed(format!(
            "the units of snapshot {id} cannot be checked: {why}"
        ))
        .next(format!("rootctl snap show {id}"))
        .err()
    })
}

/// What is wrong with the units of a snapshot that is to be deployed. Errors are a no, unless that was waived.
pub(crate) fn before_deploy(
    session: &Session,
    id: SnapshotId,
    unchecked: bool,
) -> Result<Vec<UnitProblem>> {
    let checked = match look(session, id)? {
        Ok(checked) => checked,
        // Nothing is known against it: a trial will tell.
        Err(why) => return Ok(vec![not_checked(&why)]),
    };
    let errors = checked.errors().count();
    if errors > 0 && !unchecked {
        return Guard::refused(format!(
            "the units of snapshot {id} have errors:\n{}",
            checked.text().trim_end()
        ))
        .next(format!(
            "repair them in a copy (rootctl run {id} -- …), or rootctl deploy {id} --unchecked"
        ))
        .err();
    }
    Ok(checked.problems)
}

fn not_checked(why: &str) -> UnitProblem {
    let message = format!("the units were not checked: {why}");
    UnitProblem {
        severity: WARNING.to_owned(),
        unit: None,
        file: None,
        line: None,
        column: None,
        shown: message.clone(),
        message,
    }
}

/// The answer of the snapshot's own linter, or why there is none.
fn look(session: &Session, id: SnapshotId) -> Result<Result<Checked, String>> {
    if session.whole(id)?.image.is_some() {
        return Ok(Err(format!("snapshot {id} is an image")));
    }
    Ok(ask(&session.store.snapshot(id).join(names::ROOT)))
}

/// Has the snapshot's own `rinit-plan` compile its units, and puts the plan beside its root, from where the boot stage
/// passes it on. Nothing depends on it but time, and a boot that cannot read its files: what is in the way is returned.
pub(crate) fn keep_plan(session: &Session, id: SnapshotId) -> Result<Option<String>> {
    if session.whole(id)?.image.is_some() {
        return Ok(None);
    }
    session.lock()?;
    let dir = session.store.snapshot(id);
    match compiled(&dir.join(names::ROOT), id) {
        Ok(bytes) => sys::fs::write_atomic(dir.join(names::PLAN), &bytes, 0o600)?,
        Err(why) => {
            // One of an earlier deploy, which may have been in mode `rw` since.
            std::fs::remove_file(dir.join(names::PLAN)).ok();
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn compiled(root: &Path, id: SnapshotId) -> Result<Vec<u8>, String> {
    let mut command = planner(root, &["--keep", "--snapshot", &id.to_string()]);
    let bytes = sys::run::output_within(&mut command, LIMIT).map_err(|error| sys::chain(&error))?;
    let found = Stored::from_bytes(&bytes).map(|stored| stored.origin.snapshot);
    match found {
        // A newer one than ours: its own boot stage and rinit will understand it.
        Err(KeptError::Version(_)) => Ok(bytes),
        Ok(snapshot) if *snapshot == *id.to_string() => Ok(bytes),
        Ok(_) => Err("it compiled the plan of another snapshot".to_owned()),
        Err(why) => Err(why.to_string()),
    }
}

/// The `rinit-plan` in `root`, asked about it. It enters the root itself: it is a static program, and needs nothing of
/// ours.
fn planner(root: &Path, words: &[&str]) -> Command {
    let planner = root.join(program::PLANNER.trim_start_matches('/'));
    let mut command = Command::new(&planner);
    command
        .args(words)
        .arg("--root")
        .arg(root)
        .env_clear()
        .current_dir("/");
    command
}

/// Asks the `rinit-plan` in `root` what is wrong.
fn ask(root: &Path) -> Result<Checked, String> {
    let mut command = planner(root, &["--check", "--json"]);
    let (mut answer, mut words) = (String::new(), String::new());
    let asked = sys::run::lines_within(&mut command, LIMIT, &mut |stream, line| match stream {
        Stream::Stdout => answer.push_str(line),
        Stream::Stderr => words = line.to_owned(),
    });
    let status = asked.map_err(|error| sys::chain(&error))?;
    serde_json::from_str(&answer).map_err(|error| {
        // An older one, or none at all. Its own words say more than those about its answer.
        let words = Some(words).filter(|words| !words.is_empty());
        let words = words.unwrap_or_else(|| error.to_string());
        let program = program::PLANNER;
        format!("its own {program} gave no list of problems ({status}): {words}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testdir::TestDir;
    use std::os::unix::fs::PermissionsExt;

    fn planner_of(name: &str, script: &str) -> TestDir {
        let dir = TestDir::new(name);
        let path = dir.path().join("usr/bin/rinit-plan");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn the_answer_counts_whatever_the_exit_status() {
        let dir = planner_of(
            "units-answer",
            "#!/bin/sh\necho '{\"units\": 3, \"problems\":'\necho '[], \"later\": 1}'\nexit 1\n",
        );
        assert_eq!(ask(dir.path()).unwrap().units, 3);
    }

    #[test]
    fn a_plan_is_taken_only_if_it_is_whole_and_of_this_snapshot() {
        let id = SnapshotId::new(7).unwrap();
        let of = |snapshot: &str| {
            let facts = rootspec::units::Facts {
                snapshot: snapshot.to_owned(),
                boot: String::new(),
            };
            Stored::new(&facts, Vec::new(), b"plan").to_bytes().unwrap()
        };
        for (name, bytes, words) in [
            ("plan-good", of("7"), None),
            ("plan-other", of("8"), Some("another snapshot")),
            ("plan-cut", of("7")[..19].to_vec(), Some("damaged")),
        ] {
            let script = "#!/bin/sh\n[ \"$1 $2 $3\" = \"--keep --snapshot 7\" ] || exit 2\nexec cat \"$5/plan\"\n";
            let dir = planner_of(name, script);
            std::fs::write(dir.path().join("plan"), &bytes).unwrap();
            match (compiled(dir.path(), id), words) {
                (Ok(taken), None) => assert_eq!(taken, bytes),
                (Err(why), Some(words)) => assert!(why.contains(words), "{why}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
        let why = compiled(planner_of("plan-old", "#!/bin/sh\nexit 2\n").path(), id);
        assert!(why.unwrap_err().contains("/usr/bin/rinit-plan"));
    }

    #[test]
    fn a_program_that_does_not_know_the_question_is_no_problem_of_the_units() {
        for (name, script) in [
            ("units-old", "#!/bin/sh\necho 0 units, nothing wrong\n"),
            ("units-usage", "#!/bin/sh\necho usage >&2; exit 2\n"),
            ("units-none", "no program"),
        ] {
            let why = ask(planner_of(name, script).path()).unwrap_err();
            assert!(why.contains("/usr/bin/rinit-plan"), "{why}");
        }
    }
}
