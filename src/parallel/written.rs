//! Results of one batch on their way to the end of the run.

use std::ops::ControlFlow;

use crate::sys::filled::Filled;
use crate::task::TaskError;

/// The results of one batch, where they could be written.
pub(super) enum Written<'s, R> {
    /// In their place in the final list.
    Placed(Filled<'s, R>),
    /// Apart: the input did not say how long it is, was wrong about it, or there may be gaps between results.
    Apart { start: usize, values: Vec<R> },
}

impl<'s, R> Written<'s, R> {
    /// What is written, the place behind it, which is that of the item at `index`, and the places behind that.
    pub(super) fn part(self, index: usize) -> (Self, Self, Self) {
        match self {
            Written::Placed(filled) => {
                let (before, place, rest) = filled.part();
                (Written::Placed(before), Written::Placed(place), Written::Placed(rest))
            }
            apart => {
                let empty = |start| Written::Apart { start, values: Vec::new() };
                (apart, empty(index), empty(index + 1))
            }
        }
    }

    /// The places of the first so many items of a batch, with all that is written, and those of the others, which begin
    /// with that of the item at `index`.
    pub(super) fn split_at(self, items: usize, index: usize) -> (Self, Self) {
        match self {
            Written::Placed(filled) => {
                let (first, rest) = filled.split_at(items);
                (Written::Placed(first), Written::Placed(rest))
            }
            apart => (apart, Written::Apart { start: index, values: Vec::new() }),
        }
    }

    /// How many results are written.
    pub(super) fn len(&self) -> usize {
        match self {
            Written::Placed(filled) => filled.len(),
            Written::Apart { values, .. } => values.len(),
        }
    }

    /// Writes results behind those that are written.
    #[inline]
    pub(super) fn extend(&mut self, values: impl Iterator<Item = R>) {
        match self {
            Written::Placed(filled) => filled.extend(values),
            Written::Apart { values: list, .. } => list.extend(values),
        }
    }

    /// Takes results up to the first error.
    #[inline]
    pub(super) fn try_extend(&mut self, results: impl Iterator<Item = Result<R, TaskError>>) -> ControlFlow<TaskError> {
        let mut error = None;
        let values = results.map_while(|result| match result {
            Ok(value) => Some(value),
            Err(failed) => {
                error = Some(failed);
                None
            }
        });
        self.extend(values);
        error.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_lie_apart_are_cut_at_a_gap() {
        let mut out = Written::Apart { start: 10, values: Vec::new() };
        let results = ["a", "b", "no", "d"].map(|text| match text {
            "no" => Err(TaskError::from_message("no".to_owned())),
            text => Ok(text),
        });
        let mut results = results.into_iter();
        assert!(out.try_extend(results.by_ref()).is_break());
        let (before, place, mut rest) = out.part(12);
        assert!(rest.try_extend(results).is_continue());
        let parts = [before, place, rest].map(|part| match part {
            Written::Apart { start, values } => (start, values),
            Written::Placed(_) => panic!("they lie apart"),
        });
        assert_eq!(parts, [(10, vec!["a", "b"]), (12, vec![]), (13, vec!["d"])]);
    }
}
