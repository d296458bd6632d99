//! The menu on the ESP: always a whole one, old or new.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use super::{MenuFiles, make_dir, write_new};
use crate::guard::Guard;
use crate::progress::point;

/// Makes `text` the live menu. Does nothing if it is already.
///
/// Both files are complete behind a barrier before they change places, and after it: at no moment of a power cut is
/// there anything but the old or the new menu. The partner keeps the old one.
pub(crate) fn install(esp: &Path, files: &MenuFiles, text: &str) -> Result<()> {
    make_dir(esp, &files.dir)?;
    let Ok(old) = std::fs::read(&files.live) else {
        // Nothing to exchange with: this is the first menu, and nothing boots before it anyway.
        write_new(&files.live, text.as_bytes())?;
        return Ok(sys::fs::fat_barrier(&files.dir)?);
    };
    if old == text.as_bytes() {
        return Ok(());
    }
    if !crate::menu::is_ours(&String::from_utf8_lossy(&old)) {
        return Guard::refused(format!(
            "{} was not written by rootctl and is left alone",
            files.live.display()
        ))
        .next("give it another name, then repeat the command")
        .err();
    }
    let partner = || format!("cannot write {}", files.partner.display());
    let file = File::create(&files.partner).with_context(partner)?;
    std::io::Write::write_all(&mut &file, text.as_bytes()).with_context(partner)?;
    file.sync_all().with_context(partner)?;
    point("E4");
    sys::fs::fat_barrier(&files.dir)?;
    point("E5");
    sys::fs::exchange(&files.partner, &files.live).with_context(|| {
        Guard::failed("the menu was not changed")
            .next("the kernel exchanges files on vfat from Linux 6.0 on; see `uname -r`")
    })?;
    point("E6");
    for path in [&files.live, &files.partner] {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.sync_all()
            .with_context(|| format!("cannot sync {}", path.display()))?;
    }
    sys::fs::fat_barrier(&files.dir)?;
    point("E7");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::menu_files;
    use crate::store::settings::{Loader, Settings};
    use crate::tree::testdir::TestDir;
    use rootspec::cmdline::Mode;

    const ONE: &str =
        "# The boot menu of rootctl, made from its state record; changes are overwritten.\n1\n";
    const TWO: &str =
        "# The boot menu of rootctl, made from its state record; changes are overwritten.\n2\n";

    #[test]
    fn the_old_menu_stays_beside_the_new_one() {
        let dir = TestDir::new("menu");
        let files = menu_files(dir.path(), &Settings::new(Loader::Grub, "", &Mode::Ro));
        install(dir.path(), &files, ONE).unwrap();
        install(dir.path(), &files, TWO).unwrap();
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), TWO);
        assert_eq!(std::fs::read_to_string(&files.partner).unwrap(), ONE);
    }

    #[test]
    fn somebody_elses_menu_is_left_alone() {
        let dir = TestDir::new("foreign");
        let files = menu_files(dir.path(), &Settings::new(Loader::Limine, "", &Mode::Ro));
        std::fs::create_dir_all(&files.dir).unwrap();
        std::fs::write(&files.live, "/Windows\n").unwrap();
        let error = install(dir.path(), &files, ONE).unwrap_err();
        assert!(
            error.to_string().contains("not written by rootctl"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&files.live).unwrap(), "/Windows\n");
        assert!(!files.partner.exists());
    }
}
