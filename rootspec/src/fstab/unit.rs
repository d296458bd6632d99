//! One line as a unit file.

use std::fmt::Write;

use super::options::Options;
use super::{Entry, Field, Page};
use crate::UnitName;
use crate::mounting::path_of;
use crate::spot::Spot;

/// Most fields of a line.
const FIELDS: usize = 6;
/// A limit for what has none: a unit must have one for mounting.
const LONG: &str = "24h";

/// The unit of a line; `None`: it is the root, which is there, or it is to be ignored.
pub(super) fn entry(
    page: Page<'_>,
    line: usize,
    fields: Vec<Field>,
    ignored: &mut Vec<Spot>,
) -> Result<Option<Entry>, Spot> {
    if let Some(more) = fields.get(FIELDS) {
        let words = "more than six fields: a blank in a name is written \\040";
        return Err(page.spot(more, words));
    }
    let mut fields = fields.into_iter();
    let (Some(what), at, kind, options, _dump, pass) = (
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
        fields.next(),
    ) else {
        return Ok(None);
    };
    let (Some(at), Some(kind)) = (at, kind) else {
        let words =
            "expected a device, a place, a type, and options: \"LABEL=data /srv ext4 defaults\"";
        return Err(page.spot(&what, words));
    };
    for field in [&what, &at, &kind].into_iter().chain(&options) {
        if field.text.is_empty() || field.text.chars().any(char::is_control) {
            return Err(page.spot(field, "there is a character in it that no name can have"));
        }
    }
    let place = options.clone().unwrap_or_else(|| kind.clone());
    let words = options.as_ref().map_or("", |options| options.text.as_str());
    let meant = super::options::options(words).map_err(|why| page.spot(&place, why))?;
    let pass = pass.map_or(Ok(0), |pass| {
        let number = pass.text.parse::<u32>();
        number.map_err(|_no_number| {
            page.spot(&pass, "expected a number: whether and when it is checked")
        })
    })?;
    let line = Line {
        page,
        line,
        what,
        at,
        kind,
        checked: pass > 0,
        options: meant,
    };
    ignored.extend(
        line.options
            .ignored
            .iter()
            .map(|words| page.spot(&place, words.clone())),
    );
    match line.kind.text.as_str() {
        "ignore" => Ok(None),
        "swap" => line.swap().map(Some),
        _ => line.mount(),
    }
}

/// A line that was understood.
struct Line<'a> {
    page: Page<'a>,
    line: usize,
    what: Field,
    at: Field,
    kind: Field,
    checked: bool,
    options: Options,
}

impl Line<'_> {
    fn swap(self) -> Result<Entry, Spot> {
        let what = &self.what.text;
        if !path_of(what).starts_with('/') {
            let words = "expected a device, a file, or LABEL=NAME and the like";
            return Err(self.page.spot(&self.what, words));
        }
        let mut text = self.head("swap", &format!("Swap on {what}"));
        write_pair(&mut text, "what", what);
        if let Some(priority) = &self.options.priority {
            // What is below zero is left to the kernel.
            match priority.parse::<i32>().map(u16::try_from) {
                Ok(Ok(number)) if number <= crate::units::HIGHEST => {
                    _ = writeln!(text, "priority = {number}");
                }
                Ok(Err(_)) if priority.starts_with('-') => {}
                _ => {
                    let words = format!("pri={priority}: expected a number up to 32767");
                    return Err(self.page.spot(&self.what, words));
                }
            }
        }
        write_list(&mut text, "options", &self.options.rest);
        let name = self.name("swap", what.trim_start_matches('/'))?;
        Ok(self.finish(name, text))
    }

    fn mount(self) -> Result<Option<Entry>, Spot> {
        let Some(place) = place(&self.at.text) else {
            let words = "expected an absolute path: where it is mounted";
            return Err(self.page.spot(&self.at, words));
        };
        if place.is_empty() {
            return Ok(None);
        }
        if self.options.rest.iter().any(|option| option == "remount") {
            return Err(self
                .page
                .spot(&self.at, "remount: nothing is mounted there that could be"));
        }
        if self.options.rest.iter().any(|option| option.contains(',')) {
            return Err(self
                .page
                .spot(&self.at, "an option with a comma in it cannot be passed on"));
        }
        let mut text = self.head("mount", &format!("{} on {place}", self.what.text));
        write_pair(&mut text, "what", &self.what.text);
        write_pair(&mut text, "where", &place);
        // A bound path has no type of its own.
        let kind = match self.kind.text.as_str() {
            "none" | "bind" => "auto",
            kind => kind,
        };
        write_pair(&mut text, "type", kind);
        write_list(&mut text, "options", &self.options.rest);
        write_pair(&mut text, "fsck", if self.checked { "auto" } else { "no" });
        if let Some(time) = &self.options.mount_timeout {
            write_pair(
                &mut text,
                "timeout",
                if time == "off" { LONG } else { time },
            );
        }
        if let Some(mode) = &self.options.mkdir_mode {
            if crate::units::octal(mode).is_none() {
                let words = format!("x-mount.mkdir={mode}: expected octal permissions");
                return Err(self.page.spot(&self.at, words));
            }
            write_pair(&mut text, "mkdir_mode", mode);
        }
        if self.options.rw_only {
            text.push_str("rw_only = true\n");
        }
        let bound = self
            .options
            .rest
            .iter()
            .any(|option| option == "bind" || option == "rbind");
        if bound && !self.what.text.starts_with('/') {
            return Err(self
                .page
                .spot(&self.what, "expected an absolute path: it is to be bound"));
        }
        let name = self.name("mount", place.trim_start_matches('/'))?;
        Ok(Some(self.finish(name, text)))
    }

    /// Everything before the table of its kind, and that one's head.
    fn head(&self, kind: &str, description: &str) -> String {
        let mut text = format!("schema = 1\nkind = \"{kind}\"\n");
        write_pair(&mut text, "description", description);
        let mut deps = self.options.deps.clone();
        if self.options.is_far(&self.kind.text) {
            deps.push(("wants", "network-online".to_owned()));
        }
        if !deps.is_empty() {
            text.push_str("[deps]\n");
        }
        for key in [
            "needs",
            "wants",
            "after",
            "before",
            "mounts",
            "mounts_optional",
            "devices",
        ] {
            let named = deps.iter().filter(|(of, _)| *of == key);
            let named: Vec<String> = named.map(|(_, name)| name.clone()).collect();
            write_list(&mut text, key, &named);
        }
        if let Some(time) = &self.options.device_timeout {
            text.push_str("[ready]\n");
            write_pair(&mut text, "timeout", time);
        }
        _ = writeln!(text, "[{kind}]");
        text
    }

    /// A name that can be told from the place; where that is too long, the line's number.
    fn name(&self, kind: &str, path: &str) -> Result<UnitName, Spot> {
        let mut name = format!("{kind}:");
        for byte in path.bytes() {
            match byte {
                b'/' => name.push(':'),
                b'.' if name.ends_with('.') => name.push_str("_2e"),
                _ if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) => {
                    name.push(char::from(byte));
                }
                _ => _ = write!(name, "_{byte:02x}"),
            }
        }
        let numbered = || format!("{kind}:line-{}", self.line).parse::<UnitName>();
        let name = name.parse::<UnitName>().or_else(|_too_long| numbered());
        name.map_err(|error| self.page.spot(&self.at, error.to_string()))
    }

    fn finish(self, name: UnitName, text: String) -> Entry {
        Entry {
            name,
            line: self.line,
            text,
            wanted: self.options.wanted(&self.kind.text),
        }
    }
}

/// The place in the one way it is written in a unit; the root is empty. `None`: it is none.
fn place(path: &str) -> Option<String> {
    let parts = path.strip_prefix('/')?.split('/');
    let parts: Vec<&str> = parts
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return None;
    }
    Some(
        parts
            .iter()
            .fold(String::new(), |path, part| path + "/" + part),
    )
}

/// A text as TOML has it, with nothing in it that a unit file would replace.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut last = ' ';
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Behind a dollar a brace is left alone.
            '{' if last != '$' => out.push_str("{{"),
            _ if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            _ => out.push(c),
        }
        last = c;
    }
    out.push('"');
    out
}

fn write_pair(text: &mut String, key: &str, value: &str) {
    _ = writeln!(text, "{key} = {}", quoted(value));
}

fn write_list(text: &mut String, key: &str, values: &[String]) {
    if !values.is_empty() {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        _ = writeln!(text, "{key} = [{}]", values.join(", "));
    }
}
