//! Folders of unit files, down to the plan. The plan that PID 1 gets is the one that was made, and names nobody who is not in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rootspec::compile::{DropIn, Enabled, Files, Source};
use rootspec::plan::Plan;

/// Sets of more files are only slower.
const MOST: usize = 24;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let plan = files(text).compile().into_plan();
    let Ok(binary) = plan.to_bytes() else {
        panic!("a plan that cannot be written");
    };
    assert_eq!(Plan::from_bytes(&binary).as_ref(), Ok(&plan));
    for unit in &plan.units {
        assert!(plan.find(&unit.name).is_some(), "{} is lost", unit.name);
        assert!(
            !plan.unusable.contains(&unit.name),
            "{} is there and is not",
            unit.name
        );
    }
});

/// Files behind lines of `=== NAME`.
fn files(text: &str) -> Files {
    let mut files = Files::default();
    for part in format!("\n{text}").split("\n=== ").skip(1).take(MOST) {
        let (file, text) = part.split_once('\n').unwrap_or((part, ""));
        if let Some((unit, _)) = file.split_once(".toml.d/") {
            if let Ok(unit) = unit.parse() {
                files.drop_ins.push(DropIn {
                    unit,
                    file: file.to_owned(),
                    text: text.to_owned(),
                });
            }
        } else if let Some((group, unit)) = file.split_once(".d/") {
            if let (Ok(group), Ok(unit)) = (group.parse(), unit.parse()) {
                files.enabled.push(Enabled {
                    group,
                    unit,
                    file: file.to_owned(),
                });
            }
        } else if let Some(Ok(name)) = file.strip_suffix(".toml").map(str::parse) {
            // The folders were read: of two files with one name the first counts.
            if !files.sources.iter().any(|source| source.name == name) {
                files.sources.push(Source {
                    name,
                    file: file.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }
    files
}
