//! Directories that stand in for packages of a registry or of git, as the workspace that is built has it.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::source::{self, Source};
use super::{below, package};

/// Which directories stand in for which packages. Not for which versions: whoever asks counts both.
#[derive(Default)]
pub(super) struct Patches {
    /// The name of a package and the directory.
    all: BTreeSet<(String, PathBuf)>,
}

impl Patches {
    /// Those of a build from the workspace in `root`: `[patch]` and `[replace]` of its manifest, `[patch]` and `paths` of
    /// Cargo's configuration there and above. Of a directory in `paths` only the package in it is seen, none further down.
    pub(super) fn of(root: &Path) -> Result<Patches, String> {
        let mut patches = Patches::default();
        if let Some(source) = Source::find(root.join("Cargo.toml"))? {
            let manifest = source.parse()?;
            patches.add_manifest(root, &manifest).map_err(|why| source.blame(why))?;
        }
        let mut places: Vec<PathBuf> = root.ancestors().map(|dir| dir.join(".cargo")).collect();
        places.extend(env::var_os("CARGO_HOME").map(PathBuf::from).filter(|home| home.is_absolute()));
        for place in places {
            // The older name goes first, as in Cargo.
            for name in ["config", "config.toml"] {
                let Some(source) = Source::find(place.join(name))? else { continue };
                let config = source.parse()?;
                let dir = place.parent().unwrap_or(&place);
                patches.add_config(dir, &config).map_err(|why| source.blame(why))?;
                break;
            }
        }
        Ok(patches)
    }

    /// The directories that stand in for the package of that name.
    pub(super) fn of_package(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.all.iter().filter(move |(patched, _)| patched == name).map(|(_, dir)| dir.as_path())
    }

    fn add_manifest(&mut self, dir: &Path, manifest: &DeTable<'_>) -> Result<(), String> {
        self.add_patch(dir, manifest)?;
        if let Some(replaced) = source::table(manifest, "replace")? {
            // `name:version`, `name@version` or `url#name:version`.
            self.add_table(dir, replaced, |spec| {
                let spec = spec.rsplit_once('#').map_or(spec, |(_, spec)| spec);
                spec.split_once([':', '@']).map_or(spec, |(name, _)| name)
            })?;
        }
        Ok(())
    }

    fn add_config(&mut self, dir: &Path, config: &DeTable<'_>) -> Result<(), String> {
        self.add_patch(dir, config)?;
        for path in source::texts(config, "paths")? {
            let dir = below(dir, path);
            if let Some(name) = package::name_at(&dir)? {
                self.all.insert((name, dir));
            }
        }
        Ok(())
    }

    /// `[patch.SOURCE]`, whatever the source.
    fn add_patch(&mut self, dir: &Path, file: &DeTable<'_>) -> Result<(), String> {
        let Some(sources) = source::table(file, "patch")? else { return Ok(()) };
        for (name, _) in sources {
            if let Some(patched) = source::table(sources, name.get_ref())? {
                self.add_table(dir, patched, |key| key)?;
            }
        }
        Ok(())
    }

    /// Those of the table that are at a path.
    fn add_table(&mut self, dir: &Path, table: &DeTable<'_>, name: fn(&str) -> &str) -> Result<(), String> {
        for (key, value) in table {
            let Some(entry) = value.get_ref().as_table() else { continue };
            if let Some(path) = source::text(entry, "path")? {
                let package = source::text(entry, "package")?.unwrap_or_else(|| name(key.get_ref()));
                self.all.insert((package.to_owned(), below(dir, path)));
            }
        }
        Ok(())
    }
}
