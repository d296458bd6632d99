//! `[sandbox]` to what the executor does: namespaces, mounts in their order, capabilities, system calls.

use std::collections::BTreeSet;

use crate::setup::{Filter, Mount, Sandbox, What};
use crate::units::{
    self, Bind, Calls, Capability, Home, MaybePath, Private, Protect, Refusal, System,
};

/// Lowers the table; `dirs` are the unit's own folders, which it can always write to.
pub(super) fn lower(from: &units::Sandbox, dirs: &[Box<str>]) -> Sandbox {
    let from = from.complete();
    let has = |wanted| {
        from.private
            .iter()
            .flatten()
            .any(|private| *private == wanted)
    };
    let protects = |wanted| {
        from.protect
            .iter()
            .flatten()
            .any(|protect| *protect == wanted)
    };
    let ambient = from
        .ambient
        .iter()
        .flatten()
        .fold(0, |mask, cap| mask | 1 << cap.0);
    let filter = from.seccomp.as_ref().and_then(filter);
    let mounts = mounts(&from, dirs);
    Sandbox {
        own_mounts: has(Private::Mounts) || !mounts.is_empty(),
        own_net: has(Private::Net),
        own_ipc: has(Private::Ipc),
        own_pids: has(Private::Pids),
        own_hostname: protects(Protect::Hostname),
        mounts,
        bounding: bounding(&from).map(|mask| mask | ambient),
        ambient,
        secure_bits: from
            .securebits
            .iter()
            .flatten()
            .fold(0, |bits, bit| bits | bit.bit()),
        no_new_privs: from.no_new_privs.unwrap_or_default() || filter.is_some(),
        filter,
    }
}

/// Capabilities that stay; `None`: all of them.
fn bounding(from: &units::Sandbox) -> Option<u64> {
    let mut mask = from.caps.unwrap_or(units::Caps::ALL).0;
    let mut lose = |names: &[&str]| {
        for name in names {
            mask &= !Capability::mask(name);
        }
    };
    for protect in from.protect.iter().flatten() {
        match protect {
            Protect::Clock => lose(&["SYS_TIME", "WAKE_ALARM"]),
            Protect::Modules => lose(&["SYS_MODULE"]),
            Protect::Klog => lose(&["SYSLOG"]),
            Protect::Hostname | Protect::Tunables | Protect::Cgroups => {}
        }
    }
    if from
        .private
        .iter()
        .flatten()
        .any(|private| *private == Private::Devices)
    {
        lose(&["MKNOD", "SYS_RAWIO"]);
    }
    (mask != u64::MAX).then_some(mask)
}

fn filter(from: &units::Seccomp) -> Option<Filter> {
    let numbers =
        |lists: &[Calls]| -> BTreeSet<u32> { lists.iter().flat_map(Calls::numbers).collect() };
    let denied = numbers(&from.deny);
    let (named_are_allowed, calls) = match &from.allow {
        Some(allowed) => {
            let mut calls = numbers(allowed);
            calls.retain(|call| !denied.contains(call));
            calls.extend(Calls::group(units::DEFAULT_CALLS).numbers());
            (true, calls)
        }
        None if denied.is_empty() => return None,
        None => (false, denied),
    };
    Some(Filter {
        named_are_allowed,
        calls: calls.into_iter().collect(),
        errno: match from.errno {
            Refusal::Error(number) => Some(number),
            Refusal::Kill => None,
        },
        log: from.log,
        program: Vec::new(),
    })
}

/// What is mounted, parents first. Of two that say something about one path the later key counts.
#[derive(Default)]
struct Plan(Vec<Mount>);

impl Plan {
    fn add(&mut self, key: &str, at: &str, optional: bool, what: What) {
        self.0.retain(|mount| &*mount.at != at);
        self.0.push(Mount {
            key: key.into(),
            at: at.into(),
            optional,
            what,
        });
    }

    /// What a system need not have.
    fn each(&mut self, key: &str, paths: &[&str], what: &What) {
        for path in paths {
            self.add(key, path, true, what.clone());
        }
    }

    fn named(&mut self, key: &str, paths: Option<&Vec<MaybePath>>, what: &What) {
        for path in paths.into_iter().flatten() {
            self.add(key, &path.path, path.optional, what.clone());
        }
    }

    fn binds(&mut self, key: &str, binds: Option<&Vec<Bind>>, read_only: bool) {
        for bind in binds.into_iter().flatten() {
            let from = bind.from.path.as_str().into();
            self.add(
                key,
                &bind.at,
                bind.from.optional,
                What::Bind { from, read_only },
            );
        }
    }
}

fn mounts(from: &units::Sandbox, dirs: &[Box<str>]) -> Vec<Mount> {
    let mut plan = Plan::default();
    match from.system {
        None | Some(System::Off) => {}
        Some(System::Usr) => plan.each("system", &["/usr", "/boot", "/efi"], &What::ReadOnly),
        Some(System::Full) => plan.each(
            "system",
            &["/usr", "/boot", "/efi", "/etc"],
            &What::ReadOnly,
        ),
        Some(System::Strict) => {
            plan.add("system", "/", false, What::ReadOnly);
            plan.each("system", &["/dev", "/proc", "/sys"], &What::Writable);
            for dir in dirs {
                plan.add("dirs", dir, false, What::Writable);
            }
        }
    }
    const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
    match from.home {
        None | Some(Home::Off) => {}
        Some(Home::Ro) => plan.each("home", &HOMES, &What::ReadOnly),
        Some(Home::Hide) => plan.each("home", &HOMES, &What::Hidden),
        Some(Home::Tmpfs) => plan.each("home", &HOMES, &What::Tmpfs("mode=0755".into())),
    }
    for private in from.private.iter().flatten() {
        match private {
            Private::Tmp => plan.each(
                "private",
                &["/tmp", "/var/tmp"],
                &What::Tmpfs("mode=1777".into()),
            ),
            Private::Devices => plan.add("private", "/dev", false, What::Devices),
            Private::Ipc => plan.add("private", "/dev/mqueue", true, What::New("mqueue".into())),
            Private::Pids => plan.add("private", "/proc", false, What::New("proc".into())),
            Private::Net | Private::Mounts => {}
        }
    }
    protect(from, &mut plan);
    plan.named("ro", from.ro.as_ref(), &What::ReadOnly);
    plan.named("rw", from.rw.as_ref(), &What::Writable);
    plan.named("hidden", from.hidden.as_ref(), &What::Hidden);
    for tmpfs in from.tmpfs.iter().flatten() {
        let size = tmpfs
            .size
            .map_or(String::new(), |size| format!(",size={size}"));
        let options = format!("mode=0755{size}").into();
        plan.add(
            "tmpfs",
            &tmpfs.at.path,
            tmpfs.at.optional,
            What::Tmpfs(options),
        );
    }
    plan.binds("bind", from.bind.as_ref(), false);
    plan.binds("bind_ro", from.bind_ro.as_ref(), true);
    let Plan(mut mounts) = plan;
    // Parents come before what is in them: the shorter path sorts first.
    mounts.sort_by(|a, b| a.at.split('/').cmp(b.at.split('/')));
    mounts
}

fn protect(from: &units::Sandbox, plan: &mut Plan) {
    const TUNABLES: [&str; 8] = [
        "/proc/acpi",
        "/proc/fs",
        "/proc/irq",
        "/proc/mtrr",
        "/proc/sys",
        "/proc/sysrq-trigger",
        "/proc/timer_stats",
        "/sys",
    ];
    let key = "protect";
    for protect in from.protect.iter().flatten() {
        match protect {
            Protect::Hostname => {}
            Protect::Clock => plan.each(key, &["/dev/rtc0", "/dev/rtc1"], &What::Hidden),
            Protect::Tunables => plan.each(key, &TUNABLES, &What::ReadOnly),
            Protect::Modules => {
                plan.each(key, &["/usr/lib/modules", "/lib/modules"], &What::Hidden);
            }
            Protect::Klog => plan.each(key, &["/dev/kmsg", "/proc/kmsg"], &What::Hidden),
            Protect::Cgroups => plan.each(key, &["/sys/fs/cgroup"], &What::ReadOnly),
        }
    }
    let list = from.protect.iter().flatten();
    let (mut tunables, mut cgroups) = (false, false);
    for protect in list {
        tunables |= *protect == Protect::Tunables;
        cgroups |= *protect == Protect::Cgroups;
    }
    if tunables && !cgroups {
        plan.add(key, "/sys/fs/cgroup", true, What::Writable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(text: &str) -> Sandbox {
        let from: units::Sandbox = toml::from_str(text).unwrap();
        lower(&from, &["/var/lib/web".into()])
    }

    fn shown(sandbox: &Sandbox) -> Vec<String> {
        let one = |mount: &Mount| format!("{} {:?}", mount.at, mount.what);
        sandbox.mounts.iter().map(one).collect()
    }

    #[test]
    fn nothing_said_is_nothing_done() {
        assert_eq!(lowered(""), Sandbox::default());
        assert_eq!(
            lowered("caps = \"all\"\nsystem = \"off\"\nprofile = \"none\"\n"),
            Sandbox::default()
        );
    }

    #[test]
    fn parents_come_before_what_is_in_them_and_the_own_folders_stay_writable() {
        let found = lowered(
            "system = \"strict\"\nhidden = [\"/srv-a\"]\nro = [\"/srv/b\"]\nrw = [\"/srv\", \"/dev\"]\n",
        );
        assert_eq!(
            shown(&found),
            [
                "/ ReadOnly",
                "/dev Writable",
                "/proc Writable",
                "/srv Writable",
                "/srv/b ReadOnly",
                "/srv-a Hidden",
                "/sys Writable",
                "/var/lib/web Writable",
            ]
        );
        assert!(found.own_mounts);
    }

    #[test]
    fn the_later_key_counts_for_one_path() {
        let found = lowered("home = \"hide\"\nrw = [\"/home\"]\nbind = [\"/srv/home:/home\"]\n");
        assert!(shown(&found)[0].starts_with("/home Bind"), "{found:?}");
        assert_eq!(found.mounts.iter().filter(|m| &*m.at == "/home").count(), 1);
    }

    #[test]
    fn protected_parts_take_their_capabilities_along() {
        let found = lowered("protect = [\"clock\"]\nambient = [\"CAP_SYS_TIME\"]\n");
        assert_eq!(found.bounding, Some(!(1 << 35)));
        assert_eq!(found.ambient, 1 << 25);
        let none = lowered("caps = []\nprivate = [\"devices\"]\n");
        assert_eq!(none.bounding, Some(0));
    }

    #[test]
    fn a_list_of_calls_keeps_what_every_process_needs() {
        let found = lowered(
            "[seccomp]\nallow = [\"read\", \"reboot\"]\ndeny = [\"reboot\", \"execve\"]\nerrno = \"kill\"\n",
        );
        let filter = found.filter.clone().unwrap();
        let number = |name: &str| {
            toml::from_str::<units::Seccomp>(&format!("deny = [\"{name}\"]"))
                .unwrap()
                .deny[0]
                .numbers()
                .next()
                .unwrap()
        };
        assert!(filter.named_are_allowed && found.no_new_privs && filter.errno.is_none());
        assert!(filter.calls.contains(&number("read")) && filter.calls.contains(&number("execve")));
        assert!(!filter.calls.contains(&number("reboot")));
        assert_eq!(lowered("[seccomp]\nlog = true\n").filter, None);
        let deny = lowered("[seccomp]\ndeny = [\"@swap\"]\n").filter.unwrap();
        assert_eq!((deny.named_are_allowed, deny.calls.len()), (false, 2));
    }
}
