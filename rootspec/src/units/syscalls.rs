//! System calls by name, and groups of them.
//!
//! Names and numbers are the crate `syscalls`'. The groups are named as in systemd, so that people find what they know;
//! what is in them is our own choice.

use syscalls::{Sysno, aarch64, x86_64};

use super::attributes::told_value;
use crate::nearest::unknown;

/// One name, or one group, as the calls it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls(Vec<&'static str>);

/// What every process needs to start, to work on its own memory, and to end.
pub(crate) const DEFAULT: &str = "@default";

impl Calls {
    fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('@') {
            let mut names = Vec::new();
            if expand(text, &mut names) {
                return Ok(Self(names));
            }
            let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
            let list = format!("known here: {}", known.join(", "));
            return Err(unknown("group of system calls", text, &known, &list));
        }
        known(text).map(|name| Self(vec![name])).ok_or_else(|| {
            let all: Vec<&str> = all_names().collect();
            unknown("system call", text, &all, "see syscalls(2)")
        })
    }

    /// Numbers on the machine this program is built for; what it does not have is left out.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter_map(|name| number(name))
    }

    /// A group that we know by name.
    pub(crate) fn group(name: &str) -> Self {
        let mut names = Vec::new();
        expand(name, &mut names);
        Self(names)
    }
}
told_value!(Calls, Calls::read);

/// The name as the table has it, if any machine we run on has such a call.
fn known(text: &str) -> Option<&'static str> {
    let mut all = all_names();
    all.find(|name| *name == text)
}

/// Looked through rather than parsed: the parser of names is larger than all of them.
fn all_names() -> impl Iterator<Item = &'static str> {
    let here = x86_64::Sysno::iter().map(|call| call.name());
    here.chain(aarch64::Sysno::iter().map(|call| call.name()))
}

fn number(name: &str) -> Option<u32> {
    let call = Sysno::iter().find(|call| call.name() == name)?;
    u32::try_from(call.id()).ok()
}

/// Appends all calls of a group; false: there is none of that name. Groups hold names and groups without groups.
fn expand(group: &str, names: &mut Vec<&'static str>) -> bool {
    let Some((_, list)) = GROUPS.iter().find(|(name, _)| *name == group) else {
        return false;
    };
    let mut open: Vec<&str> = list.split_ascii_whitespace().collect();
    while let Some(word) = open.pop() {
        match GROUPS.iter().find(|(name, _)| *name == word) {
            Some((_, list)) => open.extend(list.split_ascii_whitespace()),
            None => names.push(word),
        }
    }
    names.sort_unstable();
    names.dedup();
    true
}

/// Groups by name.
pub(crate) const GROUPS: [(&str, &str); 27] = [
    (
        "@aio",
        "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter io_uring_register
         io_uring_setup",
    ),
    (
        "@basic-io",
        "close close_range dup dup2 dup3 lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv write
         writev",
    ),
    ("@chown", "chown fchown fchownat lchown"),
    ("@clock", "adjtimex clock_adjtime clock_settime settimeofday"),
    ("@debug", "perf_event_open pidfd_getfd process_vm_readv process_vm_writev ptrace kcmp"),
    (
        DEFAULT,
        "arch_prctl brk clock_getres clock_gettime clock_nanosleep execve exit exit_group futex get_robust_list
         get_thread_area getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getrandom getresgid getresuid
         getrlimit getsid gettid gettimeofday getuid madvise membarrier mmap mprotect mremap munmap nanosleep pause
         prlimit64 restart_syscall rseq rt_sigreturn sched_getaffinity sched_yield set_robust_list set_thread_area
         set_tid_address time uname",
    ),
    (
        "@file-system",
        "access chdir chmod close creat faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2 fcntl
         fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs ftruncate futimesat getcwd getdents getdents64
         getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lgetxattr link linkat listxattr
         llistxattr lremovexattr lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 readlink
         readlinkat removexattr rename renameat renameat2 rmdir setxattr stat statfs statx symlink symlinkat truncate
         umask unlink unlinkat utime utimensat utimes",
    ),
    (
        "@io-event",
        "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
         eventfd eventfd2 poll ppoll pselect6 select",
    ),
    (
        "@ipc",
        "memfd_create mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv
         msgsnd pipe pipe2 process_madvise semctl semget semop semtimedop shmat shmctl shmdt shmget",
    ),
    ("@keyring", "add_key keyctl request_key"),
    ("@memlock", "mlock mlock2 mlockall munlock munlockall"),
    ("@module", "delete_module finit_module init_module"),
    (
        "@mount",
        "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root umount2",
    ),
    (
        "@network-io",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg
         sendmsg sendto setsockopt shutdown socket socketpair",
    ),
    (
        "@obsolete",
        "_sysctl afs_syscall create_module get_kernel_syms getpmsg lookup_dcookie nfsservctl putpmsg query_module
         security sysfs tuxcall uselib ustat vserver",
    ),
    ("@pkey", "pkey_alloc pkey_free pkey_mprotect"),
    (
        "@privileged",
        "@clock @module @mount @raw-io @reboot @swap acct bpf capset fanotify_init open_by_handle_at quotactl
         quotactl_fd setdomainname sethostname syslog vhangup",
    ),
    (
        "@process",
        "capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl rt_sigqueueinfo
         rt_tgsigqueueinfo setns tgkill times tkill unshare vfork wait4 waitid",
    ),
    ("@raw-io", "ioperm iopl"),
    ("@reboot", "kexec_file_load kexec_load reboot"),
    (
        "@resources",
        "ioprio_set mbind migrate_pages move_pages sched_setaffinity sched_setattr sched_setparam sched_setscheduler
         set_mempolicy set_mempolicy_home_node setpriority setrlimit",
    ),
    (
        "@sandbox",
        "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    ),
    (
        "@setuid",
        "setgid setgroups setregid setresgid setresuid setreuid setuid setfsgid setfsuid",
    ),
    (
        "@signal",
        "rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait sigaltstack signalfd signalfd4",
    ),
    ("@swap", "swapoff swapon"),
    (
        "@sync",
        "fdatasync fsync msync sync sync_file_range syncfs",
    ),
    (
        "@system-service",
        "@aio @basic-io @chown @default @file-system @io-event @ipc @keyring @memlock @network-io @process @resources
         @sandbox @setuid @signal @sync alarm capset copy_file_range fadvise64 get_mempolicy getcpu getitimer
         getpriority ioctl ioprio_get mincore name_to_handle_at personality readahead remap_file_pages
         sched_get_priority_max sched_get_priority_min sched_getattr sched_getparam sched_getscheduler
         sched_rr_get_interval sendfile setitimer setpgid setsid splice sysinfo tee timer_create timer_delete
         timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime vmsplice",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_in_a_group_is_a_call_of_some_machine() {
        for (group, _) in GROUPS {
            for name in Calls::group(group).0 {
                assert!(known(name).is_some(), "{group} holds {name}");
            }
        }
    }

    #[test]
    fn groups_hold_what_their_groups_hold() {
        let calls = Calls::read("@privileged").unwrap().0;
        assert!(calls.contains(&"init_module") && calls.contains(&"swapon"));
        assert!(!calls.iter().any(|name| name.starts_with('@')));
        assert!(
            Calls::read("read")
                .unwrap()
                .numbers()
                .eq([number("read").unwrap()])
        );
    }

    #[test]
    fn the_groups_are_documented_as_they_are() {
        let page = include_str!("../../../docs/units.md");
        for (name, list) in GROUPS {
            let words: Vec<&str> = list.split_ascii_whitespace().collect();
            let row = format!("| `{name}` | {} |", words.join(" "));
            assert!(page.contains(&row), "missing in docs/units.md:\n{row}");
        }
    }
}
