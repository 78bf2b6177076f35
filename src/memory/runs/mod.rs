//! Named runs seen from outside: what their ledgers and the cache say of them, without the functions that they run.
//!
//! Nothing here needs the cache's owner but [`Memory::plan_run`], and nothing is locked: a run is looked at while it is live.

mod details;
mod info;
mod plan;

use std::path::Path;

pub use details::{RunDetails, RunItem, RunItemState};
pub use info::{RunEnd, RunInfo, RunProgram, RunProgramState};

use super::Memory;
use crate::error::{Error, Kind, Result};
use crate::parallel::RunPlan;
use crate::runs::{self, Name, Recorded};

/// An error names so many runs; of more it says how many.
const NAMED: usize = 10;

/// Named runs, of which this cache has ledgers.
impl Memory {
    /// All [named runs](crate::NamedRun) with a ledger in this cache, the one that was written to last first. Answers while they
    /// are live, also where the cache is another program's or is open for reading only. The whole ledger of each is read: some
    /// seconds for a run of a million items.
    ///
    /// A ledger that cannot be read is in the list, with the reason ([`RunInfo::unread`]). Without a directory there are no runs.
    ///
    /// # Errors
    /// The folder of the ledgers cannot be listed.
    ///
    /// # Examples
    /// ```
    /// use larder::{Memory, Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn root(x: f64) -> f64 {
    ///     x.sqrt()
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let calls = (0..10).map(|x| delayed!(root(f64::from(x))));
    /// Parallel::new().n_jobs(2).run_named("nightly", &memory, calls)?.into_values()?;
    ///
    /// let runs = memory.runs()?;
    /// assert_eq!((runs[0].name.as_str(), runs[0].items, runs[0].done), ("nightly", 10, 10));
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn runs(&self) -> Result<Vec<RunInfo>> {
        let Some(cache) = self.location() else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for name in names(cache)? {
            let name = Name::new(&name)?;
            all.push(match Recorded::read(cache, &name) {
                Ok(recorded) => self.info(&name, &recorded),
                Err(error) => RunInfo::of_unread(&name, &error),
            });
        }
        // Stable: equal ones stay in the order of their names.
        all.sort_by_key(|run| std::cmp::Reverse(run.last_written_at));
        Ok(all)
    }

    /// One run, with the programs that take part, or took part, and every item.
    ///
    /// # Errors
    /// There is no such run ([`Error::is_no_such_run`], which names those that there are), or its ledger cannot be read or is of a
    /// newer release.
    ///
    /// # Examples
    /// ```
    /// use larder::{Memory, OnError, Parallel, RunItemState, delayed};
    ///
    /// #[larder::task]
    /// fn root(x: f64) -> Result<f64, String> {
    ///     if x < 0.0 { Err(format!("{x} has no real root")) } else { Ok(x.sqrt()) }
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    /// let outcome = parallel.run_named("roots", &memory, [4.0, -9.0].map(|x| delayed!(root(x))))?;
    /// assert_eq!(outcome.failures().len(), 1);
    ///
    /// let run = memory.run("roots")?;
    /// assert_eq!((run.info.done, run.info.failed, run.programs.len()), (1, 1, 1));
    /// let failed = run.failed().next().unwrap();
    /// let RunItemState::Failed { message, arguments, .. } = failed.state else { unreachable!() };
    /// assert_eq!((arguments.as_str(), message.as_str()), ("x = -9.0", "-9 has no real root"));
    ///
    /// let error = memory.run("root").unwrap_err();
    /// assert_eq!(error.to_string(), "there is no run `root` in this cache: it has `roots`");
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn run(&self, name: &str) -> Result<RunDetails> {
        let name = Name::new(name)?;
        let (_, recorded) = self.of_run(&name)?;
        Ok(RunDetails::new(self.info(&name, &recorded), recorded))
    }

    /// Has the next program with this run try again what failed, also of lists before the newest; answers how many items that are.
    /// A program that is at the run now does not.
    ///
    /// # Errors
    /// There is no such run ([`Error::is_no_such_run`]), the memory is open for reading only, or the ledger cannot be read or
    /// written.
    ///
    /// # Examples
    /// ```
    /// use larder::{Memory, OnError, Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn parse(text: &str) -> Result<u32, String> {
    ///     text.parse().map_err(|error| format!("{text}: {error}"))
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let run = Parallel::new().on_error(OnError::Collect).named("texts", &memory)?;
    /// let first = run.run(["1", "two"].map(|text| delayed!(parse(text))))?;
    /// assert_eq!(first.failures()[0].attempts(), 1);
    ///
    /// assert_eq!(memory.retry_run("texts")?, 1);
    /// let second = run.run(["1", "two"].map(|text| delayed!(parse(text))))?;
    /// assert_eq!((second.summary().reused, second.summary().unfinished), (1, 1)); // tried again, in vain
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn retry_run(&self, name: &str) -> Result<u64> {
        let name = Name::new(name)?;
        let (cache, _) = self.of_run(&name)?;
        self.check_writable(&name)?;
        runs::retry(cache, &name).map_err(|error| refused(&name, error))
    }

    /// Forgets a run. Its results stay in the cache, and its next start finds them.
    ///
    /// # Errors
    /// There is no such run ([`Error::is_no_such_run`]), a program is at it ([`Error::is_run_live`]), the memory is open for
    /// reading only, or the ledger cannot be removed.
    ///
    /// # Examples
    /// ```
    /// # use larder::{Memory, Parallel, delayed};
    /// # #[larder::task]
    /// # fn double(x: u64) -> u64 {
    /// #     x * 2
    /// # }
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let memory = Memory::open(dir.path())?;
    /// # Parallel::new().run_named("old", &memory, (0..3).map(|x| delayed!(double(x))))?.into_values()?;
    /// memory.remove_run("old")?;
    /// let error = memory.remove_run("old").unwrap_err();
    /// assert!(error.is_no_such_run());
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn remove_run(&self, name: &str) -> Result<()> {
        let name = Name::new(name)?;
        let cache = self.location().ok_or_else(|| no_such_run(&name, &[]))?;
        self.check_writable(&name)?;
        // It may be one that cannot be read.
        match runs::remove(cache, &name).map_err(|error| refused(&name, error))? {
            true => Ok(()),
            false => Err(no_such_run(&name, &names(cache)?)),
        }
    }

    /// What the next program with this run would do and cost, by the newest list that its ledger has, as
    /// [`NamedRun::plan`](crate::NamedRun::plan) says it of a list of calls. The function is not needed, and nothing is computed, loaded
    /// or written: an item has a result if the cache has an entry under the key that it was listed with.
    ///
    /// So changes since that list are not seen: other items, another code of the function ([`RunInfo::code_changed`] hints at
    /// one), another validity. Nor are the files of large values looked at. Items of which nobody knows what they took count as
    /// the function's calls on average. Takes as long as finding every item in the cache: some seconds for each hundred thousand
    /// where another program has it open.
    ///
    /// # Errors
    /// There is no such run ([`Error::is_no_such_run`]), or its ledger or the cache cannot be read.
    ///
    /// # Examples
    /// ```
    /// # use larder::{Memory, Parallel, delayed};
    /// # #[larder::task]
    /// # fn double(x: u64) -> u64 {
    /// #     x * 2
    /// # }
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let memory = Memory::open(dir.path())?;
    /// Parallel::new().run_named("doubles", &memory, (0..30).map(|x| delayed!(double(x))))?.into_values()?;
    /// memory.cached::<double>().forget((7,))?;
    ///
    /// let plan = memory.plan_run("doubles")?;
    /// assert_eq!((plan.summary.items, plan.summary.reused, plan.misses), (30, 29, 1));
    /// assert_eq!(plan.reasons[0].0, larder::MissReason::Forgotten);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn plan_run(&self, name: &str) -> Result<RunPlan> {
        let name = Name::new(name)?;
        let (_, recorded) = self.of_run(&name)?;
        match &self.inner.place {
            Some(shelves) => plan::plan(shelves, &recorded),
            None => Err(no_such_run(&name, &[])),
        }
    }

    /// The cache's directory, and what the ledger of a run says, which must be there.
    fn of_run(&self, name: &Name) -> Result<(&Path, Recorded)> {
        let cache = self.location().ok_or_else(|| no_such_run(name, &[]))?;
        let there = names(cache)?;
        if !there.iter().any(|known| known == name.as_str()) {
            return Err(no_such_run(name, &there));
        }
        let recorded = Recorded::read(cache, name).map_err(|error| refused(name, error))?;
        Ok((cache, recorded))
    }

    fn info(&self, name: &Name, recorded: &Recorded) -> RunInfo {
        RunInfo::new(name, recorded, self.code_changed(recorded))
    }

    /// Whether results of another code of the function were stored since the last program of the run began.
    fn code_changed(&self, recorded: &Recorded) -> Option<bool> {
        let (program, shelves) = (recorded.programs.last()?, self.inner.place.as_ref()?);
        // Who cannot reach the cache does not know.
        let totals = shelves.store.function(&program.begin.function, false).ok()??;
        let newest = totals.tally.codes.iter().max_by_key(|code| code.last_ms)?;
        let same = (newest.code.fingerprint, newest.code.version) == (program.begin.code, program.begin.version);
        Some(!same && newest.last_ms > program.started_at_ms)
    }

    pub(crate) fn check_writable(&self, name: &Name) -> Result<()> {
        let read_only = self.inner.place.as_ref().is_some_and(|shelves| shelves.store.is_read_only());
        match read_only {
            true => Err(Error::invalid_option(format!(
                "the cache is open for reading only, so the ledger of the run `{name}` cannot be written: open it with `Memory::open`"
            ))),
            false => Ok(()),
        }
    }
}

fn names(cache: &Path) -> Result<Vec<String>> {
    runs::names(cache).map_err(|error| Error::ledger("the ledgers of runs cannot be listed".to_owned(), error))
}

fn refused(name: &Name, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::ResourceBusy {
        return Error::ledger(format!("the run `{name}` is live"), error);
    }
    Error::ledger(format!("the ledger of the run `{name}` cannot be used"), error)
}

fn no_such_run(name: &Name, there: &[String]) -> Error {
    let words = match there {
        [] => "it has none".to_owned(),
        all if all.len() <= NAMED => format!("it has {}", list(all)),
        all => format!("it has {} and {} more", list(&all[..NAMED]), all.len() - NAMED),
    };
    Error::new(Kind::NoSuchRun { what: format!("there is no run `{name}` in this cache: {words}") })
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Parallel, delayed};

    #[crate::task]
    fn halved(x: u64) -> u64 {
        x / 2
    }

    #[test]
    fn results_of_other_code_are_noticed_that_were_stored_since() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::open(dir.path()).unwrap();
        let calls = (0..3).map(|x| delayed!(halved(x)));
        Parallel::new().n_jobs(1).run_named("halves", &memory, calls).unwrap().into_values().unwrap();
        let mut recorded = Recorded::read(memory.location().unwrap(), &Name::new("halves").unwrap()).unwrap();
        assert_eq!(memory.code_changed(&recorded), Some(false));
        // As if the run had been of other code: before these results were stored, or after.
        recorded.programs[0].begin.code = Some([7; 32]);
        assert_eq!(memory.code_changed(&recorded), Some(true));
        recorded.programs[0].started_at_ms = u64::MAX;
        assert_eq!(memory.code_changed(&recorded), Some(false));
        // Nothing is known of a function without results.
        "nobody::knows".clone_into(&mut recorded.programs[0].begin.function);
        assert_eq!(memory.code_changed(&recorded), None);
        assert_eq!(memory.code_changed(&Recorded::default()), None);
    }

    #[test]
    fn the_runs_that_there_are_are_named_and_not_all_of_very_many() {
        let name = Name::new("x").unwrap();
        let many: Vec<String> = (0..12).map(|n| format!("r{n}")).collect();
        let words = |there: usize| no_such_run(&name, &many[..there]).to_string();
        assert_eq!(words(0), "there is no run `x` in this cache: it has none");
        assert_eq!(words(2), "there is no run `x` in this cache: it has `r0`, `r1`");
        assert!(words(10).ends_with("`r8`, `r9`"));
        assert!(words(12).ends_with("`r8`, `r9` and 2 more"));
        assert!(no_such_run(&name, &[]).is_no_such_run());
    }
}
