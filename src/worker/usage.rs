//! How much memory a process has of its own.

/// The bytes of memory that a process (this one: `None`) holds and shares with nobody: what it allocated, but not the
/// payloads it has mapped. `None` where the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn own_bytes(process: Option<u32>) -> Option<u64> {
    let path = match process {
        Some(process) => format!("/proc/{process}/statm"),
        None => "/proc/self/statm".to_owned(),
    };
    let pages = parse(&std::fs::read_to_string(path).ok()?)?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn own_bytes(_: Option<u32>) -> Option<u64> {
    None
}

/// `statm` counts pages: all, resident, resident and shared, and four more.
#[cfg(target_os = "linux")]
fn parse(statm: &str) -> Option<u64> {
    let mut pages = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_does_not_count() {
        assert_eq!(parse("5000 3000 1000 10 0 900 0"), Some(2000));
        assert_eq!(parse("5000 x"), None);
        assert!(own_bytes(None).is_some_and(|bytes| bytes > 0));
        assert_eq!(own_bytes(Some(std::process::id())).is_some(), own_bytes(None).is_some());
    }
}
