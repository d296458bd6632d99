//! One call over a Varlink connection, without the library that the programs use.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// One request of a whole method name (`org.rootctl.Init.Status`), one reply; an error of the service is an error here.
///
/// # Errors
/// When there is no answer, or an error.
pub fn call(stream: &mut UnixStream, method: &str, parameters: &Value) -> Result<Value> {
    let request = json!({ "method": method, "parameters": parameters });
    stream
        .write_all(format!("{request}\0").as_bytes())
        .context("cannot ask")?;
    let mut reply = Vec::new();
    let mut bytes = [0; 4096];
    while reply.last() != Some(&0) {
        let length = stream.read(&mut bytes).context("no answer")?;
        ensure!(length > 0, "the connection was closed");
        reply.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }
    reply.pop();
    let reply: Value = serde_json::from_slice(&reply).context("the reply is no JSON")?;
    ensure!(reply.get("error").is_none(), "{method}: {reply}");
    Ok(reply["parameters"].clone())
}
