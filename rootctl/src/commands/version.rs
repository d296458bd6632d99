//! `rootctl version`

use anyhow::Result;

use super::Context;
use crate::client::Exit;

/// Prints the version.
pub(super) fn run(context: Context<'_>) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    let object = serde_json::json!({ "name": "rootctl", "version": version });
    context
        .out
        .answer(&object, || context.out.line(&format!("rootctl {version}")))?;
    Ok(Exit::Done)
}
