//! The messages of both control sockets: Varlink methods, their parameters, replies and errors.
//!
//! `init` is spoken by `rinit`, `store` by the broker `rootctld`, `session` and `etc` are its parts about work in copies and
//! about live configuration; `units` is the linter's answer, `logs` what `rootctl` prints of logs. Both are described for
//! other clients by the files in `rootspec/varlink`. Fields are only ever added, as optional ones; readers ignore what they do not know.

pub mod etc;
pub mod init;
pub mod logs;
pub mod replay;
pub mod session;
pub mod store;
pub mod units;

/// Largest request either server reads, in bytes.
pub const MAX_REQUEST: usize = 64 * 1024;
