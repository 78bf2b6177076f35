//! The root of a package's workspace.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::below;
use super::source::{self, Source};

/// The directory of the root manifest: the package's own, or the one that it names, or the next one upwards with a
/// `[workspace]` that does not exclude it. None where the package stands alone.
pub(super) fn root(dir: &Path, manifest: &DeTable<'_>) -> Result<Option<PathBuf>, String> {
    if manifest.contains_key("workspace") {
        return Ok(Some(dir.to_owned()));
    }
    if let Some(package) = source::table(manifest, "package")?
        && let Some(named) = source::text(package, "workspace")?
    {
        return Ok(Some(below(dir, named)));
    }
    for above in dir.ancestors().skip(1) {
        if let Some(manifest) = Source::find(above.join("Cargo.toml"))?
            && let Some(workspace) =
                source::table(&manifest.parse()?, "workspace").map_err(|why| manifest.blame(why))?
            && takes_in(above, workspace, dir).map_err(|why| manifest.blame(why))?
        {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}

/// Whether the workspace in `above` does not exclude the package in `dir`. A member by name is one in spite of that.
fn takes_in(above: &Path, workspace: &DeTable<'_>, dir: &Path) -> Result<bool, String> {
    let lists = |key| -> Result<bool, String> {
        Ok(source::texts(workspace, key)?.iter().any(|path| dir.starts_with(below(above, path))))
    };
    Ok(!lists("exclude")? || lists("members")?)
}
