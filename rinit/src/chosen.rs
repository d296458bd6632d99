//! What a person at the boot menu chooses for one boot: pure.

use rootspec::plan::RESCUE;

/// Before the name of a group.
const GROUP: &str = "rinit.group=";
/// Words that other inits know, for a way to log in and nothing else.
const ALONE: [&str; 6] = ["single", "s", "S", "1", "rescue", "emergency"];

/// The group to be started instead of the default one, by the kernel command line. The last word of several counts.
pub(crate) fn group(cmdline: &str) -> Option<&str> {
    let words = cmdline.split_ascii_whitespace();
    let group = |word| match ALONE.contains(&word) {
        true => Some(RESCUE),
        false => word.strip_prefix(GROUP),
    };
    words.filter_map(group).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_others_mean_nothing() {
        for (line, found) in [
            ("quiet root=/dev/x", None),
            ("root=UUID=1 single", Some("rescue")),
            ("systemd.unit=rescue init=1 singled", None),
            ("emergency rinit.group=web", Some("web")),
            ("rinit.group=web -- S\n", Some("rescue")),
            ("rinit.group=", Some("")),
        ] {
            assert_eq!(group(line), found, "{line}");
        }
    }
}
