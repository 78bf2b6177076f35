//! tqdm_batch's one call.

use super::Parallel;
use super::progress::Progress;
use crate::error::{Error, Result};

/// Calls `function` with each item and the payload on `n_workers` threads, shows a bar, and gives the results in order:
/// `tqdm_batch.batch_process` in one call.
///
/// With `sep_progress` there is a bar for each worker above that of the whole. `n_workers` counts as [`Parallel::n_jobs`]
/// does. The payload is borrowed, so nothing of it is copied.
///
/// What a closure captures cannot cross to another process. For [worker processes](crate::Backend::Processes) make the function a
/// [task](macro@crate::task), the payload a [`Payload`](crate::Payload), and run delayed calls:
/// `Parallel::new().backend(Backend::Processes).progress(Progress::Bar).run(rows.map(|row| delayed!(f(row, &payload))))`.
///
/// # Errors
/// `n_workers` is 0, or `function` panicked: as [`Parallel::map`].
///
/// # Examples
/// ```
/// use larder::batch_process;
///
/// // from tqdm_batch import batch_process
/// // batch_process(rows, column_sum, n_workers=2, sep_progress=True, table=table)
/// fn column_sum(column: usize, table: &Vec<Vec<f64>>) -> f64 {
///     table.iter().map(|row| row[column]).sum()
/// }
///
/// let table = vec![vec![1.0, 2.0, 3.0], vec![10.0, 20.0, 30.0]];
/// let sums = batch_process(0..3, column_sum, 2, true, &table)?;
/// assert_eq!(sums, [11.0, 22.0, 33.0]);
/// # Ok::<(), larder::Error>(())
/// ```
pub fn batch_process<I, P, R, F>(
    items: I,
    function: F,
    n_workers: i32,
    sep_progress: bool,
    payload: &P,
) -> Result<Vec<R>>
where
    I: IntoIterator,
    I::Item: Send,
    I::IntoIter: Send,
    P: Sync + ?Sized,
    R: Send,
    F: Fn(I::Item, &P) -> R + Send + Sync,
{
    if n_workers == 0 {
        return Err(Error::invalid_option(
            "`n_workers` is 0: give a number of workers, or -1 for every core, -2 for all but one",
        ));
    }
    let progress = if sep_progress { Progress::PerWorker } else { Progress::Bar };
    Parallel::new()
        .n_jobs(n_workers)
        .require(super::Require::SharedMemory)
        .progress(progress)
        .label("batch_process")
        .map(items, |item| function(item, payload))
}
