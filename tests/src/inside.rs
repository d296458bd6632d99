//! A running rinit in namespaces of its own, with the units of a test, and questions to it.

use crate::ns::{Namespace, Recipe};
use crate::varlink;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long anything may take on a busy host.
pub const SOON: Duration = Duration::from_secs(60);

/// rinit as process 1.
#[derive(Debug)]
pub struct Inside {
    /// Its namespaces.
    pub ns: Namespace,
}

impl Inside {
    /// Starts rinit with these units, name and text without `schema = 1`, all of them enabled, and waits until it runs.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(units: &[(&str, &str)]) -> Result<Self> {
        Self::start_with(units, |recipe| recipe)
    }

    /// As [`Inside::start`], with something more in its root.
    ///
    /// # Errors
    /// As [`Inside::start`].
    pub fn start_with(units: &[(&str, &str)], more: impl FnOnce(Recipe) -> Recipe) -> Result<Self> {
        Self::launch(units, more)?.running()
    }

    /// As [`Inside::start`], with `argv` in front: it becomes rinit in the end.
    ///
    /// # Errors
    /// As [`Inside::start`].
    pub fn start_as(argv: &[&str], units: &[(&str, &str)]) -> Result<Self> {
        Self::begin(argv, units, |recipe| recipe)?.running()
    }

    fn begin(
        argv: &[&str],
        units: &[(&str, &str)],
        more: impl FnOnce(Recipe) -> Recipe,
    ) -> Result<Self> {
        let mut recipe = Recipe::new(argv)
            .rinit()?
            .text(
                "/etc/passwd",
                "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n",
            )
            .text("/etc/group", "root:x:0:\nweb:x:33:\nvideo:x:44:\n")
            .text(
                "/etc/rinit/services/default.toml",
                "schema = 1\nkind = \"group\"\n",
            );
        for (name, text) in units {
            let file = format!("/etc/rinit/services/{name}.toml");
            recipe = recipe
                .text(&file, &format!("schema = 1\n{text}"))
                .text(&format!("/etc/rinit/groups/default.d/{name}"), "");
        }
        Ok(Self {
            ns: Namespace::start(&more(recipe))?,
        })
    }

    /// As [`Inside::start_with`], without waiting for anything.
    ///
    /// # Errors
    /// When there are no namespaces to be had.
    pub fn launch(units: &[(&str, &str)], more: impl FnOnce(Recipe) -> Recipe) -> Result<Self> {
        Self::begin(&["/usr/bin/rinit"], units, more)
    }

    fn running(self) -> Result<Self> {
        self.until("it runs", || {
            Ok(self.call("Overview", &json!({}))?["phase"] == "running")
        })?;
        Ok(self)
    }

    /// Asks again and again until it holds: rinit answers while it works, so there is nothing to wait on.
    ///
    /// # Errors
    /// When it does not hold soon, with the last answer and the console.
    pub fn until(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + SOON;
        loop {
            let answer = holds();
            if matches!(answer, Ok(true)) {
                return Ok(());
            }
            if Instant::now() > end {
                let seconds = SOON.as_secs();
                let console = self.ns.console.last_lines();
                bail!("{what}: not after {seconds} s ({answer:?})\n{console}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A path of the namespaces, seen from here.
    ///
    /// # Errors
    /// When rinit has ended.
    pub fn path(&self, inside: &str) -> Result<String> {
        Ok(format!("/proc/{}/root{inside}", self.ns.pid()?))
    }

    /// A file of the namespaces.
    ///
    /// # Errors
    /// When it is not there.
    pub fn read(&self, inside: &str) -> Result<String> {
        let path = self.path(inside)?;
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }

    /// One request of `org.rootctl.Init`, one reply; an error of the service is an error here.
    ///
    /// # Errors
    /// When there is no answer, or an error.
    pub fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let path = self.path("/run/rinit/control.sock")?;
        let mut stream = UnixStream::connect(path).context("cannot connect")?;
        stream
            .set_read_timeout(Some(SOON))
            .context("cannot set a timeout")?;
        varlink::call(
            &mut stream,
            &format!("org.rootctl.Init.{method}"),
            parameters,
        )
    }

    /// What rinit says about a unit.
    ///
    /// # Errors
    /// When it does not know it.
    pub fn unit(&self, name: &str) -> Result<Value> {
        Ok(self.call("Status", &json!({ "units": [name] }))?["units"][0].clone())
    }

    /// What a unit has written so far, without stamps.
    ///
    /// # Errors
    /// When it has written nothing.
    pub fn said(&self, name: &str) -> Result<String> {
        let text = self.read(&format!("/var/log/rinit/{name}.log"))?;
        let mark = format!("{name}[-]: ");
        let lines = text.lines().filter_map(|line| line.split_once(&mark));
        Ok(lines.map(|(_, words)| format!("{words}\n")).collect())
    }

    /// Waits until a unit has written the line `done`, and returns what came before.
    ///
    /// # Errors
    /// When it does not soon.
    pub fn done(&self, name: &str) -> Result<String> {
        let what = format!("{name} is done");
        self.until(&what, || {
            let said = self.said(name);
            let state = self.unit(name)?;
            match said {
                Ok(said) if said.lines().any(|line| line == "done") => Ok(true),
                Ok(said) => bail!("{said}{state}"),
                Err(why) => bail!("{why:#} {state}"),
            }
        })?;
        self.said(name)
    }
}
