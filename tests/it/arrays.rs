//! Results that are, or hold, large arrays: stored, and loaded by another memory on the same directory.

use std::collections::HashMap;
use std::fmt::Debug;

use larder::{Bulk, Memory, MmapMode, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::{hit, miss, open};

fn ramp(len: u32) -> Vec<f64> {
    (0..len).map(|n| f64::from(n) / 4.0).collect()
}

/// Computed once, and loaded from its blob by a memory opened anew.
fn stored<T: Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static>(value: T) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    {
        let memory = open(dir.path());
        let cached = memory.cached_fn("value", 1, |(): &()| value.clone());
        miss!(memory, NeverSeen, cached.call(&()), value);
        assert_eq!(memory.stats().stores, 1);
    }
    let memory = open(dir.path());
    let cached = memory.cached_fn("value", 1, |(): &()| -> T { panic!("computed again") });
    hit!(memory, hits_blob, cached.call(&()), value);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Table<N> {
    title: String,
    columns: Vec<Vec<f64>>,
    series: HashMap<String, N>,
    last: Option<N>,
    #[serde(with = "larder::bulk")]
    boxed: Box<[i16]>,
}

fn table<N: From<Vec<f32>>>() -> Table<N> {
    let numbers = |n: u8| N::from(vec![f32::from(n); 2000]);
    Table {
        title: "a table".to_owned(),
        columns: vec![ramp(1000), ramp(3), vec![]],
        series: (0..3).map(|n| (format!("series {n}"), numbers(n))).collect(),
        last: Some(numbers(9)),
        boxed: (0..1000).collect(),
    }
}

#[test]
fn vectors_within_a_result_come_back() {
    stored(table::<Vec<f32>>());
    stored((ramp(2000), vec![7u8; 5000], "text".to_owned()));
    stored(vec![ramp(500); 30]);
    stored(Ok::<_, String>(ramp(5000)));
}

#[test]
fn bulks_come_back_alone_and_within_a_result() {
    stored(Bulk::from(ramp(5000)));
    stored((0..=255).cycle().take(10_001).collect::<Bulk<u8>>());
    stored(table::<Bulk<f32>>());
    stored((1u8, vec![Bulk::from(ramp(1000)), Bulk::default(), Bulk::from(ramp(2))]));
    stored(Some(Payload::new(Bulk::from(ramp(5000)))).map(|payload| payload.to_vec()));
}

#[larder::task]
fn total(numbers: &[f64]) -> f64 {
    numbers.iter().sum()
}

#[test]
fn a_bulk_argument_has_the_key_of_a_vector() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = open(dir.path());
    let (vector, bulk) = (ramp(5000), Bulk::from(ramp(5000)));
    let cached = memory.cached::<total>();
    let sum = vector.iter().sum::<f64>();
    miss!(memory, NeverSeen, cached.call((&vector,)), sum);
    hit!(memory, hits_hot, cached.call((&bulk,)), sum);

    let by_vector = memory.cached_fn("sum", 1, |(numbers, _): &(Vec<f64>, u8)| numbers.iter().sum::<f64>());
    let by_bulk = memory.cached_fn("sum", 1, |(numbers, _): &(Bulk<f64>, u8)| numbers.iter().sum::<f64>());
    miss!(memory, NeverSeen, by_vector.call(&(vector, 1)), sum);
    hit!(memory, hits_hot, by_bulk.call(&(bulk, 1)), sum);
}

mod of_ndarray {
    use ndarray::{Array1, Array2, ArrayD, IxDyn, s};

    use super::*;

    fn grid(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(row, column)| (row * columns + column) as f64)
    }

    #[test]
    fn arrays_come_back_in_any_layout() {
        stored(grid(100, 100));
        stored(grid(100, 90).reversed_axes());
        stored(grid(100, 100).slice_move(s![5..90, ..;3]));
        stored(ArrayD::from_elem(IxDyn(&[3, 5, 7, 20]), 1.5f32));
        stored(("beside".to_owned(), grid(50, 50), vec![Array1::from_elem(1000, -1i32)]));
        stored(Array2::from_elem((100, 100), "text".to_owned()));
    }

    #[test]
    fn layout_is_not_in_the_key() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let memory = open(dir.path());
        let cached = memory.cached_fn("sum", 1, |array: &Array2<f64>| array.sum());
        let columns_first = grid(90, 100).reversed_axes();
        let rows_first = Array2::from_shape_fn((100, 90), |at| columns_first[at]);
        assert_eq!(rows_first, columns_first);
        miss!(memory, NeverSeen, cached.call(&columns_first), rows_first.sum());
        hit!(memory, hits_hot, cached.call(&rows_first), rows_first.sum());
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn bulk_arrays_come_back() {
        use larder::BulkArray;

        stored(BulkArray::from(grid(100, 100)));
        stored((BulkArray::from(grid(100, 90).reversed_axes()), 1u8));
        let dir = tempfile::tempdir().expect("a temporary directory");
        let memory = open(dir.path());
        let by_array = memory.cached_fn("sum", 1, |array: &Array2<f64>| array.sum());
        let by_bulk = memory.cached_fn("sum", 1, |array: &BulkArray<f64, ndarray::Ix2>| array.view().sum());
        miss!(memory, NeverSeen, by_array.call(&grid(100, 100)), grid(100, 100).sum());
        hit!(memory, hits_hot, by_bulk.call(&grid(100, 100).into()), grid(100, 100).sum());
    }
}

#[cfg(unix)]
#[test]
fn a_bulk_is_mapped_when_it_is_loaded_unless_that_is_turned_off() {
    let dir = tempfile::tempdir().unwrap();
    let call = |memory: &Memory| {
        memory.cached_fn("bulk", 1, |len: &u32| ramp(*len).into_iter().collect::<Bulk<f64>>()).call(&1_000_000)
    };
    assert!(!call(&open(dir.path())).is_mapped(), "what was computed is as it was computed");
    let memory = open(dir.path());
    hit!(memory, hits_blob, call(&memory).is_mapped(), true);
    let values = call(&memory);
    memory.clear().unwrap();
    assert_eq!(values, ramp(1_000_000), "a mapping outlives its file");
    drop((memory, values));
    let memory = Memory::builder().mmap_mode(MmapMode::Off).open(dir.path()).unwrap();
    miss!(memory, NeverSeen, call(&memory).is_mapped(), false);
    drop(memory);
    let memory = Memory::builder().mmap_mode(MmapMode::Off).open(dir.path()).unwrap();
    hit!(memory, hits_blob, call(&memory).is_mapped(), false);
}

#[larder::task]
fn bulk_of(len: u32) -> Bulk<f64> {
    ramp(len).into()
}

/// A second look at a mapped array is a hot hit, whatever its size.
#[cfg(unix)]
#[test]
fn a_mapped_array_stays_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).cached::<bulk_of>().call((2_000_000,));
    let memory = open(dir.path());
    let cached = memory.cached::<bulk_of>();
    hit!(memory, hits_blob, cached.call((2_000_000,)).is_mapped(), true);
    hit!(memory, hits_hot, cached.call((2_000_000,)).is_mapped(), true);
}
