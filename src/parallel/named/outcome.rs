//! What came of a named run.

use std::fmt;
use std::ops::Deref;

use super::super::outcome::Outcome;
use super::summary::{RunPlan, RunSummary};
use crate::error::{Error, Result};
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

    /// Results that could not be stored, and records of the ledger that could not be written. Those items will be computed
    /// again.
    pub fn unkept(&self) -> u64 {
        self.unkept + self.lost()
    }

    fn lost(&self) -> u64 {
        // What could not be written may also be unknown in number.
        self.kept.as_ref().map_or(0, |kept| kept.lost.max(u64::from(kept.error.is_some())))
    }

    /// The outcome alone.
    pub fn into_outcome(self) -> Outcome<R> {
        self.outcome
    }

    /// The results in the order of the input.
    ///
    /// # Errors
    /// An item failed or was not run; or something could not be kept, so that the next run would compute it again:
    /// [`into_outcome`](NamedOutcome::into_outcome) has the results all the same.
    pub fn into_values(self) -> Result<Vec<R>> {
        let unkept = self.unkept();
        if unkept > 0 && self.outcome.is_complete() {
            let words = format!("{unkept} results of a named run could not be kept, and would be computed again");
            let error = self.kept.and_then(|kept| kept.error);
            return Err(Error::ledger(words, error.unwrap_or_else(|| std::io::Error::other("the store refused them"))));
        }
        self.outcome.into_values().map_err(Error::from)
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
        if self.unkept() > 0 {
            write!(f, ", {} could not be kept", self.unkept())?;
        }
        Ok(())
    }
}
