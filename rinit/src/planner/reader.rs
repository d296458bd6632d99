//! All reading of the planner goes through here, so that a plan that is kept names everything that it depends on.

use rootspec::stored::Input;

use crate::seen;

/// Most names per folder.
const NAMES: usize = 10_000;

/// Reads, and remembers what.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    inputs: Vec<Input>,
    unsure: Option<String>,
}

impl Reader {
    /// The text of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`sys::fs::read_text`].
    pub(crate) fn text(&mut self, path: &str, limit: u64) -> sys::error::Result<String> {
        // Before it is read: what changes in between has another stamp.
        self.note(path);
        let text = sys::fs::read_text(path, limit);
        if let Err(error) = &text {
            if !error.is_absent() {
                self.doubt(&sys::chain(error));
            }
        }
        text
    }

    /// The names in a folder, sorted. An absent folder has none.
    ///
    /// # Errors
    /// It cannot be listed.
    pub(crate) fn names(&mut self, dir: &str) -> std::io::Result<Vec<String>> {
        self.note(dir);
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                self.doubt(&format!("cannot list {dir}: {error}"));
                return Err(error);
            }
        };
        let names = entries.take(NAMES).flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// A plan depends on what is there, though it is not read here.
    pub(crate) fn note(&mut self, path: &str) {
        match seen::found(path) {
            Some(found) => self.inputs.push(Input {
                path: path.into(),
                found,
            }),
            None => self.doubt(&format!("cannot look at {path}")),
        }
    }

    fn doubt(&mut self, why: &str) {
        self.unsure.get_or_insert_with(|| why.to_owned());
    }

    /// Everything that was read.
    ///
    /// # Errors
    /// In words: something could not be read. Nothing need change for that to be over.
    pub(crate) fn into_inputs(self) -> Result<Vec<Input>, String> {
        match self.unsure {
            Some(why) => Err(why),
            None => Ok(self.inputs),
        }
    }
}
