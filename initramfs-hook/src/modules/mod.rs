//! Kernel modules, loaded in the right order.
//!
//! Loading is the slowest part of a boot in an emulator, so only what is asked for is loaded: by the `load` list, by a
//! device's alias, or by name for a file system. And what does not need each other is loaded at the same time.

mod loader;
mod plan;
mod table;

pub use loader::Loader;
pub use table::{ModuleTable, parameters};
