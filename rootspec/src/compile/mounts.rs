//! Mounts, swap and devices: to the work of `rinit-helper mount`, and paths to needs of the units that mount them.

use toml::Spanned;

use super::Drafts;
use super::edge::{Edge, Says};
use crate::UnitName;
use crate::mounting::{self, Chore, Fsck, Leave, Mount};
use crate::plan::Exec;
use crate::units::{self, Kind, Millis, UnitFile};

/// How long devices are waited for when the file does not say, in milliseconds.
const DEVICE: u64 = 90_000;
/// What a start may take beyond what its work takes by its own clocks, in milliseconds: those say better what was slow.
const MARGIN: u64 = 2_000;
/// Permissions of a place that has to be made.
const PLACE_MODE: u32 = 0o755;

/// The command lines of a mount or a swap area; others get none.
pub(super) fn lower(file: &UnitFile, exec: &mut Exec) {
    let (up, down) = match (&file.mount, &file.swap) {
        (Some(mount), _) => {
            let mount = mount.get_ref();
            let down = Chore::Unmount {
                at: mount.at.get_ref().clone(),
                how: match (mount.lazy, mount.force) {
                    (true, _) => Leave::Lazy,
                    (false, true) => Leave::Force,
                    (false, false) => Leave::Free,
                },
                timeout: file.stop.timeout.0.saturating_sub(MARGIN),
            };
            (Chore::Mount(work(file, mount)), down)
        }
        (None, Some(swap)) => {
            let swap = swap.get_ref();
            let down = Chore::SwapOff {
                what: swap.what.get_ref().clone(),
            };
            let up = Chore::SwapOn {
                what: swap.what.get_ref().clone(),
                priority: swap.priority.as_ref().map(|priority| *priority.get_ref()),
                options: swap.options.clone(),
                timeout: device_timeout(file, swap.timeout),
            };
            (up, down)
        }
        (None, None) => return,
    };
    exec.start = vec![up.argv()];
    exec.stop = vec![down.argv()];
}

fn work(file: &UnitFile, mount: &units::Mount) -> Mount {
    let mode = mount.mkdir_mode.as_ref();
    Mount {
        what: mount.what.get_ref().clone(),
        at: mount.at.get_ref().clone(),
        kind: mount.kind.clone(),
        options: mount.options.clone(),
        fsck: mount.fsck,
        rw_only: mount.rw_only,
        mkdir_mode: mode
            .and_then(|mode| units::octal(mode.get_ref()))
            .unwrap_or(PLACE_MODE),
        devices: texts(&file.deps.devices),
        device_timeout: device_timeout(file, mount.timeout),
        timeout: mount.timeout.0,
    }
}

fn texts(names: &[Spanned<String>]) -> Vec<String> {
    names.iter().map(|name| name.get_ref().clone()).collect()
}

fn device_timeout(file: &UnitFile, own: Millis) -> u64 {
    file.ready.timeout.unwrap_or(own).0
}

/// How long the start of a mount or a swap area may take; `None`: it is neither. A check of a file system takes its time,
/// and nobody should end it: there the clocks of the work itself are the only ones.
pub(super) fn start_timeout(file: &UnitFile) -> Option<u64> {
    if let Some(swap) = &file.swap {
        let device = device_timeout(file, swap.get_ref().timeout);
        return Some(device.saturating_add(MARGIN));
    }
    let mount = file.mount.as_ref()?.get_ref();
    let what = mounting::path_of(mount.what.get_ref());
    if mounting::is_device(&what) && mount.fsck != Fsck::No {
        return Some(u64::MAX);
    }
    let device = device_timeout(file, mount.timeout);
    Some(
        device
            .saturating_add(mount.timeout.0)
            .saturating_add(MARGIN),
    )
}

/// The command that waits for devices, for a unit that has commands.
pub(super) fn await_devices(file: &UnitFile, exec: &mut Exec) {
    if file.deps.devices.is_empty() {
        return;
    }
    let patience = file.ready.timeout.filter(|time| *time != Millis::OFF);
    let chore = Chore::Await {
        devices: texts(&file.deps.devices),
        // Before the start as a whole is overdue: this can name the device.
        timeout: patience.map_or(DEVICE, |time| time.0).saturating_mul(9) / 10,
    };
    exec.condition.insert(0, chore.argv());
}

/// Where a unit mounts something.
struct Place {
    name: UnitName,
    at: String,
}

/// Paths become needs and wants: of the units that say so, and of mounts and swap whose place or source lies in a mount.
pub(super) fn connect(drafts: &mut Drafts) {
    let places: Vec<Place> = drafts
        .values()
        .filter_map(|draft| {
            let mount = draft.parsed.mount.as_ref()?;
            Some(Place {
                name: draft.name.clone(),
                at: mount.get_ref().at.get_ref().clone(),
            })
        })
        .collect();
    if places.is_empty() {
        return;
    }
    for draft in drafts.values_mut() {
        let mut edges = Vec::new();
        let mut go_through = |says, path: &Spanned<String>, inner: &str| {
            let on_the_way =
                |place: &&Place| place.name != draft.name && leads_to(&place.at, inner);
            edges.extend(places.iter().filter(on_the_way).map(|place| Edge {
                says,
                to: place.name.clone(),
                span: Some(path.span()),
            }));
        };
        let deps = &draft.parsed.deps;
        for path in &deps.mounts {
            go_through(Says::Needs, path, path.get_ref());
        }
        for path in &deps.mounts_optional {
            go_through(Says::Wants, path, path.get_ref());
        }
        if let Some(mount) = draft.parsed.mount.as_ref().map(Spanned::get_ref) {
            let above = mount
                .at
                .get_ref()
                .rsplit_once('/')
                .map_or("", |(above, _)| above);
            go_through(Says::Needs, &mount.at, above);
            go_through(Says::Needs, &mount.what, mount.what.get_ref());
        }
        if let Some(swap) = draft.parsed.swap.as_ref().map(Spanned::get_ref) {
            go_through(Says::Needs, &swap.what, swap.what.get_ref());
        }
        draft.edges.extend(edges);
    }
}

/// `path` is this place or lies in it.
fn leads_to(place: &str, path: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A mount that is not optional is needed where it would be wanted.
pub(super) fn is_vital(file: &UnitFile) -> bool {
    let mount = file.mount.as_ref().map(Spanned::get_ref);
    file.kind == Kind::Mount && mount.is_some_and(|mount| !mount.optional)
}

#[cfg(test)]
mod tests {
    use super::super::{Enabled, Source, compile};
    use crate::mounting::Chore;
    use crate::plan::{Plan, Work};

    fn plan(units: &[(&str, &str)], enabled: &[&str]) -> Plan {
        let sources: Vec<_> = units
            .iter()
            .map(|(name, text)| Source {
                name: name.parse().unwrap(),
                file: format!("{name}.toml"),
                text: format!("schema = 1\n{text}\n"),
            })
            .collect();
        let enabled: Vec<_> = enabled
            .iter()
            .map(|unit| Enabled {
                group: "basic".parse().unwrap(),
                unit: unit.parse().unwrap(),
                file: format!("basic.d/{unit}"),
            })
            .collect();
        compile(&sources, &enabled)
    }

    fn mount(what: &str, at: &str) -> String {
        format!("kind = \"mount\"\n[mount]\nwhat = \"{what}\"\nwhere = \"{at}\"\n")
    }

    fn chore(plan: &Plan, unit: &str) -> Chore {
        let unit = plan.units.iter().find(|other| &*other.name == unit);
        let words = &unit.unwrap().exec().unwrap().start[0];
        Chore::from_words(words.iter().skip(2).map(String::as_str)).unwrap()
    }

    const BASIC: (&str, &str) = ("basic", "kind = \"group\"\ndefault_deps = false");

    #[test]
    fn a_mount_becomes_commands_of_our_own() {
        let text = mount("LABEL=x", "/srv") + "type = \"ext4\"\nlazy = true\n";
        let plan = plan(&[("a", &text)], &[]);
        let Work::Oneshot(exec) = &plan.units[0].work else {
            panic!("{plan:?}")
        };
        assert_eq!((exec.start.len(), exec.stop.len()), (1, 1));
        let Chore::Mount(mount) = chore(&plan, "a") else {
            panic!("{plan:?}")
        };
        assert_eq!(
            (&*mount.kind, mount.timeout, mount.mkdir_mode),
            ("ext4", 30_000, 0o755)
        );
        // A check may take as long as it takes.
        assert_eq!(plan.units[0].start_timeout, u64::MAX);
        assert_eq!(plan.problems, Vec::<String>::new());
    }

    #[test]
    fn paths_become_needs_of_the_mounts_on_the_way() {
        let plan = plan(
            &[
                ("a", &mount("LABEL=a", "/srv")),
                ("b", &mount("tmpfs", "/srv/b")),
                ("c", &(mount("/srv/b/x", "/opt") + "options = [\"bind\"]\n")),
                ("d", "kind = \"swap\"\n[swap]\nwhat = \"/srv/swap\""),
                (
                    "e",
                    "[exec]\nstart = \"/e\"\n[deps]\nmounts = [\"/srv/b/deep\"]",
                ),
                (
                    "f",
                    "[exec]\nstart = \"/f\"\n[deps]\nmounts_optional = [\"/srvx\", \"/opt\"]",
                ),
            ],
            &[],
        );
        let needs: Vec<_> = plan.units.iter().map(|unit| unit.needs.clone()).collect();
        assert_eq!(
            needs,
            [vec![], vec![0], vec![0, 1], vec![0], vec![0, 1], vec![]]
        );
        assert_eq!(plan.units[5].wants, [2]);
        assert_eq!(plan.problems, Vec::<String>::new());
    }

    #[test]
    fn mounts_need_no_basic_and_basic_needs_those_that_are_not_optional() {
        let vital = mount("LABEL=v", "/v") + "optional = false\n";
        let plan = plan(
            &[BASIC, ("o", &mount("LABEL=o", "/o")), ("v", &vital)],
            &["o", "v"],
        );
        assert_eq!(
            (&plan.units[0].needs, &plan.units[0].wants),
            (&vec![2], &vec![1])
        );
        assert_eq!(
            (&plan.units[1].needs, &plan.units[2].needs),
            (&vec![], &vec![])
        );
    }

    #[test]
    fn mounts_that_wait_for_each_other_are_a_circle_with_a_place() {
        let plan = plan(
            &[
                ("a", &(mount("/b/x", "/a") + "options = [\"bind\"]\n")),
                ("b", &(mount("/a/x", "/b") + "options = [\"bind\"]\n")),
            ],
            &[],
        );
        assert_eq!(plan.units.len(), 0);
        assert!(
            plan.problems[0].contains("a -> b -> a"),
            "{:?}",
            plan.problems
        );
    }

    #[test]
    fn devices_are_waited_for_before_anything_runs_and_not_longer_than_the_start_may_take() {
        let text = "[exec]\ncondition = \"/c\"\nstart = \"/x\"\n[deps]\ndevices = [\"/dev/a\"]\n[ready]\ntimeout = \"10s\"";
        let plan = plan(&[("a", text)], &[]);
        let commands = &plan.units[0].exec().unwrap().condition;
        let chore = Chore::from_words(commands[0].iter().skip(2).map(String::as_str));
        let devices = vec!["/dev/a".to_owned()];
        let timeout = 9_000;
        assert_eq!(chore, Some(Chore::Await { devices, timeout }));
        assert_eq!(commands[1], ["/c"]);
    }
}
