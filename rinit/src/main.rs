//! `rinit`: PID 1.
#![forbid(unsafe_code)]

mod accounts;
mod config;
mod hands;
mod load;
mod supervise;
mod supervisor;
mod words;

fn main() {}
