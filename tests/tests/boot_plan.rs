//! Tier 2: what rinit starts from, in namespaces: the answer of rinit-plan, good and bad.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::inside::{Inside, SOON};
use tests::ns::{Namespace, Recipe};
use tests::programs;
use tests::tier::{self, Outcome, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![test(
            "without_a_plan_there_is_a_rescue_login_and_the_reason",
            no_plan,
        )],
    )
}

/// What stands in the place of `rinit-plan`, and what is said then.
const BAD: [(&str, &str); 5] = [
    (
        "rm /usr/bin/rinit-plan",
        "cannot execute /usr/bin/rinit-plan: No such file or directory",
    ),
    (
        "echo 'exit 3' >> /usr/bin/rinit-plan",
        "rinit-plan died before it was done",
    ),
    (
        "echo 'echo here you are' >> /usr/bin/rinit-plan",
        "rinit-plan: this is no boot plan",
    ),
    (
        "echo 'printf \"rkept\\\\n\\\\377\\\\000\"' >> /usr/bin/rinit-plan",
        "the boot plan comes from another rinit-plan: version 255",
    ),
    (
        "echo 'exec busybox sleep 100000' >> /usr/bin/rinit-plan",
        "rinit-plan hangs; it was killed",
    ),
];

fn no_plan() -> Result<Outcome> {
    for (stand_in, words) in BAD {
        let boot = format!(
            "PATH=$PATH:/bin; alias rm='busybox rm'; busybox chmod 0755 /usr/bin/rinit-plan; {stand_in}; exec /usr/bin/rinit"
        );
        let recipe = Recipe::new(&["/bin/sh", "-c", &boot])
            .copy(&programs::rinit()?, "/usr/bin/rinit")
            .text("/usr/bin/rinit-plan", "#!/bin/sh\n");
        let mut ns = Namespace::start(&recipe)?;
        ns.console.expect(words, SOON)?;
        ns.console
            .expect("starts the group rescue of 1 units", SOON)?;
        let inside = Inside { ns };
        inside.until("it answers", || {
            let overview = inside.call("Overview", &json!({}))?;
            Ok(
                overview["group"] == "rescue"
                    && overview["problems"][0].to_string().contains(words),
            )
        })?;
        ensure!(inside.unit("rescue")?["name"] == "rescue");
    }
    Ok(Outcome::Passed)
}
