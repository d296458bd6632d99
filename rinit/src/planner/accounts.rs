//! `/etc/passwd` and `/etc/group`, read by ourselves: no name service is asked, so no look-up can hang a boot.

use std::collections::BTreeSet;

use rootspec::compile::{Compiled, Problem, Severity};
use rootspec::plan::{Ids, Unit, Work};

/// What the two files hold.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

#[derive(Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// A key of `[exec]`, and the name in it that is unknown.
type Unknown = (&'static str, Box<str>);

impl Accounts {
    /// From the texts of both files; lines that make no sense are left out.
    pub(crate) fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: passwd.lines().filter_map(user).collect(),
            groups: group.lines().filter_map(group_line).collect(),
        }
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// A group by name or number.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        let named = self.groups.iter().find(|group| group.name == name);
        named.map(|group| group.gid).or_else(|| name.parse().ok())
    }

    /// Numbers for a user and a group by name or number, and the user's further groups. The error is what is
    /// unknown.
    fn ids(
        &self,
        user: Option<&str>,
        group: Option<&str>,
        more: &[Box<str>],
    ) -> Result<(Ids, Option<&User>), Unknown> {
        let unknown = || ("user", Box::from(user.unwrap_or("root")));
        let named = user.and_then(|name| self.user(name));
        let uid = match (user, named) {
            (_, Some(known)) => known.uid,
            (Some(number), None) => number.parse().ok().ok_or_else(unknown)?,
            (None, None) => 0,
        };
        // A user by number may be known after all.
        let known = named.or_else(|| self.users.iter().find(|other| other.uid == uid));
        let gid = match group {
            Some(name) => self.gid(name).ok_or_else(|| ("group", Box::from(name)))?,
            None if uid == 0 => known.map_or(0, |known| known.gid),
            None => known.ok_or_else(unknown)?.gid,
        };
        let mut groups = BTreeSet::from([gid]);
        for name in more {
            groups.insert(self.gid(name).ok_or_else(|| ("groups", name.clone()))?);
        }
        if let Some(known) = known.filter(|_| user.is_some()) {
            let member = |group: &&Group| group.members.contains(&known.name);
            groups.extend(self.groups.iter().filter(member).map(|group| group.gid));
        }
        let groups = groups.into_iter().collect();
        Ok((Ids { uid, gid, groups }, known.filter(|_| user.is_some())))
    }
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1)?.to_owned();
    let shell = fields.next().unwrap_or_default().to_owned();
    Some(User {
        name,
        uid,
        gid,
        home,
        shell,
    })
}

fn group_line(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let gid = fields.nth(1)?.parse().ok()?;
    let members = fields.next().unwrap_or_default();
    let members = members
        .split(',')
        .filter(|m| !m.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Group { name, gid, members })
}

/// Puts numbers beside all names of the plan. What is unknown is said among the problems; such a unit cannot start.
pub(crate) fn resolve(compiled: &mut Compiled, accounts: &Accounts) {
    let mut unknown = Vec::new();
    for unit in &mut compiled.plan.units {
        let name = unit.name.clone();
        if let Some((key, who)) = resolve_unit(unit, accounts) {
            let words = format!("{who} is neither in /etc/passwd nor in /etc/group");
            unknown.push((name.clone(), format!("exec.{key}"), words));
        }
        for (number, socket) in unit.sockets.iter_mut().enumerate() {
            let Some(group) = &socket.group else { continue };
            socket.gid = accounts.gid(group);
            if socket.gid.is_none() {
                let words = format!("the group {group} is not in /etc/group");
                unknown.push((name.clone(), format!("socket.{number}.group"), words));
            }
        }
    }
    for (unit, path, words) in unknown {
        let spot = compiled.spot(&unit, &path, &words);
        compiled.problems.push(Problem {
            severity: Severity::Error,
            unit: Some(unit),
            spot,
        });
    }
}

/// Returns the key and the name that is unknown.
fn resolve_unit(unit: &mut Unit, accounts: &Accounts) -> Option<Unknown> {
    let exec = match &mut unit.work {
        Work::Service(exec) | Work::Oneshot(exec) => exec,
        Work::Group | Work::Container(_) => return None,
    };
    if exec.user.is_none() && exec.group.is_none() && exec.groups.is_empty() {
        return None;
    }
    let (user, group) = (exec.user.as_deref(), exec.group.as_deref());
    let (ids, known) = match accounts.ids(user, group, &exec.groups) {
        Ok(found) => found,
        Err(unknown) => return Some(unknown),
    };
    exec.ids = Some(ids);
    let known = known?;
    let own = [
        ("HOME", &known.home),
        ("LOGNAME", &known.name),
        ("SHELL", &known.shell),
        ("USER", &known.name),
    ];
    for (name, value) in own {
        let given = exec
            .env
            .iter()
            .any(|entry| entry.split('=').next() == Some(name));
        if !given && !value.is_empty() {
            exec.env.push(format!("{name}={value}").into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootspec::compile::{Files, Source};
    use rootspec::plan::Plan;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv:/bin/false\nbroken\n:x:1:1::/:\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nvideo:x:44:web,root\nlog:x:55:other,web\nbad:x:x:\n";

    fn plan(exec: &str) -> Plan {
        let source = Source {
            name: "a".parse().unwrap(),
            file: "a.toml".into(),
            text: format!("schema = 1\n[exec]\nstart = \"/x\"\n{exec}"),
        };
        let files = Files {
            sources: vec![source],
            ..Files::default()
        };
        let mut compiled = files.compile();
        resolve(&mut compiled, &Accounts::parse(PASSWD, GROUP));
        compiled.into_plan()
    }

    #[test]
    fn a_user_brings_its_groups_and_environment() {
        let plan = plan("user = \"web\"\nenv = { HOME = \"/mine\" }");
        let exec = plan.units[0].exec().unwrap();
        let ids = exec.ids.clone().unwrap();
        assert_eq!((ids.uid, ids.gid, ids.groups), (33, 33, vec![33, 44, 55]));
        let env: Vec<&str> = exec.env.iter().map(|entry| &**entry).collect();
        assert_eq!(
            env,
            ["HOME=/mine", "LOGNAME=web", "SHELL=/bin/false", "USER=web"]
        );
    }

    #[test]
    fn numbers_need_no_entry_if_the_group_is_given() {
        let ids = |exec| plan(exec).units[0].exec().unwrap().ids.clone();
        let found = ids("user = \"1000\"\ngroup = \"video\"").unwrap();
        assert_eq!((found.uid, found.gid), (1000, 44));
        assert_eq!(ids("user = \"1000\""), None);
        assert_eq!(ids("group = \"web\"").unwrap().uid, 0);
    }

    #[test]
    fn further_groups_come_along_and_an_unknown_one_is_said() {
        let found = plan("user = \"web\"\ngroups = [\"7\", \"log\"]");
        let ids = found.units[0].exec().unwrap().ids.clone().unwrap();
        assert_eq!(ids.groups, [7, 33, 44, 55]);
        let alone = plan("groups = \"video\"");
        let ids = alone.units[0].exec().unwrap().ids.clone().unwrap();
        assert_eq!((ids.uid, ids.groups), (0, vec![0, 44]));
        let wrong = plan("groups = [\"vdeo\"]");
        assert!(wrong.problems[0].contains("vdeo"), "{:?}", wrong.problems);
    }

    #[test]
    fn an_unknown_name_is_said() {
        for (exec, shown) in [
            (
                "user = \"nobody-here\"",
                "a.toml:4:8: nobody-here is neither",
            ),
            ("user = \"1000\"", "a.toml:4:8: 1000 is neither"),
            (
                "user = \"web\"\ngroup = \"no-group\"",
                "a.toml:5:9: no-group is neither",
            ),
            (
                "[[socket]]\nlisten = \"stream:/s\"\ngroup = \"none\"",
                "a.toml:6:9: the group none",
            ),
        ] {
            let plan = plan(exec);
            assert_eq!(plan.units[0].exec().unwrap().ids, None);
            assert!(plan.problems[0].starts_with(shown), "{:?}", plan.problems);
        }
    }
}
