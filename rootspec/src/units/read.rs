//! Text to [`UnitFile`], with errors that point at file, line and key.

use std::ops::Range;

use toml::Spanned;

use super::fill::{Facts, fill};
use super::layers::Layers;
use super::{Alive, Kill, Kind, Millis, UnitFile};
use crate::UnitName;
use crate::spot::Spot;
use crate::toml_value;

/// The schema version this program reads.
const SCHEMA: u32 = 1;

/// Reads the text of a unit file and checks what can be checked without other units. Words in braces stay as they are.
///
/// # Errors
/// Everything that is wrong with it, at least one entry, each with its place.
pub fn parse(file: &str, text: &str) -> Result<UnitFile, Vec<Spot>> {
    read(&Layers::new(file, text), None)
}

/// Reads a unit from its file and drop-ins, with the meanings of words in braces for the unit of that name.
///
/// # Errors
/// Everything that is wrong with it, at least one entry, each with its place.
pub fn read(layers: &Layers, of: Option<(&UnitName, &Facts)>) -> Result<UnitFile, Vec<Spot>> {
    let mut table = layers.merged().map_err(|spot| vec![spot])?;
    if let Some((unit, facts)) = of {
        fill(&mut table, layers, unit, facts)?;
    }
    let unit: UnitFile =
        toml_value::from_table(&table, 0..0).map_err(|mistake| vec![layers.spot_of(&mistake)])?;
    let wrong = inconsistencies(layers, &unit);
    if wrong.is_empty() {
        Ok(unit)
    } else {
        Err(wrong)
    }
}

/// What is wrong although every single value is fine.
fn inconsistencies(layers: &Layers, unit: &UnitFile) -> Vec<Spot> {
    let mut wrong = Vec::new();
    let mut say = |span, words: &str| wrong.push(layers.spot(span, words));
    let schema = unit.schema.get_ref();
    if *schema != SCHEMA {
        let words = format!("schema {schema} is not known here, this version reads {SCHEMA}");
        say(unit.schema.span(), &words);
    }
    for (span, words) in wrong_mount(unit) {
        say(span, &words);
    }
    let exec_span = unit.exec.as_ref().map(toml::Spanned::span);
    let container_span = unit.container.as_ref().map(toml::Spanned::span);
    match (unit.kind, exec_span, container_span) {
        (Kind::Service | Kind::Oneshot, None, _) => {
            say(
                0..0,
                "a service needs an [exec] table with start = [\"/path/to/program\"]",
            );
        }
        (Kind::Service | Kind::Oneshot, _, Some(span)) => {
            say(span, "a [container] table needs kind = \"container\"");
        }
        (Kind::Container, _, None) => {
            say(
                0..0,
                "a container needs a [container] table with bundle = \"/path/to/bundle\"",
            );
        }
        (Kind::Container, Some(span), _) => {
            say(
                span,
                "a container has no [exec] table: its command is in the bundle",
            );
        }
        (Kind::Group, Some(span), _) | (Kind::Group, _, Some(span)) => {
            say(span, "a group runs nothing: leave this table out");
        }
        _ => {}
    }
    if let Some(exec) = &unit.exec {
        let starts = exec.get_ref().start.0.len();
        if starts == 0 {
            say(exec.span(), "start is empty: name the program");
        }
        if starts > 1 && unit.kind == Kind::Service {
            say(
                exec.span(),
                "a service has one start command: use kind = \"oneshot\" or start_pre",
            );
        }
        if let Some(umask) = &exec.get_ref().umask {
            if octal(umask.get_ref()).is_none() {
                say(umask.span(), "expected an octal mask such as \"022\"");
            }
        }
    }
    let bare = !matches!(unit.kind, Kind::Service | Kind::Oneshot);
    if let (Some(sandbox), true) = (&unit.sandbox, bare) {
        say(
            sandbox.span(),
            "only a service or oneshot has a [sandbox]: a container's is in its bundle",
        );
    }
    for (span, words) in unit.ready.wrong(unit.kind, unit.health.is_some()) {
        say(span, &words);
    }
    for (span, words) in wrong_care(unit) {
        say(span, &words);
    }
    if !(1.0..=100.0).contains(unit.restart.backoff.get_ref()) {
        say(
            unit.restart.backoff.span(),
            "expected a factor from 1.0 to 100.0",
        );
    }
    for socket in &unit.socket {
        if let Some(mode) = socket
            .mode
            .as_ref()
            .filter(|mode| octal(mode.get_ref()).is_none())
        {
            say(mode.span(), "expected octal permissions such as \"0660\"");
        }
    }
    for (path, words) in out_of_range(unit) {
        wrong.push(layers.spot_at(&path, words));
    }
    wrong
}

/// What is wrong with file systems, swap areas and devices, as far as the kind of the unit tells.
fn wrong_mount(unit: &UnitFile) -> Vec<(Range<usize>, String)> {
    let mut wrong = Vec::new();
    let tables = [
        (Kind::Mount, "mount", unit.mount.as_ref().map(Spanned::span)),
        (Kind::Swap, "swap", unit.swap.as_ref().map(Spanned::span)),
    ];
    for (kind, name, table) in tables {
        match (unit.kind == kind, table) {
            (true, None) => wrong.push((
                0..0,
                format!("a {name} needs a [{name}] table with what = \"LABEL=data\" or the like"),
            )),
            (false, Some(span)) => {
                wrong.push((span, format!("a [{name}] table needs kind = \"{name}\"")));
            }
            _ => {}
        }
        let commands = unit.exec.as_ref().map(Spanned::span);
        let commands = commands.or_else(|| unit.container.as_ref().map(Spanned::span));
        if let (true, Some(span)) = (unit.kind == kind, commands) {
            let words = format!("a {name} runs no commands: put them into a unit that it needs");
            wrong.push((span, words));
        }
    }
    if let (Some(device), Kind::Group | Kind::Container) = (unit.deps.devices.first(), unit.kind) {
        let words = "a group or container waits for no device: let it need a oneshot that does";
        wrong.push((device.span(), words.to_owned()));
    }
    let deps = &unit.deps;
    let paths = [&deps.mounts, &deps.mounts_optional, &deps.devices];
    for path in paths.into_iter().flatten() {
        if path.get_ref() != "/" && !super::is_place(path.get_ref()) {
            let words = "expected an absolute path, without a / at its end";
            wrong.push((path.span(), words.to_owned()));
        }
    }
    wrong
}

/// What is wrong with the tables that say whether it is well.
fn wrong_care(unit: &UnitFile) -> Vec<(Range<usize>, String)> {
    let mut wrong = Vec::new();
    if let Some(watchdog) = &unit.watchdog {
        wrong.extend(watchdog.get_ref().wrong());
        if unit.kind != Kind::Service {
            let words = "only a service gives signs of life: leave this table out";
            wrong.push((watchdog.span(), words.to_owned()));
        }
    }
    if let Some(health) = &unit.health {
        wrong.extend(health.get_ref().wrong(health.span()));
        if !matches!(unit.kind, Kind::Service | Kind::Container) {
            let words = "only a service or container can be asked: leave this table out";
            wrong.push((health.span(), words.to_owned()));
        }
    }
    wrong
}

/// What is wrong with the keys that say how long it is up.
fn wrong_life(unit: &UnitFile) -> Vec<(String, &'static str)> {
    let mut wrong = Vec::new();
    let stays = matches!(unit.kind, Kind::Service | Kind::Container);
    if unit.max_runtime.is_some() && !stays {
        let words = "only a service or container runs: for a oneshot say [ready] timeout";
        wrong.push(("max_runtime".to_owned(), words));
    }
    if unit.remain.is_some() && !matches!(unit.kind, Kind::Service | Kind::Oneshot) {
        let words = "only a service or oneshot has a command that ends: leave it out";
        wrong.push(("remain".to_owned(), words));
    }
    if unit.alive == Alive::Cgroup {
        let words = match (unit.kind, unit.stop.kill) {
            (Kind::Service, Kill::Cgroup) => None,
            (Kind::Service, _) => Some("it needs [stop] kill = \"cgroup\", which stops them all"),
            _ => Some("only a service is kept up by its processes: leave it out"),
        };
        wrong.extend(words.map(|words| ("alive".to_owned(), words)));
    }
    wrong
}

/// What is wrong with what it may leave for its next run.
fn wrong_store(unit: &UnitFile) -> Option<(String, &'static str)> {
    let words = match (unit.fdstore.max, unit.kind) {
        (0, _) => return None,
        (_, Kind::Group | Kind::Container) => "only a service or oneshot leaves descriptors",
        (max, _) if max > super::fdstore::MOST => "expected at most 512",
        _ => return None,
    };
    Some(("fdstore.max".to_owned(), words))
}

/// Values that would have to be bent to be used, by their path.
fn out_of_range(unit: &UnitFile) -> Vec<(String, &'static str)> {
    let mut wrong = Vec::new();
    let exec = unit.exec.as_ref().map(Spanned::get_ref);
    if exec
        .and_then(|exec| exec.oom_score_adj)
        .is_some_and(|score| !(-1000..=1000).contains(&score))
    {
        wrong.push(("exec.oom_score_adj".to_owned(), "expected -1000 to 1000"));
    }
    if unit
        .cgroup
        .cpu_weight
        .is_some_and(|weight| !(1..=10_000).contains(&weight))
    {
        wrong.push(("cgroup.cpu_weight".to_owned(), "expected 1 to 10000"));
    }
    for (number, socket) in unit.socket.iter().enumerate() {
        if socket.trigger_limit.pause == Millis::OFF {
            let words = "expected an end of the pause: the socket would be dead for good";
            wrong.push((format!("socket.{number}.trigger_limit.pause"), words));
        }
    }
    for (number, timer) in unit.timer.iter().enumerate() {
        for (key, words) in timer.wrong() {
            let path = format!("timer.{number}.{key}");
            wrong.push((path.trim_end_matches('.').to_owned(), words));
        }
    }
    wrong.extend(wrong_life(unit));
    wrong.extend(wrong_store(unit));
    wrong.extend(super::accept::wrong(unit));
    for (table, conditions) in [("condition", &unit.condition), ("assert", &unit.assert)] {
        let all = conditions.wrong().into_iter();
        wrong.extend(all.map(|(path, words)| (format!("{table}.{path}"), words)));
    }
    let restart = &unit.restart;
    for (number, exit) in restart.always_on.iter().enumerate() {
        if restart.never_on.contains(exit) {
            let words = "it stands in never_on too: only one of the two can hold";
            wrong.push((format!("restart.always_on.{number}"), words));
        }
    }
    for (number, path) in unit.path.iter().enumerate() {
        for (key, words) in path.wrong() {
            let path = format!("path.{number}.{key}");
            wrong.push((path.trim_end_matches('.').to_owned(), words));
        }
    }
    let paths: usize = unit.path.iter().map(super::Path::count).sum();
    if paths > super::path::MOST {
        wrong.push(("path".to_owned(), "expected at most 32 paths in all"));
    }
    let mount = unit.mount.as_ref().map(|mount| mount.get_ref().wrong());
    let swap = unit.swap.as_ref().map(|swap| swap.get_ref().wrong());
    for (key, words) in mount.into_iter().chain(swap).flatten() {
        wrong.push((key.to_owned(), words));
    }
    let dirs = &unit.dirs;
    for (key, names) in [
        ("run", &dirs.run),
        ("state", &dirs.state),
        ("cache", &dirs.cache),
        ("logs", &dirs.logs),
    ] {
        for (number, name) in names.0.iter().enumerate() {
            if name.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..")
            {
                let words = "expected a name without a leading / and without ..";
                wrong.push((format!("dirs.{key}.{number}"), words));
            }
        }
    }
    wrong
}

/// An octal number up to 7777.
pub(crate) fn octal(text: &str) -> Option<u32> {
    let digits = text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| digits && *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let wrong = parse("a.toml", text).expect_err("it was accepted");
        wrong
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    const GOOD: &str = "schema = 1\n[exec]\nstart = \"/bin/true\"\n";

    #[test]
    fn the_smallest_service_is_three_lines() {
        let unit = parse("a.toml", GOOD).unwrap();
        assert_eq!(unit.exec.unwrap().get_ref().start.0, [["/bin/true"]]);
    }

    #[test]
    fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
        let shown = complaint("schema = 1\n[exec]\nstart = \"/bin/true\"\nusr = \"x\"\n");
        assert_eq!(
            shown,
            "a.toml:4:1: unknown key \"usr\", did you mean \"user\"?\n    4 | usr = \"x\"\n      | ^^^"
        );
    }

    /// Line and words of what is said about each text.
    fn complain(cases: &[(&str, usize, &str)]) {
        for (text, line, words) in cases {
            let shown = complaint(text);
            assert!(
                shown.contains(&format!("a.toml:{line}:")),
                "{text}\n{shown}"
            );
            assert!(shown.contains(words), "{text}\n{shown}");
        }
    }

    #[test]
    fn every_kind_of_error_names_its_line() {
        complain(&[
            ("schema = 2\n[exec]\nstart = \"/x\"\n", 1, "schema 2"),
            (
                "[exec]\nstart = \"/x\"\n",
                1,
                "the key \"schema\" is missing",
            ),
            (
                "schema = 1\nkind = \"robot\"\n",
                2,
                "unknown value \"robot\", expected one of: service",
            ),
            ("schema = 1\n", 1, "needs an [exec] table"),
            ("schema = 1\n[exec]\nstart = []\n", 2, "start is empty"),
            ("schema = 1\n[exec]\nstart = [[]]\n", 3, "a command"),
            ("schema = 1\n[exec]\nstart = \"'open\"\n", 3, "a command"),
            (
                "schema = 1\n[exec]\nstart = [[\"/a\"], [\"/b\"]]\n",
                2,
                "one start command",
            ),
            (
                "schema = 1\nkind = \"group\"\n[exec]\nstart = \"/x\"\n",
                3,
                "runs nothing",
            ),
            ("schema = 1\nkind = \"container\"\n", 1, "bundle"),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[deps]\nneeds = [\"a/b\"]\n",
                5,
                "no unit name",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[ready]\ntimeout = \"soon\"\n",
                5,
                "duration",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[ready]\nfd = 77\n",
                5,
                "from 3 to 9",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[restart]\nbackoff = 0.5\n",
                5,
                "factor",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\numask = \"9\"\n",
                4,
                "octal",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[[socket]]\nlisten = \"80\"\n",
                5,
                "expected \"stream:\"",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[stop]\nsignal = \"FOO\"\n",
                5,
                "a signal",
            ),
            ("schema = 1\n[exec\nstart = \"/x\"\n", 2, "a.toml:2"),
        ]);
    }

    #[test]
    fn a_value_out_of_range_names_its_line_and_the_range() {
        complain(&[
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[[socket]]\nlisten = \"stream:1\"\ntrigger_limit = { pause = \"off\" }\n",
                6,
                "an end of the pause",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\noom_score_adj = 1001\n",
                4,
                "-1000 to 1000",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[cgroup]\ncpu_weight = 0\n",
                5,
                "1 to 10000",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[dirs]\nrun = \"../etc\"\n",
                5,
                "leading /",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[dirs]\nlogs = [\"a\",\n\"/b\"]\n",
                6,
                "leading /",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[condition]\ncmdline = 5\n",
                5,
                "a text or a list",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[restart]\nsuccess_exit = [900]\n",
                5,
                "exit code",
            ),
        ]);
    }

    #[test]
    fn rules_for_restarts_that_contradict_each_other_name_their_line() {
        complain(&[
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[restart]\nnever_on = [3, \"TERM\"]\nalways_on = [\"TERM\"]\n",
                6,
                "in never_on too",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[restart]\npolicy = \"on-abnormal-exit\"\n",
                5,
                "did you mean \"on-abnormal\"",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[restart]\nnever_on = [\"FOO\"]\n",
                5,
                "exit code",
            ),
        ]);
    }

    #[test]
    fn a_last_signal_that_is_none_names_its_line() {
        complain(&[
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[stop]\nfinal_signal = \"never\"\n",
                5,
                "or \"none\", found \"never\"",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[stop]\non_timeout = \"abrt\"\n",
                5,
                "did you mean \"abort\"",
            ),
        ]);
    }

    #[test]
    fn connections_that_cannot_be_served_name_their_line() {
        let unit = |more: &str| {
            format!(
                "schema = 1\n[exec]\nstart = \"/x\"\n[[socket]]\nlisten = \"stream:1\"\naccept = true\n{more}\n"
            )
        };
        complain(&[
            (&unit("max_connections = 0"), 7, "1 to 512"),
            (&unit("max_connections = 513"), 7, "1 to 512"),
            (&unit("activate = \"early\""), 7, "always \"lazy\""),
            (
                &unit("max_per_sorce = 1"),
                7,
                "did you mean \"max_per_source\"",
            ),
            (&unit("[[socket]]\nlisten = \"stream:2\""), 8, "here too"),
            (&unit("[restart]\npolicy = \"always\""), 8, "served again"),
            (&unit("[fdstore]\nmax = 1"), 8, "no next run"),
            (&unit("").replace("stream", "dgram"), 6, "no connections"),
            (
                &unit("").replace("accept = true", "max_per_source = 3"),
                6,
                "needs accept",
            ),
            (
                "schema = 1\n[exec]\nstart = \"/x\"\n[log]\nstdout = \"socket\"\n",
                5,
                "no connection",
            ),
        ]);
    }

    #[test]
    fn descriptors_that_cannot_be_kept_name_their_line() {
        let unit = |text: &str| format!("schema = 1\n[exec]\nstart = \"/x\"\n[fdstore]\n{text}\n");
        complain(&[
            (&unit("max = 513"), 5, "at most 512"),
            (&unit("max = -1"), 5, "a.toml:5:"),
            (&unit("mox = 1"), 5, "did you mean \"max\""),
            (&unit("keep = \"yes\""), 5, "expected one of: no"),
            (
                "schema = 1\nkind = \"group\"\n[fdstore]\nmax = 1\n",
                4,
                "only a service or oneshot",
            ),
        ]);
    }

    #[test]
    fn a_condition_that_cannot_be_names_its_line() {
        for (line, words) in [
            ("path_is_dir = \"srv\"", "an absolute path"),
            ("path_is_dri = \"/srv\"", "did you mean \"path_is_dir\""),
            ("kernel = \"=>6.1\"", "such as \">=6.1\""),
            ("kernel = \"!six\"", "such as \">=6.1\""),
            ("os_release = \"debian\"", "\"ID=debian\""),
            ("firmware = \"efi\"", "\"uefi\", \"bios\""),
            ("security = \"smack\"", "\"selinux\""),
            ("memory = \">=lots\"", "\">=512M\""),
            ("cpus = \"two\"", "\">=2\""),
            ("snapshot = \"good\"", "the number of a snapshot"),
            ("ac_power = \"yes\"", "a.toml:5:"),
            ("env = \"!\"", "expected a word"),
        ] {
            for table in ["condition", "assert"] {
                let text = format!("schema = 1\n[exec]\nstart = \"/x\"\n[{table}]\n{line}\n");
                complain(&[(&text, 5, words)]);
            }
        }
    }

    #[test]
    fn how_long_it_is_up_makes_sense_or_names_its_line() {
        complain(&[
            (
                "schema = 1\nkind = \"oneshot\"\nmax_runtime = \"5s\"\n[exec]\nstart = \"/x\"\n",
                3,
                "[ready] timeout",
            ),
            (
                "schema = 1\nkind = \"group\"\nremain = false\n",
                3,
                "leave it out",
            ),
            (
                "schema = 1\nalive = \"cgroup\"\n[exec]\nstart = \"/x\"\n[stop]\nkill = \"main\"\n",
                2,
                "kill = \"cgroup\"",
            ),
            (
                "schema = 1\nkind = \"oneshot\"\nalive = \"cgroup\"\n[exec]\nstart = \"/x\"\n",
                3,
                "leave it out",
            ),
            (
                "schema = 1\nmanual = \"stopp\"\n[exec]\nstart = \"/x\"\n",
                2,
                "did you mean \"stop\"",
            ),
        ]);
    }

    #[test]
    fn tables_of_other_programs_are_left_alone() {
        let text = format!(
            "{GOOD}[x-mine]\nanything = [1,\n2]\n[[x-more]]\na = 1\n[stop]\nsignal = \"INT\"\n"
        );
        assert_eq!(parse("a.toml", &text).unwrap().stop.signal.0, 2);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        for text in [
            "\0",
            "\u{feff}",
            "[",
            "=",
            "schema = 99999999999999999999",
            "a.b.c.d = {}",
            "é = 1",
        ] {
            assert!(parse("a.toml", text).is_err(), "{text:?}");
        }
    }
}
