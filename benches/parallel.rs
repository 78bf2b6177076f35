//! Runs of many tiny tasks, each beside its floor in the same group. docs/benchmarks.md reads the figures.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use larder::{Backend, Parallel, delayed};
use rayon::prelude::*;

const ITEMS: u32 = 1_000_000;

#[larder::task]
fn next(x: u32) -> u32 {
    x.wrapping_add(1)
}

/// Takes its argument away, so that a text of it is made before the call, for a failure that may come.
#[larder::task]
fn length(text: String) -> usize {
    text.len()
}

/// `map` of a square root, beside rayon on as many threads.
fn map_sqrt(c: &mut Criterion) {
    let mut group = c.benchmark_group("map_sqrt_1e6");
    group.throughput(Throughput::Elements(u64::from(ITEMS)));
    for workers in [1, 2] {
        let parallel = Parallel::new().n_jobs(workers);
        group.bench_function(format!("larder, {workers}"), |b| {
            b.iter(|| parallel.map(black_box(0)..ITEMS, |x| f64::from(x).sqrt()).expect("no task fails"));
        });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers as usize).build().expect("threads");
        group.bench_function(format!("floor: rayon, {workers}"), |b| {
            b.iter(|| {
                pool.install(|| {
                    (black_box(0)..ITEMS).into_par_iter().map(|x| f64::from(x).sqrt()).collect::<Vec<f64>>()
                })
            });
        });
    }
    let values: Vec<f64> = (0..ITEMS).map(f64::from).collect();
    let parallel = Parallel::new().n_jobs(2);
    group.bench_function("larder, 2, slice", |b| {
        b.iter(|| parallel.map(&values, |x| x.sqrt()).expect("no task fails"));
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    group.bench_function("floor: rayon, 2, slice", |b| {
        b.iter(|| pool.install(|| values.par_iter().map(|x| x.sqrt()).collect::<Vec<f64>>()));
    });
    group.finish();
}

/// `run` of delayed trivial calls, beside a plain loop.
fn run_trivial(c: &mut Criterion) {
    let mut group = c.benchmark_group("run_1e6");
    group.throughput(Throughput::Elements(u64::from(ITEMS)));
    group.bench_function("floor: loop", |b| {
        b.iter(|| (black_box(0)..ITEMS).map(|x| next(black_box(x))).collect::<Vec<u32>>());
    });
    let sequential = Parallel::new().backend(Backend::Sequential);
    group.bench_function("larder, sequential", |b| {
        b.iter(|| sequential.run((black_box(0)..ITEMS).map(|x| delayed!(next(x)))).expect("no task fails"));
    });
    let parallel = Parallel::new().n_jobs(2);
    group.bench_function("larder, 2 threads", |b| {
        b.iter(|| parallel.run((black_box(0)..ITEMS).map(|x| delayed!(next(x)))).expect("no task fails"));
    });
    group.bench_function("larder, 2 threads, texts", |b| {
        b.iter(|| parallel.run((0..black_box(ITEMS)).map(|_| delayed!(length(String::new())))).expect("no task fails"));
    });
    group.finish();
}

/// A run of nothing: what starting one costs.
fn empty_run(c: &mut Criterion) {
    let mut group = c.benchmark_group("empty_run");
    let parallel = Parallel::new().n_jobs(2);
    group.bench_function("larder, 2 threads", |b| {
        b.iter(|| parallel.map(0..black_box(2_u32), |x| x).expect("no task fails"));
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    group.bench_function("floor: rayon broadcast", |b| b.iter(|| pool.broadcast(|context| context.index())));
    group.finish();
}

criterion_group!(benches, map_sqrt, run_trivial, empty_run);
criterion_main!(benches);
