//! QEMU's control socket: one JSON object per line.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// QEMU's control socket.
#[derive(Debug)]
pub(super) struct Qmp {
    write: UnixStream,
    read: BufReader<UnixStream>,
}

/// QEMU answers at once; a busy host gets some patience.
const QMP_PATIENCE: Duration = Duration::from_secs(30);

impl Qmp {
    pub(super) fn accept(listener: &UnixListener, child: &mut Child) -> Result<Self> {
        let end = Instant::now() + QMP_PATIENCE;
        let stream = loop {
            if wait_readable(listener, Duration::from_millis(200))? {
                break listener
                    .accept()
                    .context("cannot accept QEMU's control connection")?
                    .0;
            }
            if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
                bail!("QEMU ended with {status}");
            }
            if Instant::now() > end {
                bail!(
                    "QEMU did not connect its control socket within {} s",
                    QMP_PATIENCE.as_secs()
                );
            }
        };
        stream
            .set_read_timeout(Some(QMP_PATIENCE))
            .context("cannot set a deadline on the control socket")?;
        let write = stream
            .try_clone()
            .context("cannot copy the control socket")?;
        let mut qmp = Self {
            write,
            read: BufReader::new(stream),
        };
        qmp.line()?;
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    pub(super) fn execute(&mut self, verb: &str) -> Result<()> {
        let request = serde_json::json!({ "execute": verb });
        writeln!(self.write, "{request}").with_context(|| format!("cannot send {verb} to QEMU"))?;
        loop {
            let answer = self.line()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {verb}: {error}");
            }
            // Anything else is an event that happened meanwhile.
            if answer.get("return").is_some() {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<serde_json::Value> {
        let mut line = String::new();
        let bytes = self
            .read
            .read_line(&mut line)
            .context("QEMU's control socket does not answer")?;
        if bytes == 0 {
            bail!("QEMU closed its control socket");
        }
        serde_json::from_str(&line).with_context(|| format!("cannot read QEMU's answer {line}"))
    }
}

/// Waits until a connection can be accepted.
fn wait_readable(listener: &UnixListener, patience: Duration) -> Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    let timeout = Timespec::try_from(patience).context("a wait is too long")?;
    match poll(&mut fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(why) => Err(why).context("cannot wait for QEMU's control connection"),
    }
}
