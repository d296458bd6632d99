//! What stands between PID 1 and a program: the work of the executor (`rinit-helper exec`), in plain values.
//!
//! PID 1 only passes this on. Opening files, mounting and everything else that can hang or fail is done by the
//! executor, a process of the unit, with the kernel's numbers that are already here.

use serde::{Deserialize, Serialize};

use crate::plan::Ids;

/// Attributes of a process beyond those that PID 1 sets itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Files of `NAME=value` lines.
    pub env_files: Vec<Place>,
    /// Names taken out of the environment last.
    pub env_unset: Vec<Box<str>>,
    /// Niceness.
    pub nice: Option<i8>,
    /// Scheduling policy and priority.
    pub sched: Option<(u32, u32)>,
    /// CPUs; none: all.
    pub affinity: Vec<u16>,
    /// I/O priority (`linux/ioprio.h`).
    pub io: Option<u16>,
    /// Nanoseconds.
    pub timer_slack: Option<u64>,
    /// Bits of core(5).
    pub coredump_filter: Option<u32>,
    /// SIGPIPE is ignored.
    pub ignore_sigpipe: bool,
    /// Limits: number, soft, hard; the largest number is infinity.
    pub limits: Vec<(u32, u64, u64)>,
    /// What the program may see and do.
    pub sandbox: Sandbox,
}

/// What a program may see and do; the default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "namespaces come one by one")]
pub struct Sandbox {
    /// It has mounts of its own.
    pub own_mounts: bool,
    /// It has a network of its own.
    pub own_net: bool,
    /// It has System V IPC of its own.
    pub own_ipc: bool,
    /// It has process ids of its own; PID 1 sees to that.
    pub own_pids: bool,
    /// It has a host name of its own.
    pub own_hostname: bool,
    /// What is mounted for it, parents before what is in them.
    pub mounts: Vec<Mount>,
    /// Capabilities that it can ever have; absent: all.
    pub bounding: Option<u64>,
    /// Capabilities that it has without being root.
    pub ambient: u64,
    /// `linux/securebits.h`.
    pub secure_bits: u32,
    /// Programs gain nothing by set-user-id.
    pub no_new_privs: bool,
    /// System calls; absent: all.
    pub filter: Option<Filter>,
}

/// One mount of a program's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The key that asks for it, for messages.
    pub key: Box<str>,
    /// Where.
    pub at: Box<str>,
    /// What it is about may be missing.
    pub optional: bool,
    /// What appears there.
    pub what: What,
}

/// What appears at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// What is there, and it can only be read.
    ReadOnly,
    /// What was there before anything was changed.
    Writable,
    /// What is somewhere else.
    Bind {
        /// Where it is.
        from: Box<str>,
        /// It can only be read.
        read_only: bool,
    },
    /// An empty folder in memory, with these options.
    Tmpfs(Box<str>),
    /// Nothing.
    Hidden,
    /// Harmless devices.
    Devices,
    /// A new instance of a file system of the kernel.
    New(Box<str>),
}

/// Which system calls may be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The calls named are allowed and all others refused, or the other way round.
    pub named_are_allowed: bool,
    /// Numbers of calls on this machine, sorted.
    pub calls: Vec<u32>,
    /// The error a refused call returns; absent: its process is killed.
    pub errno: Option<u16>,
    /// Refused calls are noted in the kernel's log.
    pub log: bool,
    /// The same for the kernel, filled in by whoever loads the plan: one number per instruction, code, two jumps and
    /// operand from high to low (`struct sock_filter`).
    pub program: Vec<u64>,
}

/// A path that may be allowed to be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Absolute.
    pub path: Box<str>,
    /// It may be missing.
    pub optional: bool,
}

/// What PID 1 tells one executor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// The unit's name.
    pub unit: Box<str>,
    /// The attributes.
    pub setup: Setup,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; absent: `/`.
    pub workdir: Option<String>,
    /// Absent: root.
    pub ids: Option<Ids>,
    /// Variables that hold the process' own id.
    pub own_id: Vec<String>,
}

impl Errand {
    /// The binary form. Both sides are one program, so it has no version.
    ///
    /// # Errors
    /// Memory is short, in words.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        postcard::to_allocvec(self).map_err(|error| error.to_string())
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// It is damaged, in words.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_arrives_as_it_was_sent_and_a_cut_one_is_an_error() {
        let errand = Errand {
            unit: "web".into(),
            setup: Setup {
                nice: Some(-5),
                limits: vec![(7, 1024, u64::MAX)],
                ..Setup::default()
            },
            argv: vec!["/bin/true".into()],
            own_id: vec!["LISTEN_PID".into()],
            ..Errand::default()
        };
        let bytes = errand.to_bytes().unwrap();
        assert_eq!(Errand::from_bytes(&bytes), Ok(errand));
        for length in 0..bytes.len() {
            assert!(
                Errand::from_bytes(&bytes[..length]).is_err(),
                "cut at {length}"
            );
        }
    }
}
