//! What the attributes cost when a program is compiled: 200 annotated functions in 50,000 lines.
//!
//! `cargo bench --bench expansion`. The package is made up, and checked by cargo with the macros built as for development
//! (without optimisation). Each attribute's time is written down by the macros themselves (`LARDER_EXPANSION_TIMES`); beside
//! it stands the same package without attributes, as a whole.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

const MODULES: usize = 50;
const UNITS: usize = 20;
const ANNOTATED: usize = 4;
const ROUNDS: usize = 5;

fn main() {
    // Cargo runs benches in tests as well; there nothing is measured.
    if !env::args().any(|arg| arg == "--bench") {
        return;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("expansion");
    let (with, without) = (dir.join("with"), dir.join("without"));
    let lines = write_package(&with, true);
    write_package(&without, false);
    // What both depend on is built before anything is measured.
    check(&with, &dir, None);
    check(&without, &dir, None);
    println!("{lines} lines, {} annotated functions, {ROUNDS} rounds", MODULES * ANNOTATED);
    let times = dir.join("times");
    let (mut totals, mut firsts, mut wholes, mut plains) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fs::remove_file(&times).ok();
        wholes.push(check(&with, &dir, Some(&times)));
        plains.push(check(&without, &dir, None));
        let text = fs::read_to_string(&times).expect("the macros wrote their times");
        let nanos: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
        assert_eq!(nanos.len(), MODULES * ANNOTATED, "each attribute has its line");
        totals.push(Duration::from_nanos(nanos.iter().sum()));
        firsts.push(Duration::from_nanos(nanos[0]));
    }
    say("all attributes", &mut totals);
    say("  of these the first, which reads the sources", &mut firsts);
    say("cargo check with attributes", &mut wholes);
    say("cargo check without", &mut plains);
}

fn say(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("{what}: {least:.2?} (median {median:.2?}, most {most:.2?})");
}

/// How long cargo takes for the package alone.
fn check(package: &Path, dir: &Path, times: Option<&Path>) -> Duration {
    let root = package.join("src/lib.rs");
    let text = fs::read(&root).expect("the package is there");
    fs::write(&root, text).expect("its root is newer than what was built of it");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["check", "--offline", "--quiet", "--manifest-path"]).arg(package.join("Cargo.toml"));
    command.env("CARGO_TARGET_DIR", dir.join("target")).env("CARGO_INCREMENTAL", "0");
    match times {
        Some(times) => command.env("LARDER_EXPANSION_TIMES", times),
        None => command.env_remove("LARDER_EXPANSION_TIMES"),
    };
    let start = Instant::now();
    let status = command.status().expect("cargo starts");
    assert!(status.success(), "the package is sound");
    start.elapsed()
}

/// Writes the package, and says how many lines it has.
fn write_package(dir: &Path, annotated: bool) -> usize {
    let larder = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(dir.join("src")).expect("a directory");
    let manifest = format!(
        "[package]\nname = \"expansion-{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         larder = {{ path = {:?} }}\n",
        if annotated { "with" } else { "without" },
        larder
    );
    fs::write(dir.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(larder.join("Cargo.lock"), dir.join("Cargo.lock")).expect("the versions that are there");
    let mut lines = 0;
    let mut root = String::from("#![allow(dead_code)]\n");
    for module in 0..MODULES {
        root.push_str(&format!("pub mod m{module};\n"));
        let text = module_text(module, annotated);
        lines += text.lines().count();
        fs::write(dir.join(format!("src/m{module}.rs")), text).expect("a module");
    }
    fs::write(dir.join("src/lib.rs"), root).expect("a root");
    lines
}

/// Types with methods, and functions that call each other in this module and others.
fn module_text(module: usize, annotated: bool) -> String {
    let (other, further) = ((module * 7 + 3) % MODULES, (module * 11 + 5) % MODULES);
    let mut text = format!("use crate::m{other};\n");
    for unit in 0..UNITS {
        let beside =
            if unit < 8 { format!(" + m{other}::helper{}(value)", (unit * 3 + 1) % UNITS) } else { String::new() };
        let below = match unit < 12 && module.is_multiple_of(3) {
            true => format!(" + crate::m{further}::helper{}(x)", unit + 1),
            false => String::new(),
        };
        text.push_str(
            &UNIT.replace("@", &unit.to_string()).replace("/*beside*/", &beside).replace("/*below*/", &below),
        );
        if unit < ANNOTATED {
            if annotated {
                text.push_str("\n#[larder::cached]");
            }
            text.push_str(&ENTRY.replace("@", &unit.to_string()));
        }
    }
    text
}

const UNIT: &str = "
/// A sample of kind @.
#[derive(Clone, Debug)]
pub struct Sample@ {
    pub rows: Vec<f64>,
    pub weight: f64,
    pub count: usize,
}

impl Sample@ {
    pub fn new(rows: Vec<f64>, weight: f64) -> Sample@ {
        let count = rows.len();
        Sample@ { rows, weight, count }
    }

    pub fn mean(&self) -> f64 {
        let sum: f64 = self.rows.iter().sum();
        if self.count == 0 {
            return 0.0;
        }
        sum / self.count as f64 * self.weight
    }

    pub fn spread(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.rows.iter().map(|row| (row - mean) * (row - mean)).sum();
        (squares / self.count.max(1) as f64).sqrt()
    }
}

const FACTOR@: f64 = @.5;

fn scale@(x: f64) -> f64 {
    let mut value = x * FACTOR@;
    for step in 0..4 {
        value += f64::from(step) / 3.0;
    }
    value/*beside*/
}

pub fn helper@(x: f64) -> f64 {
    match x {
        x if x < 0.0 => -x,
        x if x > 1e9 => 1e9,
        x => x.sqrt()/*below*/,
    }
}
";

const ENTRY: &str = "
pub fn score@(rows: Vec<f64>, weight: f64) -> f64 {
    let sample = Sample@::new(rows, weight);
    scale@(sample.mean()) + sample.spread() + helper@(weight)
}
";
