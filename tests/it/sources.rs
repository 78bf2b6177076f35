//! Where items come from: inputs cut into chunks, paged sources, and seeds that items bring along. Over backends and
//! numbers of workers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Barrier, Mutex};

use larder::{
    Backend, BatchSize, CancelToken, Delayed, FailureKind, Memory, OnError, Outcome, Page, Parallel, RunSeed, Schedule,
    Seed, delayed,
};

use crate::support::{ends, open, quick_directory};

/// Every crew and batch size that must make no difference, with its name.
fn ways() -> Vec<(String, Parallel)> {
    let mut ways = Vec::new();
    let mut crews = vec![(Backend::Sequential, 1)];
    crews.extend([1, 2, 7].map(|n_jobs| (Backend::Threads, n_jobs)));
    // Worker processes need the entry that the feature gives to a test program.
    #[cfg(all(unix, feature = "auto-worker"))]
    crews.extend([1, 2, 7].map(|n_jobs| (Backend::Processes, n_jobs)));
    for (backend, n_jobs) in crews {
        for size in [BatchSize::Fixed(1), BatchSize::Fixed(5), BatchSize::Auto] {
            let name = format!("{backend:?}, {n_jobs} workers, {size:?}");
            let parallel = Parallel::new().backend(backend).n_jobs(n_jobs).batch_size(size);
            #[cfg(unix)]
            let parallel = parallel.inner_threads(1);
            ways.push((name, parallel));
        }
    }
    ways
}

// ---- Chunks.

#[larder::task]
fn lengths(rows: Vec<String>) -> (usize, Vec<usize>) {
    (rows.len(), rows.iter().map(String::len).collect())
}

fn rows() -> impl Iterator<Item = String> + Clone + Send + 'static {
    (0..1003).map(|row| "x".repeat(row % 17))
}

#[test]
fn chunks_are_items_on_every_backend() {
    ends(|| {
        let expected: Vec<_> = rows().collect::<Vec<_>>().chunks(100).map(|rows| lengths(rows.to_vec())).collect();
        assert_eq!((expected.len(), expected[10].0), (11, 3));
        for (way, parallel) in ways() {
            let calls: Vec<_> = larder::chunks(rows(), 100).unwrap().map(|rows| delayed!(lengths(rows))).collect();
            assert_eq!(parallel.run(calls).unwrap(), expected, "{way}");
        }
    });
}

#[larder::task]
fn total(rows: Vec<u32>) -> u32 {
    rows.iter().map(|row| if *row == 250 { panic!("a bad row (this panic belongs to the test)") } else { row }).sum()
}

#[test]
fn what_fails_costs_its_chunk() {
    ends(|| {
        for (way, parallel) in ways() {
            let calls: Vec<_> = larder::chunks(0..1000, 100).unwrap().map(|rows| delayed!(total(rows))).collect();
            let outcome = parallel.on_error(OnError::Collect).outcome(calls).unwrap();
            let expected: Vec<_> = (0..10).map(|chunk| (chunk != 2).then_some(chunk * 10_000 + 4950)).collect();
            assert_eq!(outcome.results(), expected, "{way}");
            assert_eq!((outcome.failures().len(), outcome.failures()[0].index()), (1, 2), "{way}");
        }
    });
}

#[test]
fn chunks_say_how_many_they_are_where_the_input_does() {
    let parallel = Parallel::new().n_jobs(2).schedule(Schedule::Bundled);
    let outcome = parallel.map_outcome(larder::chunks(0..1000, 10).unwrap(), |rows| rows.len()).unwrap();
    assert_eq!(outcome.results(), [Some(10); 100]);
    assert_eq!(outcome.report().batches.largest, 50);
    let unknown = larder::chunks((0..1000).filter(|row| row % 2 == 0), 10).unwrap();
    assert!(parallel.map(unknown, |rows| rows.len()).unwrap_err().is_invalid_option());
}

/// Endless input, and little of it at a time.
#[test]
fn an_endless_input_is_read_no_further_than_the_workers_are() {
    ends(|| {
        let (read, token) = (AtomicUsize::new(0), CancelToken::new());
        let done = AtomicUsize::new(0);
        let input = (0_u64..).inspect(|_| {
            let ahead = read.fetch_add(1, Relaxed) + 1 - 10 * done.load(Relaxed);
            // A chunk that one worker has, and one that the other reads.
            assert!(ahead <= 20, "{ahead} rows are in memory");
        });
        let outcome = Parallel::new()
            .n_jobs(2)
            .schedule(Schedule::Individual)
            .cancel_token(&token)
            .map_outcome(larder::chunks(input, 10).unwrap(), |rows| {
                let number = rows[0] / 10;
                if number == 500 {
                    token.cancel();
                }
                drop(rows);
                done.fetch_add(1, Relaxed);
                number
            })
            .unwrap();
        assert!(outcome.is_cancelled() && outcome.failures().is_empty(), "{outcome:?}");
        assert_eq!(outcome.results()[500], Some(500));
    });
}

// ---- Pages.

/// A table of so many rows, which counts how often each page is asked for.
struct Table {
    rows: u64,
    asked: Mutex<BTreeMap<u64, u32>>,
}

impl Table {
    fn new(rows: u64) -> Table {
        Table { rows, asked: Mutex::default() }
    }

    fn page(&self, page: Page) -> Vec<u64> {
        *self.asked.lock().unwrap().entry(page.offset).or_default() += 1;
        page.range().take_while(|row| *row < self.rows).collect()
    }

    fn fetch(&self, page: Page) -> Result<Vec<u64>, Infallible> {
        Ok(self.page(page))
    }

    /// Each page was asked for once, all up to the end, and no more behind it than there are workers: not the next ones
    /// where these stood in one batch with the end, which its worker met first.
    fn check(self, pages: u64, limit: u64, workers: u64, way: &str) {
        let asked = self.asked.into_inner().unwrap();
        assert!(asked.values().all(|times| *times == 1), "{way}: {asked:?}");
        let up_to_the_end = asked.keys().copied().take(pages as usize);
        assert!(up_to_the_end.eq((0..pages).map(|page| page * limit)), "{way}: {asked:?}");
        assert!(asked.keys().all(|offset| offset.is_multiple_of(limit)), "{way}: {asked:?}");
        assert!((pages..pages + workers).contains(&(asked.len() as u64)), "{way}: {} of {pages}", asked.len());
    }
}

/// The crews of threads, each page at a time, with how many workers they have.
fn readers() -> impl Iterator<Item = (u64, Parallel)> {
    [1, 2, 4, 16].into_iter().map(|n_jobs| (n_jobs as u64, Parallel::new().n_jobs(n_jobs)))
}

/// Pages as they are in an outcome: how many rows, or a failure.
fn lens(outcome: &Outcome<Vec<u64>>) -> Vec<Option<usize>> {
    outcome.results().iter().map(|page| page.as_ref().map(Vec::len)).collect()
}

#[test]
fn every_row_is_read_once_and_in_order() {
    ends(|| {
        for (workers, parallel) in readers() {
            for (rows, limit, pages) in
                [(10_500, 1000, 11), (0, 10, 1), (1, 10, 1), (30, 10, 4), (39, 10, 4), (5, 1, 6)]
            {
                let way = format!("{workers} workers, {rows} rows by {limit}");
                let table = Table::new(rows);
                let read = parallel.fetch_pages(limit, |page| table.fetch(page)).unwrap();
                assert!(read.into_iter().eq(0..rows), "{way}");
                table.check(pages, limit, workers, &way);

                let table = Table::new(rows);
                let outcome = parallel.fetch_pages_outcome(limit, |page| table.fetch(page)).unwrap();
                assert!(outcome.is_complete() && !outcome.is_cancelled(), "{way}");
                assert_eq!((outcome.report().items, outcome.report().completed), (pages, pages), "{way}");
                assert_eq!(lens(&outcome).iter().flatten().sum::<usize>() as u64, rows, "{way}");
                assert_eq!(outcome.results().len() as u64, pages, "{way}");
                table.check(pages, limit, workers, &way);
            }
        }
        // Sizes and schedules that were asked for are kept; a batch may be asked for in vain, its pages are not.
        for size in [1, 3, 1000] {
            let table = Table::new(95);
            let parallel = Parallel::new().n_jobs(3).batch_size(size);
            assert!(parallel.fetch_pages(10, |page| table.fetch(page)).unwrap().into_iter().eq(0..95));
            table.check(10, 10, 3 * size as u64, &format!("{size} pages at a time"));
        }
        let table = Table::new(95);
        let outcome =
            Parallel::new().backend(Backend::Sequential).fetch_pages_outcome(10, |page| table.fetch(page)).unwrap();
        assert_eq!((outcome.results().len(), outcome.report().batches.largest), (10, 1));
        table.check(10, 10, 1, "sequential");
    });
}

/// Four workers must have a page in hand at the same time before any goes on.
#[test]
fn pages_are_fetched_at_the_same_time() {
    ends(|| {
        let table = Table::new(75);
        let together = Barrier::new(4);
        let read = Parallel::new().n_jobs(4).fetch_pages(10, |page| {
            if page.offset < 40 {
                together.wait();
            }
            table.fetch(page)
        });
        assert!(read.unwrap().into_iter().eq(0..75));
        table.check(8, 10, 4, "four at a time");
    });
}

/// The third page is short, and the two behind it, which others were at, have rows, or fail.
#[test]
fn pages_behind_the_end_give_nothing() {
    ends(|| {
        for (on_error, behind) in [OnError::FailFast, OnError::Collect]
            .into_iter()
            .flat_map(|on_error| ["rows", "an error", "a panic", "too many"].map(|behind| (on_error, behind)))
        {
            let way = format!("{on_error:?}, {behind}");
            // The end is told when pages 3 and 4 are done, or at least begun.
            let (begun, told) = (Barrier::new(3), Barrier::new(3));
            let late = AtomicUsize::new(0);
            let fetch = |page: Page| match page.offset {
                0 | 10 => Ok((page.offset..page.offset + 10).collect::<Vec<_>>()),
                20 => {
                    begun.wait();
                    told.wait();
                    Ok(vec![20, 21])
                }
                30 | 40 => {
                    begun.wait();
                    late.fetch_add(1, Relaxed);
                    let rows = (page.offset..page.offset + if behind == "too many" { 11 } else { 10 }).collect();
                    told.wait();
                    match behind {
                        "an error" => Err("there is no such page"),
                        "a panic" => panic!("there is no such page (this panic belongs to the test)"),
                        _ => Ok(rows),
                    }
                }
                _ => Ok(Vec::new()),
            };
            let parallel = Parallel::new().n_jobs(3).on_error(on_error);
            let outcome = parallel.fetch_pages_outcome(10, fetch).unwrap();
            assert_eq!(late.load(Relaxed), 2, "{way}");
            assert_eq!(lens(&outcome), [Some(10), Some(10), Some(2)], "{way}");
            assert!(outcome.is_complete(), "{way}: {outcome:?}");
            let rows = parallel.fetch_pages(10, fetch).unwrap();
            assert!(rows.into_iter().eq(0..22), "{way}");
        }
    });
}

#[test]
fn a_page_that_fails_is_told_with_its_offset() {
    ends(|| {
        for (workers, parallel) in readers() {
            let table = Table::new(10_500);
            let fetch = |page: Page| if page.offset == 3000 { Err("connection reset") } else { Ok(table.page(page)) };
            let error = parallel.fetch_pages(1000, fetch).unwrap_err();
            let failure = error.task_failure().unwrap();
            assert_eq!((failure.index(), failure.kind()), (3, FailureKind::Error), "{workers}");
            assert_eq!(failure.arguments(), Some("offset = 3000, limit = 1000"), "{workers}");
            let expected = format!(
                "task 3 `fetch_pages(offset = 3000, limit = 1000)` failed on worker {}: connection reset",
                failure.worker()
            );
            assert_eq!(error.to_string(), expected);
            if workers == 1 {
                assert_eq!(table.asked.lock().unwrap().len(), 3, "nothing behind it was asked for");
            }

            let outcome = parallel.fetch_pages_outcome(1000, fetch).unwrap();
            assert_eq!(lens(&outcome), [Some(1000), Some(1000), Some(1000), None], "{workers}");
            assert_eq!(outcome.failures().len(), 1, "{workers}");
            assert!(!outcome.is_cancelled(), "{workers}");
        }
    });
}

#[test]
fn the_error_of_a_page_is_kept() {
    let fetch = |_: Page| Err::<Vec<u8>, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let error = Parallel::new().n_jobs(2).fetch_pages(10, fetch).unwrap_err();
    let source = std::error::Error::source(error.task_failure().unwrap()).unwrap();
    let kind = source.downcast_ref::<std::io::Error>().unwrap().kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
}

/// The pages that fail, in turn by an error and a panic; and where the pages end.
fn collected(parallel: &Parallel, rows: u64, bad: &[u64]) -> Outcome<Vec<u64>> {
    let table = Table::new(rows);
    let outcome = parallel
        .fetch_pages_outcome(10, |page| match bad.contains(&(page.offset / 10)) {
            true if page.offset % 20 == 0 => Err("connection reset"),
            true => panic!("connection reset (this panic belongs to the test)"),
            false => Ok(table.page(page)),
        })
        .unwrap();
    assert!(outcome.failures().iter().map(larder::Failure::index).is_sorted());
    let asked = table.asked.into_inner().unwrap();
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    outcome
}

#[test]
fn pages_that_fail_leave_the_others_alone() {
    ends(|| {
        for (workers, parallel) in readers() {
            let parallel = parallel.on_error(OnError::Collect);
            // Of 95 rows, by 10, page 9 is short. Where it fails, page 10, which is empty, is the last.
            for (bad, pages) in [
                (&[0][..], 10),
                (&[1, 3, 4, 8], 10),
                (&[9], 11),
                (&[0, 1, 2, 3, 4, 5, 6], 10),
                (&[7, 8, 9, 10, 11], 13),
                (&[2, 3, 4, 5, 6, 7, 8], 10),
            ] {
                let way = format!("{workers} workers, {bad:?}");
                let outcome = collected(&parallel, 95, bad);
                let expected: Vec<Option<usize>> = (0..pages)
                    .map(|page| (!bad.contains(&page)).then(|| 95_u64.saturating_sub(page * 10).min(10) as usize))
                    .collect();
                assert_eq!(lens(&outcome), expected, "{way}");
                let failed: Vec<u64> = outcome.failures().iter().map(|failure| failure.index() as u64).collect();
                assert_eq!(failed, bad, "{way}");
                for failure in outcome.failures() {
                    let arguments = format!("offset = {}, limit = 10", failure.index() * 10);
                    assert_eq!(failure.arguments(), Some(arguments.as_str()), "{way}");
                    assert_eq!(failure.is_panic(), failure.index() % 2 == 1, "{way}");
                }
                let report = outcome.report();
                assert_eq!((report.items, report.failed), (pages, bad.len() as u64), "{way}");
                assert_eq!(report.completed, pages - bad.len() as u64, "{way}");
                assert!(!outcome.is_complete() && !outcome.is_cancelled(), "{way}");
            }
        }
    });
}

#[test]
fn a_source_that_only_fails_comes_to_an_end() {
    ends(|| {
        for (workers, parallel) in readers() {
            let parallel = parallel.on_error(OnError::Collect);
            for from in [0, 1, 5] {
                let way = format!("{workers} workers, from page {from}");
                let bad: Vec<u64> = (from..100_000).collect();
                let outcome = collected(&parallel, 10_000_000, &bad);
                // All pages before, and eight that failed.
                let expected: Vec<_> = (0..from + 8).map(|page| (page < from).then_some(10)).collect();
                assert_eq!(lens(&outcome), expected, "{way}");
                assert_eq!(outcome.failures().len(), 8, "{way}");
                assert!(!outcome.is_cancelled(), "{way}");
            }
            let asked = AtomicU64::new(0);
            let error = parallel
                .fetch_pages(10, |_| {
                    asked.fetch_add(1, Relaxed);
                    Err::<Vec<u8>, _>("the server is down")
                })
                .unwrap_err();
            assert!(error.to_string().ends_with("the server is down (and 7 more failed)"), "{error}");
            // Seven in a row between any two that are under way.
            assert!(asked.load(Relaxed) <= 8 * workers + 8, "{workers}");
        }
    });
}

#[test]
fn a_page_with_more_rows_than_it_may_have_is_an_error() {
    ends(|| {
        for (workers, parallel) in readers() {
            // It passes over the limit.
            let fetch = |page: Page| Ok::<Vec<u64>, Infallible>((page.offset..95).collect());
            let error = parallel.fetch_pages(10, fetch).unwrap_err();
            let failure = error.task_failure().unwrap();
            assert_eq!(failure.index(), 0, "{workers}");
            assert_eq!(
                failure.message(),
                "the page has 95 rows, and its limit is 10: see that the source is asked for no more than the limit"
            );
            let outcome = parallel.on_error(OnError::Collect).fetch_pages_outcome(10, fetch).unwrap();
            let lens = lens(&outcome);
            // From 85 on there are no more than ten.
            assert_eq!((&lens[..8], lens.len()), (&[None; 8][..], 8), "{workers}");
        }
    });
}

#[test]
fn a_panic_in_the_fetcher_is_its_pages_failure() {
    ends(|| {
        for (workers, parallel) in readers() {
            let table = Table::new(95);
            let fetch = |page: Page| {
                assert_ne!(page.offset, 20, "(this panic belongs to the test)");
                table.fetch(page)
            };
            let error = parallel.fetch_pages(10, fetch).unwrap_err();
            let failure = error.task_failure().unwrap();
            assert_eq!((failure.index(), failure.kind()), (2, FailureKind::Panic), "{workers}");
            assert!(failure.location().unwrap().contains("sources.rs"), "{workers}");
            // The same workers go on afterwards.
            assert!(parallel.fetch_pages(10, |page| Table::new(95).fetch(page)).unwrap().into_iter().eq(0..95));
        }
    });
}

#[test]
fn an_endless_table_ends_by_its_token() {
    ends(|| {
        for (workers, parallel) in readers() {
            let endless = |token: CancelToken| {
                move |page: Page| {
                    if page.offset == 5000 {
                        token.cancel();
                    }
                    Ok::<Vec<u64>, Infallible>(page.range().collect())
                }
            };
            let token = CancelToken::new();
            let parallel = parallel.cancel_token(&token);
            let outcome = parallel.fetch_pages_outcome(10, endless(token.clone())).unwrap();
            assert!(outcome.is_cancelled() && !outcome.is_complete(), "{workers}");
            // Pages come in order; what another worker had taken by then and not begun is missing.
            let lens = &lens(&outcome)[..=500];
            assert_eq!(lens[500], Some(10), "{workers}");
            assert!(lens.iter().filter(|len| len.is_none()).count() < workers as usize, "{workers}");
            assert!(lens.iter().flatten().all(|len| *len == 10), "{workers}");
            let token = CancelToken::new();
            let error = parallel.cancel_token(&token).fetch_pages(10, endless(token.clone())).unwrap_err();
            assert!(error.is_cancelled(), "{workers}: {error}");
        }
    });
}

/// A token that comes when all pages are there has no effect, as in any run.
#[test]
fn a_token_that_comes_too_late_changes_nothing() {
    let token = CancelToken::new();
    let table = Table::new(95);
    let fetch = |page: Page| {
        if page.offset == 90 {
            token.cancel();
        }
        table.fetch(page)
    };
    let outcome = Parallel::new().n_jobs(1).cancel_token(&token).fetch_pages_outcome(10, fetch).unwrap();
    assert!(outcome.is_complete() && !outcome.is_cancelled(), "{outcome:?}");
    assert!(outcome.into_values().unwrap().into_iter().flatten().eq(0..95));
}

#[test]
fn what_does_not_go_with_pages_is_refused() {
    let told = |parallel: Parallel, limit| {
        let error = parallel.fetch_pages(limit, |page| Table::new(5).fetch(page)).unwrap_err();
        assert!(error.is_invalid_option(), "{error}");
        error.to_string()
    };
    assert!(told(Parallel::new(), 0).starts_with("`limit` of pages is 0: give"));
    assert!(told(Parallel::new().retries(2), 10).contains("try again within the closure"));
    assert!(told(Parallel::new().backend(Backend::Processes), 10).contains("leave out the backend"));
    assert!(told(Parallel::new().n_jobs(0), 10).contains("`n_jobs` is 0"));
    assert!(told(Parallel::new().schedule(Schedule::Bundled), 10).contains("does not know its length"));
    assert!(told(Parallel::new().batch_size(0), 10).contains("`batch_size` is 0"));
}

// ---- Seeds.

#[larder::task]
fn simulate(row: u64, seed: Seed) -> (u64, Vec<u64>) {
    (row, (0..row % 5).map(|step| seed.child(&step).to_u64()).collect())
}

fn calls(seeds: RunSeed, rows: &[u64]) -> Vec<Delayed<'_, simulate>> {
    rows.iter().map(|row| delayed!(simulate(*row, seeds.item(row)))).collect()
}

/// `0..60`, in an order that depends on `turn`.
fn shuffled(turn: u64) -> Vec<u64> {
    let mut rows: Vec<u64> = (0..60).collect();
    rows.sort_by_key(|row| RunSeed::new(turn).item(row).to_u64());
    rows
}

#[test]
fn a_seed_gives_the_same_results_whoever_runs_what_when() {
    ends(|| {
        let seeds = RunSeed::new(42);
        let mut expected: Vec<_> = (0..60).map(|row| simulate(row, seeds.item(&row))).collect();
        for (turn, (way, parallel)) in (0..).zip(ways()) {
            let rows = shuffled(turn);
            assert!(!rows.is_sorted());
            let mut results = parallel.run(calls(seeds, &rows)).unwrap();
            assert!(results.iter().map(|(row, _)| row).eq(&rows), "{way}");
            results.sort();
            assert_eq!(results, expected, "{way}");

            // A run that another did a half of.
            let dir = quick_directory();
            let parallel = parallel.memory(&open(dir.path()));
            parallel.run(calls(seeds, &rows[..30])).unwrap();
            for again in 0..2 {
                let mut results = parallel.run(calls(seeds, &shuffled(turn + 1))).unwrap();
                results.sort();
                assert_eq!(results, expected, "{way}, {again}");
            }
        }
        expected.dedup_by_key(|(_, numbers)| numbers.clone());
        assert!(expected.len() > 45, "items have numbers of their own");
    });
}

#[test]
fn another_run_seed_is_another_call() {
    ends(|| {
        let dir = quick_directory();
        let memory: Memory = open(dir.path());
        let rows: Vec<u64> = (1..5).collect();
        for (way, parallel) in ways() {
            let parallel = parallel.memory(&memory);
            let run = |seed| parallel.run(calls(RunSeed::new(seed), &rows)).unwrap();
            let (one, other) = (run(1), run(2));
            for (row, (one, other)) in one.iter().zip(&other).enumerate() {
                assert_ne!(one.1, other.1, "{way}, row {row}");
            }
            assert_eq!((run(1), run(2)), (one, other), "{way}");
        }
        // Eight calls in all, by so many runs.
        assert_eq!(memory.stats().misses(), 8);
    });
}

#[cfg(feature = "rand")]
#[larder::task]
fn noise(len: usize, seed: Seed) -> Vec<u32> {
    use rand_core::Rng;
    let mut rng = seed.rng();
    (0..len).map(|_| rng.next_u32()).collect()
}

#[cfg(feature = "rand")]
#[test]
fn generators_are_the_same_everywhere() {
    ends(|| {
        let seeds = RunSeed::random();
        let expected: Vec<_> = (0..20).map(|len| noise(len, seeds.item(&len))).collect();
        for (way, parallel) in ways() {
            let calls: Vec<_> = (0..20).map(|len| delayed!(noise(len, seeds.item(&len)))).collect();
            assert_eq!(parallel.run(calls).unwrap(), expected, "{way}, seed {seeds}");
        }
    });
}

/// A failure says with which seed it failed.
#[test]
fn a_failure_shows_its_seed() {
    #[larder::task]
    fn unlucky(seed: Seed) -> Result<u8, String> {
        Err(format!("not {}", seed.to_u64()))
    }
    let seed = RunSeed::new(42).item("it");
    let error = Parallel::new().n_jobs(1).run([delayed!(unlucky(seed))]).unwrap_err();
    assert_eq!(error.task_failure().unwrap().arguments().unwrap(), format!("seed = \"{seed}\""));
}
