//! What the documentation says, held against what exists: paths, links, keys, words, defaults; and every command line
//! shown in it is run.
//!
//! | open | for |
//! |---|---|
//! | `docs/pages.rs` | the pages: their command lines, tables and links |
//! | `docs/facts.rs` | paths, unit keys with defaults and examples, kernel words |
//! | `docs/shown.rs` | running what a page shows, page by page |
//! | `docs/house.rs` | a store and a machine for that |
//! | `docs/elsewhere.rs` | the pages for people who come from elsewhere |
//! | `docs/units_shown.rs` | whole units that a page shows |
//! | `docs/cli.rs` | man pages and completions |

#[path = "docs/cli.rs"]
mod cli;
#[path = "docs/elsewhere.rs"]
mod elsewhere;
#[path = "docs/facts.rs"]
mod facts;
#[path = "docs/house.rs"]
mod house;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/shown.rs"]
mod shown;
#[path = "docs/units_shown.rs"]
mod units_shown;

use tests::tier::{self, Tier, test};

fn main() -> std::process::ExitCode {
    tier::main(
        Tier::Kernel,
        vec![
            test("every_link_leads_to_a_file", facts::links),
            test("every_path_in_the_architecture_exists", facts::paths),
            test(
                "unit_keys_are_documented_and_documented_keys_exist",
                facts::keys,
            ),
            test("examples_of_unit_keys_are_accepted", facts::examples),
            test(
                "defaults_of_unit_keys_are_the_documented_ones",
                facts::defaults,
            ),
            test(
                "words_of_the_kernel_command_line_are_the_documented_ones",
                facts::words,
            ),
            test("every_page_is_in_the_index", facts::index),
            test("each_promise_names_tests_that_exist", facts::promises),
            test(
                "every_name_that_people_bring_along_is_explained",
                elsewhere::whole,
            ),
            test(
                "keys_named_to_people_from_elsewhere_exist",
                elsewhere::counterparts,
            ),
            test(
                "every_key_is_named_to_people_from_systemd",
                elsewhere::own_keys,
            ),
            test(
                "specifiers_of_systemd_have_the_words_named_for_them",
                elsewhere::specifiers,
            ),
            test(
                "units_shown_as_files_are_taken_without_a_remark",
                units_shown::taken,
            ),
            test("settings_of_rinit_are_the_documented_ones", shown::settings),
            test("every_verb_has_a_man_page_that_names_its_options", cli::man),
            test(
                "every_page_of_the_manual_is_read_without_a_warning",
                cli::manual,
            ),
            test("bash_can_read_its_completions", || cli::completions("bash")),
            test("zsh_can_read_its_completions", || cli::completions("zsh")),
            test("fish_can_read_its_completions", || cli::completions("fish")),
            test("commands_named_in_passing_exist", shown::named),
            test("commands_named_in_messages_exist", shown::named_in_messages),
            test("every_command_shown_does_what_it_says", shown::run_all),
            test(
                "every_verb_is_shown_and_answers_in_json",
                shown::run_all_in_json,
            ),
        ],
    )
}
