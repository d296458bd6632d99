//! Verbs that decide what boots: `deploy`, `boot-ok`, `rollback`.

use clap::Args;

// `deploy`
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Which snapshot
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// How many boots it gets to prove itself [default: 2; 1 under a Limine without one-shot entries]
    #[arg(long = "try", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) tries: Option<u8>,
    /// How its root is put together: ro, tmpfs[:size=50%], persist:NAME, rw
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// Take the place of another store's boot menu on the ESP
    #[arg(long)]
    pub(crate) replace_menu: bool,
    /// Deploy it although its units have errors
    #[arg(long)]
    pub(crate) unchecked: bool,
    /// Try another kernel under a Limine without one-shot entries: if it stops early, only a person gets the machine back
    #[arg(long)]
    pub(crate) accept_no_return: bool,
    /// Reboot when done
    #[arg(long)]
    pub(crate) reboot: bool,
}

// `boot-ok`
#[derive(Debug, Args)]
pub(crate) struct BootOk {
    /// It is not good, and why
    #[arg(long, value_name = "REASON", allow_hyphen_values = true)]
    pub(crate) reject: Option<String>,
}

// `rollback`
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Which snapshot [default: the one that was good before]
    #[arg(value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Take the place of another store's boot menu on the ESP
    #[arg(long)]
    pub(crate) replace_menu: bool,
    /// Reboot when done
    #[arg(long)]
    pub(crate) reboot: bool,
}
