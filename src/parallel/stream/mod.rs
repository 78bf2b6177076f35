//! Runs whose results are taken one after the other, while the others are computed.
//!
//! A stream owns its run: the work goes on in threads of its own (or, with one worker, in `next` itself), results wait on a
//! [shelf](super::shelf) for whoever iterates, and the [window](super::window) keeps the workers from running away from it.

mod results;
mod running;

use std::fmt;
use std::iter::FusedIterator;

use results::Results;
use running::Streamed;

use super::Parallel;
use super::report::RunReport;
use super::shelf::Order;
use super::stop::Stopped;
use super::work;
use crate::error::Result;
use crate::task::{Delayed, Task};

/// The results of a run in the order of the input, as they come. Made by [`Parallel::stream`], [`Parallel::map_stream`]
/// and [`Parallel::try_map_stream`].
///
/// With [`OnError::FailFast`](crate::OnError::FailFast) an `Err` is the last item; otherwise it stands in the place of the
/// result, and the others follow. A run that is cancelled or comes to its deadline ends with an `Err` that says so.
///
/// Dropping it ends its run and no other: no further item is started, what is running on threads is finished and waited
/// for, what is running in worker processes is broken off.
#[must_use = "dropping a stream ends its run"]
pub struct Stream<R> {
    results: Results<R>,
}

/// The results of a run as they come, the quickest first, each with its position in the input. Made by
/// [`Parallel::stream_unordered`] and its like.
///
/// An `Err` that is a task's failure says its position too. Otherwise as [`Stream`]; after the failure that ends a run
/// come the results of what was running.
#[must_use = "dropping a stream ends its run"]
pub struct UnorderedStream<R> {
    results: Results<R>,
}

impl<R> Stream<R> {
    /// What the run did, in numbers; once the stream has ended.
    pub fn report(&self) -> Option<&RunReport> {
        self.results.ended().map(|ended| &ended.report)
    }

    /// Why it ended before its input; `None` if it did not, or has not ended.
    pub fn stopped(&self) -> Option<Stopped> {
        self.results.ended()?.stopped
    }
}

impl<R> UnorderedStream<R> {
    /// What the run did, in numbers; once the stream has ended.
    pub fn report(&self) -> Option<&RunReport> {
        self.results.ended().map(|ended| &ended.report)
    }

    /// Why it ended before its input; `None` if it did not, or has not ended.
    pub fn stopped(&self) -> Option<Stopped> {
        self.results.ended()?.stopped
    }
}

impl<R> Iterator for Stream<R> {
    type Item = Result<R>;

    #[inline]
    fn next(&mut self) -> Option<Result<R>> {
        Some(self.results.next()?.map(|(_, value)| value))
    }
}

impl<R> Iterator for UnorderedStream<R> {
    type Item = Result<(usize, R)>;

    #[inline]
    fn next(&mut self) -> Option<Result<(usize, R)>> {
        self.results.next()
    }
}

impl<R> FusedIterator for Stream<R> {}
impl<R> FusedIterator for UnorderedStream<R> {}

impl<R> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("ended", &self.results.ended()).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for UnorderedStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnorderedStream").field("ended", &self.results.ended()).finish_non_exhaustive()
    }
}

/// Streams: runs that go on while their results are taken.
///
/// Inputs, closures and arguments live as long as the stream and so cannot borrow: what many calls share is moved in, an
/// `Arc` or a [`Payload`](crate::Payload).
impl Parallel {
    /// Runs delayed calls and gives their results in order, as they come: joblib's `return_as="generator"`.
    ///
    /// The work starts at once; with one worker, when a result is asked for. No more is read of the input than
    /// [`pre_dispatch`](Parallel::pre_dispatch) lets, by default two batches for each worker, counted until a result is taken
    /// from the stream: an endless input with a slow consumer takes no more memory than that.
    ///
    /// # Errors
    /// An option means nothing, or the system refuses threads. What fails in the run is in the stream.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// let mut sum = 0;
    /// for square in Parallel::new().n_jobs(2).stream((0..).map(|x| delayed!(square(x))))? {
    ///     sum += square?;
    ///     if sum > 1000 {
    ///         break; // the stream is dropped, and with it the rest of the endless run
    ///     }
    /// }
    /// assert_eq!(sum, 1015);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn stream<T, I>(&self, calls: I) -> Result<Stream<T::Value>>
    where
        T: Task,
        T::Args<'static>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'static, T>>,
        I::IntoIter: Send + 'static,
    {
        Ok(Stream { results: self.calls(Streamed(Order::OfInput), boxed(calls))? })
    }

    /// As [`stream`](Parallel::stream), each result as soon as it is there: joblib's `return_as="generator_unordered"`.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn stream_unordered<T, I>(&self, calls: I) -> Result<UnorderedStream<T::Value>>
    where
        T: Task,
        T::Args<'static>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'static, T>>,
        I::IntoIter: Send + 'static,
    {
        Ok(UnorderedStream { results: self.calls(Streamed(Order::AsTheyCome), boxed(calls))? })
    }

    /// Calls `function` with each item and gives the results in order, as they come; see [`stream`](Parallel::stream).
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn map_stream<I, R, F>(&self, items: I, function: F) -> Result<Stream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        Ok(Stream { results: self.closure(Streamed(Order::OfInput), boxed(items), work::Closure::new(function))? })
    }

    /// As [`map_stream`](Parallel::map_stream), each result as soon as it is there, with its position.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    ///
    /// # Examples
    /// ```
    /// let mut squares = [0; 5];
    /// for square in larder::Parallel::new().n_jobs(2).map_stream_unordered(0..5, |x| x * x)? {
    ///     let (index, square) = square?;
    ///     squares[index] = square;
    /// }
    /// assert_eq!(squares, [0, 1, 4, 9, 16]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn map_stream_unordered<I, R, F>(&self, items: I, function: F) -> Result<UnorderedStream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        Ok(UnorderedStream {
            results: self.closure(Streamed(Order::AsTheyCome), boxed(items), work::Closure::new(function))?,
        })
    }

    /// As [`map_stream`](Parallel::map_stream), for a closure that can fail.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn try_map_stream<I, R, E, F>(&self, items: I, function: F) -> Result<Stream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync + 'static,
    {
        Ok(Stream { results: self.closure(Streamed(Order::OfInput), boxed(items), work::Fallible::new(function))? })
    }

    /// As [`map_stream_unordered`](Parallel::map_stream_unordered), for a closure that can fail.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn try_map_stream_unordered<I, R, E, F>(&self, items: I, function: F) -> Result<UnorderedStream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync + 'static,
    {
        Ok(UnorderedStream {
            results: self.closure(Streamed(Order::AsTheyCome), boxed(items), work::Fallible::new(function))?,
        })
    }
}

/// An input of whatever type: so there is one copy of all that follows for each function, and not for each input.
fn boxed<I>(items: I) -> Box<dyn Iterator<Item = I::Item> + Send>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
{
    Box::new(items.into_iter())
}
