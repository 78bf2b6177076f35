//! An input in pieces of many items.

use std::iter::{Fuse, FusedIterator};
use std::num::NonZeroUsize;

use crate::error::{Error, Result};

/// Cuts an input into lists of `size` items, read as they are asked for; the last one may be shorter.
///
/// For an input larger than memory, and for steps too small to be items of a run: each chunk is one item. It crosses to
/// worker processes as an argument of type `Vec<T>`, and its result, its failure and its cache entry are its own. So
/// what fails costs one chunk, whose place in the input is `index * size`.
///
/// What is in memory at one time is what the workers have in hand: a chunk each, and with automatic batches more where
/// a chunk is done in less than 2 ms. [`Schedule::Individual`](crate::Schedule::Individual) keeps it to a chunk each
/// (on worker processes, and one that is sent ahead). A chunk takes what room its items take, allocated as they are
/// read.
///
/// # Errors
/// `size` is 0.
///
/// # Panics
/// The iterator where the input does; the items of the chunk that was being read are lost with it. A run tells that as
/// [`FailureKind::Input`](crate::FailureKind::Input).
///
/// # Examples
/// ```
/// use larder::Parallel;
///
/// let rows = (0..1_000_000_u64).map(|row| row % 10); // imagine a file of a terabyte
/// let sums = Parallel::new().n_jobs(2).map(larder::chunks(rows, 1000)?, |rows| rows.iter().sum::<u64>())?;
/// assert_eq!(sums.len(), 1000);
/// assert_eq!(sums.iter().sum::<u64>(), 4_500_000);
/// # Ok::<(), larder::Error>(())
/// ```
///
/// A row that cannot be read costs its chunk, and no other:
/// ```
/// use larder::{OnError, Parallel};
///
/// let lines = ["1", "2", "three", "4", "5", "6", "7"];
/// let outcome = Parallel::new().n_jobs(2).on_error(OnError::Collect).map_outcome(larder::chunks(lines, 2)?, |lines| {
///     lines.iter().map(|line| line.parse::<u32>().expect("a number")).sum::<u32>()
/// })?;
/// assert_eq!(outcome.results(), [Some(3), None, Some(11), Some(7)]);
/// assert_eq!(outcome.failures()[0].index() * 2, 2); // its first row
/// # Ok::<(), larder::Error>(())
/// ```
pub fn chunks<I: IntoIterator>(items: I, size: usize) -> Result<Chunks<I::IntoIter>> {
    let size = NonZeroUsize::new(size).ok_or_else(|| {
        Error::invalid_option("`size` of `chunks` is 0: give how many items belong to a chunk, 1 or more")
    })?;
    Ok(Chunks { items: items.into_iter().fuse(), size })
}

/// The lists of items that [`chunks`] gives.
///
/// Knows its length where the input does, so that progress shows the share done and equal shares can be made.
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is read"]
pub struct Chunks<I> {
    items: Fuse<I>,
    size: NonZeroUsize,
}

impl<I: Iterator> Iterator for Chunks<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Vec<I::Item>> {
        let chunk: Vec<I::Item> = self.items.by_ref().take(self.size.get()).collect();
        (!chunk.is_empty()).then_some(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.items.size_hint();
        let size = self.size.get();
        (least.div_ceil(size), most.map(|most| most.div_ceil(size)))
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Chunks<I> {}

impl<I: Iterator> FusedIterator for Chunks<I> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn chunks_are_the_pieces_that_slices_have() {
        let items: Vec<u32> = (0..100).collect();
        for len in [0, 1, 2, 6, 7, 8, 14, 99, 100] {
            for size in [1, 2, 7, 99, 100, 101, usize::MAX] {
                let expected: Vec<Vec<u32>> = items[..len].chunks(size).map(<[u32]>::to_vec).collect();
                let mut chunks = chunks(items[..len].iter().copied(), size).unwrap();
                for (done, chunk) in expected.iter().enumerate() {
                    assert_eq!(chunks.len(), expected.len() - done, "{len} by {size}");
                    assert_eq!(chunks.next().as_ref(), Some(chunk), "{len} by {size}");
                }
                assert_eq!((chunks.len(), chunks.next(), chunks.next()), (0, None, None), "{len} by {size}");
            }
        }
    }

    #[test]
    fn the_input_is_read_no_further_than_the_chunk() {
        let read = Cell::new(0);
        let mut chunks = chunks((0_u64..).inspect(|_| read.set(read.get() + 1)), 10).unwrap();
        assert_eq!(read.get(), 0);
        for chunk in 1..=3_u64 {
            assert_eq!(chunks.next().unwrap().last(), Some(&(10 * chunk - 1)));
            assert_eq!(read.get(), 10 * chunk);
        }
    }

    #[test]
    fn no_more_is_said_of_the_length_than_is_known() {
        assert_eq!(chunks((0..100).filter(|x| x % 2 == 0), 7).unwrap().size_hint(), (0, Some(15)));
        assert_eq!(chunks(std::iter::repeat(1), 7).unwrap().size_hint(), (usize::MAX / 7 + 1, None));
        assert_eq!(chunks((0..100).chain(0..3), 10).unwrap().size_hint(), (11, Some(11)));
    }

    /// An input that goes on after its end.
    struct Flickers(u32);

    impl Iterator for Flickers {
        type Item = u32;
        fn next(&mut self) -> Option<u32> {
            self.0 += 1;
            (!self.0.is_multiple_of(4)).then_some(self.0)
        }
    }

    #[test]
    fn the_end_is_the_end() {
        let mut chunks = chunks(Flickers(0), 2).unwrap();
        assert_eq!([(); 4].map(|()| chunks.next()), [Some(vec![1, 2]), Some(vec![3]), None, None]);
        // Whole chunks, with the end between two.
        let mut chunks = super::chunks(Flickers(0), 3).unwrap();
        assert_eq!([(); 3].map(|()| chunks.next()), [Some(vec![1, 2, 3]), None, None]);
    }

    #[test]
    fn chunks_of_nothing_are_refused() {
        let error = chunks([1, 2], 0).unwrap_err();
        assert!(error.is_invalid_option());
        assert_eq!(error.to_string(), "`size` of `chunks` is 0: give how many items belong to a chunk, 1 or more");
    }
}
