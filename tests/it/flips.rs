//! One altered byte anywhere in a cache directory: never a wrong value.

use std::path::Path;

use crate::damage::{positions, small, text};
use crate::support::{image, most_positions, open, quick_directory, restore, telling};

/// The file that says what the directory is: with another content it is none of ours, and is not touched.
const FORMAT_FILE: &str = "larder-format";

/// Each byte of each file of a closed cache with one small and one large result: all its bits, and one of them. Of long files
/// some positions only, unless `LARDER_IT_FULL` is set (a minute): each takes two openings.
#[test]
fn every_altered_byte_of_the_directory_is_no_wrong_value() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        small(&memory, 1);
        text(&memory);
        drop(memory);
        image(dir.path())
    };
    let most = most_positions(256);
    let mut openings = 0;
    for (name, content) in &whole {
        let (mut hits, mut misses, mut refused) = (0, 0, 0);
        let step = content.len().div_ceil(most).max(1);
        let mut positions: Vec<_> =
            positions(content, most).into_iter().chain((0..content.len()).step_by(step)).collect();
        positions.sort_unstable();
        positions.dedup();
        for (at, mask) in positions.into_iter().flat_map(|at| [(at, 0xff), (at, 1 << (at % 8))]) {
            let dir = quick_directory();
            let mut altered = whole.clone();
            altered.get_mut(name).unwrap()[at] ^= mask;
            restore(&altered, dir.path());
            openings += 1;
            let (builder, lines) = telling(0);
            let memory = match builder.open(dir.path()) {
                Ok(memory) => memory,
                Err(error) => {
                    assert_eq!(name, Path::new(FORMAT_FILE), "byte {at} xor {mask:#x} is no reason to refuse: {error}");
                    refused += 1;
                    continue;
                }
            };
            let what = || format!("byte {at} of `{}` xor {mask:#x}: {:?}", name.display(), lines.all());
            assert_eq!(small(&memory, 1), "the text of 1", "{}", what());
            assert_eq!(text(&memory), "x".repeat(5000), "{}", what());
            let stats = memory.stats();
            assert_eq!(stats.hits() + stats.misses(), 2, "{}", what());
            if name.starts_with("blobs") {
                // The small result stands elsewhere.
                assert_eq!((stats.hits_index, stats.misses()), (1, 1), "{}", what());
            } else if !name.starts_with("index") {
                assert_eq!((stats.hits(), stats.misses()), (2, 0), "{}", what());
            }
            (hits, misses) = (hits + stats.hits(), misses + stats.misses());
        }
        println!("{}: {} bytes, {hits} hits, {misses} misses, {refused} refused", name.display(), content.len());
    }
    println!("{openings} openings");
}
