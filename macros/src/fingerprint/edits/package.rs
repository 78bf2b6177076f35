//! A package of many files, with all that the language has to put code elsewhere.

/// Its files: `//- path` begins another than `src/lib.rs`. The function whose fingerprint is asked for is `analyse`.
pub(super) const PACKAGE: &str = r##"//! A sample.
#[macro_use]
mod macros;
#[cfg_attr(windows, path = "system_windows.rs")]
mod system;
#[path = "odd/place.rs"]
mod placed;
mod errors;
mod geometry;
mod io;
mod model;
mod prelude;
mod stats;
mod unrelated;
mod generated {
    include!("generated.in");
}
mod inline {
    pub fn offset() -> f64 {
        deep::OFFSET
    }
    mod deep {
        pub const OFFSET: f64 = 0.25;
        pub const UNUSED: f64 = 0.5;
    }
}
#[cfg(test)]
mod tests;

use std::cmp::max as larger;

use noise::Noise;
use oldnoise::wobble as shake;
use units::convert as to_metres;

use crate::errors::{Failure, Result};
use crate::geometry::Kind::{self, *};
use crate::prelude::*;
use crate::stats::spread as width_of;

/// The size of a window.
const WINDOW: usize = 3;
const UNUSED_WINDOW: usize = 4;
static WEIGHTS: [fn(f64) -> f64; 2] = [stats::light, stats::heavy];

counter!(STARTED, 1);
counter!(STOPPED, 2);

/// The whole of it.
#[cached]
pub fn analyse(model: &Model, shapes: &[Box<dyn Shape>], text: String) -> Result<Report> {
    let mut total = normalise(&model.samples)?;
    for shape in shapes {
        total += shape.area();
    }
    for window in model.samples.windows(WINDOW) {
        total += width_of(window) * inline::offset();
    }
    let sum = model.origin + model.origin;
    let moved = placed::shift(sum.x) + generated::made();
    total += WEIGHTS[larger(0, 1)](moved) + f64::from(STARTED);
    total += scaled!(total) + 1.5.twice() + to_metres(total) + shake(total);
    let kind = if total > Limits::HIGH { Round } else { Square };
    let guard = io::open(&text);
    Ok(Report { total: total.blur(), kind, line: format!("{TITLE}: {model}"), words: guard.count(), ..Report::default() })
}

fn normalise(samples: &[f64]) -> Result<f64> {
    let centre: f64 = stats::mean(samples);
    let parsed: i32 = "1".parse::<i32>()?;
    Ok(centre + f64::from(parsed) + system::precision())
}

fn never_called() -> f64 {
    1.0
}
//- src/macros.rs
macro_rules! scaled {
    ($x:expr) => {
        $x * $crate::macros::FACTOR
    };
}
macro_rules! unused {
    () => { 1 };
}
macro_rules! counter {
    ($name:ident, $start:literal) => {
        static $name: u8 = $start;
    };
}
pub const FACTOR: f64 = 2.0;
//- src/system.rs
pub fn precision() -> f64 {
    if cfg!(debug_assertions) { 1e-3 } else { fine() }
}
#[cfg(unix)]
fn fine() -> f64 {
    1e-6
}
#[cfg(not(unix))]
fn fine() -> f64 {
    1e-5
}
//- src/system_windows.rs
pub fn precision() -> f64 {
    1e-4
}
//- src/odd/place.rs
mod below;
pub fn shift(x: f64) -> f64 {
    fn step() -> f64 {
        below::STEP
    }
    x + step()
}
//- src/odd/below.rs
pub const STEP: f64 = 0.125;
//- src/generated.in
pub fn made() -> f64 {
    include!("number.in")
}
//- src/number.in
super::stats::light(7.5)
//- src/errors.rs
pub type Result<T> = std::result::Result<T, Failure>;
#[derive(Debug)]
pub struct Failure {
    pub code: i32,
}
#[derive(Debug)]
pub struct Other;
impl From<std::num::ParseIntError> for Failure {
    fn from(_: std::num::ParseIntError) -> Failure {
        Failure { code: 11 }
    }
}
impl From<Failure> for Other {
    fn from(_: Failure) -> Other {
        Other
    }
}
//- src/geometry/mod.rs
//! Shapes.
mod area;
pub mod point;
pub use self::point::Point;

#[derive(Clone, Copy, Debug, Default)]
pub enum Kind {
    #[default]
    Round,
    Square,
}
pub trait Shape: Named {
    const SIDES: u32 = 4;
    fn area(&self) -> f64;
    fn doubled(&self) -> f64 {
        self.area() * 2.0
    }
    fn described(&self) -> String {
        format!("a {}", self.name())
    }
}
pub trait Named {
    fn name(&self) -> String {
        String::from("shape")
    }
}
pub struct Circle {
    pub radius: f64,
}
pub struct Tile;
impl Named for Circle {}
impl Named for Tile {}
//- src/geometry/area.rs
use super::{Circle, Shape, Tile};
impl Shape for Circle {
    fn area(&self) -> f64 {
        self.radius * self.radius * 3.0
    }
}
impl Shape for Tile {
    fn area(&self) -> f64 {
        side() * side()
    }
}
fn side() -> f64 {
    1.25
}
//- src/geometry/point.rs
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}
impl std::ops::Add for Point {
    type Output = Point;
    fn add(self, other: Point) -> Point {
        Point { x: self.x + other.x, y: self.y + other.y }
    }
}
impl Point {
    pub fn unused_norm(&self) -> f64 {
        self.x.hypot(self.y)
    }
}
//- src/io.rs
pub struct Guard {
    text: String,
}
pub fn open(text: &str) -> Guard {
    Guard { text: text.to_owned() }
}
impl Guard {
    pub fn count(&self) -> usize {
        Words(&self.text).count() + include_str!("words.txt").len()
    }
}
struct Words<'a>(&'a str);
impl<'a> Iterator for Words<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let (word, rest) = self.0.split_once(SEPARATOR)?;
        self.0 = rest;
        Some(word)
    }
}
impl Drop for Guard {
    fn drop(&mut self) {
        closed(&self.text);
    }
}
fn closed(text: &str) -> usize {
    text.len()
}
const SEPARATOR: char = ' ';
//- src/words.txt
alpha beta
//- src/model.rs
use crate::geometry::{Kind, Point};
use crate::stats;
pub const TITLE: &str = "Report";
pub struct Model {
    pub samples: Vec<f64>,
    pub origin: Point,
    pub inner: Inner,
}
pub struct Inner {
    depth: u8,
}
#[derive(serde::Serialize)]
pub struct Report {
    pub total: f64,
    pub kind: Kind,
    pub line: String,
    pub words: usize,
    #[serde(with = "rounded")]
    pub error: f64,
}
impl Default for Report {
    fn default() -> Report {
        Report { total: 0.0, kind: Kind::default(), line: String::new(), words: 0, error: 0.75 }
    }
}
impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} samples", self.samples.len())
    }
}
impl std::ops::Deref for Model {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}
impl Inner {
    pub fn depth(&self) -> u8 {
        self.depth
    }
}
pub struct Limits;
impl Limits {
    pub const HIGH: f64 = stats::BASE * 10.0;
}
mod rounded {
    pub fn serialize(x: &f64) -> f64 {
        x.round()
    }
}
//- src/prelude.rs
pub use crate::geometry::{Named, Point, Shape};
pub use crate::model::*;
pub use crate::stats::Twice;
//- src/stats.rs
use std::collections::HashMap;
pub const BASE: f64 = 100.0;
/// The mean.
pub fn mean<T: Number>(values: &[T]) -> f64 {
    let sum: f64 = values.iter().map(|value| value.number()).sum();
    sum / (values.len() as f64)
}
pub trait Number {
    fn number(&self) -> f64;
}
impl Number for f64 {
    fn number(&self) -> f64 {
        *self + BIAS
    }
}
const BIAS: f64 = 0.0625;
pub fn spread(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre).abs()).fold(0.0, f64::max)
}
pub fn light(x: f64) -> f64 {
    x * 0.1
}
pub fn heavy(x: f64) -> f64 {
    x * 0.9
}
pub fn histogram(values: &[u8]) -> HashMap<u8, usize> {
    let mut counts = HashMap::new();
    values.iter().for_each(|value| *counts.entry(*value).or_insert(0) += 1);
    counts
}
pub trait Twice {
    fn twice(self) -> f64;
}
macro_rules! twice {
    ($($number:ty),*) => { $(impl Twice for $number {
        fn twice(self) -> f64 {
            f64::from(self) * 2.0
        }
    })* };
}
twice!(f32, f64);
//- src/unrelated.rs
use quiet::hush;
pub struct Loner {
    pub size: u8,
}
impl Loner {
    pub fn grow(&self) -> u8 {
        self.size + hush()
    }
}
impl std::ops::Add for Loner {
    type Output = u8;
    fn add(self, other: Loner) -> u8 {
        self.size + other.size
    }
}
#[cfg(feature = "extra")]
pub fn extra() -> u8 {
    9
}
pub fn mean() -> u8 {
    5
}
//- src/tests.rs
use super::*;
fn helper() -> f64 {
    3.5
}
impl Shape for Fake {
    fn area(&self) -> f64 {
        helper()
    }
}
struct Fake;
//- build.rs
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
//- Cargo.toml
[package]
name = "sample"
version = "0.1.0"
edition = "2024"
[features]
extra = []
[dependencies]
units = { path = "units" }
shapes = { path = "shapes", package = "more-shapes" }
derive = { path = "derive" }
noise = "1.2"
oldnoise = { package = "noise", version = "0.9" }
quiet = "3"
serde = { version = "1", features = ["derive"] }
//- units/Cargo.toml
[package]
name = "units"
version = "0.2.0"
[dependencies]
ratios = { path = "../ratios" }
//- units/build.rs
fn main() {
    println!("cargo::rustc-env=UNIT=metre");
}
//- units/src/lib.rs
pub fn convert(x: f64) -> f64 {
    x * ratios::ratio()
}
pub fn unused(x: f64) -> f64 {
    x - 1.0
}
//- ratios/Cargo.toml
[package]
name = "ratios"
version = "0.3.0"
//- ratios/src/lib.rs
pub fn ratio() -> f64 {
    0.3048
}
pub fn unused_ratio() -> f64 {
    2.54
}
//- shapes/Cargo.toml
[package]
name = "more-shapes"
version = "0.1.0"
//- shapes/src/lib.rs
pub fn unused() -> u8 {
    1
}
//- derive/Cargo.toml
[package]
name = "derive"
version = "0.1.0"
[lib]
proc-macro = true
//- derive/src/lib.rs
use proc_macro::TokenStream;
#[proc_macro_derive(Area)]
pub fn area(_: TokenStream) -> TokenStream {
    made()
}
fn made() -> TokenStream {
    TokenStream::new()
}
//- Cargo.lock
version = 4

[[package]]
name = "sample"
version = "0.1.0"
dependencies = ["derive", "more-shapes", "noise 0.9.1", "noise 1.2.3", "quiet", "serde", "units"]

[[package]]
name = "derive"
version = "0.1.0"

[[package]]
name = "more-shapes"
version = "0.1.0"

[[package]]
name = "units"
version = "0.2.0"
dependencies = ["ratios"]

[[package]]
name = "ratios"
version = "0.3.0"

[[package]]
name = "noise"
version = "0.9.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa09"

[[package]]
name = "noise"
version = "1.2.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aa12"
dependencies = ["random"]

[[package]]
name = "quiet"
version = "3.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "bb30"

[[package]]
name = "random"
version = "0.4.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "cc04"

[[package]]
name = "serde"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "dd10"
"##;
