//! A batch as one loop, as quick as its items are.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{Clock, Done, Run, discard};
use crate::panics;
use crate::parallel::failure::Cause;
use crate::parallel::feed::Batch;
use crate::parallel::progress::{Meter, Observed};
use crate::parallel::work::Work;

/// So many quick items take less; if not, they are looked at one by one.
const SLOW_STRIDE: Duration = Duration::from_millis(1);

impl<'s, W: Work, I: Iterator<Item = W::Item>> Run<'s, '_, W, I> {
    /// Runs a batch, to its end or to the first item that fails, as was asked.
    pub(super) fn run_batch(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
        done: &mut Done<'s, W>,
    ) {
        let Batch { mut start, mut stride, is_timed, attempts, mut out } = batch;
        if self.meter.is_some_and(Meter::wants_tasks) {
            // Each is told of by itself.
            stride = 1;
        }
        // The simple loop loses its items when one of them panics, and stops for nobody: so it is for runs which a panic
        // ends, and nothing else.
        if stride > 1
            && !self.feed.goes_on()
            && !self.feed.can_be_stopped()
            && let Some(function) = self.work.plain()
        {
            let items = std::mem::take(items);
            let caught = panics::catch(|| out.extend(items.into_iter().map(function)));
            self.count(worker, out.len());
            if let Err(panic) = caught {
                done.failures.push(self.failure(start + out.len(), attempts, None, worker, Cause::Panicked(panic)));
            }
            done.written.push(out);
            return;
        }
        let mut rest = items.drain(..);
        let mut begun = Instant::now();
        let mut is_slow = false;
        loop {
            let mut trace = None;
            let mut counted = 0;
            let Done { times, slowest, .. } = done;
            let mut clock = (is_timed && stride == 1).then_some(Clock { times, slowest });
            let caught = panics::catch(|| {
                while rest.len() > 0 && !self.feed.is_stopped() {
                    let mut step = |item| {
                        trace = None;
                        trace = Some(self.work.trace(&item));
                        self.work.run(item)
                    };
                    let observed = Observed::begin_task(self.meter, worker, start + out.len());
                    let ran = out.try_extend(rest.by_ref().take(stride).map(&mut step));
                    if let Some(observed) = observed {
                        observed.end(ran.is_continue());
                    }
                    self.count(worker, out.len() - counted);
                    counted = out.len();
                    if let ControlFlow::Break(error) = ran {
                        return Some(error);
                    }
                    if let Some(clock) = &mut clock {
                        let now = Instant::now();
                        self.note(clock, start + counted - 1, worker, now.duration_since(begun), trace.take());
                        begun = now;
                    } else if stride > 1 {
                        let now = Instant::now();
                        if now.duration_since(begun) > SLOW_STRIDE {
                            is_slow = true;
                            return None;
                        }
                        begun = now;
                    }
                }
                None
            });
            // What was done since, before a panic.
            self.count(worker, out.len() - counted);
            let cause = match caught {
                Ok(None) => break,
                Ok(Some(error)) => Cause::Erred(error),
                Err(panic) => Cause::Panicked(panic),
            };
            let index = start + out.len();
            done.failures.push(self.failure(index, attempts, trace, worker, cause));
            if !self.feed.goes_on() {
                break;
            }
            let (before, _, behind) = out.part(index);
            done.written.push(before);
            (start, out) = (index + 1, behind);
            begun = Instant::now();
        }
        if is_slow && rest.len() > 0 {
            return done.leave(start, attempts, out, rest.collect());
        }
        done.written.push(out);
        discard(rest);
    }
}
