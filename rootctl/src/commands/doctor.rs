//! `rootctl doctor` and `rootctl snap verify`

use anyhow::Result;
use rootspec::protocol::store::{Diagnosis, Doctor, Severity, Targets, method};

use super::Context;
use crate::cli::{self, SomeTargets};
use crate::client::{Client, Exit};
use crate::output::{Tone, clean};

/// Prints what was looked at and what was found.
pub(super) fn run(context: Context<'_>, args: &cli::Doctor) -> Result<Exit> {
    let ask = Doctor {
        // With --dry-run nothing is put in order; what would be is among the findings.
        fix: (args.fix && !context.global.dry_run).then_some(true),
    };
    let mut client = Client::store(context.global)?;
    let found = client.call_with_progress(method::DOCTOR, &ask, |p| context.out.progress(p))?;
    show(context, &found)
}

/// The same for single snapshots, which are read whole.
pub(super) fn verify(context: Context<'_>, args: SomeTargets) -> Result<Exit> {
    let ask = Targets {
        targets: args.targets,
    };
    let mut client = Client::store(context.global)?;
    let found = client.call_with_progress(method::VERIFY, &ask, |p| context.out.progress(p))?;
    show(context, &found)
}

fn show(context: Context<'_>, found: &Diagnosis) -> Result<Exit> {
    context.out.answer(found, || {
        for check in &found.checks {
            let (word, tone) = match check.findings.as_slice() {
                [] => ("ok", Tone::Good),
                all if all.iter().any(|one| one.severity == Severity::Error) => {
                    ("error", Tone::Bad)
                }
                _ => ("warning", Tone::Warning),
            };
            let word = context.out.paint(&format!("{word:<7}"), tone);
            context.out.line(&format!("{word}  {}", check.name))?;
            for finding in &check.findings {
                context.out.line(&format!(
                    "         {}: {}",
                    finding.severity.word(),
                    clean(&finding.message)
                ))?;
                if let Some(next) = &finding.next {
                    context
                        .out
                        .line(&format!("         next: {}", clean(next)))?;
                }
            }
        }
        Ok(())
    })?;
    Ok(if found.has_errors() {
        Exit::Failed
    } else {
        Exit::Done
    })
}
