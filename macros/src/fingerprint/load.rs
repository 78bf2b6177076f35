//! The files of a crate, from its root along its `mod` declarations, read on as many threads as there are cores.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path as FilePath, PathBuf};
use std::{fs, io, thread};

use super::index::{CrateId, CrateSource, Index, ModuleId};
use super::source::{self, Content, Include, Kind, ModuleDeclaration, RawModule};

/// A parser recurses as deep as what it reads.
const STACK_BYTES: usize = 64 << 20;
/// Nobody declares as many modules in one invocation, and every word is asked for among the files.
const MANY_WORDS: usize = 64;
/// Fewer bytes than these are read at once where they are.
const WORTH_A_THREAD: u64 = 64 << 10;

/// A file that is to be read into a module.
struct Job {
    file: PathBuf,
    module: ModuleId,
    /// Where the files of its modules are.
    children: PathBuf,
    /// Whether the compiler must have it: a module under a `cfg` may lack its file.
    needed: bool,
}

enum Read {
    Module(RawModule),
    /// Its bytes are no code that is understood here.
    Opaque([u8; 32], String),
    Failed(io::Error),
}

/// Reads a crate.
pub(super) fn load(index: &mut Index, mut source: CrateSource) -> CrateId {
    source.root = canonical(source.root);
    source.base = canonical(source.base);
    let children = source.root.parent().map(FilePath::to_owned).unwrap_or_default();
    let file = source.root.clone();
    let krate = index.add_crate(source);
    let mut jobs = vec![Job { file, module: index.crates[krate].root, children, needed: true }];
    while !jobs.is_empty() {
        let read = read_all(&jobs);
        let mut next = Vec::new();
        for (job, read) in jobs.iter().zip(read) {
            take(index, krate, job, read, &mut next);
        }
        next.iter_mut().for_each(|job| job.file = canonical(std::mem::take(&mut job.file)));
        jobs = next;
    }
    krate
}

/// The one path of a file; as it is where there is none.
pub(super) fn canonical(path: PathBuf) -> PathBuf {
    fs::canonicalize(&path).unwrap_or(path)
}

fn take(index: &mut Index, krate: CrateId, job: &Job, read: Read, next: &mut Vec<Job>) {
    match read {
        Read::Module(raw) => Taker { index, file: &job.file, next }.module(raw, job.module, &job.children, false),
        Read::Opaque(digest, problem) => {
            let file = job.file.display();
            index.problems.push(format!("`{file}` is not understood ({problem}), and counts as a whole"));
            index.add_opaque(krate, &job.file, digest);
        }
        Read::Failed(_) if !job.needed => {}
        Read::Failed(error) => index.problems.push(format!("`{}` cannot be read: {error}", job.file.display())),
    }
}

/// Takes the content of one file in.
struct Taker<'i> {
    index: &'i mut Index,
    file: &'i FilePath,
    next: &'i mut Vec<Job>,
}

impl Taker<'_> {
    /// `nested`: within another module of the same file, where paths are told from elsewhere.
    fn module(&mut self, raw: RawModule, module: ModuleId, children: &FilePath, nested: bool) {
        let RawModule { items, uses, modules, includes, cfgs, test, rest } = raw;
        self.index.modules[module].conditional |= !cfgs.is_empty();
        self.index.modules[module].cfgs.extend(cfgs);
        self.index.modules[module].test |= test;
        let mut uncertain = Vec::new();
        for item in items.iter().filter(|item| item.kind == Kind::Invocation && item.words.len() <= MANY_WORDS) {
            let is_module = |word: &&String| {
                children.join(format!("{word}.rs")).is_file() || children.join(word).join("mod.rs").is_file()
            };
            uncertain.extend(item.words.iter().filter(is_module).cloned());
        }
        let mut bodies = Vec::new();
        for item in items {
            self.index.add_item(item, module, self.file, None, &mut bodies);
        }
        for (item, body) in bodies {
            let title = self.index.items[item].title.clone();
            let at = self.index.items[item].at;
            let inner = self.index.add_body(module, &title, at);
            self.index.items[item].body = Some(inner);
            self.module(body, inner, children, true);
        }
        self.index.modules[module].uses.extend(uses);
        for declared in modules {
            self.declared(declared, module, children, nested);
        }
        // `mods!(alpha, beta)` may declare them.
        for name in uncertain {
            if !self.index.modules[module].children.contains_key(&name) {
                self.declared(ModuleDeclaration::uncertain(name), module, children, nested);
            }
        }
        for include in includes {
            self.include(include, module);
        }
        if let Some(rest) = rest {
            let krate = self.index.modules[module].krate;
            self.index.add_opaque(krate, self.file, rest);
        }
    }

    fn declared(&mut self, declared: ModuleDeclaration, parent: ModuleId, children: &FilePath, nested: bool) {
        let ModuleDeclaration { name, test, paths, cfgs, conditions, content, at } = declared;
        let module = self.index.add_module(parent, &name, test, &cfgs, at);
        // Which of two modules of one name is there when is part of what is in them.
        self.index.modules[module].path.push_str(&conditions);
        // In a module of the same file a path counts from where its files would be.
        let base = if nested { children } else { self.file.parent().unwrap_or(children) };
        match content {
            Content::Inline(raw) => {
                let children = match paths.first() {
                    Some(path) => base.join(path),
                    None => children.join(&name),
                };
                self.module(raw, module, &children, true);
            }
            Content::File => {
                let needed = cfgs.is_empty();
                for path in &paths {
                    let file = base.join(path);
                    let children = file.parent().map(FilePath::to_owned).unwrap_or_default();
                    self.next.push(Job { file, module, children, needed });
                }
                // A path under a condition leaves the usual file for when it does not hold.
                if paths.is_empty() || !needed {
                    let below = children.join(&name);
                    let beside = children.join(format!("{name}.rs"));
                    let file = if beside.is_file() { beside } else { below.join("mod.rs") };
                    self.next.push(Job { file, module, children: below, needed });
                }
            }
        }
    }

    fn include(&mut self, include: Include, module: ModuleId) {
        let krate = self.index.modules[module].krate;
        let file = match &include {
            Include::Beside(path) => self.file.parent().map(|dir| dir.join(path)),
            Include::Generated(path) => self.index.crates[krate].source.out_dir.as_ref().map(|dir| dir.join(path)),
            Include::InPackage(path) => Some(self.index.crates[krate].source.base.join(path)),
            Include::Named(_) | Include::Unknown(_) => None,
        };
        if let Some(file) = file {
            // The modules of an included file are beside it.
            let children = file.parent().map(FilePath::to_owned).unwrap_or_default();
            self.next.push(Job { file, module, children, needed: true });
        }
    }
}

/// Reads files in the order given.
fn read_all(jobs: &[Job]) -> Vec<Read> {
    let sizes: Vec<u64> = jobs.iter().map(|job| fs::metadata(&job.file).map_or(0, |metadata| metadata.len())).collect();
    let total: u64 = sizes.iter().sum();
    let cores = thread::available_parallelism().map_or(1, usize::from).min(8);
    let threads = if total < WORTH_A_THREAD { 1 } else { cores };
    // Each takes a stretch of about as many bytes.
    let share = total / threads as u64 + 1;
    let mut stretches: Vec<&[Job]> = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, size) in sizes.iter().enumerate() {
        bytes += size;
        if bytes >= share {
            stretches.push(&jobs[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    stretches.push(&jobs[start..]);
    // Tokens of the compiler belong to the thread and the invocation at hand; these are our own.
    proc_macro2::fallback::force();
    let read = thread::scope(|scope| {
        let started: Vec<_> = stretches
            .iter()
            .map(|stretch| {
                let work = || stretch.iter().map(|job| read(&job.file)).collect::<Vec<_>>();
                thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work)
            })
            .collect();
        let mut all = Vec::with_capacity(jobs.len());
        for (stretch, thread) in stretches.iter().zip(started) {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(read)) => all.extend(read),
                // No thread to be had, or one that ended in a panic: neither is a reason to leave the files out.
                Ok(Err(_)) | Err(_) => all.extend(stretch.iter().map(|job| as_bytes(&job.file))),
            }
        }
        all
    });
    proc_macro2::fallback::unforce();
    read
}

fn read(file: &FilePath) -> Read {
    match fs::read_to_string(file) {
        Ok(text) => match source::read(&text) {
            Ok(mut module) => {
                module.add_included(file);
                Read::Module(module)
            }
            Err(problem) => Read::Opaque(*blake3::hash(text.as_bytes()).as_bytes(), problem),
        },
        Err(error) if error.kind() == io::ErrorKind::InvalidData => as_bytes(file),
        Err(error) => Read::Failed(error),
    }
}

fn as_bytes(file: &FilePath) -> Read {
    match fs::read(file) {
        Ok(bytes) => Read::Opaque(*blake3::hash(&bytes).as_bytes(), "it could not be parsed".to_owned()),
        Err(error) => Read::Failed(error),
    }
}

/// The digest of a build script, with the files of its modules.
pub(super) fn digest_of_script(script: &FilePath) -> [u8; 32] {
    let base = script.parent().map(FilePath::to_owned).unwrap_or_default();
    let source = CrateSource {
        name: String::new(),
        root: script.to_owned(),
        base: base.clone(),
        prefix: String::new(),
        out_dir: None,
        externs: HashMap::new(),
        asked: BTreeSet::new(),
        build_script: None,
        own_package: false,
    };
    let mut index = Index::default();
    load(&mut index, source);
    let mut files: Vec<PathBuf> = index.items.into_iter().map(|item| item.file).collect();
    files.push(canonical(script.to_owned()));
    files.sort_unstable();
    files.dedup();
    source::digest(&files.iter().map(|file| digest_of(file)).collect::<Vec<_>>().concat())
}

/// The digest of a file's tokens; of its bytes where it has none, of nothing where it cannot be read.
pub(super) fn digest_of(file: &FilePath) -> [u8; 32] {
    proc_macro2::fallback::force();
    let digest = match fs::read_to_string(file).map(|text| source::digest_of_text(&text)) {
        Ok(Some(digest)) => digest,
        Ok(None) | Err(_) => bytes_of(file),
    };
    proc_macro2::fallback::unforce();
    digest
}

/// The digest of a file's bytes; of nothing where it cannot be read.
pub(super) fn bytes_of(file: &FilePath) -> [u8; 32] {
    *blake3::hash(&fs::read(file).unwrap_or_default()).as_bytes()
}
