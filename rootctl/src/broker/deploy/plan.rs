//! What must be on the ESP for a state record: the menu, the boot files it names, the room they take. Pure.

use anyhow::Result;
use rootspec::SnapshotId;
use rootspec::meta::Meta;
use rootspec::paths::store as names;
use rootspec::state::State;

use crate::esp::Facts;
use crate::guard::Guard;
use crate::menu::owner::{Claim, Taking};
use crate::menu::{self, EspFile, Menu};
use crate::store::settings::Settings;

/// Room on the ESP that is left to others (firmware puts its updates there): this part of it, in these bounds in bytes.
const RESERVE_PART: u64 = 10;
const RESERVE_LEAST: u64 = 16 << 20;
const RESERVE_MOST: u64 = 64 << 20;

/// What to do to the ESP, and the record that belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The menu.
    pub(crate) menu: Menu,
    /// Its text.
    pub(crate) text: String,
    /// Whose place on the ESP it takes.
    pub(crate) taking: Taking,
    /// Boot files to bring, in the order of the menu.
    pub(crate) copies: Vec<Copy>,
    /// The record to write when all that is done: the one asked for, with the hash of the menu.
    pub(crate) state: State,
}

/// A boot file to bring to the ESP, or to check there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Under which name.
    pub(crate) file: EspFile,
    /// Of which snapshot.
    pub(crate) snapshot: SnapshotId,
    /// `vmlinuz` or `initrd`.
    pub(crate) part: &'static str,
    /// True if a copy of the right size is there already.
    pub(crate) present: bool,
}

/// Decides what must happen so that the ESP fits the record `after`.
///
/// # Errors
/// There is not enough room (with numbers), another config shadows ours, the live menu is another store's or somebody
/// else's, or the menu cannot be made.
pub(crate) fn plan<'a>(
    after: &State,
    metas: impl Iterator<Item = &'a Meta>,
    settings: &Settings,
    claim: &Claim,
    facts: &Facts,
) -> Result<Plan> {
    let taking = facts.may_be_written(claim)?;
    // Numbers in another store's menu are not of our snapshots.
    let live = facts.live.as_deref().filter(|_| taking == Taking::Own);
    let menu = menu::plan(after, metas, settings, &claim.uuid)?
        .armed_like(live.unwrap_or_default(), after.trial.as_ref());
    let text = menu.render();
    must_be_read(settings, facts)?;
    let copies = copies(&menu, facts);
    must_fit(&copies, &text, facts)?;
    let hash = crate::esp::copies::hash(text.as_bytes())?.0;
    let state = State {
        menu: Some(hash),
        ..after.clone()
    };
    Ok(Plan {
        menu,
        text,
        taking,
        copies,
        state,
    })
}

fn copies(menu: &Menu, facts: &Facts) -> Vec<Copy> {
    let mut all: Vec<Copy> = Vec::new();
    for entry in menu.entries() {
        for (file, part) in [
            (&entry.kernel, names::KERNEL),
            (&entry.initrd, names::INITRD),
        ] {
            // Snapshots that share a kernel share the file.
            if !all.iter().any(|copy| copy.file == *file) {
                all.push(Copy {
                    file: file.clone(),
                    snapshot: entry.id,
                    part,
                    present: facts.present.get(&file.name) == Some(&file.size),
                });
            }
        }
    }
    all
}

/// A menu that another config hides would be a trial, or a rollback, that never happens.
fn must_be_read(settings: &Settings, facts: &Facts) -> Result<()> {
    let Some(first) = facts.shadows.first() else {
        return Ok(());
    };
    Guard::refused(format!(
        "the ESP holds a second Limine config, {first}; some versions read it instead of {}/limine.conf",
        settings.limine_dir
    ))
    .next(format!("rename {first} on the ESP, then repeat the command"))
    .err()
}

/// Counts the peak: nothing old is removed before the new menu is in place.
fn must_fit(copies: &[Copy], text: &str, facts: &Facts) -> Result<()> {
    let unit = facts.space.unit.max(1);
    let rounded = |bytes: u64| bytes.div_ceil(unit).saturating_mul(unit);
    let new = copies.iter().filter(|copy| !copy.present);
    let boot_files: u64 = new.map(|copy| rounded(copy.file.size)).sum();
    let menu = rounded(text.len() as u64);
    let menus = match (&facts.live, facts.has_partner) {
        (Some(live), _) if live == text => 0,
        (Some(_), true) => 0,
        (Some(_), false) => menu,
        (None, _) => menu.saturating_mul(2),
    };
    let needed = boot_files.saturating_add(menus);
    if needed == 0 {
        return Ok(());
    }
    let reserve = (facts.space.total / RESERVE_PART).clamp(RESERVE_LEAST, RESERVE_MOST);
    if needed.saturating_add(reserve) <= facts.space.free {
        return Ok(());
    }
    Guard::refused(format!(
        "the ESP has {} free of {}; {} are needed and {} must stay free; nothing was written",
        size(facts.space.free),
        size(facts.space.total),
        size(needed),
        size(reserve)
    ))
    .next("remove what is not needed from the ESP, or use a larger one")
    .err()
}

/// The step before another store's menu is replaced.
pub(crate) fn take_back(store: &str) -> String {
    format!(
        "E4 take back what the loader was told to try of the store {store}, whose menu is replaced"
    )
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..=9_999 => format!("{bytes} bytes"),
        10_000..=9_999_999 => format!("{} kB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

impl Plan {
    /// The steps on the ESP, in order.
    pub(crate) fn steps(&self) -> Vec<String> {
        let mut steps: Vec<String> = self
            .copies
            .iter()
            .map(|copy| {
                let verb = if copy.present { "check" } else { "copy" };
                format!(
                    "E1 {verb} {} of snapshot {} on the ESP: {} ({})",
                    copy.part,
                    copy.snapshot,
                    copy.file.name,
                    size(copy.file.size)
                )
            })
            .collect();
        let entries: Vec<_> = self
            .menu
            .entries()
            .iter()
            .map(|e| e.id.to_string())
            .collect();
        steps.push("E2 wait until the copies are on the disk".into());
        steps.push("E3 read the copies back".into());
        if let Taking::From(store) = &self.taking {
            steps.push(take_back(store));
        }
        steps.push("E4 write the new menu beside the live one".into());
        steps.push("E5 wait until it is on the disk".into());
        steps.push(format!(
            "E6 exchange the two menus; entries: {}",
            entries.join(", ")
        ));
        steps.push("E7 wait until that is on the disk".into());
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::menu::owner::Others;
    use crate::store::publish::tests::meta;
    use crate::store::settings::Loader;
    use rootspec::cmdline::Mode;
    use rootspec::trial::Trial;
    use std::collections::BTreeMap;
    use sys::space::Space;

    fn id(n: u32) -> SnapshotId {
        SnapshotId::new(n).unwrap()
    }

    fn facts(free: u64) -> Facts {
        Facts {
            present: BTreeMap::new(),
            space: Space {
                total: 100 << 20,
                free,
                unit: 4096,
            },
            place: "EFI/BOOT/limine.conf".into(),
            live: None,
            has_partner: false,
            shadows: vec![],
        }
    }

    fn on_trial() -> State {
        State {
            good: Some(id(1)),
            trial: Some(Trial::armed(id(2), 2)),
            ..State::empty()
        }
    }

    fn run(facts: &Facts, metas: &[Meta]) -> Result<Plan> {
        let settings = Settings::new(Loader::Limine, "", &Mode::Ro);
        plan(
            &on_trial(),
            metas.iter(),
            &settings,
            &claim(Others::Keep),
            facts,
        )
    }

    fn claim(others: Others) -> Claim {
        Claim {
            uuid: "0a-0b".into(),
            others,
        }
    }

    #[test]
    fn every_file_the_menu_names_is_brought_once() {
        let mut metas = [meta(1), meta(2)];
        let plan = run(&facts(50 << 20), &metas).unwrap();
        assert_eq!(plan.copies.len(), 4);
        metas[1].kernel.as_mut().unwrap().vmlinuz = metas[0].kernel.clone().unwrap().vmlinuz;
        let plan = run(&facts(50 << 20), &metas).unwrap();
        assert_eq!(plan.copies.len(), 3, "a shared kernel is one file");
        assert!(plan.state.menu.is_some_and(|hash| hash.len() == 128));
    }

    #[test]
    fn copies_of_the_right_size_are_only_checked() {
        let metas = [meta(1), meta(2)];
        let mut facts = facts(50 << 20);
        let kernel = run(&facts, &metas).unwrap().copies[0].file.clone();
        facts.present.insert(kernel.name.clone(), kernel.size);
        assert!(run(&facts, &metas).unwrap().copies[0].present);
        facts.present.insert(kernel.name, kernel.size - 1);
        assert!(!run(&facts, &metas).unwrap().copies[0].present);
    }

    #[test]
    fn a_full_esp_is_refused_with_numbers_before_anything_is_written() {
        let metas = [meta(1), meta(2)];
        let error = run(&facts(RESERVE_LEAST + 20_000), &metas)
            .unwrap_err()
            .to_string();
        for words in [
            "16.7 MB free of 104.8 MB",
            "24 kB are needed",
            "16.7 MB must stay free",
            "nothing was written",
        ] {
            assert!(error.contains(words), "{error} lacks {words}");
        }
        assert!(run(&facts(RESERVE_LEAST + 24_576), &metas).is_ok());
    }

    #[test]
    fn a_large_esp_is_not_full_because_a_tenth_of_it_is_used() {
        let metas = [meta(1), meta(2)];
        let mut facts = facts(RESERVE_MOST + 24_576);
        facts.space.total = 250 << 30;
        assert!(run(&facts, &metas).is_ok());
        facts.space.free -= 1;
        assert!(run(&facts, &metas).is_err());
    }

    #[test]
    fn a_plan_that_needs_nothing_fits_on_a_full_esp() {
        let metas = [meta(1), meta(2)];
        let mut facts = facts(50 << 20);
        let plan = run(&facts, &metas).unwrap();
        for copy in &plan.copies {
            facts.present.insert(copy.file.name.clone(), copy.file.size);
        }
        facts.live = Some(plan.text);
        facts.space.free = 0;
        assert!(run(&facts, &metas).is_ok());
    }

    #[test]
    fn a_second_limine_config_is_refused_by_name() {
        let mut facts = facts(50 << 20);
        facts.shadows = vec!["limine.conf".into()];
        let error = run(&facts, &[meta(1), meta(2)]).unwrap_err().to_string();
        assert!(
            error.contains("second Limine config, limine.conf"),
            "{error}"
        );
    }

    #[test]
    fn another_stores_menu_is_replaced_only_when_that_was_asked_for() {
        let metas = [meta(1), meta(2)];
        let mut facts = facts(50 << 20);
        let ours = run(&facts, &metas).unwrap().text;
        facts.live = Some(ours.replace("0a-0b", "0c-0d"));
        let error = run(&facts, &metas).unwrap_err().to_string();
        for words in ["EFI/BOOT/limine.conf", "0a-0b", "0c-0d"] {
            assert!(error.contains(words), "{error} lacks {words}");
        }
        let settings = Settings::new(Loader::Limine, "", &Mode::Ro);
        let claim = claim(Others::Replace);
        let plan = plan(&on_trial(), metas.iter(), &settings, &claim, &facts).unwrap();
        assert_eq!(plan.taking, Taking::From("0c-0d".into()));
        assert_eq!(plan.text, ours);
        assert!(plan.steps().iter().any(|step| step.contains("0c-0d")));
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (999, "999 bytes"),
            (10_000, "10 kB"),
            (13_940_000, "13.9 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
