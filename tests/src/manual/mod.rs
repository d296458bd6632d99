//! The manual: pages of the verbs as `rootctl man` writes them, with the examples that `docs/` shows, and pages about files made
//! from `docs/`. No text is kept twice.
//!
//! | open | for |
//! |---|---|
//! | `mod` (here) | which pages there are, and from what they are made |
//! | `examples` | command lines of `docs/`, for the page of their verb |
//! | `roff` | Markdown to `man(7)` |

mod examples;
mod roff;

use crate::{paths, programs, run};
use anyhow::{Context, Result};
use std::path::Path;

/// A page about files or ideas.
struct Page {
    name: &'static str,
    section: u8,
    about: &'static str,
    parts: &'static [Part],
    see: &'static [&'static str],
}

/// What a page takes from a file of `docs/`.
struct Part {
    file: &'static str,
    keep: Keep,
}

/// Which sections of a file.
enum Keep {
    /// All of it but these.
    Except(&'static [&'static str]),
    /// Only these; the first becomes the description.
    Only(&'static [&'static str]),
}

const SETTINGS: &str = "/etc/rinit/rinit.toml";

const PAGES: [Page; 5] = [
    Page {
        name: "rinit-unit",
        section: 5,
        about: "unit files of rinit",
        parts: &[Part {
            file: "units.md",
            keep: Keep::Except(&[SETTINGS]),
        }],
        see: &["rinit(8)", "rinit.toml(5)", "rootctl-svc(1)"],
    },
    Page {
        name: "rinit.toml",
        section: 5,
        about: "settings of rinit",
        parts: &[Part {
            file: "units.md",
            keep: Keep::Only(&[SETTINGS, "How values are written"]),
        }],
        see: &["rinit(8)", "rinit-unit(5)"],
    },
    Page {
        name: "rinit",
        section: 8,
        about: "process 1: starts services, and judges the boot",
        parts: &[
            Part {
                file: "boot.md",
                keep: Keep::Only(&["The verdict"]),
            },
            Part {
                file: "units.md",
                keep: Keep::Only(&["Groups and enabling", "Changes while the system runs"]),
            },
            Part {
                file: "control.md",
                keep: Keep::Only(&["Who may", "Limits"]),
            },
        ],
        see: &[
            "rinit-unit(5)",
            "rinit.toml(5)",
            "rootctl-svc(1)",
            "rootctl-power(1)",
        ],
    },
    Page {
        name: "rinit-boot",
        section: 8,
        about: "the boot stage: finds the store, counts the try, mounts the root",
        parts: &[Part {
            file: "boot.md",
            keep: Keep::Except(&["The verdict", "Where the time went"]),
        }],
        see: &["rinit(8)", "rootctl-deploy(1)", "rootctl-targets(7)"],
    },
    Page {
        name: "rootctl-targets",
        section: 7,
        about: "how a snapshot is named",
        parts: &[Part {
            file: "store.md",
            keep: Keep::Only(&["Targets"]),
        }],
        see: &["rootctl(1)", "rootctl-snap(1)"],
    },
];

/// Writes the whole manual into a folder.
///
/// # Errors
/// When rootctl cannot be built or run, a section is missing from `docs/`, or the folder cannot be written.
pub fn write(dir: &Path) -> Result<()> {
    let rootctl = programs::rootctl()?;
    let mut man = run::command(&rootctl.display().to_string(), ["man", "--dir"]);
    run::quiet(man.arg(dir))?;
    examples::add(dir)?;
    for page in &PAGES {
        let file = dir.join(format!("{}.{}", page.name, page.section));
        let text = page
            .text()
            .with_context(|| format!("{}({})", page.name, page.section))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A file of `docs/`.
fn source(name: &str) -> Result<String> {
    let file = paths::workspace().join("docs").join(name);
    std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

impl Page {
    fn text(&self) -> Result<String> {
        let title = self.name.to_uppercase();
        let mut text = format!(
            ".TH {title} {} \"\" \"rinit {}\" \"rinit and rootctl\"\n.SH NAME\n{} \\- {}\n.SH DESCRIPTION\n",
            self.section,
            env!("CARGO_PKG_VERSION"),
            self.name,
            self.about
        );
        let mut sections = Vec::new();
        for part in self.parts {
            sections.extend(part.sections()?);
        }
        for (number, (heading, body)) in sections.iter().enumerate() {
            if number > 0 {
                text.push_str(&roff::heading(heading));
            }
            text.push_str(&roff::body(body));
        }
        text.push_str(".SH \"SEE ALSO\"\n");
        text.push_str(&roff::references(self.see));
        Ok(text)
    }
}

impl Part {
    /// Headings and texts that are kept, in the order of the page.
    fn sections(&self) -> Result<Vec<(String, String)>> {
        let all = roff::sections(&source(self.file)?);
        let found = |wanted: &str| {
            let found = all.iter().find(|(heading, _)| heading == wanted);
            found
                .cloned()
                .with_context(|| format!("docs/{} has no section {wanted:?}", self.file))
        };
        match self.keep {
            Keep::Only(wanted) => wanted.iter().map(|wanted| found(wanted)).collect(),
            Keep::Except(unwanted) => {
                for heading in unwanted {
                    found(heading)?;
                }
                let kept = all
                    .iter()
                    .filter(|(heading, _)| !unwanted.contains(&&**heading));
                Ok(kept.cloned().collect())
            }
        }
    }
}
