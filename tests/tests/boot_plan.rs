//! Tier 2: what rinit starts from, in namespaces: the answer of rinit-plan, good and bad, and the one that was kept.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tests::inside::{Inside, SOON};
use tests::ns::{Namespace, Recipe};
use tests::paths::{self, Scratch};
use tests::tier::{self, Outcome, Tier, test};
use tests::{programs, run};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test(
                "without_a_plan_there_is_a_rescue_login_and_the_reason",
                no_plan,
            ),
            test(
                "a_plan_is_kept_after_a_good_boot_and_used_until_something_changes",
                kept,
            ),
            test(
                "where_files_cannot_be_read_the_units_of_the_snapshot_are_started_as_they_were_deployed",
                deployed,
            ),
        ],
    )
}

/// Below the folder of a [`Machine`].
const PLANNER: &str = "usr/bin/rinit-plan";

/// `/etc`, `/var` and the planner of a machine that is started again and again.
struct Machine {
    folder: Scratch,
}

impl Machine {
    fn new() -> Result<Self> {
        let machine = Self {
            folder: Scratch::new("kept")?,
        };
        for folder in [
            "etc/rinit/services",
            "etc/rinit/groups/default.d",
            "usr/bin",
            "var",
        ] {
            fs::create_dir_all(machine.folder.join(folder)).context("cannot make a folder")?;
        }
        fs::copy(programs::planner()?, machine.folder.join(PLANNER)).context("no planner")?;
        let keeper = paths::workspace().join("services/keep-plan.toml");
        fs::copy(keeper, machine.unit("keep-plan")).context("there is no keep-plan")?;
        machine.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n")?;
        machine.write("etc/group", "root:x:0:\n")?;
        machine.write("etc/rinit/groups/default.d/web", "")?;
        machine.write(
            "etc/rinit/services/default.toml",
            "schema = 1\nkind = \"group\"\n",
        )?;
        machine.say("one")?;
        Ok(machine)
    }

    fn unit(&self, name: &str) -> PathBuf {
        let services = self.folder.join("etc/rinit/services");
        services.join(format!("{name}.toml"))
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.folder.join(path), text).with_context(|| format!("cannot write {path}"))
    }

    /// The service that the verdict waits for says this word, and which boot it is.
    fn say(&self, word: &str) -> Result<()> {
        self.write(
            "etc/rinit/services/web.toml",
            &format!(
                "schema = 1\n[exec]\nstart = [\"/bin/sh\", \"-c\", \"echo {word} in {{boot}}; exec busybox sleep 100000\"]\n[gate]\nrequired = true\nstable = \"100ms\"\n"
            ),
        )
    }

    fn plan(&self) -> PathBuf {
        self.folder.join("var/lib/rinit/plan")
    }

    /// What a deploy would leave.
    fn deploy(&self) -> Result<()> {
        let mut planner = run::command(
            &programs::planner()?.display().to_string(),
            ["--keep", "--snapshot", "none", "--root"],
        );
        let output = planner.arg(self.folder.join(".")).output();
        let output = output.context("cannot start the planner")?;
        ensure!(output.status.success(), "{output:?}");
        let file = self.folder.join("deployed");
        fs::write(file, output.stdout).context("cannot write a plan")
    }

    /// One start, up to the first words of rinit.
    fn start(&self, words: &str) -> Result<Inside> {
        let mut recipe = Recipe::new(&["/usr/bin/rinit"])
            .copy(&programs::rinit()?, "/usr/bin/rinit")
            .bind(&self.folder.join("etc"), "/etc")
            .bind(&self.folder.join("var"), "/var")
            .bind(&self.folder.join(PLANNER), "/usr/bin/rinit-plan");
        let deployed = self.folder.join("deployed");
        if deployed.exists() {
            recipe = recipe.bind(&deployed, "/run/rootctl/plan");
        }
        let mut ns = Namespace::start(&recipe)?;
        ns.console.expect(words, SOON)?;
        Ok(Inside { ns })
    }

    /// One start; `kept`: from the plan that was kept.
    fn boot(&self, kept: bool) -> Result<Inside> {
        let end = if kept {
            ", by the plan that was kept"
        } else {
            ""
        };
        let words = format!("starts the group default of 3 units{end}\n");
        let inside = self.start(&words)?;
        inside.until("the boot is good", || {
            Ok(inside.call("Overview", &json!({}))?["verdict"] == "good")
        })?;
        Ok(inside)
    }

    /// One start that has to read the files, up to the plan that is kept then.
    fn boot_and_keep(&self) -> Result<Inside> {
        let inside = self.boot(false)?;
        inside.until("the plan is kept", || {
            Ok(inside.unit("keep-plan")?["state"] == "up")
        })?;
        ensure!(self.plan().exists(), "{}", inside.said("keep-plan")?);
        Ok(inside)
    }

    /// The last line of the service.
    fn said(&self, inside: &Inside, word: &str) -> Result<()> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("no boot id")?;
        let line = format!("{word} in {}", id.trim());
        inside.until("the service says it", || {
            Ok(inside.said("web")?.lines().last() == Some(line.as_str()))
        })
    }
}

fn kept() -> Result<Outcome> {
    let machine = Machine::new()?;
    machine.said(&machine.boot_and_keep()?, "one")?;
    let inside = machine.boot(true)?;
    ensure!(inside.unit("keep-plan")?["state"] == "down");
    drop(inside);
    machine.say("two")?;
    machine.said(&machine.boot_and_keep()?, "two")?;
    machine.boot(true)?;
    let mut bytes = fs::read(machine.plan()).context("there is no plan")?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(machine.plan(), &bytes).context("cannot write the plan")?;
    machine.boot_and_keep()?;
    machine.boot(true)?;
    // A plan that never comes: the files are read.
    fs::remove_file(machine.plan()).context("cannot remove the plan")?;
    run::quiet(run::command("mkfifo", ["-m", "0600"]).arg(machine.plan()))?;
    machine.boot(false)?;
    Ok(Outcome::Passed)
}

fn deployed() -> Result<Outcome> {
    let machine = Machine::new()?;
    machine.deploy()?;
    machine.said(&machine.boot(true)?, "one")?;
    machine.say("changed")?;
    machine.write(PLANNER, "#!/bin/sh\nexit 3\n")?;
    let inside = machine.start("the units that came with the snapshot are started")?;
    machine.said(&inside, "one")?;
    inside.until("the verdict says why", || {
        let overview = inside.call("Overview", &json!({}))?;
        let why = overview["problems"][0].to_string();
        Ok(overview["verdict"] == "degraded" && why.contains("rinit-plan died"))
    })?;
    drop(inside);
    machine.write("deployed", "rstor\n no plan")?;
    machine.start("only a rescue login is started")?;
    Ok(Outcome::Passed)
}

/// What stands in the place of `rinit-plan`, and what is said then.
const BAD: [(&str, &str); 5] = [
    (
        "rm /usr/bin/rinit-plan",
        "cannot execute /usr/bin/rinit-plan: No such file or directory",
    ),
    (
        "echo 'exit 3' >> /usr/bin/rinit-plan",
        "rinit-plan died before it was done",
    ),
    (
        "echo 'echo here you are' >> /usr/bin/rinit-plan",
        "rinit-plan: this is no boot plan",
    ),
    (
        "echo 'printf \"rkept\\\\n\\\\377\\\\000\"' >> /usr/bin/rinit-plan",
        "the boot plan comes from another rinit-plan: version 255",
    ),
    (
        "echo 'exec busybox sleep 100000' >> /usr/bin/rinit-plan",
        "rinit-plan hangs; it was killed",
    ),
];

fn no_plan() -> Result<Outcome> {
    for (stand_in, words) in BAD {
        let boot = format!(
            "PATH=$PATH:/bin; alias rm='busybox rm'; busybox chmod 0755 /usr/bin/rinit-plan; {stand_in}; exec /usr/bin/rinit"
        );
        let recipe = Recipe::new(&["/bin/sh", "-c", &boot])
            .copy(&programs::rinit()?, "/usr/bin/rinit")
            .text("/usr/bin/rinit-plan", "#!/bin/sh\n");
        let mut ns = Namespace::start(&recipe)?;
        ns.console.expect(words, SOON)?;
        ns.console
            .expect("starts the group rescue of 1 units", SOON)?;
        let inside = Inside { ns };
        inside.until("it answers", || {
            let overview = inside.call("Overview", &json!({}))?;
            Ok(
                overview["group"] == "rescue"
                    && overview["problems"][0].to_string().contains(words),
            )
        })?;
        ensure!(inside.unit("rescue")?["name"] == "rescue");
    }
    Ok(Outcome::Passed)
}
