//! Tier 2: units that are started by paths, under rinit as process 1.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::inside::{Inside, SOON};
use tests::run;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("a_unit_runs_for_each_thing_that_appears", spool),
            test("no_change_is_lost_while_rinit_is_executed_anew", reexec),
            test("a_path_that_starts_too_much_rests", rests),
            test("what_is_mounted_later_is_seen", mounted),
            test("a_watcher_that_dies_is_started_again", killed),
            test("paths_that_cannot_be_watched_are_told", refused),
        ],
    )
}

/// A unit that nobody enabled.
fn start(name: &str, text: &str) -> Result<Inside> {
    Inside::start_with(&[], |recipe| {
        let file = format!("/etc/rinit/services/{name}.toml");
        recipe.text(&file, &format!("schema = 1\n{text}"))
    })
}

/// The processes that look at paths, by their numbers inside.
fn watchers(inside: &Inside) -> Result<Vec<String>> {
    let list = run::output(
        &mut inside
            .ns
            .inside(&["/bin/busybox", "ps", "-o", "pid,args"])?,
    )?;
    let lines = list
        .lines()
        .filter(|line| line.contains("rinit-helper watch"));
    let pids = lines.filter_map(|line| line.split_whitespace().next());
    Ok(pids.map(str::to_owned).collect())
}

fn write(inside: &Inside, path: &str, text: &str) -> Result<()> {
    std::fs::write(inside.path(path)?, text).with_context(|| format!("cannot write {path}"))
}

fn lines(inside: &Inside, path: &str) -> usize {
    inside.read(path).unwrap_or_default().lines().count()
}

fn watches(inside: &Inside, name: &str) -> Result<Value> {
    Ok(inside.unit(name)?["watches"].clone())
}

fn spool() -> Result<Outcome> {
    // It takes one job at a time, and says which.
    let inside = start(
        "spool",
        "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \
         \"cd /run/spool; for f in *; do busybox cat $f >> /run/done; busybox rm $f; break; done\"]\n\
         [[path]]\nnot_empty = \"/run/spool\"\nmkdir = true\nmode = \"0700\"\nlimit = { count = 0 }\n",
    )?;
    ensure!(watches(&inside, "spool")? == json!(["not_empty /run/spool"]));
    let folder = inside.path("/run/spool")?;
    inside.until("the folder is made", || {
        Ok(std::path::Path::new(&folder).is_dir())
    })?;
    for job in 0..5 {
        write(&inside, &format!("/run/spool/{job}"), &format!("{job}\n"))?;
    }
    inside.until("all jobs are done", || Ok(lines(&inside, "/run/done") == 5))?;
    ensure!(watchers(&inside)?.len() == 1);
    Ok(Outcome::Passed)
}

fn reexec() -> Result<Outcome> {
    let inside = start(
        "slow",
        "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \
         \"echo run >> /run/runs; while ! busybox test -e /run/go; do busybox usleep 20000; done\"]\n\
         [[path]]\nchanged = \"/run/some/where/conf\"\n",
    )?;
    ensure!(inside.unit("slow")?["state"] == "down");
    std::fs::create_dir_all(inside.path("/run/some/where")?).context("cannot make folders")?;
    write(&inside, "/run/some/where/conf", "1")?;
    inside.until("it runs", || Ok(lines(&inside, "/run/runs") == 1))?;
    let before = watchers(&inside)?;
    // It runs on, and the change is told to nobody yet.
    inside.call("Reexec", &json!({}))?;
    write(&inside, "/run/some/where/conf", "2")?;
    inside.call("Reexec", &json!({}))?;
    ensure!(inside.unit("slow")?["state"] == "starting");
    write(&inside, "/run/go", "")?;
    inside.until("it runs again", || Ok(lines(&inside, "/run/runs") == 2))?;
    ensure!(watchers(&inside)? == before, "it is another watcher");
    Ok(Outcome::Passed)
}

fn rests() -> Result<Outcome> {
    let inside = start(
        "often",
        "kind = \"oneshot\"\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo run >> /run/runs\"]\n\
         [[path]]\nexists = \"/run/go\"\nlimit = { count = 3, window = \"1h\", pause = \"1h\" }\n",
    )?;
    write(&inside, "/run/go", "")?;
    inside.until("it rests", || {
        let shown = watches(&inside, "often")?;
        Ok(shown[0]
            .as_str()
            .unwrap_or_default()
            .contains("(rests for "))
    })?;
    ensure!(lines(&inside, "/run/runs") == 3);
    // It rests on in another program.
    inside.call("Reexec", &json!({}))?;
    let shown = watches(&inside, "often")?;
    ensure!(
        shown[0]
            .as_str()
            .unwrap_or_default()
            .contains("(rests for ")
    );
    ensure!(lines(&inside, "/run/runs") == 3);
    Ok(Outcome::Passed)
}

fn mounted() -> Result<Outcome> {
    let inside = start(
        "late",
        "[exec]\nstart = \"/bin/busybox sleep 100000\"\n[[path]]\nexists = \"/srv/disk/flag\"\n",
    )?;
    let command = "mkdir -p /srv/disk && mount -t tmpfs none /srv/disk && touch /srv/disk/flag";
    let words = ["/bin/busybox", "sh", "-c", command];
    run::quiet(&mut inside.ns.inside(&words)?)?;
    inside.until(
        "it is started",
        || Ok(inside.unit("late")?["state"] == "up"),
    )?;
    Ok(Outcome::Passed)
}

fn killed() -> Result<Outcome> {
    let mut inside = start(
        "a",
        "[exec]\nstart = \"/bin/busybox sleep 100000\"\n[[path]]\nchanged = \"/run/conf\"\n",
    )?;
    let first = watchers(&inside)?;
    ensure!(first.len() == 1);
    run::quiet(
        &mut inside
            .ns
            .inside(&["/bin/busybox", "kill", "-9", &first[0]])?,
    )?;
    let console = &mut inside.ns.console;
    console.expect("no path starts a unit for 1 s: the watcher died", SOON)?;
    inside.until("there is another one", || {
        let now = watchers(&inside)?;
        Ok(now.len() == 1 && now != first)
    })?;
    inside.until("a change starts the unit", || {
        write(&inside, "/run/conf", "")?;
        Ok(inside.unit("a")?["state"] == "up")
    })?;
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome> {
    let mut inside = start(
        "a",
        "[exec]\nstart = \"/bin/busybox sleep 100000\"\n[[path]]\nnot_empty = \"/etc/passwd/spool\"\nmkdir = true\n",
    )?;
    let console = &mut inside.ns.console;
    console.expect("a: its paths are not watched for 30 s: cannot make", SOON)?;
    let shown = watches(&inside, "a")?;
    let words = shown[0].as_str().unwrap_or_default();
    ensure!(words.contains("(not looked at: cannot make"), "{shown}");
    // Others are not concerned, and a file that is mended is watched at once.
    let text = "schema = 1\n[exec]\nstart = \"/bin/busybox sleep 100000\"\n[[path]]\nexists = \"/run/go\"\n";
    write(&inside, "/etc/rinit/services/a.toml", text)?;
    inside.call("Apply", &json!({}))?;
    write(&inside, "/run/go", "")?;
    inside.until("it is started", || Ok(inside.unit("a")?["state"] == "up"))?;
    // Without paths there is no watcher.
    let text = "schema = 1\n[exec]\nstart = \"/bin/busybox sleep 100000\"\n";
    write(&inside, "/etc/rinit/services/a.toml", text)?;
    inside.call("Apply", &json!({}))?;
    inside.until("nobody watches", || Ok(watchers(&inside)?.is_empty()))?;
    Ok(Outcome::Passed)
}
