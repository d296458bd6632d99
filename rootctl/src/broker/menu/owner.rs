//! Whose menu a text is. Several stores may share an ESP, but a loader reads one menu: it belongs to the store that its
//! first line names, and no other store replaces it unasked.

use crate::guard::Guard;

/// Start of the first line of every menu we write: how our own kind of file is told from somebody else's.
const MARK: &str =
    "# The boot menu of rootctl, made from its state record; changes are overwritten.";
/// In the same line, before the UUID of the file system that holds the store. Versions that know the mark alone still
/// take such a menu for one of theirs, so going back to one of them finds a menu it can write.
const STORE: &str = " Store ";
/// What names the store in the kernel command lines of menus that were written before the mark did.
const ROOT: &str = "root=UUID=";

/// For which store a menu is written, and whether another store's menu may make room for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// UUID of the file system that holds the store.
    pub(crate) uuid: String,
    /// What to do with another store's menu.
    pub(crate) others: Others,
}

/// What to do with another store's menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Leave it alone: that store may be in use.
    Keep,
    /// A person said that it is not wanted any more.
    Replace,
}

/// Whose a menu is.
#[derive(Debug, PartialEq, Eq)]
enum Owner<'a> {
    /// Nobody's: it is empty, or was cut before it named anything.
    Nobody,
    /// Of the store on this file system.
    Store(&'a str),
    /// Not written by us.
    Stranger,
}

/// The first line of a menu of the store on `uuid`.
pub(crate) fn first_line(uuid: &str) -> String {
    format!("{MARK}{STORE}{uuid}\n")
}

fn owner(text: &str) -> Owner<'_> {
    if text.trim().is_empty() {
        return Owner::Nobody;
    }
    let Some(rest) = text.strip_prefix(MARK) else {
        return Owner::Stranger;
    };
    let line = rest.lines().next().unwrap_or_default();
    let marked = line.strip_prefix(STORE).map(str::trim);
    let mut words = rest.split_ascii_whitespace();
    let booted = words.find_map(|word| word.strip_prefix(ROOT));
    match marked.filter(|uuid| is_whole(uuid)).or(booted) {
        Some(uuid) => Owner::Store(uuid),
        None => Owner::Nobody,
    }
}

/// A UUID as it is written, not one that was cut.
fn is_whole(uuid: &str) -> bool {
    uuid.len() == 36 && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

impl Claim {
    /// May a menu of this store take the place of `live`? Says whether it takes it from another store.
    ///
    /// # Errors
    /// `live` belongs to somebody else.
    pub(crate) fn on(&self, live: &str, place: &str) -> anyhow::Result<Taking> {
        match (owner(live), self.others) {
            (Owner::Nobody, _) => Ok(Taking::Own),
            (Owner::Store(uuid), _) if uuid == self.uuid => Ok(Taking::Own),
            (Owner::Store(uuid), Others::Replace) => Ok(Taking::From(uuid.to_owned())),
            (Owner::Store(uuid), Others::Keep) => Guard::refused(format!(
                "the boot menu {place} on the ESP belongs to the store {uuid}, not to this one, {}; it was left alone",
                self.uuid
            ))
            .next(
                "if that store shall not boot from this ESP any more, add --replace-menu to store init, deploy or rollback",
            )
            .err(),
            (Owner::Stranger, _) => Guard::refused(format!(
                "the boot menu {place} on the ESP was not written by rootctl and is left alone"
            ))
            .next("give it another name, then repeat the command")
            .err(),
        }
    }
}

/// Where the place of a new menu comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taking {
    /// It is our own.
    Own,
    /// The store with this UUID had it.
    From(String),
}

#[cfg(test)]
mod tests {
    use super::super::tests::full;
    use super::*;
    use crate::store::settings::Loader;

    const OURS: &str = "0a1b2c3d-0000-1111-2222-333344445555";
    const THEIRS: &str = "ffffffff-0000-1111-2222-333344445555";

    fn claim(uuid: &str, others: Others) -> Claim {
        Claim {
            uuid: uuid.into(),
            others,
        }
    }

    #[test]
    fn a_menu_belongs_to_the_store_in_its_first_line() {
        for loader in [Loader::Grub, Loader::Limine] {
            let text = full(loader).render();
            assert_eq!(owner(&text), Owner::Store(OURS));
            let ours = claim(OURS, Others::Keep);
            assert_eq!(ours.on(&text, "x").unwrap(), Taking::Own);
            let error = claim(THEIRS, Others::Keep)
                .on(&text, "grub.cfg")
                .unwrap_err();
            for words in ["grub.cfg", OURS, THEIRS] {
                assert!(error.to_string().contains(words), "{error} lacks {words}");
            }
            let (_, problem) = crate::guard::reply(&error);
            assert!(problem.next.unwrap().contains("--replace-menu"));
            let asked = claim(THEIRS, Others::Replace);
            assert_eq!(asked.on(&text, "x").unwrap(), Taking::From(OURS.into()));
        }
    }

    #[test]
    fn a_menu_from_before_the_first_line_named_a_store_belongs_to_the_one_it_boots() {
        for loader in [Loader::Grub, Loader::Limine] {
            let text = full(loader).render();
            let old = text.replacen(&format!("{STORE}{OURS}"), "", 1);
            assert!(old.starts_with(&format!("{MARK}\n")));
            assert_eq!(owner(&old), Owner::Store(OURS));
        }
    }

    #[test]
    fn a_menu_that_names_nothing_is_nobodys_and_one_without_the_mark_somebodys() {
        let cut = format!("{MARK}{STORE}0a1b2c");
        for text in ["", "\n", MARK, &cut] {
            assert_eq!(owner(text), Owner::Nobody, "{text:?}");
        }
        let first = first_line(OURS);
        assert_eq!(owner(first.trim_end()), Owner::Store(OURS));
        let foreign = "timeout: 5\n/Windows\n";
        assert_eq!(owner(foreign), Owner::Stranger);
        for others in [Others::Keep, Others::Replace] {
            let error = claim(OURS, others).on(foreign, "x").unwrap_err();
            assert!(
                error.to_string().contains("not written by rootctl"),
                "{error}"
            );
        }
    }
}
