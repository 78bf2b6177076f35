//! Named runs: priced before they start, resumed after any end, shared between programs.
//!
//! The cache is the truth about results, and a ledger beside it ([`crate::runs`]) knows which items a run is of and what came
//! of each. A run goes: the calls' keys -> what the cache and the ledger know of them ([`survey`]) -> a price ([`RunPlan`])
//! -> the misses in their [order](Order) through an ordinary run on the memory, each written down as it ends ([`record`]) ->
//! results in the order of the input. Items are known by their content; nothing goes by their places.

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
use super::failure::{Cause, Failure, FailureKind, Lost, OnError};
use super::outcome::Outcome;
use super::progress::Progress;
use super::record::Recorder;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::key::Identity;
use crate::memory::survey::{Identified, Missing, Survey};
use crate::memory::{Cached, Memory, MissReason, NotStoredReason, Stats};
use crate::runs::{Begin, Ended, Item, Ledger, Listed, Name, Recorded, State};
use crate::task::{Delayed, Task};
use record::Writer;
use survey::{Known, Todo, Wanted, id_of};

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
/// - A second program with a run of this name, on the same cache, takes the items that nobody has taken, at the same time.
///
/// Not promised: that a function with side effects has them once. Results that are not stored (`None`, unless the function says
/// `store(none)`) are computed in each run.
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

    /// What [`run`](NamedRun::run) with these calls would do and cost. Nothing is computed, loaded, or written.
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
        let looked = self.look(&cached, calls.into_iter().collect(), false)?;
        let all: Vec<Known> = looked.into_iter().map(|looked| looked.known).collect();
        let recorded = Recorded::read(self.directory()?, &self.name).map_err(|error| self.refused(error))?;
        let todo = self.todo(&all, &recorded);
        self.planned(&cached, &all, &todo, &recorded)
    }

    /// Runs these calls, as far as they have no results yet. All keys are made first, so the calls are held at once.
    ///
    /// A failure does not end the run, unless [`OnError::MaxFailures`] says so.
    ///
    /// # Errors
    /// What keeps the run from starting: an argument cannot be a part of a key, the ledger cannot be opened, the misses exceed
    /// [`max_recompute`](NamedRun::max_recompute), an option means nothing, there are no workers. What fails in the run is in the [`NamedOutcome`].
    pub fn run<'a, T, I>(&self, calls: I) -> Result<NamedOutcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        let cached = self.memory.cached::<T>();
        let before = self.memory.stats();
        let calls: Vec<Delayed<'a, T>> = calls.into_iter().collect();
        let looked = self.look(&cached, calls, true)?;
        let (mut all, mut results, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for Looked { known, value, call } in looked {
            all.push(known);
            results.push(value);
            calls.push(call);
        }
        let store = self.memory.clone();
        let before_commit = Box::new(move || store.flush_for_ledger());
        let (ledger, recorded) =
            Ledger::open(self.directory()?, &self.name, before_commit).map_err(|error| self.refused(error))?;
        let todo = self.todo(&all, &recorded);
        let plan = self.planned(&cached, &all, &todo, &recorded)?;
        self.check_price(&plan)?;
        self.begin::<T>(&ledger, &cached, &all, plan.workers).map_err(|error| self.refused(error))?;

        // What the cache has is done, whoever computed it.
        for known in all.iter().filter(|known| known.missing.is_none() && !known.unkept) {
            let id = id_of(&known.who);
            let item = recorded.items.get(&id);
            if item.is_none_or(|item| item.state != State::Done || item.key != *known.who.key.as_bytes()) {
                ledger.done(id, item.map_or(0, |item| item.attempts), 0, 0);
            }
        }

        let mut wanted: Vec<usize> = (0..all.len()).filter(|index| todo[*index] == Todo::Compute).collect();
        let cost = |index: usize| all[index].missing.as_ref().and_then(|missing| missing.cost);
        self.order.sort(&mut wanted, cost, cached.mean_cost(), |index| all[index].who.id);
        let ledger = Arc::new(ledger);
        let item = |index: &usize| {
            let who = &all[*index].who;
            let attempts = recorded.items.get(&id_of(who)).map_or(0, |item| item.attempts);
            record::Item { id: id_of(who), key: who.key, attempts }
        };
        let items = wanted.iter().map(item).collect();
        let writer = Arc::new(Writer::new(Arc::clone(&ledger), self.memory.clone(), items));
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
        let failures: Vec<Failure> = (0..all.len())
            .filter(|index| todo[*index] == Todo::LeaveFailed)
            .filter_map(|index| self.failed_before::<T>(index, recorded.items.get(&id_of(&all[index].who))?))
            .collect();
        let outcome = match ran {
            Some(ran) => ran.into_place(&wanted, results, failures),
            None => Outcome::of_known(results, failures),
        };
        let left_out = todo.iter().filter(|todo| **todo == Todo::LeaveOut).count();
        let outcome = outcome.without(left_out);
        // What another program computed meanwhile was loaded.
        let computed = outcome.report().completed.saturating_sub(writer.loaded());
        // A `None` is not stored unless that is asked for: nothing went wrong.
        let not_stored = |stats: &Stats| stats.not_stored_for(NotStoredReason::NoneResult);
        let nothings = not_stored(&self.memory.stats()).saturating_sub(not_stored(&before));
        let unkept = writer.unkept().saturating_sub(nothings) + all.iter().filter(|known| known.unkept).count() as u64;
        drop(writer);
        let summary = plan.summary.clone();
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
        Ok(NamedOutcome::new(outcome, plan, computed, unkept, kept))
    }

    /// What there is of each call, and the result if there is one and it is to be loaded; else the call.
    ///
    /// Entries are asked for in the order of their keys: neighbours share a page of the index, and a million of them in any other
    /// order would have each page read again and again.
    fn look<'a, T>(&self, cached: &Cached<T>, calls: Vec<Delayed<'a, T>>, load: bool) -> Result<Vec<Looked<'a, T>>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
    {
        // Looking is a run of its own: on threads, wherever the run itself is to be, and nobody watches it.
        let here = self.parallel.begin(|| false)?;
        let parallel =
            Parallel::new().backend(Backend::Threads).progress(Progress::Off).n_jobs(here.options.n_jobs.unwrap_or(-1));
        let without_code = cached.without_code();
        let identify = |(index, call): (usize, Delayed<'a, T>)| {
            identify(cached, &without_code, index, &call).map(|who| (index, who, call))
        };
        let known: Result<Vec<_>> = parallel.map(calls.into_iter().enumerate(), identify)?.into_iter().collect();
        let mut known = known?;
        known.sort_unstable_by(|(_, one, _), (_, other, _)| one.key.as_bytes().cmp(other.key.as_bytes()));
        let look = |(index, who, call)| (index, survey_one(cached, who, call, load));
        let mut looked = parallel.map(known, look)?;
        looked.sort_unstable_by_key(|(index, _)| *index);
        Ok(looked.into_iter().map(|(_, looked)| looked).collect())
    }

    fn todo(&self, all: &[Known], recorded: &Recorded) -> Vec<Todo> {
        all.iter().map(|known| survey::todo(known, recorded.items.get(&id_of(&known.who)), self.wanted)).collect()
    }

    fn planned<T: Task>(
        &self,
        cached: &Cached<T>,
        all: &[Known],
        todo: &[Todo],
        recorded: &Recorded,
    ) -> Result<RunPlan> {
        let mut summary = survey::summarize(all, todo, recorded, T::PARAMETERS, T::IGNORED);
        summary.others = recorded.programs.iter().filter(|program| program.live).count() as u64;
        if summary.changed() > 0 {
            summary.code = cached.changed_items();
        }
        let workers = self.parallel.begin(can_cross::<T>)?.rules((0, None), false)?.0.workers;
        Ok(survey::price(all, todo, cached.mean_cost(), workers, summary))
    }

    fn check_price(&self, plan: &RunPlan) -> Result<()> {
        match self.max_recompute {
            Some(most) if plan.compute_time > most => Err(Error::too_costly(format!(
                "the run `{}` would compute for {:.1?}, and `max_recompute` allows {most:.1?}: {plan}. Allow more, or see with \
                 `plan` what can be spared",
                self.name, plan.compute_time
            ))),
            _ => Ok(()),
        }
    }

    fn begin<T: Task>(
        &self,
        ledger: &Ledger,
        cached: &Cached<T>,
        all: &[Known],
        workers: usize,
    ) -> std::io::Result<()> {
        let code = cached.code();
        let backend = self.parallel.begin(can_cross::<T>).map_err(std::io::Error::other)?.backend_here();
        let begin = Begin {
            function: crate::key::identity::path_of::<T>().to_owned(),
            code: code.fingerprint,
            version: code.version,
            backend: format!("{:?}", backend).to_lowercase(),
            workers: u32::try_from(workers).unwrap_or(u32::MAX),
            items: all.len() as u64,
        };
        let list = |known: &Known| Listed {
            id: id_of(&known.who),
            key: *known.who.key.as_bytes(),
            marks: known.who.marks.clone(),
        };
        ledger.begin(&begin, &mut all.iter().map(list))
    }

    fn failed_before<T: Task>(&self, index: usize, item: &Item) -> Option<Failure> {
        let State::Failed { message, panicked } = &item.state else { return None };
        let kind = if *panicked { FailureKind::Panic } else { FailureKind::Error };
        let message = format!(
            "{message} (it failed in an earlier run, after {} attempts; to try it again, use `retry_failed(true)`, or \
             `larder runs retry {}`)",
            item.attempts, self.name
        );
        Some(Failure {
            index,
            task: Some(T::NAME),
            arguments: Some(item.text.to_string()),
            worker: item.worker as usize,
            attempts: item.attempts,
            cause: Cause::Lost(Lost { kind, message }),
        })
    }

    fn directory(&self) -> Result<&std::path::Path> {
        self.memory.location().ok_or_else(|| Error::invalid_option("the memory of a named run has no directory"))
    }

    fn refused(&self, error: std::io::Error) -> Error {
        Error::ledger(format!("the ledger of the run `{}` cannot be used", self.name), error)
    }
}

/// What there is of one call.
struct Looked<'a, T: Task> {
    known: Known,
    value: Option<T::Value>,
    /// If it has no result.
    call: Option<Delayed<'a, T>>,
}

fn identify<T: Task>(
    cached: &Cached<T>,
    without_code: &Identity,
    index: usize,
    call: &Delayed<'_, T>,
) -> Result<Identified> {
    cached.identify(without_code, &call.args).map_err(|refused| {
        Error::invalid_option(format!(
            "item {index} of the run has no key, so it could not be found again: {refused}; give its arguments a form that \
             serde can write, or leave them out of the key with `ignore(..)`"
        ))
    })
}

fn survey_one<'a, T: Task>(cached: &Cached<T>, who: Identified, call: Delayed<'a, T>, load: bool) -> Looked<'a, T> {
    match cached.survey(&who, &call.args, load) {
        Survey::Hit(None) => Looked { known: Known::new(who, None), value: None, call: None },
        Survey::Unkept(output) => {
            let known = Known { unkept: true, ..Known::new(who, None) };
            Looked { known, value: T::into_value(output).ok(), call: None }
        }
        Survey::Hit(Some(output)) => match T::into_value(output) {
            Ok(value) => Looked { known: Known::new(who, None), value: Some(value), call: None },
            // A function that stores its errors: the call fails as it did.
            Err(_) => {
                let missing = Missing { reason: MissReason::Rejected, cost: None };
                Looked { known: Known::new(who, Some(missing)), value: None, call: Some(call) }
            }
        },
        Survey::Miss(missing) => Looked { known: Known::new(who, Some(missing)), value: None, call: Some(call) },
    }
}
