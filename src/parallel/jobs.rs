//! From `n_jobs` to a number of workers.

use super::context;
use crate::backend::is_worker_thread;
use crate::error::{Error, Result};

/// Beyond what any machine gains from; a mistyped number is told before it asks for as many threads.
const MOST_WORKERS: i32 = 10_000;

/// How many cores this process may use: at most those of its affinity, and those that the quotas of its cgroup and of all
/// cgroups above it come to, rounded down. Both versions of cgroups are known, where they are mounted as usual.
///
/// The environment variable `LARDER_MAX_CPUS` lowers it, for this program and those it starts; what is no number above 0
/// there is passed over. In a worker process, how many are its own (see [`Parallel::inner_threads`](crate::Parallel::inner_threads)). At least 1.
/// Asked of the system at each call.
pub fn cpu_count() -> usize {
    #[cfg(unix)]
    if let Some(cores) = crate::worker::cores() {
        return cores;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::env::var(MAX_CPUS).ok().and_then(|most| at_most(&most)).map_or(cores, |most| most.min(cores))
}

/// Tells a program how many cores it may use, and the programs it starts: joblib's `LOKY_MAX_CPU_COUNT`.
pub(super) const MAX_CPUS: &str = "LARDER_MAX_CPUS";

fn at_most(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|most| *most > 0)
}

/// How many of the cores that this process may use are cores of their own, and not the second thread of another: what
/// tasks gain from that do nothing but compute. joblib's `only_physical_cores`.
///
/// Never more than [`cpu_count`], and just that where the system does not say how its processors lie; only Linux is asked.
///
/// # Examples
/// ```
/// assert!((1..=larder::cpu_count()).contains(&larder::physical_cpu_count()));
/// ```
pub fn physical_cpu_count() -> usize {
    let cores = cpu_count();
    #[cfg(target_os = "linux")]
    if let Some(physical) = cores_of(&super::isolation::processors(), |processor, file| {
        std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu{processor}/topology/{file}")).ok()
    }) {
        return physical.min(cores);
    }
    cores
}

/// How many cores these processors are on; `read` reads a file on one of them. `None` if one is not told of.
#[cfg(target_os = "linux")]
fn cores_of(processors: &[usize], read: impl Fn(usize, &str) -> Option<String>) -> Option<usize> {
    // The processors that share its core, itself among them: newer kernels, older ones.
    let core = |processor| read(processor, "core_cpus_list").or_else(|| read(processor, "thread_siblings_list"));
    let cores =
        processors.iter().map(|processor| core(*processor)).collect::<Option<std::collections::BTreeSet<_>>>()?;
    Some(cores.len()).filter(|cores| *cores > 0)
}

/// The number of workers that `n_jobs` stands for: joblib's rule.
///
/// A positive number is itself, -1 is every core, -2 all but one, and so on down to 1. `None` is what a run has that does
/// not say: the [scope](crate::Config::n_jobs)'s number, or every core. Where a run has one worker whatever it asks for,
/// that is 1: in a scope with [`Backend::Sequential`](crate::Backend::Sequential), and within a task on a thread.
///
/// # Errors
/// `n_jobs`, or the scope's where it is taken, is 0 or more than 10,000.
///
/// # Examples
/// ```
/// use larder::{cpu_count, effective_n_jobs};
///
/// assert_eq!(effective_n_jobs(3)?, 3);
/// assert_eq!(effective_n_jobs(-1)?, cpu_count());
/// assert_eq!(effective_n_jobs(-10_000)?, 1);
/// assert_eq!(larder::config().n_jobs(2).scope(|| effective_n_jobs(None))?, 2);
/// assert!(effective_n_jobs(0).is_err());
/// # Ok::<(), larder::Error>(())
/// ```
pub fn effective_n_jobs(n_jobs: impl Into<Option<i32>>) -> Result<usize> {
    let (here, is_alone) = context::n_jobs_here();
    let workers = resolve(n_jobs.into().or(here).unwrap_or(-1), cpu_count)?;
    Ok(if is_alone || is_worker_thread() { 1 } else { within_budget(workers) })
}

/// So many threads or fewer: a worker process has its share of the cores, and runs within it keep to that.
pub(super) fn within_budget(threads: usize) -> usize {
    #[cfg(unix)]
    if let Some(cores) = crate::worker::cores() {
        return threads.min(cores);
    }
    threads
}

/// Cores are counted only where they matter: it reads the cgroup's files, which takes longer than a short run.
pub(super) fn resolve(n_jobs: i32, cores: impl FnOnce() -> usize) -> Result<usize> {
    match n_jobs {
        0 => Err(Error::invalid_option(
            "`n_jobs` is 0: give a number of workers, or -1 for every core, -2 for all but one",
        )),
        1.. if n_jobs > MOST_WORKERS => {
            Err(Error::invalid_option(format!("`n_jobs` is {n_jobs}: at most {MOST_WORKERS} workers can be had")))
        }
        1.. => Ok(n_jobs.unsigned_abs() as usize),
        _ => Ok((cores() + 1).saturating_sub(n_jobs.unsigned_abs() as usize).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_above_zero() {
        for (text, most) in [("3", Some(3)), (" 1 ", Some(1)), ("0", None), ("-1", None), ("", None), ("two", None)] {
            assert_eq!(at_most(text), most, "{text:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processors_that_share_a_core_are_one() {
        let lists = ["0,4\n", "1,5\n", "2\n", "3\n", "0,4\n", "1,5\n"];
        let new = |processor: usize, file: &str| (file == "core_cpus_list").then(|| lists[processor].to_owned());
        let old = |processor: usize, file: &str| (file == "thread_siblings_list").then(|| lists[processor].to_owned());
        assert_eq!(cores_of(&[0, 1, 2, 3, 4, 5], new), Some(4));
        assert_eq!(cores_of(&[0, 4, 5], old), Some(2));
        assert_eq!(cores_of(&[0, 4], |processor, file| new(processor, file).filter(|_| processor == 0)), None);
        assert_eq!(cores_of(&[], new), None);
    }

    #[test]
    fn n_jobs_means_what_it_means_in_joblib() {
        for (n_jobs, workers) in [(1, 1), (7, 7), (-1, 8), (-2, 7), (-8, 1), (-9, 1), (i32::MIN, 1)] {
            assert_eq!(resolve(n_jobs, || 8).unwrap(), workers, "n_jobs = {n_jobs}");
        }
        assert!(resolve(i32::MAX, || 8).unwrap_err().to_string().contains("at most 10000"));
        let error = resolve(0, || 8).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("-1 for every core"), "{error}");
    }
}
