//! How long expansion takes, for benches: a line for each attribute in the file that `LARDER_EXPANSION_TIMES` names.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

/// Does something, and writes down how many nanoseconds it took, if somebody asks for that.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> R {
    let Some(file) = std::env::var_os("LARDER_EXPANSION_TIMES") else { return work() };
    let start = Instant::now();
    let done = work();
    let nanos = start.elapsed().as_nanos();
    let line = File::options().create(true).append(true).open(&file).and_then(|mut file| writeln!(file, "{nanos}"));
    if let Err(error) = line {
        // Nobody is misled by a time that is missing: the bench counts the lines.
        eprintln!("larder: {} cannot be written: {error}", file.to_string_lossy());
    }
    done
}
