//! The steps E1 to E7: boot files first, then the menu. Each may be cut off and done again.

use std::path::Path;

use anyhow::Result;

use super::plan::{Plan, size, take_back};
use crate::esp::{self, copies, exchange};
use crate::menu::owner::Taking;
use crate::oneshot::OneShot;
use crate::progress::{Progress, point};
use crate::site::Site;
use crate::store::Store;
use crate::store::settings::Settings;

/// Makes the ESP fit the plan.
pub(crate) fn arrange(
    store: &Store,
    plan: &Plan,
    (site, esp_dir): (&Site, &Path),
    settings: &Settings,
    progress: &mut Progress<'_>,
) -> Result<()> {
    let own = esp::own_dir(esp_dir);
    esp::make_dir(esp_dir, &own)?;
    for copy in &plan.copies {
        if !copy.present {
            let what = format!(
                "E1 copy {} of snapshot {} to the ESP ({})",
                copy.part,
                copy.snapshot,
                size(copy.file.size)
            );
            progress.step(&what);
        }
        let source = store.snapshot(copy.snapshot).join(copy.part);
        copies::bring(&source, &copy.file, &own)?;
    }
    sys::fs::fat_barrier(&own)?;
    point("E2")?;
    for copy in plan.copies.iter().filter(|copy| !copy.present) {
        copies::verify(&copy.file, &own)?;
    }
    point("E3")?;
    if let Taking::From(other) = &plan.taking {
        // Entries are told apart by their number alone: a try of that store's would be taken for one of ours.
        if let Some(one_shot) = OneShot::of(None, settings, esp_dir, site) {
            progress.step(&take_back(other));
            one_shot.clear()?;
        }
    }
    progress.step("E4-E7 exchange the menu");
    let files = esp::menu_files(esp_dir, settings);
    exchange::install(esp_dir, &files, &plan.text, &site.claim())
}
