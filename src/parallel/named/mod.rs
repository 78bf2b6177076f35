//! Named runs: priced before they start, resumed after any end, shared between programs.
//!
//! The cache is the truth about results, and a ledger beside it ([`crate::runs`]) knows which items a run is of and what came
//! of each. A run goes: the calls' keys -> what the cache ([`look`]) and the ledger ([`survey`]) know of them -> a price ([`RunPlan`])
//! -> the misses in their [order](Order) through an ordinary run on the memory, each written down as it ends ([`record`]) ->
//! results in the order of the input. Items are known by their content; nothing goes by their places.

mod look;
mod order;
mod outcome;
mod record;
mod summary;
mod survey;

use std::sync::Arc;
use std::time::Duration;

pub use order::Order;
pub use outcome::{NamedIncomplete, NamedOutcome};
pub use summary::{Change, RunPlan, RunSummary};

use super::Parallel;
use super::calls::can_cross;
use super::failure::{Cause, Failure, Lost, OnError};
use super::outcome::Outcome;
use super::record::Recorder;
use crate::error::{Error, Result};
use crate::memory::{Cached, Memory};
use crate::runs::{Begin, Ended, Failing, Item, Ledger, Listed, Name, Recorded, State};
use crate::task::{Delayed, Task};
use look::Looked;
use record::Writer;
use survey::{Has, Known, Signature, Todo, Wanted};

/// A run with a name, which goes on where it stopped. Made by [`Parallel::named`].
///
/// # What is promised
/// - An item that the run's ledger has as done, as `larder runs` shows it, survives the killing of the program from that moment,
///   and a power loss 200 ms later (but for a large result that took less than 10 ms: that one when the system has written it).
///   After any end at most the items that were in flight are computed again, never wrong, and
///   none is skipped.
/// - Items are known by function and arguments. So the list may be in another order the next time, longer, shorter, or of
///   other items, and the [summary](RunSummary) says what was reused, what changed and why, what is new, and what is gone.
/// - What failed is kept with its message and its attempts, and tried again only when that is asked for.
/// - A second program with a run of this name, on the same cache, takes the items that nobody has taken, at the same time. What
///   has failed in the one, with an error or a panic, is not tried in the other, some milliseconds later; but an item that the other
///   waits for just then is.
///
/// Not promised: that a function with side effects has them once. Results that are not stored (`None`, unless the function says
/// `store(none)`) are computed in each run, and count as not finished before.
///
/// # Examples
/// ```
/// use larder::{Memory, Parallel, delayed};
///
/// #[larder::task]
/// fn simulate(seed: u64) -> f64 {
///     (seed as f64).sqrt()
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let memory = Memory::open(dir.path())?;
/// let nightly = Parallel::new().n_jobs(2).named("nightly", &memory)?;
/// let first = nightly.run((0..100).map(|seed| delayed!(simulate(seed))))?;
/// assert_eq!(first.summary().to_string(), "0 reused, 0 changed, 100 new, 0 gone");
///
/// // The next night ten seeds more, in another order.
/// let second = nightly.run((0..110).rev().map(|seed| delayed!(simulate(seed))))?;
/// assert_eq!(second.summary().to_string(), "100 reused, 0 changed, 10 new, 0 gone");
/// assert_eq!(second.into_values()?[0], (109_f64).sqrt());
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a named run does nothing until it runs"]
pub struct NamedRun {
    parallel: Parallel,
    memory: Memory,
    name: Name,
    order: Order,
    max_recompute: Option<Duration>,
    wanted: Wanted,
}

/// Named runs.
impl Parallel {
    /// A run of this name on this memory: see [`NamedRun`]. A failure does not end it ([`OnError::Collect`]); to end it at
    /// the first one, ask for [`OnError::MaxFailures`]`(1)`.
    ///
    /// # Errors
    /// The name is not of 1 to 100 letters, digits, `-`, `_` and `.`, or begins with a `.`; or the memory has no directory.
    pub fn named(&self, name: &str, memory: &Memory) -> Result<NamedRun> {
        let name = Name::new(name)?;
        if memory.location().is_none() {
            return Err(Error::invalid_option(format!(
                "the run `{name}` has nowhere to be kept: give it a memory that is open on a directory (`Memory::open`)"
            )));
        }
        let mut parallel = self.clone().memory(memory);
        // Whoever names a run wants what can be had.
        if parallel.options.on_error == OnError::FailFast {
            parallel.options.on_error = OnError::Collect;
        }
        Ok(NamedRun {
            parallel,
            memory: memory.clone(),
            name,
            order: Order::default(),
            max_recompute: None,
            wanted: Wanted::default(),
        })
    }

    /// Runs delayed calls under a name, so that the same call goes on where an earlier one ended: in short for
    /// `named(name, memory)?.run(calls)`.
    ///
    /// # Errors
    /// Those of [`named`](Parallel::named) and [`NamedRun::run`].
    pub fn run_named<'a, T, I>(&self, name: &str, memory: &Memory, calls: I) -> Result<NamedOutcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        self.named(name, memory)?.run(calls)
    }
}

impl NamedRun {
    /// In which order what has no result is computed. Results are in the order of the input all the same.
    pub fn order(mut self, order: Order) -> NamedRun {
        self.order = order;
        self
    }

    /// Ends the run before its first computation, with an error that says what would be computed and why, if that is known to
    /// take longer in all (the time of all workers together). What nothing is known of counts as nothing.
    pub fn max_recompute(mut self, most: Duration) -> NamedRun {
        self.max_recompute = Some(most);
        self
    }

    /// Whether items that failed in an earlier run are tried again. If not, they are failures of this run too, in the words they
    /// had.
    pub fn retry_failed(mut self, retry: bool) -> NamedRun {
        self.wanted.retry_failed = retry;
        self
    }

    /// Whether only items that failed in an earlier run are tried again, and what else has no result is left out.
    pub fn only_failed(mut self, only: bool) -> NamedRun {
        self.wanted.only_failed = only;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// What [`run`](NamedRun::run) with these calls would do and cost. Nothing is computed, loaded, or written. Since nothing is
    /// loaded, an error that the function stored counts as a result.
    ///
    /// # Errors
    /// An argument cannot be a part of a key; the ledger cannot be read.
    pub fn plan<'a, T, I>(&self, calls: I) -> Result<RunPlan>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        let cached = self.memory.cached::<T>();
        let site = self.site::<T>()?;
        // What it has as done is in the cache by then: so it is read before that is looked at.
        let recorded = Recorded::read(self.directory()?, &self.name).map_err(|error| self.refused(error))?;
        let looked = look::look(site.threads, &cached, calls.into_iter().collect(), false)?;
        let all: Vec<Known> = looked.into_iter().map(|looked| looked.known).collect();
        Ok(self.compare(&cached, &site, &all, &recorded).plan)
    }

    /// Runs these calls, as far as they have no results yet. All keys are made first, so the calls are held at once.
    ///
    /// A failure does not end the run, unless [`OnError::MaxFailures`] says so.
    ///
    /// # Errors
    /// What keeps the run from starting: the memory is open for reading only, an argument cannot be a part of a key, the ledger cannot be
    /// opened, the misses exceed
    /// [`max_recompute`](NamedRun::max_recompute), an option means nothing, there are no workers. What fails in the run is in the [`NamedOutcome`].
    pub fn run<'a, T, I>(&self, calls: I) -> Result<NamedOutcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        self.memory.check_writable(&self.name)?;
        let cached = self.memory.cached::<T>();
        let site = self.site::<T>()?;
        let store = self.memory.clone();
        let before_commit = Box::new(move || store.flush_for_ledger());
        // Before the cache is looked at, as for a plan.
        let (ledger, recorded) =
            Ledger::open(self.directory()?, &self.name, before_commit).map_err(|error| self.refused(error))?;
        let looked = match look::look(site.threads, &cached, calls.into_iter().collect(), true) {
            Ok(looked) => looked,
            Err(error) => {
                ledger.discard();
                return Err(error);
            }
        };
        let (mut all, mut results, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for Looked { known, value, call } in looked {
            all.push(known);
            results.push(value);
            calls.push(call);
        }
        let compared = self.compare(&cached, &site, &all, &recorded);
        if let Err(error) = self.check_price(&compared.plan) {
            ledger.discard();
            return Err(error);
        }
        self.begin::<T>(&ledger, &cached, &all, &site).map_err(|error| self.refused(error))?;
        let Compared { todo, items, plan, mean } = compared;
        let told = all.iter().zip(&items).map(|(known, item)| tell_of_cache(&ledger, known, *item));
        // How often each was run before, as the ledger has it now.
        let attempts: Vec<u32> = told.collect();

        let mut wanted: Vec<usize> = (0..all.len()).filter(|index| todo[*index] == Todo::Compute).collect();
        self.order.sort(&mut wanted, |index| all[index].cost(items[index]), mean, |index| all[index].who.id);
        for index in &wanted {
            // Else it would only be loaded again.
            if let (Has::Failure(_), Some(call)) = (&all[*index].has, &calls[*index]) {
                look::forget_failure(&cached, &all[*index].who, call)?;
            }
        }
        let ledger = Arc::new(ledger);
        let writes = wanted.iter().map(|index| record::Item {
            id: all[*index].id(),
            key: all[*index].who.key,
            attempts: attempts[*index],
        });
        let writer = Arc::new(Writer::new(Arc::clone(&ledger), self.memory.clone(), T::NAME, writes.collect()));
        let mut parallel = self.parallel.clone();
        parallel.options.recorder = Some(Arc::clone(&writer) as Arc<dyn Recorder>);
        let ran = match wanted.is_empty() {
            true => None,
            false => {
                let misses = wanted.iter().filter_map(|index| calls[*index].take());
                Some(parallel.outcome(misses.collect::<Vec<_>>())?)
            }
        };
        drop(parallel);
        let left = (0..all.len()).filter(|index| todo[*index] == Todo::LeaveFailed);
        let failures = left.filter_map(|index| self.failed_before::<T>(index, &all[index], items[index])).collect();
        let outcome = match ran {
            Some(ran) => ran.into_place(&wanted, results, failures),
            None => Outcome::of_known(results, failures),
        };
        let left_out = todo.iter().filter(|todo| **todo == Todo::LeaveOut).count();
        let outcome = outcome.without(left_out);
        // What another program computed meanwhile was loaded.
        let computed = outcome.report().completed.saturating_sub(writer.loaded());
        let in_memory = all.iter().filter(|known| matches!(known.has, Has::Unkept)).count() as u64;
        let unkept = writer.unkept() + in_memory;
        drop(writer);
        let summary = &plan.summary;
        let ended = Ended {
            reused: summary.reused,
            computed,
            failed: outcome.failures().len() as u64,
            changed: summary.changed(),
            new: summary.new,
            gone: summary.gone,
            complete: outcome.is_complete(),
        };
        let kept = Arc::into_inner(ledger).map(|ledger| ledger.end(&ended));
        let outcome = NamedOutcome::new(outcome, plan, computed, unkept, kept);
        if let Some(words) = outcome.what_is_lost() {
            // Whoever takes the results one by one should be told too.
            self.memory.warn(&format!("the run `{}`: {words}", self.name));
        }
        Ok(outcome)
    }

    /// Where the run would be made.
    fn site<T: Task>(&self) -> Result<Site> {
        let here = self.parallel.begin(can_cross::<T>)?;
        Ok(Site {
            workers: here.rules((0, None), false)?.0.workers,
            backend: format!("{:?}", here.backend_here()).to_lowercase(),
            threads: here.options.n_jobs.unwrap_or(-1),
        })
    }

    /// Compares what there is with what the ledger knows.
    fn compare<'r, T: Task>(
        &self,
        cached: &Cached<T>,
        site: &Site,
        all: &[Known],
        recorded: &'r Recorded,
    ) -> Compared<'r> {
        let items: Vec<_> = all.iter().map(|known| recorded.items.get(&known.id())).collect();
        let todo: Vec<_> =
            all.iter().zip(&items).map(|(known, item)| survey::todo(known, *item, self.wanted)).collect();
        let signature = Signature { parameters: T::PARAMETERS, ignored: T::IGNORED, inputs: cached.inputs() };
        let mut summary = survey::summarize(all, &todo, &items, recorded, signature);
        summary.others = recorded.live() as u64;
        if summary.changed() > 0 {
            summary.code = cached.changed_items();
        }
        // A program that was killed may not have told the cache what its calls came to.
        let mean = cached.mean_cost().or_else(|| recorded.mean_cost());
        let plan = survey::price(all, &todo, &items, mean, site.workers, summary);
        Compared { todo, items, plan, mean }
    }

    fn check_price(&self, plan: &RunPlan) -> Result<()> {
        match self.max_recompute {
            Some(most) if plan.compute_time > most => {
                let why = plan.reasons.iter().map(|(reason, items)| format!("{items} because {reason}"));
                let why = why.collect::<Vec<_>>().join(", ");
                Err(Error::too_costly(format!(
                    "the run `{}` would compute for {:.1?}, and `max_recompute` allows {most:.1?}: {plan}. It computes {why}. \
                     Allow more, or see with `plan` what can be spared",
                    self.name, plan.compute_time
                )))
            }
            _ => Ok(()),
        }
    }

    fn begin<T: Task>(&self, ledger: &Ledger, cached: &Cached<T>, all: &[Known], site: &Site) -> std::io::Result<()> {
        let code = cached.code();
        let begin = Begin {
            function: crate::key::identity::path_of::<T>().to_owned(),
            code: code.fingerprint,
            version: code.version,
            backend: site.backend.clone(),
            workers: u32::try_from(site.workers).unwrap_or(u32::MAX),
            items: all.len() as u64,
        };
        let list =
            |known: &Known| Listed { id: known.id(), key: *known.who.key.as_bytes(), marks: known.who.marks.clone() };
        ledger.begin(&begin, &mut all.iter().map(list))
    }

    fn failed_before<T: Task>(&self, index: usize, known: &Known, item: Option<&Item>) -> Option<Failure> {
        let how = match (&known.has, item.and_then(Item::failing)) {
            (Has::Failure(how), _) => how,
            (_, failing) => &failing?.how,
        };
        let attempts = item.map_or(1, |item| item.attempts.max(1));
        let cache = self.memory.location().unwrap_or(std::path::Path::new("DIR")).display();
        let message = format!(
            "{} (it failed in an earlier run; to try it again, use `retry_failed(true)`, or `larder --cache {cache} runs retry {}`)",
            how.message, self.name
        );
        Some(Failure {
            index,
            task: Some(T::NAME),
            arguments: Some(how.text.to_string()),
            worker: item.map_or(0, |item| item.worker as usize),
            attempts,
            took: None,
            cause: Cause::Lost(Lost { kind: how.kind, message }),
        })
    }

    fn directory(&self) -> Result<&std::path::Path> {
        self.memory.location().ok_or_else(|| Error::invalid_option("the memory of a named run has no directory"))
    }

    fn refused(&self, error: std::io::Error) -> Error {
        Error::ledger(format!("the ledger of the run `{}` cannot be used", self.name), error)
    }
}

/// Where a run is made.
struct Site {
    workers: usize,
    backend: String,
    /// As `n_jobs` has it.
    threads: i32,
}

/// A list, compared with what the cache and the ledger know of its items: for each what is to be done, and what the ledger says.
struct Compared<'r> {
    todo: Vec<Todo>,
    items: Vec<Option<&'r Item>>,
    plan: RunPlan,
    /// What a call of the function takes on average.
    mean: Option<Duration>,
}

/// Has the ledger know what the cache has, whoever computed it; answers the item's attempts.
fn tell_of_cache(ledger: &Ledger, known: &Known, item: Option<&Item>) -> u32 {
    let key = *known.who.key.as_bytes();
    let mut attempts = item.map_or(0, |item| item.attempts);
    match &known.has {
        Has::Result if item.is_none_or(|item| item.state != State::Done || item.key != key) => {
            ledger.done(known.id(), attempts, 0, 0);
        }
        Has::Failure(how) if item.and_then(Item::failing).is_none_or(|failing| failing.under != key) => {
            let failing = Failing { how: (**how).clone(), under: key };
            attempts = attempts.saturating_add(1);
            ledger.failed(known.id(), attempts, 0, 0, failing);
        }
        _ => {}
    }
    attempts
}
