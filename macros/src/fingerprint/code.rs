//! From what a function reaches to its digest, the list of it, and what is left for the compiler to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use proc_macro2::TokenStream;
use syn::Type;
use syn::ext::IdentExt;

use super::closure::{Closure, Walk};
use super::index::{CrateId, Index, ItemId};
use super::names::{self, Names};
use super::root::{PLAIN_BOUNDS, Place, Root};
use super::source::{Include, digest};
use super::sources::{self, Sources};
use super::{CONTEXT, Code, Setting, load, predicate};
use crate::options::{Input, Options};
use crate::types;

/// Variables that say where something is built: no two machines agree on them, and no result depends on them.
const PLACES: [&str; 6] = [
    "OUT_DIR",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_TARGET_TMPDIR",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
];

/// The code of a function, with all that it reaches.
pub(super) fn of(sources: &Sources, root: &Root, options: &Options) -> Code {
    let index = &sources.index;
    let place = root.place(index);
    let names = sources.names(place.test);
    let mut walk = Walk::new(index, names, place.own.clone());
    let mut edges = Vec::new();
    let mut mentions = root.mentions.clone();
    if let Some(file) = root.file(&place, index) {
        mentions.add_included(&file);
    }
    for module in &place.modules {
        let at = place.own.first().map(|own| index.items[*own].at);
        let resolved =
            names.of_code(index, &mentions, names::Place { module: *module, at, loose: false }, "", &root.own);
        edges.push(resolved.digest);
        walk.mentioned(&resolved);
    }
    place.around.iter().for_each(|item| walk.reach(*item));
    for item in open_items(index, root, &place) {
        walk.named(item);
    }
    let mut depends = Vec::new();
    for ty in &options.depends {
        if !declared(&mut walk, index, names, &place, ty) {
            depends.push(ty.clone());
        }
    }
    let mut closure = walk.finish();
    if options.ignores_dependencies {
        closure.locked.clear();
    }
    let seen = Seen::new(sources, root, &place, &closure);
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&root.own);
    edges.sort_unstable();
    edges.iter().for_each(|edge| _ = hasher.update(edge));
    hasher.update(&(closure.items.len() as u64).to_le_bytes());
    for item in &closure.items {
        hasher.update(&names.of_item(index, *item).digest);
    }
    for (name, (digest, place)) in seen.extra.iter() {
        for text in [name, place] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(digest);
    }
    let note = (!index.problems.is_empty()).then(|| index.problems.join("; ")).filter(|_| sources::is_first_note());
    let items = seen.list(index, root, &closure);
    let mut inputs = Vec::new();
    let mut toolchain = false;
    for declared in closure.items.iter().map(|item| &index.items[*item].declared) {
        let new = |input: &&Input| !inputs.contains(*input) && !options.inputs.contains(input);
        let new: Vec<Input> = declared.inputs.iter().filter(new).cloned().collect();
        inputs.extend(new);
        toolchain |= declared.toolchain;
    }
    Code { digest: *hasher.finalize().as_bytes(), items, settings: seen.settings, depends, inputs, toolchain, note }
}

/// Takes in what `depends(..)` names, if that can be seen here and has no attribute: what has one speaks for itself.
fn declared(walk: &mut Walk<'_>, index: &Index, names: &Names, place: &Place, ty: &Type) -> bool {
    let Type::Path(path) = types::bare(ty) else { return false };
    let path: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
    let mut seen = false;
    for module in &place.modules {
        let (items, members) = names.meaning(index, &path, *module);
        if items.is_empty() || items.iter().any(|item| index.items[*item].annotated.is_some()) {
            return false;
        }
        seen = true;
        items.iter().for_each(|item| walk.named(*item));
        members.iter().for_each(|member| walk.member(member));
    }
    seen
}

/// The code of a function of which nothing else can be seen: its own, and the version of its package.
pub(super) fn alone(own: [u8; 32], why: &str, options: &Options) -> Code {
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&own);
    hasher.update(version.as_bytes());
    let note = || format!("only the function's own code and its package's version count, since {why}");
    let note = sources::is_first_note().then(note);
    Code { digest: *hasher.finalize().as_bytes(), depends: options.depends.clone(), note, ..Code::default() }
}

/// Whose types a generic function will be given is not known: all that have the traits of its bounds.
fn open_items(index: &Index, root: &Root, place: &Place) -> Vec<ItemId> {
    let around = place.around.iter().filter_map(|around| index.items[*around].head.as_ref());
    let bounds = around.flat_map(|head| &head.bounds).filter(|bound| !PLAIN_BOUNDS.contains(&&***bound));
    let bounds: BTreeSet<&String> = root.bounds.iter().chain(bounds).collect();
    if bounds.is_empty() {
        return Vec::new();
    }
    let test = place.test;
    let is_bound = |name: &String| bounds.contains(name);
    let fits = |id: &ItemId| {
        let item = &index.items[*id];
        let implements = item.head.iter().flat_map(|head| &head.of_trait).filter_map(|path| path.last()).any(is_bound);
        let derives = item.kind.is_type() && item.mentions.macros.iter().filter_map(|path| path.last()).any(is_bound);
        (test || !item.test) && (implements || derives)
    };
    (0..index.items.len()).filter(fits).collect()
}

/// What counts beside items.
struct Seen<'s> {
    sources: &'s Sources,
    /// By name: a digest, and where it is.
    extra: BTreeMap<String, ([u8; 32], String)>,
    settings: Vec<Setting>,
}

impl<'s> Seen<'s> {
    fn new(sources: &'s Sources, root: &Root, place: &Place, closure: &Closure) -> Seen<'s> {
        let mut seen = Seen { sources, extra: BTreeMap::new(), settings: Vec::new() };
        let index = &sources.index;
        let mut asks: BTreeSet<CrateId> = BTreeSet::new();
        let mut featured: BTreeSet<CrateId> = BTreeSet::new();
        let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
        let root_file = root.file(place, index);
        let root_crate = place.modules.first().map_or(0, |module| index.modules[*module].krate);
        let items = closure.items.iter().map(|id| {
            let item = &index.items[*id];
            (index.modules[item.module].krate, &item.mentions, Some(item.file.clone()))
        });
        let mut crates: BTreeSet<CrateId> = BTreeSet::from([root_crate]);
        for (krate, mentions, file) in items.chain([(root_crate, &root.mentions, root_file)]) {
            crates.insert(krate);
            let own = index.crates[krate].source.own_package;
            for cfg in &mentions.cfgs {
                asks.insert(krate);
                // Which features another package has is not known here; which ones it is asked for, is.
                if !own && cfg.contains("feature") {
                    featured.insert(krate);
                }
                seen.cfg(cfg, own, &mut settings);
            }
            for env in &mentions.envs {
                asks.insert(krate);
                // Of another package, what Cargo sets is not known here.
                if !PLACES.contains(&&**env) && (own || !env.starts_with("CARGO_")) {
                    settings.insert(format!("env {env}"), Setting::Env(env.clone()));
                } else if env.starts_with("CARGO_PKG_") {
                    seen.manifest(krate);
                }
            }
            for include in &mentions.files {
                if !matches!(include, Include::Named(_)) {
                    asks.insert(krate);
                }
                seen.file(include, krate, file.as_ref());
            }
        }
        for id in &closure.items {
            let module = &index.modules[index.items[*id].module];
            if !index.crates[module.krate].source.own_package && module.cfgs.iter().any(|cfg| cfg.contains("feature")) {
                featured.insert(module.krate);
            }
        }
        for cfg in &closure.cfgs {
            seen.cfg(cfg, true, &mut settings);
        }
        for krate in crates {
            let known = &index.crates[krate];
            for (file, digest) in &known.opaque {
                seen.extra.insert(format!("file {file}"), (*digest, file.clone()));
            }
            if featured.contains(&krate) {
                let asked: Vec<&str> = known.source.asked.iter().map(String::as_str).collect();
                let place = format!("{}Cargo.toml", known.source.prefix);
                seen.extra
                    .insert(format!("features of {}", known.source.name), (digest(asked.join(",").as_bytes()), place));
            }
            // Its build script says what is generated, which conditions hold and which variables are set.
            if let Some(script) = &known.source.build_script
                && (asks.contains(&krate) || !known.source.own_package)
            {
                let place = format!("{}{}", known.source.prefix, last_part(script));
                seen.extra.insert(format!("build script {place}"), (sources.script(script), place));
            }
        }
        for id in &closure.locked {
            for line in sources.locked(*id).iter() {
                let name = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                let known = seen.extra.entry(format!("package {name}")).or_insert(([0; 32], "Cargo.lock".to_owned()));
                known.0 = digest(&[&known.0[..], line.as_bytes()].concat());
            }
        }
        seen.settings = settings.into_values().collect();
        seen
    }

    fn cfg(&mut self, text: &str, own: bool, settings: &mut BTreeMap<String, Setting>) {
        let Ok(tokens) = text.parse::<TokenStream>() else { return };
        // Which features another package has is not known here.
        if predicate::is_sound(tokens.clone()) && (own || !text.contains("feature")) {
            settings.insert(format!("cfg({text})"), Setting::Cfg(tokens));
        }
    }

    fn manifest(&mut self, krate: CrateId) {
        let source = &self.sources.index.crates[krate].source;
        let file = source.base.join("Cargo.toml");
        let place = format!("{}Cargo.toml", source.prefix);
        self.extra.insert(format!("file {place}"), (load::bytes_of(&file), place));
    }

    fn file(&mut self, include: &Include, krate: CrateId, beside: Option<&PathBuf>) {
        let source = &self.sources.index.crates[krate].source;
        let file = match include {
            Include::Beside(path) => beside.and_then(|file| file.parent()).map(|dir| dir.join(path)),
            Include::InPackage(path) => Some(source.base.join(path)),
            Include::Generated(path) => source.out_dir.as_ref().map(|dir| dir.join(path)),
            Include::Named(path) => {
                // Where the macros look that are known to read files: askama and its like have a directory for them.
                let dirs = [source.base.clone(), source.base.join("src"), source.base.join("templates")];
                let beside = beside.and_then(|file| file.parent()).map(PathBuf::from);
                let path = path.trim_start_matches("$CARGO_MANIFEST_DIR/");
                beside.into_iter().chain(dirs).map(|dir| dir.join(path)).find(|file| file.is_file())
            }
            Include::Unknown(_) => None,
        };
        let Some(file) = file.map(load::canonical) else { return };
        let place = format!("{}{}", source.prefix, file.strip_prefix(&source.base).unwrap_or(&file).to_string_lossy());
        let name = match include {
            Include::Generated(path) => format!("file OUT_DIR/{path}"),
            _ => format!("file {place}"),
        };
        let place = if matches!(include, Include::Generated(_)) { "OUT_DIR".to_owned() } else { place };
        self.extra.insert(name, (load::bytes_of(&file), place));
    }

    /// A line for each thing that counts.
    fn list(&self, index: &Index, root: &Root, closure: &Closure) -> String {
        let mut lines: BTreeMap<(&str, &str), Vec<[u8; 32]>> = BTreeMap::new();
        for id in &closure.items {
            let item = &index.items[*id];
            lines.entry((&item.title, &item.place)).or_default().push(item.digest);
        }
        for (name, (digest, place)) in &self.extra {
            lines.entry((name, place)).or_default().push(*digest);
        }
        let mut text = String::new();
        let title = format!("fn {}", root.name);
        let own_crate = &index.crates[0].source;
        let file = root.file.as_deref().unwrap_or(&own_crate.root);
        let file = file.strip_prefix(&own_crate.base).unwrap_or(file).to_string_lossy().replace('\\', "/");
        line(&mut text, &root.own, &title, &file);
        for ((name, place), digests) in lines {
            let digest = match &digests[..] {
                [only] => *only,
                several => digest(&several.concat()),
            };
            line(&mut text, &digest, name, place);
        }
        text
    }
}

fn line(text: &mut String, digest: &[u8; 32], name: &str, place: &str) {
    for byte in &digest[..8] {
        _ = write!(text, "{byte:02x}");
    }
    _ = writeln!(text, "\t{}\t{}", name.replace(['\t', '\n'], " "), place.replace(['\t', '\n'], " "));
}

fn last_part(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
