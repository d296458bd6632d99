//! Variables from files, and variables taken away.

use rootspec::setup::Setup;

use super::{Step, about};

/// Largest file of variables, in bytes.
const FILE: u64 = 1 << 20;

/// Adds the variables of files, which replace those of the same name, and takes out what is not wanted.
pub(super) fn complete(env: &mut Vec<String>, setup: &Setup) -> Step {
    for file in &setup.env_files {
        match sys::fs::read_text(&*file.path, FILE) {
            Ok(text) => {
                let found = parse(&text).map_err(|line| {
                    format!(
                        "[exec] env_files: {} line {line}: expected NAME=value",
                        file.path
                    )
                })?;
                for entry in found {
                    replace(env, entry);
                }
            }
            Err(error) if error.is_absent() && file.optional => {}
            Err(error) => return Err(about("[exec] env_files", &error)),
        }
    }
    env.retain(|entry| !setup.env_unset.iter().any(|name| is(entry, name)));
    Ok(())
}

fn is(entry: &str, name: &str) -> bool {
    entry.split('=').next() == Some(name)
}

fn replace(env: &mut Vec<String>, entry: String) {
    let name = entry.split('=').next().unwrap_or_default().to_owned();
    env.retain(|old| !is(old, &name));
    env.push(entry);
}

/// `NAME=value` per line; `#` and `;` begin comments, one pair of quotes around a value is taken off. Nothing is
/// expanded. The error is the number of the first line that is none of these.
fn parse(text: &str) -> Result<Vec<String>, usize> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or(number)?;
        let name = name.trim();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letters) || value.contains('\0') {
            return Err(number);
        }
        let value = value.trim();
        let bare = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        found.push(format!("{name}={}", bare.unwrap_or(value)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_line_by_line() {
        let text = "# a comment\n\nA=1\n export B = \"two words\"\nC='x=y'\n; more\nD=\n";
        let found = parse(text).unwrap();
        assert_eq!(found, ["A=1", "B=two words", "C=x=y", "D="]);
        for (text, line) in [("A=1\nnonsense\n", 2), ("=1", 1), ("A B=1", 1)] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }

    #[test]
    fn a_later_value_replaces_and_unset_wins() {
        let mut env = vec!["A=1".to_owned(), "AB=2".to_owned(), "GONE=3".to_owned()];
        replace(&mut env, "A=9".to_owned());
        assert_eq!(env, ["AB=2", "GONE=3", "A=9"]);
        let setup = Setup {
            env_unset: vec!["GONE".into()],
            ..Setup::default()
        };
        complete(&mut env, &setup).unwrap();
        assert_eq!(env, ["AB=2", "A=9"]);
    }
}
