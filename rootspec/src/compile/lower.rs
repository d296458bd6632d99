//! One unit file to one unit of the plan: defaults filled in, values in the kernel's words.

use crate::UnitName;
use crate::logs::{Rate, Rules};
use crate::plan::{
    Accept, Container, Exec, Gate, Looks, Path, Policy, Reload, Restart, Socket, Timer, Unit,
    UnitIndex, Work,
};
use crate::units::{self, Activate, Kind, RestartPolicy, UnitFile, Weight};

/// Start timeout of a service when its file does not say: 90 s.
const START_TIMEOUT: u64 = 90_000;
/// File mode mask when the file does not say.
const UMASK: u32 = 0o022;
/// Permissions of a socket when the file does not say.
const SOCKET_MODE: u32 = 0o666;
/// Permissions of folders that are made when the file does not say.
const FOLDER_MODE: u32 = 0o755;
/// Connections that wait when the file does not say.
const BACKLOG: u16 = 128;
/// Starts by traffic within the window when the file does not say: one more is too many.
const STARTS: u32 = 20;
/// The same where each connection is a start.
const CONNECTIONS_STARTED: u32 = 200;
/// Connections that are served at the same time when the file does not say.
const CONNECTIONS: u16 = 64;
/// Smallest file of a log that is turned over.
const SMALLEST_LOG: u64 = 64 << 10;
/// Period of `cpu.max` in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// The unit without its dependencies.
pub(super) fn lower(name: &UnitName, file: &UnitFile) -> Unit {
    let oneshot = matches!(file.kind, Kind::Oneshot | Kind::Mount | Kind::Swap);
    let ready = super::ready::lower(
        &file.ready,
        file.health.as_ref().map(toml::Spanned::get_ref),
        oneshot,
    );
    let patience = if oneshot { u64::MAX } else { START_TIMEOUT };
    Unit {
        name: name.as_str().into(),
        description: file.description.as_str().into(),
        work: work(file),
        needs: Vec::new(),
        wants: Vec::new(),
        after: Vec::new(),
        ties: Box::default(),
        conditions: super::condition::lower(file),
        ready,
        start_timeout: super::mounts::start_timeout(file)
            .unwrap_or_else(|| file.ready.timeout.map_or(patience, |t| t.0)),
        restart: restart(&file.restart, oneshot),
        conduct: super::conduct::lower(file),
        stop_signal: file.stop.signal.0,
        stop_timeout: file.stop.timeout.0,
        kill: file.stop.kill,
        fdstore: file.fdstore,
        care: super::care::lower(file),
        gate: file.gate.required.then_some(Gate {
            within: file.gate.within.0,
            stable: file.gate.stable.0,
            soft: file.gate.weight == Weight::Soft,
            max_restarts: file.gate.max_restarts,
        }),
        sockets: file.socket.iter().map(|s| socket(name, s)).collect(),
        timers: file.timer.iter().map(timer).collect(),
        paths: file.path.iter().map(path).collect(),
    }
}

fn work(file: &UnitFile) -> Work {
    let mut around = Exec {
        umask: UMASK,
        cgroup: limits(&file.cgroup),
        delegate: file.cgroup.delegate,
        dirs: directories(&file.dirs),
        stdout: file.log.stdout,
        stderr: file.log.stderr.unwrap_or(file.log.stdout),
        console: file.log.console,
        log: rules(&file.log),
        tty: file.tty.as_ref().map(|tty| tty.path.as_str().into()),
        ..Exec::default()
    };
    match (&file.kind, &file.exec, &file.container) {
        (Kind::Container, _, Some(container)) => {
            let container = container.get_ref();
            Work::Container(Box::new(Container {
                bundle: container.bundle.as_str().into(),
                runtime: container.runtime.as_str().into(),
                exec: around,
            }))
        }
        (kind @ (Kind::Service | Kind::Oneshot), Some(exec), _) => {
            commands(exec.get_ref(), &mut around);
            super::mounts::await_devices(file, &mut around);
            around.notify = super::ready::notify(file, around.reload.as_ref());
            let sandbox = file.sandbox.as_ref().map(toml::Spanned::get_ref);
            around.setup = super::setup::lower(exec.get_ref(), sandbox, &around.dirs).map(Box::new);
            let exec = Box::new(around);
            if *kind == Kind::Oneshot {
                Work::Oneshot(exec)
            } else {
                Work::Service(exec)
            }
        }
        (Kind::Mount | Kind::Swap, _, _) => {
            super::mounts::lower(file, &mut around);
            Work::Oneshot(Box::new(around))
        }
        // The reader refuses services without [exec] and containers without [container].
        (Kind::Group | Kind::Service | Kind::Oneshot | Kind::Container, _, _) => Work::Group,
    }
}

fn commands(from: &units::Exec, exec: &mut Exec) {
    exec.condition.clone_from(&from.condition.0);
    exec.start_pre.clone_from(&from.start_pre.0);
    exec.start_post.clone_from(&from.start_post.0);
    exec.stop.clone_from(&from.stop.0);
    exec.reload = from.reload.as_ref().map(|how| match how {
        units::Reload::Signal(signal) => Reload::Signal(signal.0),
        units::Reload::Notify => Reload::Notify,
        units::Reload::Command(argv) => Reload::Command(argv.clone()),
    });
    exec.start.clone_from(&from.start.0);
    exec.stop_post.clone_from(&from.stop_post.0);
    exec.user = from.user.as_deref().map(Into::into);
    exec.group = from.group.as_deref().map(Into::into);
    exec.workdir = from.workdir.as_deref().map(Into::into);
    let mask = from
        .umask
        .as_ref()
        .and_then(|mask| units::octal(mask.get_ref()));
    exec.umask = mask.unwrap_or(UMASK);
    exec.env = from
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}").into())
        .collect();
    exec.idle = from.idle;
    exec.oom_score_adj = from.oom_score_adj.unwrap_or_default();
    exec.groups = boxed(&from.groups);
    exec.env_pass = boxed(&from.env_pass);
}

/// How its log is kept; `None`: as usual, which is what nearly all units say.
fn rules(from: &units::Log) -> Option<Box<Rules>> {
    let usual = Rules::default();
    let bound = from.rate.filter(|limit| limit.count > 0);
    let rules = Rules {
        rate: bound.map(|limit| Rate {
            count: limit.count,
            window: limit.window.0,
        }),
        // A file that is turned over at each record would be no log.
        size: from
            .rotate
            .size
            .map_or(usual.size, |size| size.0.max(SMALLEST_LOG)),
        keep: from.rotate.keep.unwrap_or(usual.keep),
    };
    (rules != usual).then(|| Box::new(rules))
}

fn boxed(names: &units::Names) -> Vec<Box<str>> {
    names.0.iter().map(|name| name.as_str().into()).collect()
}

fn restart(from: &units::Restart, oneshot: bool) -> Restart {
    let policy = match (from.policy, oneshot) {
        (Some(RestartPolicy::No), _) | (None, true) => Policy::Never,
        (Some(RestartPolicy::Always), _) => Policy::Always,
        (Some(RestartPolicy::OnSuccess), _) => Policy::OnSuccess,
        (Some(RestartPolicy::OnFailure), _) | (None, false) => Policy::OnFailure,
        (Some(RestartPolicy::OnAbnormal), _) => Policy::OnAbnormal,
        (Some(RestartPolicy::OnAbort), _) => Policy::OnAbort,
        (Some(RestartPolicy::OnWatchdog), _) => Policy::OnWatchdog,
    };
    Restart {
        policy,
        delay: from.delay.0,
        backoff_percent: percent(*from.backoff.get_ref()),
        max_delay: from.max_delay.0,
        reset_after: from.reset_after.0,
        limit: from.limit.count,
        window: from.limit.window.0,
        success: super::conduct::exits(&from.success_exit),
    }
}

/// The reader allows factors from 1 to 100, so this is 100 to 10000.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before the cast"
)]
fn percent(factor: f64) -> u32 {
    (factor.clamp(1.0, 100.0) * 100.0) as u32
}

fn limits(from: &units::Cgroup) -> Vec<(Box<str>, Box<str>)> {
    let cpu_max = from.cpu_max.map(|percent| {
        let quota = u64::from(percent.0).saturating_mul(CPU_PERIOD / 100);
        format!("{quota} {CPU_PERIOD}")
    });
    [
        ("cpu.weight", from.cpu_weight.map(|v| v.to_string())),
        ("cpu.max", cpu_max),
        ("memory.high", from.memory_high.map(|v| v.0.to_string())),
        ("memory.max", from.memory_max.map(|v| v.0.to_string())),
        ("pids.max", from.pids_max.map(|v| v.to_string())),
    ]
    .into_iter()
    .filter_map(|(file, value)| value.map(|value| (file.into(), value.into())))
    .collect()
}

fn directories(from: &units::Dirs) -> Vec<Box<str>> {
    let below = [
        ("/run", &from.run),
        ("/var/lib", &from.state),
        ("/var/cache", &from.cache),
        ("/var/log", &from.logs),
    ];
    let mut paths = Vec::new();
    for (base, names) in below {
        let below = |name: &String| format!("{base}/{name}").into();
        paths.extend(names.0.iter().map(below));
    }
    paths
}

fn socket(unit: &UnitName, from: &units::Socket) -> Socket {
    let mode = from
        .mode
        .as_ref()
        .and_then(|mode| units::octal(mode.get_ref()));
    let limit = from.trigger_limit;
    Socket {
        address: from.listen.0.clone(),
        lazy: from.activate == Activate::Lazy,
        name: from.name.as_deref().unwrap_or(unit.as_str()).into(),
        mode: mode.unwrap_or(SOCKET_MODE),
        group: from.group.as_deref().map(Into::into),
        gid: None,
        backlog: from.backlog.unwrap_or(BACKLOG),
        limit: limit.count.unwrap_or(if from.accept {
            CONNECTIONS_STARTED
        } else {
            STARTS
        }),
        window: limit.window.0,
        pause: limit.pause.0,
        accept: from.accept.then(|| Accept {
            connections: from.max_connections.unwrap_or(CONNECTIONS),
            per_source: from.max_per_source.unwrap_or_default(),
        }),
    }
}

/// The timer; its unit has no number yet.
fn timer(from: &units::Timer) -> Timer {
    let millis = |span: Option<units::Millis>| span.map(|span| span.0);
    Timer {
        unit: UnitIndex::MAX,
        calendars: from.calendar.0.clone().into(),
        after_boot: millis(from.after_boot),
        after_start: millis(from.after_start),
        after_active: millis(from.after_active),
        after_inactive: millis(from.after_inactive),
        accuracy: millis(from.accuracy),
        jitter: millis(from.jitter).unwrap_or_default(),
        fixed_jitter: from.fixed_jitter,
        persistent: from.persistent,
        on_clock_change: from.on_clock_change,
    }
}

/// The entry; its unit has no number yet.
fn path(from: &units::Path) -> Path {
    let looks = |(key, paths): (&str, &[String])| -> Vec<(Looks, Box<str>)> {
        let what = match key {
            "exists" => Looks::Exists,
            "glob" => Looks::Glob,
            "modified" => Looks::Modified,
            "not_empty" => Looks::NotEmpty,
            _ => Looks::Changed,
        };
        paths
            .iter()
            .map(|path| (what, path.as_str().into()))
            .collect()
    };
    let mode = from.mode.as_ref();
    let mode = mode.and_then(|mode| units::octal(mode.get_ref()));
    Path {
        unit: UnitIndex::MAX,
        looks: from.all().into_iter().flat_map(looks).collect(),
        mkdir: from.mkdir.then_some(mode.unwrap_or(FOLDER_MODE)),
        limit: from.limit.count.unwrap_or(STARTS),
        window: from.limit.window.0,
        pause: from.limit.pause.0,
    }
}
