//! `/etc/rinit/rinit.toml`: the few settings of `rinit` itself.

use rootspec::spot::Spot;
use rootspec::toml_value::from_text;
use rootspec::units::Millis;
use serde::{Deserialize, Serialize};
use sys::socket::Peer;

/// Where it is.
pub(crate) const PATH: &str = "/etc/rinit/rinit.toml";

/// The settings, with their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// The group that is started at boot.
    pub(crate) default_group: String,
    /// How long an orderly shutdown may take, in milliseconds.
    pub(crate) shutdown_deadline: u64,
    /// How long confirming a good trial may take, with all its tries, in milliseconds.
    pub(crate) confirm_deadline: u64,
    /// Group id of those who may change things, beside root.
    pub(crate) control_gid: Option<u32>,
    /// Why only a rescue login is started.
    pub(crate) rescue: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_group: "default".to_owned(),
            shutdown_deadline: 90_000,
            confirm_deadline: 300_000,
            control_gid: None,
            rescue: None,
        }
    }
}

impl Config {
    /// Whether a client may change things: root, and whoever is in the group for that. `groups`, its further groups, are
    /// asked for only if they matter.
    pub(crate) fn trusts<E>(
        &self,
        peer: Peer,
        groups: impl FnOnce() -> Result<Vec<u32>, E>,
    ) -> bool {
        let is_member = |gid| peer.gid == gid || groups().is_ok_and(|all| all.contains(&gid));
        peer.uid == 0 || self.control_gid.is_some_and(is_member)
    }
}

/// The file as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    manager: Manager,
    control: Control,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Manager {
    default_group: Option<String>,
    shutdown_deadline: Option<Millis>,
    confirm_deadline: Option<Millis>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Control {
    group: Option<String>,
}

/// Reads the text; `gid` finds a group's number.
///
/// # Errors
/// The text is wrong; the place is shown. The defaults hold then.
pub(crate) fn parse(text: &str, gid: impl Fn(&str) -> Option<u32>) -> Result<Config, String> {
    let written: Written =
        from_text(text).map_err(|mistake| Spot::from_toml(PATH, text, &mistake).to_string())?;
    let mut config = Config::default();
    if let Some(group) = written.manager.default_group {
        config.default_group = group;
    }
    if let Some(deadline) = written.manager.shutdown_deadline {
        // A shutdown without an end would be no shutdown.
        config.shutdown_deadline = deadline.0.clamp(1_000, 3_600_000);
    }
    if let Some(deadline) = written.manager.confirm_deadline {
        config.confirm_deadline = deadline.0.clamp(1_000, 3_600_000);
    }
    if let Some(name) = written.control.group {
        let found = gid(&name);
        if found.is_none() {
            return Err(format!("{PATH}: the group {name} is not in /etc/group"));
        }
        config.control_gid = found;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_keeps_its_default() {
        let text = "[manager]\nshutdown_deadline = \"30s\"\nconfirm_deadline = \"off\"\n[control]\ngroup = \"adm\"\n";
        let config = parse(text, |name| (name == "adm").then_some(4)).unwrap();
        assert_eq!(config.default_group, "default");
        assert_eq!(
            (config.shutdown_deadline, config.control_gid),
            (30_000, Some(4))
        );
        assert_eq!(config.confirm_deadline, 3_600_000);
    }

    #[test]
    fn root_and_members_of_the_group_may_change_things() {
        let config = |control_gid| Config {
            control_gid,
            ..Config::default()
        };
        let peer = |uid, gid| Peer { pid: 1, uid, gid };
        let trusts =
            |gid, peer, groups: &[u32]| config(gid).trusts(peer, || Ok::<_, ()>(groups.to_vec()));
        assert!(trusts(None, peer(0, 0), &[]));
        assert!(trusts(Some(44), peer(33, 44), &[]));
        assert!(trusts(Some(44), peer(33, 33), &[33, 44]));
        assert!(!trusts(Some(44), peer(33, 33), &[33]) && !trusts(None, peer(33, 33), &[44]));
        assert!(!config(Some(44)).trusts(peer(33, 33), || Err(())));
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_place() {
        let shown = parse("[manager]\ngroup = \"x\"\n", |_| None).unwrap_err();
        assert!(shown.starts_with("/etc/rinit/rinit.toml:2:1"), "{shown}");
    }
}
