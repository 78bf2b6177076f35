//! What came of a named run.

use std::fmt;
use std::ops::Deref;

use super::super::outcome::Outcome;
use super::summary::{RunPlan, RunSummary};
use crate::error::Error;
use crate::runs::Kept;

/// What came of a named run: an [`Outcome`], what was reused, and what could not be kept.
#[must_use = "failures of tasks are told in the outcome only"]
pub struct NamedOutcome<R> {
    outcome: Outcome<R>,
    plan: RunPlan,
    computed: u64,
    unkept: u64,
    kept: Option<Kept>,
}

impl<R> NamedOutcome<R> {
    pub(super) fn new(
        outcome: Outcome<R>,
        plan: RunPlan,
        computed: u64,
        unkept: u64,
        kept: Option<Kept>,
    ) -> NamedOutcome<R> {
        NamedOutcome { outcome, plan, computed, unkept, kept }
    }

    /// What was reused, what changed, what is new, what is gone.
    pub fn summary(&self) -> &RunSummary {
        &self.plan.summary
    }

    /// What the run was to cost, as it was known before it.
    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// How many items were computed in this run, by this program; what another program computed meanwhile was loaded.
    pub fn computed(&self) -> u64 {
        self.computed
    }

    /// Results that could not be stored, and records of the ledger that could not be written, or may not be on the disk. Those items
    /// may be computed again.
    pub fn unkept(&self) -> u64 {
        self.unkept + self.lost()
    }

    fn lost(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.lost)
    }

    /// What will be computed again though it has been, if something will.
    pub(super) fn what_is_lost(&self) -> Option<String> {
        if self.unkept() == 0 {
            return None;
        }
        let why = self.ledger_error().map(|error| format!(" ({error})")).unwrap_or_default();
        Some(format!(
            "{} results could not be stored, and {} records of its ledger not written{why}: they may be computed again",
            self.unkept,
            self.lost()
        ))
    }

    /// What went wrong with the ledger, if something did. With [`unkept`](NamedOutcome::unkept) of 0 it cost nothing.
    pub fn ledger_error(&self) -> Option<&std::io::Error> {
        self.kept.as_ref()?.error.as_ref()
    }

    /// The outcome alone.
    pub fn into_outcome(self) -> Outcome<R> {
        self.outcome
    }

    /// The results in the order of the input.
    ///
    /// # Errors
    /// An item failed or was not run; or something could not be kept, so that the next run would compute it again. The error has
    /// all there is.
    pub fn into_values(self) -> std::result::Result<Vec<R>, NamedIncomplete<R>> {
        if self.unkept() > 0 || !self.outcome.is_complete() {
            return Err(NamedIncomplete { outcome: Box::new(self) });
        }
        let NamedOutcome { outcome, plan, computed, unkept, kept } = self;
        outcome.into_values().map_err(|incomplete| {
            let outcome = incomplete.into_outcome();
            NamedIncomplete { outcome: Box::new(NamedOutcome { outcome, plan, computed, unkept, kept }) }
        })
    }
}

/// The error of a [`NamedOutcome`] without all results, or with results that could not be kept: it has what there is.
pub struct NamedIncomplete<R> {
    outcome: Box<NamedOutcome<R>>,
}

impl<R> NamedIncomplete<R> {
    /// Every result and every failure there is.
    pub fn outcome(&self) -> &NamedOutcome<R> {
        &self.outcome
    }

    /// Every result and every failure there is.
    pub fn into_outcome(self) -> NamedOutcome<R> {
        *self.outcome
    }

    /// All results are there, and not all are kept.
    fn unkept(&self) -> Option<String> {
        let lost = self.outcome.outcome.is_complete().then(|| self.outcome.what_is_lost()).flatten()?;
        Some(format!("a named run: {lost}; `into_outcome` has all results"))
    }
}

impl<R> From<NamedIncomplete<R>> for Error {
    fn from(incomplete: NamedIncomplete<R>) -> Error {
        let Some(words) = incomplete.unkept() else {
            return match incomplete.outcome.outcome.into_values() {
                Err(incomplete) => incomplete.into(),
                Ok(_) => Error::ledger("a named run".to_owned(), std::io::Error::other("it is complete")),
            };
        };
        let error = incomplete.outcome.kept.and_then(|kept| kept.error);
        Error::ledger(words, error.unwrap_or_else(|| std::io::Error::other("the store refused them")))
    }
}

impl<R> fmt::Display for NamedIncomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unkept() {
            Some(words) => f.write_str(&words),
            None => write!(f, "not every item of the run has a result: {}", self.outcome),
        }
    }
}

impl<R> fmt::Debug for NamedIncomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<R> std::error::Error for NamedIncomplete<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.outcome.ledger_error().map(|error| error as _)
    }
}

impl<R> Deref for NamedOutcome<R> {
    type Target = Outcome<R>;

    fn deref(&self) -> &Outcome<R> {
        &self.outcome
    }
}

/// The counts; results need not be `Debug`.
impl<R> fmt::Debug for NamedOutcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedOutcome")
            .field("summary", &self.plan.summary)
            .field("outcome", &self.outcome)
            .field("unkept", &self.unkept)
            .finish_non_exhaustive()
    }
}

/// The summary, and what went wrong.
impl<R> fmt::Display for NamedOutcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} computed", self.plan.summary, self.computed())?;
        let failed = self.outcome.failures().len();
        if failed > 0 {
            write!(f, ", {failed} failed")?;
        }
        let results = self.outcome.results();
        let not_run = (results.iter().filter(|result| result.is_none()).count()).saturating_sub(failed);
        if not_run > 0 {
            write!(f, ", {not_run} not run")?;
        }
        if self.unkept() > 0 {
            write!(f, ", {} could not be kept", self.unkept())?;
        }
        Ok(())
    }
}
