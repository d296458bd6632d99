//! Who may do what: everyone may read, root and one group may change.

use std::path::Path;

use sys::socket::Peer;

/// Who may change the store besides root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changers {
    /// Nobody.
    RootOnly,
    /// Members of the group of this name.
    Group(String),
}

/// Decides from the texts of `/etc/group` and `/etc/passwd`.
pub(crate) fn may_change(peer: &Peer, changers: &Changers, groups: &str, users: &str) -> bool {
    if peer.uid == 0 {
        return true;
    }
    let Changers::Group(name) = changers else {
        return false;
    };
    let Some(group) = records(groups).find(|fields| fields.first() == Some(&name.as_str())) else {
        return false;
    };
    if group.get(2).and_then(|gid| gid.parse().ok()) == Some(peer.gid) {
        return true;
    }
    let members = group.get(3).copied().unwrap_or_default();
    let user = name_of(peer.uid, users);
    user.is_some_and(|user| members.split(',').any(|member| member == user))
}

/// The name of a user of this system.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    name_of(uid, &sys::fs::read_text("/etc/passwd", 4 << 20).ok()?)
}

fn name_of(uid: u32, users: &str) -> Option<String> {
    let uid = uid.to_string();
    let user = records(users).find(|fields| fields.get(2) == Some(&uid.as_str()))?;
    let name = user.first().filter(|name| !name.is_empty())?;
    Some((*name).to_owned())
}

/// Lines of colon-separated fields: passwd(5), group(5).
fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// As [`may_change`], with this system's users and groups.
pub(crate) fn may_change_here(peer: &Peer, changers: &Changers) -> bool {
    let text = |path: &str| sys::fs::read_text(Path::new(path), 4 << 20).unwrap_or_default();
    may_change(peer, changers, &text("/etc/group"), &text("/etc/passwd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nadm:x:4:anna,berta\nempty:x:9:\n";
    const USERS: &str = "root:x:0:0::/root:/bin/sh\nberta:x:1001:1001::/:/bin/sh\ncarl:x:1002:4::/:/bin/sh\n:x:7:7::/:\n";

    fn may(uid: u32, gid: u32, group: Option<&str>) -> bool {
        let peer = Peer { pid: 1, uid, gid };
        let changers = group.map_or(Changers::RootOnly, |g| Changers::Group(g.to_owned()));
        may_change(&peer, &changers, GROUPS, USERS)
    }

    #[test]
    fn root_always_may_and_others_need_the_group() {
        assert!(may(0, 0, None) && may(0, 0, Some("adm")));
        assert!(!may(1001, 1001, None));
        assert!(may(1001, 1001, Some("adm")), "listed as a member");
        assert!(may(1002, 4, Some("adm")), "primary group");
        assert!(!may(1003, 1003, Some("adm")) && !may(1001, 1001, Some("absent")));
    }

    #[test]
    fn an_empty_name_is_no_member_of_an_empty_list() {
        assert!(!may(7, 7, Some("empty")));
    }
}
