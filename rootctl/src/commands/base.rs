//! `rootctl base …`

use anyhow::Result;
use rootspec::protocol::store::{One, SnapshotList, method};

use super::{Context, run as run_in_copy, sync};
use crate::cli::{Base, BaseUpdate, Run, Sync};
use crate::client::{Client, Exit, Failure};

/// Sends each verb on.
pub(super) fn run(context: Context<'_>, verb: Base) -> Result<Exit> {
    match verb {
        Base::Update(args) => update(context, args),
    }
}

/// Runs a command in a copy of the newest base, which becomes the newest base.
fn update(context: Context<'_>, args: BaseUpdate) -> Result<Exit> {
    let name = name_of_base(context)?;
    run_in_copy::run(
        context,
        Run {
            target: name.clone(),
            name: Some(name.clone()),
            note: args.note,
            argv: args.argv,
        },
    )?;
    if !args.sync {
        return Ok(Exit::Done);
    }
    if context.global.dry_run {
        context.out.remark(&format!(
            "then `rootctl sync {name}` would be done; what it meets shows only with the new base"
        ));
        return Ok(Exit::Done);
    }
    sync::run(
        context,
        Sync {
            target: name,
            from: None,
            leave: false,
        },
    )
}

fn name_of_base(context: Context<'_>) -> Result<String> {
    let ask = One {
        target: "@base".to_owned(),
    };
    let found: SnapshotList = Client::store(context.global)?.call(method::SHOW, &ask)?;
    let base = found.snapshots.into_iter().next();
    let (id, name) = base.map_or((None, None), |base| (Some(base.id), base.name));
    name.ok_or_else(|| {
        let id = id.map_or_else(|| "@base".to_owned(), |id| id.to_string());
        let why = format!(
            "the base, snapshot {id}, has no name, by which its newest version would be known"
        );
        Failure::new(Exit::Usage, why)
            .next(format!("rootctl snap rename {id} base"))
            .into()
    })
}
