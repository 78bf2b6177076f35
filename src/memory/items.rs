//! What a function's code is made of, item by item, as text; and what of it changed from one code to another.
//!
//! A line for each item: its digest in 16 hexadecimal digits, its kind and name, its place, with tabs between them. The
//! attributes write such lines of what they see; where they see none, a function is one item.

use std::collections::BTreeMap;
use std::fmt;

use crate::digest::Purpose;
use crate::key::hex;
use crate::task::Dependency;
use crate::task::code::TOOLCHAIN;

/// An item that differs between two codes of a function.
///
/// An item goes by name and place, and counts as changed where its own words did: one that only calls a changed one is
/// another matter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemChange {
    /// What became of it.
    pub kind: ItemChangeKind,
    /// Its kind and name, as `fn normalise`; a question to the build, as `cfg(unix)` or `env PROFILE`; `toolchain`.
    pub name: String,
    /// Where it is: a file as `src/stats.rs`, a package, a module; `the build of ..` for what is asked of that.
    pub place: String,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ItemChangeKind {
    /// Both codes have it, with other words.
    Changed,
    /// The newer code has it.
    Added,
    /// The older code has it.
    Removed,
}

/// `` `fn normalise` in src/stats.rs ``.
impl fmt::Display for ItemChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.name)?;
        if !self.place.is_empty() {
            write!(f, " in {}", self.place)?;
        }
        f.write_str(match self.kind {
            ItemChangeKind::Changed => "",
            ItemChangeKind::Added => " is new",
            ItemChangeKind::Removed => " is gone",
        })
    }
}

/// The first of these changes, and how many more there are; empty where there are none.
pub(super) fn first_of(changes: &[ItemChange]) -> String {
    match changes {
        [] => String::new(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// The items of a code, and of all it depends on.
pub(super) fn list_of(code: &Dependency) -> String {
    let mut lines = Vec::new();
    put_lines(code, &mut lines);
    lines.sort_unstable();
    lines.dedup();
    lines.concat()
}

fn put_lines(code: &Dependency, lines: &mut Vec<String>) {
    let (module, name) = code.name.rsplit_once("::").unwrap_or(("", code.name));
    if code.items.is_empty() {
        lines.push(line(hex(&code.fingerprint[..8]), &format!("fn {name}"), module));
    } else {
        lines.extend(code.items.lines().map(|line| format!("{line}\n")));
    }
    // A feature of one package may be off in another.
    let build = format!("the build of {}", code.name.split("::").next().unwrap_or_default());
    let mut answer = |question: &str, value: Option<&str>| {
        let digest = Purpose::CodeItem.digest_of(&[&[u8::from(value.is_some())][..], value.unwrap_or("").as_bytes()]);
        lines.push(line(hex(&digest[..8]), question, &build));
    };
    for setting in code.settings {
        answer(setting.name, setting.value);
    }
    if code.toolchain {
        answer("toolchain", Some(TOOLCHAIN));
    }
    for other in code.depends {
        put_lines(other, lines);
        // Its own version is in the key by itself; that of another is part of the code.
        if other.version != 0 {
            let (module, name) = other.name.rsplit_once("::").unwrap_or(("", other.name));
            let digest = Purpose::CodeItem.digest(&other.version.to_le_bytes());
            lines.push(line(hex(&digest[..8]), &format!("version of {name}"), module));
        }
    }
}

fn line(digest: String, name: &str, place: &str) -> String {
    let plain = |text: &str| text.replace(char::is_control, " ");
    format!("{digest}\t{}\t{}\n", plain(name), plain(place))
}

/// Names and places with the digests of all items that go by them.
fn by_name(list: &str) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in list.lines() {
        // What does not read is no item: it is a text for people.
        if let [digest, name, place] = line.split('\t').collect::<Vec<_>>()[..] {
            items.entry((name, place)).or_default().push(digest);
        }
    }
    // In one file, several may go by one name: methods of several types.
    items.values_mut().for_each(|digests| digests.sort_unstable());
    items
}

/// What became of the items of the old list in the new one: first what changed, then what is new, then what is gone.
pub(super) fn changes(old: &str, new: &str) -> Vec<ItemChange> {
    let (old, new) = (by_name(old), by_name(new));
    let change =
        |kind, (name, place): &(&str, &str)| ItemChange { kind, name: (*name).to_owned(), place: (*place).to_owned() };
    let stayed = new.iter().filter(|(item, digests)| old.get(*item).is_some_and(|old| old != *digests));
    let came = new.keys().filter(|item| !old.contains_key(*item));
    let went = old.keys().filter(|item| !new.contains_key(*item));
    let stayed = stayed.map(|(item, _)| change(ItemChangeKind::Changed, item));
    let came = came.map(|item| change(ItemChangeKind::Added, item));
    stayed.chain(came).chain(went.map(|item| change(ItemChangeKind::Removed, item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Setting;

    const BARE: Dependency = Dependency {
        name: "app::stats::mean",
        fingerprint: [0xab; 32],
        version: 3,
        depends: &[],
        items: "",
        settings: &[],
        inputs: &[],
        toolchain: false,
    };

    fn said(old: &str, new: &str) -> Vec<String> {
        changes(old, new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn items_are_told_apart_by_name_and_place() {
        let old = "1\tfn mean\tsrc/stats.rs\n2\tfn norm\tsrc/stats.rs\n3\tfn new\tsrc/a.rs\n4\tfn new\tsrc/a.rs\n5\tconst N\tsrc/a.rs";
        for (new, expected) in [
            (old, &[][..]),
            // In another order: nothing moved that matters.
            (
                "5\tconst N\tsrc/a.rs\n4\tfn new\tsrc/a.rs\n3\tfn new\tsrc/a.rs\n2\tfn norm\tsrc/stats.rs\n1\tfn mean\tsrc/stats.rs",
                &[],
            ),
            (
                "9\tfn mean\tsrc/stats.rs\n2\tfn norm\tsrc/other.rs\n3\tfn new\tsrc/a.rs\n3\tfn new\tsrc/a.rs\nno item",
                &[
                    "`fn mean` in src/stats.rs",
                    "`fn new` in src/a.rs",
                    "`fn norm` in src/other.rs is new",
                    "`const N` in src/a.rs is gone",
                    "`fn norm` in src/stats.rs is gone",
                ],
            ),
        ] {
            assert_eq!(said(old, new), expected, "{new}");
        }
        assert_eq!(first_of(&[]), "");
        assert_eq!(first_of(&changes("1\tfn f\t", "2\tfn f\t")), "`fn f`");
        assert_eq!(
            first_of(&changes("1\tfn f\ta\n1\tfn g\ta", "2\tfn f\ta\n2\tfn g\ta\n")),
            "`fn f` in a (and 1 more)"
        );
    }

    /// What differs between two codes, and what is said of it.
    #[test]
    fn each_part_of_a_code_is_named() {
        const HELPER: Dependency = Dependency { name: "app::helper", fingerprint: [1; 32], version: 0, ..BARE };
        const ITEMS: Dependency = Dependency { items: "0000000000000001\tfn mean\tsrc/stats.rs", ..BARE };
        let rows: [(&str, Dependency, Dependency, &[&str]); 8] = [
            ("nothing", BARE, BARE, &[]),
            ("its own version", BARE, Dependency { version: 4, ..BARE }, &[]),
            ("its own words", BARE, Dependency { fingerprint: [1; 32], ..BARE }, &["`fn mean` in app::stats"]),
            (
                "an item",
                ITEMS,
                Dependency { items: "0000000000000002\tfn mean\tsrc/stats.rs", fingerprint: [1; 32], ..BARE },
                &["`fn mean` in src/stats.rs"],
            ),
            (
                "a cfg",
                Dependency { settings: &[Setting { name: "cfg(feature = \"fast\")", value: None }], ..BARE },
                Dependency { settings: &[Setting { name: "cfg(feature = \"fast\")", value: Some("set") }], ..BARE },
                &["`cfg(feature = \"fast\")` in the build of app"],
            ),
            (
                "a variable that was empty and is not set",
                Dependency { settings: &[Setting { name: "env P", value: Some("") }], ..BARE },
                Dependency { settings: &[Setting { name: "env P", value: None }], ..BARE },
                &["`env P` in the build of app"],
            ),
            (
                "the toolchain enters",
                BARE,
                Dependency { toolchain: true, ..BARE },
                &["`toolchain` in the build of app is new"],
            ),
            (
                "a function that it depends on, and the version of that",
                Dependency { depends: &[HELPER], ..BARE },
                Dependency { depends: &[Dependency { fingerprint: [2; 32], version: 1, ..HELPER }], ..BARE },
                &["`fn helper` in app", "`version of helper` in app is new"],
            ),
        ];
        for (what, old, new, expected) in rows {
            assert_eq!(said(&list_of(&old), &list_of(&new)), expected, "{what}");
        }
        let twice = Dependency { depends: &[HELPER, HELPER], ..BARE };
        assert_eq!(list_of(&twice).lines().count(), 2);
    }
}
