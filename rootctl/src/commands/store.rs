//! `rootctl store init`

use anyhow::Result;
use rootspec::protocol::store::{Init, Made, method};

use super::Context;
use crate::cli::{Loader, Store};
use crate::client::{Client, Exit, Failure, absolute};

/// Makes a store and imports its first snapshot.
pub(super) fn run(context: Context<'_>, verb: Store) -> Result<Exit> {
    let Store::Init(args) = verb;
    context.no_dry_run("store init")?;
    if context.global.root.is_none() {
        let why = "a store is made on a mounted btrfs top level, and none was named";
        return Err(Failure::new(Exit::Usage, why)
            .next("mount -o subvolid=5 DEVICE /mnt; rootctl --root /mnt --esp ESP store init …")
            .into());
    }
    let ask = Init {
        import: absolute(&args.import)?.display().to_string(),
        name: args.name,
        cmdline: args.cmdline,
        mode: args.mode,
        loader: args.loader.map(|loader| match loader {
            Loader::Grub => "grub".to_owned(),
            Loader::Limine => "limine".to_owned(),
        }),
        replace_menu: args.replace_menu.then_some(true),
    };
    let mut client = Client::store(context.global)?;
    let made: Made = client.call_with_progress(method::INIT, &ask, |p| context.out.progress(p))?;
    context
        .out
        .answer(&made, || context.out.line(&made.id.to_string()))?;
    Ok(Exit::Done)
}
