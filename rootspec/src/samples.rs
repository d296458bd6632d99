//! Files as the first version of each format has them. What is written once is read for ever: a change that makes one of
//! these tests fail needs a new version of the format, and a sample of it beside the old one.

use crate::SnapshotId;
use crate::meta::{Image, Meta};
use crate::over::Over;
use crate::report::{BootReport, Numbers};
use crate::state::StateRead;
use crate::trial::Phase;
use crate::units;

fn id(number: u32) -> SnapshotId {
    SnapshotId::new(number).unwrap()
}

#[test]
fn a_state_record_of_format_1_is_read() {
    let read = StateRead::from_bytes(include_bytes!("samples/state.ab"));
    assert_eq!(read.damage, Vec::<String>::new());
    let state = read.state.unwrap();
    assert_eq!((state.seq, state.next_id), (6, 4));
    assert_eq!((state.good, state.previous), (Some(id(2)), Some(id(1))));
    assert_eq!((state.confirming, state.pins), (None, vec![id(1)]));
    let trial = state.trial.unwrap();
    assert_eq!((trial.id, trial.tries_max, trial.attempts), (id(3), 2, 1));
    assert_eq!((trial.phase, trial.boot_ids.len()), (Phase::Trying, 1));
}

#[test]
fn a_meta_file_of_format_1_is_read() {
    let meta = Meta::from_toml("meta.toml", include_str!("samples/meta.toml"), id(3)).unwrap();
    assert_eq!((meta.parent, meta.etc_base), (Some(id(2)), Some(id(2))));
    assert_eq!(
        (meta.lineage, meta.copied),
        (vec![id(2), id(1)], vec![id(1)])
    );
    assert_eq!(
        (&*meta.note, &*meta.cmdline),
        ("with the new shop", "quiet")
    );
    assert_eq!((meta.created, &*meta.origin.kind), (1_764_500_000, "run"));
    let kernel = meta.kernel.unwrap();
    assert_eq!(kernel.release, "6.12.57+deb13-amd64");
    assert_eq!(
        (kernel.vmlinuz.size, kernel.initrd.size),
        (12_095_552, 3_911_680)
    );
    assert_eq!(meta.image, None::<Image>);
}

#[test]
fn a_note_about_a_writable_root_of_format_1_is_read() {
    let over = Over::from_toml("web.toml", include_str!("samples/over.toml")).unwrap();
    assert_eq!((over.base, over.created), (id(3), 1_764_500_000));
}

/// The boot stage of an older snapshot writes it for the programs of that snapshot, but its numbers come before all text in every
/// version.
#[test]
fn a_boot_report_of_format_1_is_read() {
    let text = include_str!("samples/boot.toml");
    let report = BootReport::from_toml(text).unwrap();
    assert_eq!((report.snapshot, report.try_number), (Some(id(3)), Some(1)));
    assert_eq!((&*report.mode, report.warnings.len()), ("ro", 1));
    let numbers = Numbers::of_report(text).unwrap();
    assert_eq!((numbers.snapshot, numbers.is_trial()), (Some(id(3)), true));
}

#[test]
fn a_unit_file_of_schema_1_is_read() {
    let unit = units::parse("web.toml", include_str!("samples/unit.toml"));
    let unit = unit.unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let exec = unit.exec.unwrap().into_inner();
    assert_eq!(exec.user.as_deref(), Some("www-data"));
    assert_eq!(unit.deps.needs.len() + unit.deps.wants.len(), 2);
}
