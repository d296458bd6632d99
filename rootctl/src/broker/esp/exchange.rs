//! The menu on the ESP: always a whole one, old or new.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use super::{MenuFiles, make_dir, write_new};
use crate::guard::Guard;
use crate::menu::owner::Claim;
use crate::progress::point;

/// Makes `text` the live menu. Does nothing if it is already.
///
/// Both files are complete behind a barrier before they change places, and after it: at no moment of a power cut is
/// there anything but the old or the new menu. The partner keeps the old one.
pub(crate) fn install(esp: &Path, files: &MenuFiles, text: &str, claim: &Claim) -> Result<()> {
    make_dir(esp, &files.dir)?;
    let Ok(old) = std::fs::read(&files.live) else {
        // Nothing to exchange with: this is the first menu, and nothing boots before it anyway.
        write_new(&files.live, text.as_bytes())?;
        return Ok(sys::fs::fat_barrier(&files.dir)?);
    };
    if old == text.as_bytes() {
        return Ok(());
    }
    // It was looked at when the steps were planned; nobody may have put another one there since.
    claim.on(&String::from_utf8_lossy(&old), &files.place)?;
    let partner = || format!("cannot write {}", files.partner.display());
    let file = File::create(&files.partner).with_context(partner)?;
    std::io::Write::write_all(&mut &file, text.as_bytes()).with_context(partner)?;
    file.sync_all().with_context(partner)?;
    point("E4")?;
    sys::fs::fat_barrier(&files.dir)?;
    point("E5")?;
    sys::fs::exchange(&files.partner, &files.live).with_context(|| {
        Guard::failed("the menu was not changed")
            .next("the kernel exchanges files on vfat from Linux 6.0 on; see `uname -r`")
    })?;
    point("E6")?;
    for path in [&files.live, &files.partner] {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.sync_all()
            .with_context(|| format!("cannot sync {}", path.display()))?;
    }
    sys::fs::fat_barrier(&files.dir)?;
    point("E7")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::menu_files;
    use crate::menu::owner::Others;
    use crate::store::settings::{Loader, Settings};
    use crate::tree::testdir::TestDir;
    use rootspec::cmdline::Mode;

    const STORE: &str = "0a1b2c3d-0000-1111-2222-333344445555";

    fn menu(store: &str, text: &str) -> String {
        format!("{}{text}\n", crate::menu::owner::first_line(store))
    }

    fn put(dir: &TestDir, files: &MenuFiles, text: &str, others: Others) -> Result<()> {
        let claim = Claim {
            uuid: STORE.into(),
            others,
        };
        install(dir.path(), files, text, &claim)
    }

    #[test]
    fn the_old_menu_stays_beside_the_new_one() {
        let dir = TestDir::new("menu");
        let files = menu_files(dir.path(), &Settings::new(Loader::Grub, "", &Mode::Ro));
        let (one, two) = (menu(STORE, "1"), menu(STORE, "2"));
        put(&dir, &files, &one, Others::Keep).unwrap();
        put(&dir, &files, &two, Others::Keep).unwrap();
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), two);
        assert_eq!(std::fs::read_to_string(&files.partner).unwrap(), one);
    }

    #[test]
    fn somebody_elses_menu_is_left_alone() {
        let dir = TestDir::new("foreign");
        let files = menu_files(dir.path(), &Settings::new(Loader::Limine, "", &Mode::Ro));
        std::fs::create_dir_all(&files.dir).unwrap();
        std::fs::write(&files.live, "/Windows\n").unwrap();
        let error = put(&dir, &files, &menu(STORE, "1"), Others::Replace).unwrap_err();
        assert!(
            error.to_string().contains("not written by rootctl"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), "/Windows\n");
        assert!(!files.partner.exists());
    }

    #[test]
    fn another_stores_menu_stays_beside_ours_once_it_may_be_replaced() {
        let dir = TestDir::new("shared");
        let files = menu_files(dir.path(), &Settings::new(Loader::Grub, "", &Mode::Ro));
        std::fs::create_dir_all(&files.dir).unwrap();
        let (ours, theirs) = (
            menu(STORE, "1"),
            menu("ffffffff-0000-1111-2222-333344445555", "1"),
        );
        std::fs::write(&files.live, &theirs).unwrap();
        put(&dir, &files, &ours, Others::Keep).unwrap_err();
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), theirs);
        assert!(!files.partner.exists());
        put(&dir, &files, &ours, Others::Replace).unwrap();
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), ours);
        assert_eq!(std::fs::read_to_string(&files.partner).unwrap(), theirs);
    }
}
