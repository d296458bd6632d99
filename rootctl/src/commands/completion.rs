//! `rootctl completion`: the script, and the names that bash asks for while somebody types.

use std::time::Duration;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use rootspec::protocol::session::SessionList;
use rootspec::protocol::store::{List, SnapshotList, method};

use super::Context;
use crate::cli::{self, Candidates, Cli, Completion};
use crate::client::{Client, Exit};

/// How long the answer of a broker is waited for: a person has pressed a key.
const PATIENCE: Duration = Duration::from_millis(500);
/// What snapshots can be called besides number and name.
const ROLES: [&str; 5] = ["@booted", "@next", "@good", "@prev", "@base"];

/// What bash calls instead of the generated function: it adds names of snapshots and sessions.
const BASH: &str = r#"
_rootctl_known() {
    _rootctl "$@"
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" word verb= kind=
    case "$current" in -*) return 0 ;; esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in
            --) return 0 ;;
            -*) ;;
            *) verb="$verb $word" ;;
        esac
    done
    case "$before" in
OPTIONS
        *)
            case "$verb " in
VERBS
            esac
            ;;
    esac
    [ -n "$kind" ] || return 0
    COMPREPLY+=($(compgen -W "$(rootctl completion --candidates "$kind" 2>/dev/null)" -- "$current"))
}
complete -F _rootctl_known -o nosort -o bashdefault -o default rootctl
"#;

/// Prints the completion script, or the names of one kind.
pub(super) fn run(context: Context<'_>, args: &Completion) -> Result<Exit> {
    if let Some(kind) = args.candidates {
        let names = candidates(kind).unwrap_or_default();
        context.out.raw(lines(&names).as_bytes())?;
        return Ok(Exit::Done);
    }
    let Some(shell) = args.shell else {
        return Ok(Exit::Usage);
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rootctl", &mut script);
    if shell == Shell::Bash {
        script.extend(bash(&cli::whole()).into_bytes());
    }
    context.out.raw(&script)?;
    Ok(Exit::Done)
}

/// Names of one kind. Where nothing listens there are none, and nobody waits.
fn candidates(kind: Candidates) -> Option<Vec<String>> {
    let mut client = Client::listening(PATIENCE)?;
    let names = match kind {
        Candidates::Snapshots | Candidates::Deleted => {
            let ask = List {
                deleted: (kind == Candidates::Deleted).then_some(true),
            };
            let list: SnapshotList = client.call(method::LIST, &ask).ok()?;
            let own = list.snapshots.into_iter();
            let mut names: Vec<String> = own
                .flat_map(|one| [Some(one.id.to_string()), one.name])
                .flatten()
                .collect();
            if kind == Candidates::Snapshots {
                names.extend(ROLES.map(str::to_owned));
            }
            names
        }
        Candidates::Sessions => {
            let list: SessionList = client.call(method::SESSIONS, &serde_json::json!({})).ok()?;
            let own = list.sessions.into_iter();
            own.flat_map(|one| [Some(one.id.to_string()), one.name])
                .flatten()
                .collect()
        }
    };
    Some(names)
}

/// One name a line, each once. A shell reads them: nothing but names goes out, whatever the other side says.
fn lines(names: &[String]) -> String {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"@._-".contains(&b);
    let mut seen = std::collections::HashSet::new();
    let plain = names.iter().filter(|name| name.bytes().all(legal));
    let once = plain.filter(|name| seen.insert(*name));
    once.map(|name| format!("{name}\n")).collect()
}

/// The function for bash, with what the definition of the command line says of each verb.
fn bash(command: &clap::Command) -> String {
    let mut verbs = Vec::new();
    let mut options = Vec::new();
    walk(command, "", &mut verbs, &mut options);
    options.sort();
    options.dedup();
    let case = |indent: &str, patterns: &[(String, &str)]| -> String {
        let line = |(pattern, kind): &(String, &str)| format!("{indent}{pattern}) kind={kind} ;;");
        patterns.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    BASH.replace("OPTIONS", &case("        ", &options))
        .replace("VERBS", &case("                ", &verbs))
}

/// Collects the verbs that take a snapshot or a session, and the options that take a snapshot.
fn walk<'a>(
    command: &clap::Command,
    path: &str,
    verbs: &mut Vec<(String, &'a str)>,
    options: &mut Vec<(String, &'a str)>,
) {
    for verb in command.get_subcommands() {
        let path = format!("{path} {}", verb.get_name());
        let positional = verb.get_positionals().find_map(kind_of);
        if let Some(kind) = positional {
            let kind = if path == " snap undelete" {
                "deleted"
            } else {
                kind
            };
            verbs.push((format!("\"{path} \"*"), kind));
        }
        for option in verb.get_opts() {
            if let (Some(long), Some(kind)) = (option.get_long(), kind_of(option)) {
                options.push((format!("--{long}"), kind));
            }
        }
        walk(verb, &path, verbs, options);
    }
}

/// What an argument names.
fn kind_of(arg: &clap::Arg) -> Option<&'static str> {
    let names = arg.get_value_names().unwrap_or_default();
    match names.first().map(|name| name.as_str()) {
        Some("TARGET" | "NEW") => Some("snapshots"),
        Some("SESSION") => Some("sessions"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_knows_which_verbs_take_a_snapshot_and_which_a_session() {
        let text = bash(&cli::whole());
        for line in [
            "\" snap show \"*) kind=snapshots ;;",
            "\" deploy \"*) kind=snapshots ;;",
            "\" snap undelete \"*) kind=deleted ;;",
            "\" session resume \"*) kind=sessions ;;",
            "--under) kind=snapshots ;;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("svc start") && !text.contains("VERBS"));
    }

    #[test]
    fn a_shell_gets_nothing_but_names() {
        let names = ["web", "7", "web", "$(reboot)", "a b", "`x`", "@good"];
        assert_eq!(lines(&names.map(str::to_owned)), "web\n7\n@good\n");
    }
}
