//! Runs as a whole: what a task costs beside a bare loop, what a second worker gains, the schedules beside each other, and
//! the memory of a long stream. docs/benchmarks.md reads the figures.
//!
//! `cargo bench --bench runs`, with names of parts behind `--` for those alone: `loop`, `gain`, `schedules`, `stream`.

use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

use larder::{Backend, Parallel, Schedule, delayed};

const ROUNDS: usize = 7;

/// Works for so long: a task that takes the same time whatever the machine does meanwhile would be no work.
#[larder::task]
fn work(nanos: u64) -> u64 {
    let begun = Instant::now();
    let limit = Duration::from_nanos(nanos);
    let mut turns = 0;
    while begun.elapsed() < limit {
        turns += 1;
    }
    turns
}

fn seconds<R>(work: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures each of these in turn, round by round, so that what the machine does meanwhile meets all alike.
fn rounds(rounds: usize, measures: &mut [&mut dyn FnMut() -> f64]) -> Vec<f64> {
    let mut values = vec![Vec::new(); measures.len()];
    for round in 0..=rounds {
        for (values, measure) in values.iter_mut().zip(measures.iter_mut()) {
            let value = measure();
            // The first round warms up.
            if round > 0 {
                values.push(value);
            }
        }
    }
    values.into_iter().map(median).collect()
}

/// One worker beside a bare loop, a call that does nothing: what is left is dispatch.
fn one_worker() {
    const ITEMS: u64 = 10_000_000;
    let one = Parallel::new().n_jobs(1);
    let values = rounds(
        ROUNDS,
        &mut [
            &mut || seconds(|| (0..black_box(ITEMS)).map(|x| black_box(x) + 1).collect::<Vec<_>>()),
            &mut || seconds(|| one.map(0..black_box(ITEMS), |x| black_box(x) + 1).expect("no task fails")),
            &mut || {
                seconds(|| one.run((0..black_box(ITEMS)).map(|x| delayed!(work_of_nothing(x)))).expect("none fails"))
            },
        ],
    );
    let nanos = |seconds: f64| seconds / ITEMS as f64 * 1e9;
    println!("| one worker, ns a task beyond the bare loop ({:.2} ns) | `map` | `run` | aim |", nanos(values[0]));
    println!("|---|---|---|---|");
    println!("| {ITEMS} tasks | {:.2} | {:.2} | 20 |\n", nanos(values[1] - values[0]), nanos(values[2] - values[0]));
}

#[larder::task]
fn work_of_nothing(x: u64) -> u64 {
    black_box(x) + 1
}

/// 1e5 tasks of 10 us on two workers, beside one, and rayon beside that.
fn gain() {
    use rayon::prelude::*;
    const ITEMS: u64 = 100_000;
    let (one, two) = (Parallel::new().n_jobs(1), Parallel::new().n_jobs(2));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let calls = || (0..black_box(ITEMS)).map(|_| delayed!(sum_of_10_us(black_box(7))));
    let values = rounds(
        ROUNDS,
        &mut [
            &mut || seconds(|| one.run(calls()).expect("no task fails")),
            &mut || seconds(|| two.run(calls()).expect("no task fails")),
            &mut || {
                seconds(|| {
                    pool.install(|| {
                        (0..black_box(ITEMS)).into_par_iter().map(|_| sum_of_10_us(black_box(7))).collect::<Vec<_>>()
                    })
                })
            },
        ],
    );
    println!(
        "| 1e5 tasks of {:.1} us, one worker / two workers | rayon on two | aim |",
        values[0] / ITEMS as f64 * 1e6
    );
    println!("|---|---|---|");
    println!("| {:.3} | {:.3} | 1.9 |\n", values[0] / values[1], values[0] / values[2]);
}

/// Work that is slower when the core is: so a gain is one of work done, and not of time waited.
#[larder::task]
fn sum_of_10_us(seed: u64) -> u64 {
    (0..black_box(32_000_u64)).fold(seed, |x, y| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(y))
}

/// A generator of numbers that are spread evenly (splitmix64), so that each run has the same work.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.next()).ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos()
    }
}

/// joblib's shapes: 5,000 tasks, in nanoseconds.
fn shapes() -> Vec<(&'static str, Vec<u64>)> {
    const TASKS: usize = 5000;
    let mut numbers = Numbers(1);
    let skewed = (0..TASKS).map(|_| (1e3 + 1e6 * numbers.normal()).max(1e3) as u64).collect();
    let wave = |task: usize| 1.0 + (std::f64::consts::TAU * task as f64 / 300.0).sin();
    let cyclic: Vec<u64> = (0..TASKS).map(|task| (4e5 * wave(task)) as u64).collect();
    let mut shuffled = cyclic.clone();
    for place in (1..TASKS).rev() {
        shuffled.swap(place, (numbers.next() * (place + 1) as f64) as usize);
    }
    vec![
        ("equal, 0.4 ms", vec![400_000; TASKS]),
        ("N(1 us, 1 ms), at least 1 us", skewed),
        ("a wave of 300 tasks, 0 to 0.8 ms", cyclic),
        ("the same, shuffled", shuffled),
    ]
}

fn schedules() {
    const SCHEDULES: [Schedule; 4] = [Schedule::Auto, Schedule::Bundled, Schedule::Individual, Schedule::TopPicking];
    println!(
        "| 5,000 tasks on 2 workers | ideal | auto | bundled | individual | top-picking | auto / best other | aim |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for backend in [Backend::Threads, Backend::Processes] {
        let runs = SCHEDULES.map(|schedule| Parallel::new().backend(backend).n_jobs(2).schedule(schedule));
        for (name, tasks) in shapes() {
            let ideal = tasks.iter().sum::<u64>() as f64 / 2e9;
            let mut measures: Vec<_> = runs
                .iter()
                .map(|parallel| {
                    let tasks = &tasks;
                    move || {
                        seconds(|| parallel.run(tasks.iter().map(|nanos| delayed!(work(*nanos)))).expect("none fails"))
                    }
                })
                .collect();
            let mut measures: Vec<&mut dyn FnMut() -> f64> =
                measures.iter_mut().map(|measure| measure as &mut dyn FnMut() -> f64).collect();
            let values = rounds(5, &mut measures);
            let best = values[1..].iter().copied().fold(f64::INFINITY, f64::min);
            print!("| {backend:?}, {name} | {ideal:.3} s");
            values.iter().for_each(|value| print!(" | {value:.3} s"));
            println!(" | {:.3} | 1.05 |", values[0] / best);
        }
    }
    println!();
}

/// 2e7 items through a stream whose consumer is slower than its workers: how much the process grows.
fn stream() {
    const ITEMS: u64 = 20_000_000;
    println!("| 2e7 items streamed, a consumer slower than the workers | grown by | items/s | aim |");
    println!("|---|---|---|---|");
    for (name, parallel) in
        [("threads", Parallel::new().n_jobs(2)), ("processes", Parallel::new().n_jobs(2).backend(Backend::Processes))]
    {
        // The pool, the workers and the allocator's arenas are there.
        let warm = parallel.stream((0..100_000).map(|x| delayed!(work_of_nothing(x)))).expect("it starts");
        black_box(warm.count());
        let before = peak_memory(true);
        let mut sum = 0_u64;
        let took = seconds(|| {
            for value in parallel.stream((0..ITEMS).map(|x| delayed!(work_of_nothing(x)))).expect("it starts") {
                // Some 100 ns, where a worker needs 3.
                sum = (0..black_box(60_u64))
                    .fold(sum, |sum, y| sum.rotate_left(5) ^ y)
                    .wrapping_add(value.expect("none fails"));
            }
        });
        black_box(sum);
        let grown = peak_memory(false).saturating_sub(before);
        println!("| {name} | {:.1} MB | {:.1} million | 20 MB |", grown as f64 / 1e6, ITEMS as f64 / took / 1e6);
    }
    println!();
}

/// The most memory this process had, in bytes; counted anew from now on where that is asked for. Linux only.
fn peak_memory(anew: bool) -> u64 {
    if anew {
        // 5: the peak is set to what is used now.
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be set anew");
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says what a process uses");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("it says the peak");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

fn main() {
    larder::init();
    let wanted: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let parts: [(&str, fn()); 4] = [("loop", one_worker), ("gain", gain), ("schedules", schedules), ("stream", stream)];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            part();
        }
    }
}
