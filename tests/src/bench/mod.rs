//! What the benchmark of boots (`cargo xtask bench init`) measures: the pure part. The program that runs inside, as
//! every service and as the contender that nobody can be much faster than, is `sys/bare/bench.rs`.
//!
//! - [`board`]: the time stamps that services leave;
//! - [`graph`]: the services, their order, their units for rinit, and the check that the order was kept.

pub mod board;
pub mod graph;
