//! `rootctl initramfs build`

use anyhow::Result;
use rootspec::protocol::store::{BuildInitramfs, BuiltInitramfs, method};

use super::Context;
use crate::cli::Initramfs;
use crate::client::{Client, Exit, absolute};

/// Builds an initramfs from a root.
pub(super) fn run(context: Context<'_>, verb: Initramfs) -> Result<Exit> {
    let Initramfs::Build(args) = verb;
    context.no_dry_run("initramfs build")?;
    let ask = BuildInitramfs {
        root: absolute(&args.root)?.display().to_string(),
        output: absolute(&args.output)?.display().to_string(),
        release: args.release,
        host_only: args.host_only.then_some(true),
    };
    let mut client = Client::store(context.global)?;
    let built: BuiltInitramfs =
        client.call_with_progress(method::BUILD_INITRAMFS, &ask, |p| context.out.progress(p))?;
    context.out.answer(&built, || {
        context.out.line(&format!(
            "{}: kernel {}, {} modules, {} bytes",
            args.output.display(),
            built.release,
            built.modules,
            built.size
        ))
    })?;
    Ok(Exit::Done)
}
