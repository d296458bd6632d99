//! Starting one process of a unit: its command, environment, descriptors and cgroup.

use std::collections::VecDeque;

use rootspec::mounting;
use rootspec::plan::{
    Ask, BOOT_BAD, Container, Exec, NotifyFrom, Output, Ready, Reload, Unit, Work,
};
use rootspec::setup::{Errand, Setup};
use sys::kernel::Kernel;
use sys::process::{Executor, Ids, Job, Stage};

use super::Hands;
use super::connection::is_stdio;
use super::notify::Ear;
use super::token::{Kind, token};
use crate::roles;
use crate::supervisor::{Command, Event, Role, UnitId};

/// Where instances tell their readiness.
pub(crate) const NOTIFY_DIR: &str = "/run/rinit/notify";
/// Where runtimes write process ids of containers.
pub(crate) const PID_DIR: &str = "/run/rinit/containers";
/// First descriptor of passed sockets (`sd_listen_fds(3)`).
const LISTEN_START: i32 = 3;

/// Where the runtime writes the process id of a container.
pub(super) fn pid_file(unit: &Unit) -> String {
    format!("{PID_DIR}/{}", unit.name)
}

/// "cannot {step} its program: {reason}", or what the executor itself said.
pub(super) fn failure(stage: Stage, error: &std::io::Error, said: &str) -> String {
    if stage == Stage::Setup {
        return said.to_owned();
    }
    let words = stage.words();
    let why = error.to_string();
    let why = why.split(" (os error").next().unwrap_or_default();
    format!("cannot {words} its program: {why}")
}

/// A process on its way: whose it is.
#[derive(Clone, Copy)]
struct Start<'a> {
    id: UnitId,
    unit: &'a Unit,
    exec: &'a Exec,
    role: Role,
}

impl<K: Kernel> Hands<K> {
    /// Starts one process; a failure comes as an event.
    pub(super) fn launch(
        &mut self,
        (id, unit): (UnitId, &Unit),
        role: Role,
        command: Command,
        inbox: &mut VecDeque<Event>,
    ) {
        if self.is_needless(unit, command) {
            inbox.push_back(Event::Ended {
                unit: id,
                role,
                exit: sys::process::Exit::Code(0),
                left: false,
            });
            return;
        }
        let started = match unit.exec() {
            Some(exec) => {
                let start = Start {
                    id,
                    unit,
                    exec,
                    role,
                };
                self.try_launch(start, command)
            }
            None => Err("there is nothing to run".to_owned()),
        };
        match started {
            Ok(()) if role == Role::Main && unit.ready == Ready::Started => {
                inbox.push_back(Event::Ready(id));
            }
            Ok(()) => {}
            Err(why) => inbox.push_back(Event::NotStarted(id, role, why)),
        }
    }

    /// A container's leftovers are removed only where there are any: the runtime's state tells.
    fn is_needless(&mut self, unit: &Unit, command: Command) -> bool {
        let (Work::Container(container), Command::Pre(0)) = (&unit.work, command) else {
            return false;
        };
        let runtime = container.runtime.rsplit('/').next().unwrap_or_default();
        let state = format!("/run/{runtime}/{}", unit.name);
        !self.kernel.exists(&state)
    }

    fn try_launch(&mut self, start: Start<'_>, command: Command) -> Result<(), String> {
        let mut job = job(start.unit, start.exec, command)?;
        if &*start.unit.name == BOOT_BAD {
            job.argv.push(self.verdict.clone());
        }
        if let Command::Late(_) | Command::Stop(_) | Command::Reload = command {
            let main = self.runs.at(start.id).main;
            job.env.extend(main.map(|pid| format!("MAINPID={pid}")));
        }
        self.group(start);
        self.prepare(start, &mut job)?;
        if let Some(errand) = mounting::errand(&job.argv) {
            job.executor = Some(mounter(errand));
        } else if !job.by_helper {
            job.executor = executor(start.unit, start.exec, &job)?;
        }
        let ready = match (start.role, &start.unit.ready) {
            (Role::Main, Ready::Fd(number)) => {
                let number = i32::try_from(*number).map_err(|error| error.to_string())?;
                Some((self.ready_pipe(start.id)?, number))
            }
            (Role::Main | Role::Helper | Role::Asker, _) => None,
        };
        let ready = ready.as_ref().map(|(fd, number)| (fd, *number));
        self.spawn(start, &job, ready)
    }

    /// The unit's cgroup, made for this run. Without one it runs all the same.
    fn group(&mut self, Start { id, unit, exec, .. }: Start<'_>) {
        let run = self.runs.at_mut(id);
        run.emptied = false;
        if let Some(group) = run.group.take() {
            if !self.kernel.is_spent(&group) {
                run.group = Some(group);
                return;
            }
            self.kernel.remove_group(group);
        }
        let mut spare = None;
        if let Some(group) = self.spare_groups.remove(&id) {
            if self.kernel.is_pristine(&group) && !self.kernel.is_spent(&group) {
                spare = Some(Ok(group));
            } else {
                self.kernel.remove_group(group);
            }
        }
        let group = match spare.unwrap_or_else(|| self.kernel.make_group(&unit.name)) {
            Ok(group) => group,
            Err(error) => {
                let why = sys::chain(&error);
                let why = why.split_once(": ").map_or(why.as_str(), |(_, why)| why);
                return self.note_once(format!("services run without cgroups: {why}"));
            }
        };
        for (file, value) in &exec.cgroup {
            if let Err(error) = self.kernel.limit(&group, file, value) {
                let controller = file.split('.').next().unwrap_or_default();
                let why = if error.is_absent() {
                    format!(
                        "limits of {controller} are not set: the kernel offers no such controller here"
                    )
                } else {
                    format!("{}: {}", unit.name, sys::chain(&error))
                };
                self.note_once(why);
            }
        }
        if exec.delegate {
            let owner = exec.ids.as_ref().map(|ids| (ids.uid, ids.gid));
            if let Err(error) = self.kernel.delegate(&group, owner) {
                self.note_once(format!("{}: {}", unit.name, sys::chain(&error)));
            }
        }
        self.runs.at_mut(id).group = Some(group);
    }

    /// Opens what the process is to inherit, and completes its environment.
    fn prepare(&mut self, start: Start<'_>, job: &mut Job) -> Result<(), String> {
        let Start {
            id,
            unit,
            exec,
            role,
        } = start;
        let failed = |error: sys::SysError| sys::chain(&error);
        if self.null.is_none() {
            self.null = Some(self.kernel.null().map_err(failed)?);
        }
        let logs = exec.stdout == Output::Log || exec.stderr == Output::Log;
        // All connections of a unit have one log.
        let logger = unit.serves().unwrap_or(id);
        if logs && self.runs.at(logger).log.is_none() {
            let pipe = self.kernel.pipe().map_err(failed)?;
            self.runs.at_mut(logger).log = Some(pipe);
            self.new_logs.push(logger);
        }
        if let Some(from) = exec.notify {
            if self.runs.at(id).ear.is_none() {
                self.notify_socket(id, unit, from).map_err(failed)?;
            }
            if let Some(ear) = &self.runs.at(id).ear {
                job.env.push(format!("NOTIFY_SOCKET={}", ear.path));
            }
        }
        if role == Role::Main {
            self.announce_sockets(id, unit, job)?;
            self.announce_connection(id, unit, job);
            let run = self.runs.at(id);
            let stored = run.store.as_ref().is_some_and(|store| store.len() > 0);
            job.by_copy = stored || run.connection.is_some();
        }
        let watchdog = unit.care.as_ref().and_then(|care| care.watchdog.as_ref());
        if let (Role::Main, Some(watchdog)) = (role, watchdog) {
            let micros = watchdog.interval.saturating_mul(1000);
            job.env.push(format!("WATCHDOG_USEC={micros}"));
            job.own_id.push("WATCHDOG_PID");
        }
        Ok(())
    }

    /// The descriptors that the main process finds open, as `sd_listen_fds(3)` says: its sockets, then what its last run left.
    fn announce_sockets(&mut self, id: UnitId, unit: &Unit, job: &mut Job) -> Result<(), String> {
        self.open_store(id, unit);
        let max = usize::from(unit.fdstore.max);
        let run = self.runs.at(id);
        let sockets = run.sockets.len().max(usize::from(run.connection.is_some()));
        if let Ready::Fd(number) = unit.ready {
            let most = i32::try_from(sockets.saturating_add(max)).unwrap_or(i32::MAX);
            let taken = LISTEN_START.saturating_add(most);
            if i32::try_from(number).is_ok_and(|number| number < taken) {
                return Err(format!(
                    "descriptor {number} is a socket's or a stored one's: choose another one in ready.fd"
                ));
            }
        }
        if max > 0 {
            job.env.push(format!("FDSTORE={max}"));
        }
        let opened = run.sockets.iter();
        let opened = opened.filter_map(|(number, _)| unit.sockets.get(*number));
        let names = opened.map(|socket| &*socket.name);
        let stored = run.store.iter().flat_map(|store| store.names());
        let names: Vec<&str> = names.chain(stored).collect();
        if !names.is_empty() {
            job.env.push(format!("LISTEN_FDS={}", names.len()));
            job.env.push(format!("LISTEN_FDNAMES={}", names.join(":")));
            job.own_id.push("LISTEN_PID");
        }
        Ok(())
    }

    pub(super) fn notify_socket(
        &mut self,
        id: UnitId,
        unit: &Unit,
        from: NotifyFrom,
    ) -> sys::error::Result<()> {
        let mut path = format!("{NOTIFY_DIR}/{}", unit.name);
        // A socket's path holds 107 bytes (unix(7)).
        if path.len() > 107 {
            path = format!("{NOTIFY_DIR}/{id}");
        }
        let ids = unit.exec().and_then(|exec| exec.ids.as_ref());
        let owner = ids.map(|ids| (ids.uid, ids.gid));
        let fd = self.kernel.notify_socket(&path, owner)?;
        self.kernel.watch(&fd, token(Kind::Notify, id))?;
        let run = self.runs.at_mut(id);
        run.ear = Some(Ear { fd, path, from });
        run.said = None;
        Ok(())
    }

    /// The end that the process gets; the other one is watched.
    fn ready_pipe(&mut self, id: UnitId) -> Result<K::Fd, String> {
        let failed = |error: sys::SysError| sys::chain(&error);
        let (read, write) = self.kernel.pipe().map_err(failed)?;
        self.kernel
            .watch(&read, token(Kind::Ready, id))
            .map_err(failed)?;
        if let Some(old) = self.runs.at_mut(id).ready.replace(read) {
            self.kernel.unwatch(&old);
        }
        Ok(write)
    }

    fn spawn(
        &mut self,
        Start {
            id,
            unit,
            exec,
            role,
        }: Start<'_>,
        job: &Job,
        ready: Option<(&K::Fd, i32)>,
    ) -> Result<(), String> {
        let run = self.runs.at(id);
        let Some(null) = &self.null else {
            return Err("/dev/null is not open".to_owned());
        };
        let log = &self.runs.at(unit.serves().unwrap_or(id)).log;
        let connection = run.connection.as_ref().filter(|_| role == Role::Main);
        let connection = connection.and_then(|connection| connection.fd());
        let end = |output: Output| match (output, log) {
            (Output::Log, Some((_, write))) => Some(write),
            (Output::Socket, _) => Some(connection.unwrap_or(null)),
            (Output::Log | Output::Null, _) => Some(null),
            (Output::Tty, _) => (job.tty.is_none()).then_some(null),
        };
        let mut fds: Vec<(&K::Fd, i32)> = Vec::new();
        if let Some(connection) = connection {
            let number = if is_stdio(unit) { 0 } else { LISTEN_START };
            fds.push((connection, number));
        }
        if job.tty.is_none() && !fds.iter().any(|(_, number)| *number == 0) {
            fds.push((null, 0));
        }
        fds.extend(end(exec.stdout).map(|fd| (fd, 1)));
        fds.extend(end(exec.stderr).map(|fd| (fd, 2)));
        fds.extend(ready);
        if role == Role::Main {
            let sockets = run.sockets.iter().map(|(_, fd)| fd);
            let stored = run.store.iter().flat_map(|store| store.fds());
            fds.extend(sockets.chain(stored).zip(LISTEN_START..));
        }
        let kind = match role {
            Role::Main => Kind::Main,
            Role::Helper => Kind::Helper,
            Role::Asker => Kind::Asker,
        };
        let group = run.group.as_ref();
        let told = token(kind, id);
        let started = self.kernel.spawn(job, &fds, group, told);
        let pid = started.map_err(|error| sys::chain(&error))?;
        if role == Role::Main {
            self.hand_over(id);
        }
        let run = self.runs.at_mut(id);
        match role {
            Role::Main => {
                run.main = Some(pid);
                run.told = false;
            }
            Role::Helper => run.helper = Some(pid),
            Role::Asker => run.asker = Some(pid),
        }
        self.pids.insert(pid, (id, role));
        Ok(())
    }
}

/// Command and surroundings of one process.
fn job(unit: &Unit, exec: &Exec, command: Command) -> Result<Job, String> {
    let named = exec.user.as_ref().or(exec.group.as_ref());
    if let (Some(who), None) = (named.or(exec.groups.first()), &exec.ids) {
        return Err(format!("the user or group {who} is unknown"));
    }
    let asked = question(unit, command);
    let by_helper = matches!(asked, Some(Ask::Own(_)));
    let argv = match (&unit.work, command) {
        (_, Command::AskReady | Command::AskHealth) => asked.map(asker),
        (Work::Container(container), command) => runtime_command(unit, container, command),
        (_, Command::Condition(number)) => exec.condition.get(number).cloned(),
        (_, Command::Late(number)) => exec.start_post.get(number).cloned(),
        (_, Command::Stop(number)) => exec.stop.get(number).cloned(),
        (_, Command::Reload) => match &exec.reload {
            Some(Reload::Command(argv)) => Some(argv.clone()),
            Some(Reload::Signal(_) | Reload::Notify) | None => None,
        },
        (_, Command::Pre(number)) => exec.start_pre.get(number).cloned(),
        (_, Command::Start(number)) => exec.start.get(number).cloned(),
        (_, Command::Post(number)) => exec.stop_post.get(number).cloned(),
        (_, Command::Launch) => None,
    };
    let argv = argv.ok_or_else(|| "there is no such command".to_owned())?;
    let mut env: Vec<String> = Vec::with_capacity(exec.env.len().saturating_add(4));
    if !exec.env.iter().any(|entry| entry.starts_with("PATH=")) {
        env.push(format!("PATH={}", sys::process::PATH));
    }
    env.extend(exec.env.iter().map(|entry| entry.to_string()));
    let tty_output = [exec.stdout, exec.stderr].map(|output| output == Output::Tty);
    let tty = exec.tty.as_deref().filter(|_| asked.is_none());
    Ok(Job {
        argv,
        env,
        workdir: exec.workdir.as_deref().map(str::to_owned),
        umask: exec.umask,
        oom_score_adj: exec.oom_score_adj,
        ids: exec.ids.as_ref().map(|ids| Ids {
            uid: ids.uid,
            gid: ids.gid,
            groups: ids.groups.clone(),
        }),
        tty: tty.map(str::to_owned),
        tty_output,
        dirs: exec.dirs.iter().map(|dir| dir.to_string()).collect(),
        own_id: Vec::new(),
        // Not ours, which is as high as it goes.
        descriptors: Some(sys::descriptors::ORDINARY),
        by_copy: false,
        by_helper,
        executor: None,
    })
}

/// What a command asks, if it does.
fn question(unit: &Unit, command: Command) -> Option<&Ask> {
    match (command, &unit.ready) {
        (Command::AskReady, Ready::Asked(question)) => Some(&question.ask),
        (Command::AskHealth, _) => {
            let health = unit.care.as_ref()?.health.as_ref()?;
            Some(&health.question.ask)
        }
        _ => None,
    }
}

/// Who asks: a command, or our helper.
fn asker(ask: &Ask) -> Vec<String> {
    match ask {
        Ask::Command(argv) => argv.clone(),
        Ask::Own(words) => {
            let own = [sys::helper::NAME, roles::ASK].map(str::to_owned);
            own.into_iter().chain(words.iter().cloned()).collect()
        }
    }
}

/// Our helper in another role, which tells what went wrong as an executor does. The unit's sandbox is not for us.
fn mounter(errand: Vec<u8>) -> Executor {
    Executor {
        role: mounting::ROLE.to_owned(),
        errand,
        own_pids: false,
    }
}

/// The errand of an executor, for a unit that needs one.
fn executor(unit: &Unit, exec: &Exec, job: &Job) -> Result<Option<Executor>, String> {
    let Some(setup) = &exec.setup else {
        return Ok(None);
    };
    let errand = Errand {
        unit: unit.name.clone(),
        setup: Setup::clone(setup),
        argv: job.argv.clone(),
        env: job.env.clone(),
        workdir: job.workdir.clone(),
        ids: exec.ids.clone(),
        own_id: job.own_id.iter().map(|name| (*name).to_owned()).collect(),
    };
    Ok(Some(Executor {
        role: roles::EXEC.to_owned(),
        errand: errand.to_bytes()?,
        own_pids: setup.sandbox.own_pids,
    }))
}

/// The runtime's command line (OCI runtime command line interface). It makes no cgroup: the unit has one already.
fn runtime_command(unit: &Unit, container: &Container, command: Command) -> Option<Vec<String>> {
    let name = &*unit.name;
    let delete = ["delete", "--force", name].map(str::to_owned).to_vec();
    let arguments = match command {
        Command::Pre(0) | Command::Post(0) => delete,
        Command::Pre(1) => {
            let pid_file = pid_file(unit);
            let words = [
                "create",
                "--bundle",
                &container.bundle,
                "--pid-file",
                &pid_file,
                name,
            ];
            words.map(str::to_owned).to_vec()
        }
        Command::Launch => vec!["start".to_owned(), name.to_owned()],
        Command::Pre(_)
        | Command::Post(_)
        | Command::Start(_)
        | Command::Condition(_)
        | Command::Late(_)
        | Command::Stop(_)
        | Command::AskReady
        | Command::AskHealth
        | Command::Reload => return None,
    };
    let mut argv = vec![container.runtime.to_string()];
    if container.runtime.ends_with("crun") {
        argv.push("--cgroup-manager=disabled".to_owned());
    }
    argv.extend(arguments);
    Some(argv)
}
