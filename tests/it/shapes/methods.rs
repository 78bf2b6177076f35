//! Methods with a cache of their own, and methods that are tasks.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::{Memory, Parallel, delayed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::volatile;
use crate::support::{hit, miss};

static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Model {
    weights: Vec<f64>,
}

fn model(weight: f64) -> Model {
    Model { weights: vec![weight] }
}

static SCORES: AtomicU64 = AtomicU64::new(0);

impl Model {
    #[larder::cached(memory = volatile())]
    fn score(&self, x: f64) -> f64 {
        SCORES.fetch_add(1, Relaxed);
        if x < 0.0 {
            return 0.0;
        }
        self.weights[0] * x
    }

    /// Takes itself, and gives another back.
    #[larder::cached(memory = volatile())]
    fn scaled(mut self, mut by: f64) -> Self {
        by *= 2.0;
        self.weights[0] *= by;
        self
    }

    #[larder::cached(memory = volatile(), of = Self)]
    fn fitted(values: &[f64]) -> Result<Self, String> {
        let first = values.first().ok_or("no values")?;
        Ok(model(*first))
    }
}

#[test]
fn a_methods_value_is_an_argument() {
    assert_eq!((model(2.0).score(3.0), model(4.0).score(3.0)), (6.0, 12.0));
    assert_eq!((model(2.0).score(3.0), model(4.0).score(3.0)), (6.0, 12.0));
    assert_eq!(model(2.0).score(-1.0), 0.0);
    assert_eq!(SCORES.load(Relaxed), 3);
}

#[test]
fn a_method_may_consume_or_make_its_value() {
    for _ in 0..2 {
        assert_eq!(model(2.0).scaled(3.0), model(12.0));
        assert_eq!(Model::fitted(&[5.0]), Ok(model(5.0)));
        assert_eq!(Model::fitted(&[]), Err("no values".to_owned()));
    }
}

/// Neither serde's nor to be compared.
struct Server {
    asked: AtomicU64,
    name: &'static str,
}

impl Server {
    #[larder::cached(memory = volatile(), ignore(self))]
    fn answer(&self, question: &str, hints: Option<&str>) -> String {
        self.asked.fetch_add(1, Relaxed);
        format!("{question}{}", hints.unwrap_or("?"))
    }

    #[larder::cached(memory = volatile(), key = (self.name, question.trim()))]
    fn trimmed(&self, question: &str) -> String {
        self.asked.fetch_add(1, Relaxed);
        format!("{}: {question}", self.name)
    }

    #[larder::cached(memory = MEMORY, ignore(self, seed), version = 3, expires_after = "1d", store(none))]
    fn optional(&self, x: u8, seed: u64) -> Option<u64> {
        (x > 0).then_some(seed)
    }
}

#[test]
fn a_value_that_is_not_in_the_key_needs_no_serde() {
    let server = Server { asked: AtomicU64::new(0), name: "a" };
    let other = Server { asked: AtomicU64::new(0), name: "b" };
    assert_eq!(server.answer("why", None), "why?");
    assert_eq!(other.answer("why", None), "why?");
    assert_eq!(server.answer("why", Some("!")), "why!");
    assert_eq!((server.asked.load(Relaxed), other.asked.load(Relaxed)), (2, 0));
}

#[test]
fn a_methods_key_may_say_what_counts() {
    let server = Server { asked: AtomicU64::new(0), name: "a" };
    let other = Server { asked: AtomicU64::new(0), name: "b" };
    assert_eq!(server.trimmed(" why"), "a:  why");
    assert_eq!(server.trimmed("why "), "a:  why");
    assert_eq!(other.trimmed("why"), "b: why");
    assert_eq!((server.asked.load(Relaxed), other.asked.load(Relaxed)), (1, 1));
}

#[test]
fn a_methods_options_are_those_of_a_function() {
    let server = Server { asked: AtomicU64::new(0), name: "a" };
    miss!(MEMORY, NeverSeen, server.optional(1, 5), Some(5));
    hit!(MEMORY, hits_hot, server.optional(1, 6), Some(5));
    miss!(MEMORY, NeverSeen, server.optional(0, 5), None);
    hit!(MEMORY, hits_hot, server.optional(0, 6), None);
}

#[derive(Serialize, Deserialize)]
struct Grid<T> {
    cells: Vec<T>,
}

impl<T: Serialize + DeserializeOwned + Clone + Default + 'static> Grid<T> {
    #[larder::cached(memory = volatile())]
    fn first(&self) -> T {
        self.cells.first().cloned().unwrap_or_default()
    }

    #[larder::cached(memory = volatile())]
    fn with<U: From<T> + Serialize + DeserializeOwned + 'static, const N: usize>(&self, at: &[usize]) -> Vec<U> {
        at.iter().take(N).filter_map(|at| self.cells.get(*at).cloned().map(U::from)).collect()
    }
}

#[test]
fn the_types_of_a_generic_impl_are_in_the_key() {
    let (small, large) = (Grid { cells: vec![1_u8] }, Grid { cells: vec![1_u64] });
    for _ in 0..2 {
        assert_eq!((small.first(), large.first()), (1_u8, 1_u64));
        let (words, numbers): (Vec<u32>, Vec<u64>) = (small.with::<_, 1>(&[0, 0]), small.with::<_, 1>(&[0, 0]));
        assert_eq!((words, numbers), (vec![1_u32], vec![1_u64]));
        assert_eq!(small.with::<u32, 2>(&[0, 0]), [1, 1]);
    }
}

struct Each<F>(F);

impl<F: Fn(u64) -> u64> Each<F> {
    #[larder::cached(memory = volatile(), ignore(self))]
    fn of(&self, x: u64) -> u64 {
        (self.0)(x)
    }
}

/// Two closures of one function have types of one path: each was given what the other one had computed.
#[test]
fn a_closure_among_the_types_of_an_impl_has_no_key() {
    let (more, much) = (Each(|x| x + 1), Each(|x| x * 100));
    for _ in 0..2 {
        assert_eq!((more.of(5), much.of(5)), (6, 500));
    }
}

trait Shape {
    fn area(&self) -> f64;

    /// By default.
    #[larder::cached(memory = MEMORY)]
    fn doubled(&self) -> f64
    where
        Self: Serialize,
    {
        DOUBLED.fetch_add(1, Relaxed);
        2.0 * self.area()
    }
}

static DOUBLED: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize)]
struct Square(f64);

#[derive(Serialize)]
struct Circle(f64);

impl Shape for Square {
    #[larder::cached(memory = MEMORY)]
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}

impl Shape for Circle {
    #[larder::cached(memory = MEMORY)]
    fn area(&self) -> f64 {
        3.0 * self.0 * self.0
    }
}

#[test]
fn methods_of_traits_are_those_of_their_types() {
    for _ in 0..2 {
        assert_eq!((Square(2.0).area(), Circle(2.0).area()), (4.0, 12.0));
        assert_eq!((Square(2.0).doubled(), Circle(2.0).doubled()), (8.0, 24.0));
    }
    assert_eq!(DOUBLED.load(Relaxed), 2);
}

// ---- Tasks

static PREDICTIONS: AtomicU64 = AtomicU64::new(0);

impl Model {
    /// The sum of what the weights make of it.
    #[larder::task(of = Model)]
    fn predict(&self, x: f64, others: &[Self]) -> f64 {
        PREDICTIONS.fetch_add(1, Relaxed);
        others.iter().chain([self]).flat_map(|model| &model.weights).map(|weight| weight * x).sum()
    }

    #[larder::task(of = Model, version = 2, key = self.weights[0] as i64)]
    pub(crate) fn whole(self) -> Result<Self, String> {
        if self.weights[0] < 0.0 { Err("below zero".to_owned()) } else { Ok(self) }
    }

    #[larder::task(of = Model)]
    fn made(weight: f64) -> Self {
        model(weight)
    }

    #[larder::cached(task, of = Model, memory = MEMORY, ignore(threads))]
    fn trained(&self, rounds: u32, threads: usize) -> Model {
        TRAININGS.fetch_add(1, Relaxed);
        model(self.weights[0] * f64::from(rounds) + threads as f64)
    }
}

static TRAININGS: AtomicU64 = AtomicU64::new(0);

mod elsewhere {
    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Other(pub(super) u64);

    impl Other {
        /// A name that another type has as well.
        #[larder::task(of = Other)]
        pub(super) fn predict(&self) -> u64 {
            self.0
        }
    }
}

#[test]
fn methods_are_delayed_by_their_types() {
    let (one, others) = (model(2.0), [model(1.0), model(3.0)]);
    let parallel = Parallel::new().n_jobs(2);
    let values = parallel.run((0..4).map(|x| delayed!(Model::predict(&one, f64::from(x), &others)))).unwrap();
    assert_eq!(values, [0.0, 6.0, 12.0, 18.0]);
    assert_eq!(delayed!(<Model>::predict(&one, 1.0, &[])).call(), 2.0);
    assert_eq!(one.predict(1.0, &[]), 2.0, "the method is as it was");
    assert_eq!(format!("{:?}", delayed!(Model::predict(&one, 1.0, &[]))).split('(').next(), Some("predict"));
    assert_eq!(
        parallel.run([delayed!(Model::made(4.0)), delayed!(Model::made(5.0))]).unwrap(),
        [model(4.0), model(5.0)]
    );
    assert_eq!(delayed!(elsewhere::Other::predict(&elsewhere::Other(3))).call(), 3);
}

#[test]
fn delayed_methods_are_kept_by_their_keys() {
    let memory = volatile();
    let parallel = Parallel::new().n_jobs(1).memory(&memory);
    assert_eq!(parallel.run([delayed!(Model::whole(model(2.5)))]).unwrap(), [model(2.5)]);
    assert_eq!(parallel.run([delayed!(Model::whole(model(2.75)))]).unwrap(), [model(2.5)], "the same whole number");
    assert!(parallel.run([delayed!(Model::whole(model(-1.0)))]).is_err());
    assert_eq!((memory.stats().misses(), memory.stats().hits()), (2, 1));
}

#[test]
fn a_cached_method_that_is_a_task_has_one_cache() {
    let model = model(2.0);
    assert_eq!(model.trained(10, 1).weights, [21.0]);
    assert_eq!(delayed!(Model::trained(&model, 10, 2)).call().weights, [21.0]);
    let run = Parallel::new().n_jobs(2).run([delayed!(Model::trained(&model, 10, 3))]).unwrap();
    assert_eq!(run[0].weights, [21.0]);
    assert_eq!(TRAININGS.load(Relaxed), 1);
}

#[cfg(all(unix, feature = "auto-worker"))]
#[test]
fn worker_processes_find_methods() {
    let (one, others) = (model(2.0), vec![model(1.0), model(3.0)]);
    let before = PREDICTIONS.load(Relaxed);
    let parallel = Parallel::new().backend(larder::Backend::Processes).n_jobs(2).inner_threads(1);
    let values = parallel.run((0..4).map(|x| delayed!(Model::predict(&one, f64::from(x), &others)))).unwrap();
    assert_eq!(values, [0.0, 6.0, 12.0, 18.0]);
    let failure = parallel.run([delayed!(Model::whole(model(-1.0)))]).unwrap_err();
    assert!(failure.to_string().contains("below zero"), "{failure}");
    // Other tests of this program may predict as well, but none of them waits for this one.
    assert!(PREDICTIONS.load(Relaxed) - before < 100);
}

#[test]
fn a_methods_task_knows_its_parameters() {
    let name = larder::registry::tasks().find(|task| task.name().contains("Model") && task.name().contains("predict"));
    let names: Vec<_> = name.unwrap().parameters().iter().map(|one| (one.name, one.type_name)).collect();
    assert_eq!(names, [("self", "&Model"), ("x", "f64"), ("others", "&[Model]")]);
}
