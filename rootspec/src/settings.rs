//! The settings of `rinit` itself, as it works with them. Their text is `/etc/rinit/rinit.toml`.

use serde::{Deserialize, Serialize};

/// The settings, with their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The group that is started at boot.
    pub default_group: String,
    /// How long an orderly shutdown may take, in milliseconds.
    pub shutdown_deadline: u64,
    /// How long confirming a good trial may take, with all its tries, in milliseconds.
    pub confirm_deadline: u64,
    /// Most bytes that all logs together may take.
    pub log_max: u64,
    /// Messages of the kernel are logged; absent: if they are about this machine, which those in a container are not.
    pub kernel_log: Option<bool>,
    /// Messages of syslog(3) are taken at `/dev/log`.
    pub syslog: bool,
    /// Seconds of silence after which the hardware watchdog resets the machine; absent: it is not used.
    pub watchdog: Option<u32>,
    /// Group id of those who may change things, beside root.
    pub control_gid: Option<u32>,
    /// Why something else is started than the unit files say: a rescue login, or the units of the snapshot alone.
    pub rescue: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_group: "default".to_owned(),
            shutdown_deadline: 90_000,
            confirm_deadline: 300_000,
            log_max: 256 << 20,
            kernel_log: None,
            syslog: true,
            watchdog: None,
            control_gid: None,
            rescue: None,
        }
    }
}

impl Settings {
    /// Whether a client with this user and group may change things: root, and whoever is in the group for that. `groups`,
    /// its further groups, are asked for only if they matter.
    pub fn trusts<E>(
        &self,
        uid: u32,
        gid: u32,
        groups: impl FnOnce() -> Result<Vec<u32>, E>,
    ) -> bool {
        let is_member = |wanted| gid == wanted || groups().is_ok_and(|all| all.contains(&wanted));
        uid == 0 || self.control_gid.is_some_and(is_member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_members_of_the_group_may_change_things() {
        let settings = |control_gid| Settings {
            control_gid,
            ..Settings::default()
        };
        let trusts = |wanted, uid, gid, groups: &[u32]| {
            settings(wanted).trusts(uid, gid, || Ok::<_, ()>(groups.to_vec()))
        };
        assert!(trusts(None, 0, 0, &[]));
        assert!(trusts(Some(44), 33, 44, &[]));
        assert!(trusts(Some(44), 33, 33, &[33, 44]));
        assert!(!trusts(Some(44), 33, 33, &[33]) && !trusts(None, 33, 33, &[44]));
        assert!(!settings(Some(44)).trusts(33, 33, || Err(())));
    }
}
