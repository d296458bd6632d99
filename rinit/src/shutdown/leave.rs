//! The last steps of this process: kill what is left, let the logger finish, change into the shutdown stage.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rootspec::paths::run::SHUTDOWN;
use sys::error::{Cannot, SysError};
use sys::kernel::Kernel;
use sys::mount::{self, Attributes};
use sys::process;

use super::{How, soft};
use crate::init::Init;

/// How long the logger may take to write what is left, in milliseconds.
const LOGGER: u64 = 3_000;
/// How long copying this program may take, in milliseconds.
const COPY: u64 = 5_000;
/// How long processes without a unit may take to end when asked, and again when killed, in milliseconds.
const STRAYS: u64 = 2_000;

/// Copies this program to where it survives the root, in a child: the disk may be slow.
///
/// # Errors
/// No process to be had.
pub(crate) fn prepare(program: String) -> sys::error::Result<()> {
    process::fork_worker(move |_| u8::from(copy(&program).is_err()))?;
    Ok(())
}

fn copy(program: &str) -> sys::error::Result<()> {
    sys::fs::make_dir(SHUTDOWN, 0o700)?;
    let table = sys::mountinfo::read()?;
    if sys::mountinfo::at(&table, SHUTDOWN).is_none() {
        let attributes = Attributes::NO_SUID.and(Attributes::NO_DEV);
        mount::mount("tmpfs", SHUTDOWN, attributes, "mode=0700,size=16m")?;
    }
    for dir in ["proc", "sys", "dev", "old"] {
        sys::fs::make_dir(Path::new(SHUTDOWN).join(dir), 0o755)?;
    }
    let target = Path::new(SHUTDOWN).join("rinit");
    let temporary = Path::new(SHUTDOWN).join("rinit.new");
    std::fs::copy(program, &temporary).cannot("copy", program)?;
    std::fs::rename(&temporary, &target).cannot("replace", &target)
}

/// Ends everything. Comes back only if the machine cannot be ended: then PID 1 goes on, as it must.
pub(crate) fn finish(init: &mut Init, how: How) {
    if let Ok(groups) = init.all.hands.kernel.cgroups() {
        groups.kill_all();
    }
    // What is killed says nothing more, so the logger need not wait for it.
    init.flush_logs();
    init.logs.finish();
    collect(init, LOGGER, |init| init.logs.pid().is_some());
    process::signal_everyone(15);
    collect(init, STRAYS, |_| true);
    process::signal_everyone(9);
    collect(init, STRAYS, |_| true);
    if how == How::Soft {
        let carried = soft::carry(init);
        let Err(error) = soft::change(carried.as_ref());
        let text = sys::chain(&error);
        init.voice
            .shout(&format!("the next root cannot be started: {text}"));
        // We may stand between two roots: nothing else is certain to work.
        super::directly(how);
    }
    // Below /run, which is memory; the program may lie where nothing answers any more.
    if !Path::new(SHUTDOWN).join("rinit").exists() {
        let program = init.program().to_owned();
        if process::limited(COPY, || u8::from(copy(&program).is_err())) != Some(0) {
            let text = format!("no shutdown stage: {program} cannot be copied to {SHUTDOWN}");
            init.voice.shout(&text);
        }
    }
    let error = match change(how) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let text = sys::chain(&error);
    init.voice
        .shout(&format!("unmounting from inside the root: {text}"));
    super::stage::run(how, "/");
}

/// Collects the dead while `still` holds and there are children, for so many milliseconds at most. Nothing else is
/// waited for any more, so this loop has a set of its own: signals and a timer.
fn collect(init: &mut Init, millis: u64, still: impl Fn(&Init) -> bool) {
    let deadline = sys::timer::now().saturating_add(millis);
    loop {
        while init.all.hands.kernel.reap().is_some_and(|dead| {
            if init.logs.pid() == Some(dead.pid) {
                init.logs.died(deadline);
            }
            true
        }) {}
        let now = sys::timer::now();
        if now >= deadline || !still(init) || !process::has_children() {
            return;
        }
        process::wait_for_child(deadline.saturating_sub(now));
    }
}

/// Changes the root to the stage's tmpfs and becomes the stage.
fn change(how: How) -> sys::error::Result<Infallible> {
    mount::make_private("/")?;
    std::env::set_current_dir(SHUTDOWN).cannot("enter", SHUTDOWN)?;
    if let Err(error) = sys::switchroot::pivot_root(SHUTDOWN, format!("{SHUTDOWN}/old")) {
        // The root is the initramfs itself. Standing in the stage's folder would only keep that in use.
        std::env::set_current_dir("/").cannot("enter", "/")?;
        return Err(error);
    }
    let error = Command::new("/rinit")
        .args([super::ROLE, how.word(), "/old"])
        .env_clear()
        .exec();
    Err(SysError::new("execute", "/rinit", error))
}
