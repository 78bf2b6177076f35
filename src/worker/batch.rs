//! One batch in a worker: calls made one after the other, and what is said of them.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use super::usage::own_bytes;
use crate::codec::{CodecId, Encoding, Large, Prefer};
use crate::memory::{Asking, Kept, Looked, Memory, Safe, Waiting};
use crate::parallel::{Slowest, Times};
use crate::payload::travel::{Arrivals, Content};
use crate::sys::board::Board;
use crate::task::remote::{End, Host};
use crate::wire::message::{Begin, Done, Exception};

/// Memory is looked at so often, at most: it is a read of a file of the system's.
const LOOK: Duration = Duration::from_millis(5);

/// What the calls of a batch need, and what they left.
pub(super) struct Batch<'w> {
    pub(super) id: u64,
    pub(super) waits: bool,
    /// Of its kind, since the driver said what is to be called.
    pub(super) is_first: bool,
    pub(super) begin: &'w Begin,
    pub(super) memory: Option<&'w Memory>,
    pub(super) board: Option<&'w Board>,
    pub(super) arrivals: &'w mut Arrivals,
    /// Set once this worker has grown beyond its limit: it begins nothing more.
    pub(super) grown_to: &'w mut Option<u64>,
    /// Until they are asked for.
    pub(super) arguments: Option<(CodecId, Large)>,
    /// What comes of the lookup of the call at hand.
    pub(super) asking: Option<Asking>,
    pub(super) tally: Tally,
}

/// What is known of the calls so far.
#[derive(Default)]
pub(super) struct Tally {
    begun: u64,
    exceptions: Vec<(u64, Exception)>,
    /// The places of those whose results were loaded.
    loaded: Vec<u64>,
    /// How many gave a `None` that is not stored for that.
    nothings: u64,
    failed: bool,
    looked: Option<Instant>,
    /// The results, and their codec.
    results: Option<(CodecId, Content)>,
    timer: Timer,
}

/// Looks at the clock around calls, of quick ones around a few.
#[derive(Default)]
struct Timer {
    times: Times,
    slowest: Slowest<u64>,
    begun: Option<Instant>,
    /// So many more calls are not looked at, of so many.
    skip: u64,
    skipped: u64,
    /// How long the last one took that was looked at.
    last: Duration,
}

/// Of calls that take less, one in so many is looked at: two looks take some 60 ns.
const QUICK: Duration = Duration::from_micros(10);
const ONE_IN: u64 = 64;

impl Timer {
    #[inline]
    fn begin(&mut self) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.begun = Some(Instant::now());
        }
    }

    #[inline]
    fn end(&mut self, place: u64) {
        let Some(begun) = self.begun.take() else { return };
        let took = begun.elapsed();
        self.times.add(took, 1);
        self.slowest.add(took, place);
        self.count_skipped();
        self.last = took;
        self.skip = if took < QUICK { ONE_IN - 1 } else { 0 };
        self.skipped = self.skip;
    }

    /// The calls that were not looked at took as long as the one before them.
    fn count_skipped(&mut self) {
        let skipped = self.skipped - self.skip;
        if skipped > 0 {
            self.times.add(self.last, skipped);
        }
        self.skipped = self.skip;
    }
}

impl Tally {
    /// How many calls were made.
    pub(super) fn calls(&self) -> u64 {
        self.begun
    }

    /// What is said of the batch, and its results.
    pub(super) fn done(mut self, id: u64, busy: Duration, grown_to: Option<u64>, counts: Vec<u64>) -> (Done, Content) {
        let (codec, content) = self.results.unwrap_or((CodecId::Compact, Content::Bytes(Vec::new())));
        self.timer.count_skipped();
        let done = Done {
            id,
            calls: self.begun,
            busy_nanos: u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX),
            exceptions: self.exceptions,
            codec: codec.into(),
            file_bytes: content.file_bytes(),
            grown_to,
            counts,
            loaded: self.loaded,
            nothings: self.nothings,
            times: self.timer.times,
            slowest: self.timer.slowest,
        };
        (done, content)
    }
}

impl Host for Batch<'_> {
    fn arguments(&mut self, decode: &mut dyn FnMut(CodecId, Large)) {
        if let Some((codec, bytes)) = self.arguments.take() {
            self.arrivals.within(|| decode(codec, bytes));
        }
    }

    fn memory(&self) -> Option<&Memory> {
        self.memory
    }

    fn waiting(&self) -> Waiting {
        if self.waits { Waiting::ToTheEnd } else { Waiting::Not }
    }

    fn prefers(&self) -> Prefer {
        if self.begin.self_describing { Prefer::SelfDescribing } else { Prefer::Small }
    }

    fn is_first(&self) -> bool {
        self.is_first
    }

    fn computes(&self) {
        if let Some(board) = self.board {
            board.waiting().store(0, Release);
        }
    }

    #[inline]
    fn begin(&mut self) -> bool {
        if self.grown_to.is_some() || self.tally.failed && self.begin.fail_fast {
            return false;
        }
        if let Some(board) = self.board {
            if board.stop().load(Acquire) >= self.id {
                return false;
            }
            board.waiting().store(u64::from(self.waits), Release);
            board.begun().fetch_add(1, Release);
        }
        self.tally.begun += 1;
        self.asking = self.memory.map(|_| Asking::begin(Safe::ByCall));
        self.tally.timer.begin();
        true
    }

    #[inline]
    fn end(&mut self, end: End<'_>) {
        if let Some(board) = self.board {
            board.ended().fetch_add(1, Release);
        }
        self.tally.timer.end(self.tally.begun - 1);
        if let Some(answer) = self.asking.take().and_then(Asking::answer) {
            if answer.looked == Looked::Hit {
                self.tally.loaded.push(self.tally.begun - 1);
            }
            self.tally.nothings += u64::from(answer.kept == Kept::Nothing);
        }
        let exception = match end {
            End::Succeeded => return self.look(),
            End::Busy => Exception::Busy,
            End::Erred(error) => Exception::Erred(error.message().to_owned()),
            End::Panicked(panic) => Exception::Panicked {
                message: panic.message().to_owned(),
                location: panic.location().map(str::to_owned),
                backtrace: panic.backtrace().map(str::to_owned),
            },
        };
        self.tally.failed |= !matches!(exception, Exception::Busy);
        self.tally.exceptions.push((self.tally.begun - 1, exception));
        self.look();
    }

    fn results(&mut self, results: &Encoding<'_>) {
        let content = Content::of_message("larder-results", results);
        self.tally.results = Some((results.codec, content));
    }
}

impl Batch<'_> {
    /// Looks, now and then, whether this worker has grown beyond its limit.
    #[inline]
    fn look(&mut self) {
        let Some(limit) = self.begin.soft_limit else { return };
        let now = Instant::now();
        if self.tally.looked.is_some_and(|looked| now - looked < LOOK) {
            return;
        }
        self.tally.looked = Some(now);
        *self.grown_to = own_bytes(None).filter(|bytes| *bytes > limit);
    }
}
