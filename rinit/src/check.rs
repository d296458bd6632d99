//! The linter: the same reading and compiling as at boot, and a list of what is wrong.

use crate::folders::Places;
use crate::load;

/// Text to show, and whether all is well.
pub(crate) fn run(dirs: &[&str]) -> (String, bool) {
    let places = if dirs.is_empty() {
        Places::default()
    } else {
        Places::of(&dirs.iter().map(|dir| (*dir).to_owned()).collect::<Vec<_>>())
    };
    let plan = load::load(&places).plan;
    let mut text = String::new();
    for problem in &plan.problems {
        text.push_str(problem);
        text.push('\n');
    }
    let good = plan.problems.is_empty();
    let units = plan.units.len();
    let wrong = plan.problems.len();
    text.push_str(&if good {
        format!("{units} units, nothing wrong\n")
    } else {
        format!("{units} units can be used, {wrong} problems\n")
    });
    (text, good)
}
