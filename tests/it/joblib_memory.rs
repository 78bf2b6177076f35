//! What a user of joblib knows of `Memory`: each behaviour is a test that is named by joblib's word for it.
//!
//! Tests in other modules hold these, and they are not repeated here:
//!
//! | joblib | held by |
//! |---|---|
//! | `Memory(location)`, `f(*a)` | `memory::the_second_call_loads`, `results_persist_over_reopening`, `a_memory_says_where_it_is` |
//! | `location=None` | `memory::a_disabled_memory_computes_each_time`; the rest below, `location_none_..` |
//! | key: function and arguments | `memory::different_arguments_have_different_entries`, `holes::functions_within_functions_are_told_apart` |
//! | argument binding: one key however they are written, `*args`, `**kw` | `memory::equal_content_is_an_equal_key_however_it_is_stored`, `the_order_of_a_map_is_not_in_the_key` |
//! | `ignore` | `memory::an_ignored_argument_is_not_in_the_key`, `holes::an_ignored_argument_is_not_looked_at` |
//! | `ignore` of an unknown name or a bare string is an error | `tests/ui/fail/ignore.rs`: the compiler's |
//! | `JobLibCollisionWarning` | `holes::two_closures_by_one_name_are_warned_of` |
//! | a load error is a recomputation | all of `damage` |
//! | exceptions are never cached | `memory::an_err_is_returned_and_not_stored`, `a_panic_propagates_and_is_not_stored` |
//! | `f.clear`, `Memory.clear` | `memory::clearing_a_function_leaves_the_others`, `clearing_a_memory_leaves_nothing` |
//! | `mmap_mode` | `arrays::a_bulk_is_mapped_when_it_is_loaded_unless_that_is_turned_off` |
//! | `compress` | `blobs::compressed_results_come_back_and_are_smaller_on_disk`, `a_level_that_zstd_does_not_have_is_an_error_with_the_range` |
//! | `verbose` | `memory::verbose_1_prints_the_report_of_joblib`, `verbose_2_also_tells_loads_and_the_reason_of_each_miss` |
//! | dump failures | `memory::a_result_that_no_codec_carries_is_returned_and_said_once`; the rest below |
//! | `register_store_backend` | `stores::an_outsiders_store_keeps_the_laws`: a store is given to `Memory::with_store` |
//! | atomic replacement, no lost entries | `kills`, `damage`, `location::what_was_costly_survives_a_killed_process` |
//! | `reduce_size` by itself, on every write (joblib's is by hand) | `limits` |
//! | why a call was computed (joblib tells little of it) | `explain` |
//! | `AsyncMemorizedFunc`; bound methods | `awaited`, `awaits`, `cancelled`; `shapes` |
//! | one computation per key (joblib has none) | `memory::eight_threads_on_one_cold_key_compute_it_once`, `programs` |
//!
//! Not taken over: `~` in a location, which the shell knows, and `<location>/joblib`: a location is the path as it is given;
//! the values of `mmap_mode` by which what is loaded can be written to; and a wrapper's own `verbose`: it is the memory's.

#[cfg(feature = "async")]
mod awaited;
mod calls;
mod code;
mod keys;
mod location;
mod shelved;
mod sizes;
mod stored;
mod validity;

use std::time::Duration;

use larder::Memory;
use larder::store::VolatileStore;

const HOUR: Duration = Duration::from_secs(3600);

fn volatile() -> Memory {
    Memory::with_store(VolatileStore::new())
}

#[larder::task]
fn square(x: f64) -> f64 {
    x * x
}

/// Too large for the index: a blob.
#[larder::task]
fn squares(count: u64) -> Vec<u64> {
    (0..count).map(|x| x * x).collect()
}
