//! ndarray's arrays: the same keys and bytes as element by element, and no copy.

use std::io::Write;

use ::ndarray::{Array, Array0, Array2, Array3, ArrayD, Axis, Dimension, Ix2, IxDyn, ShapeBuilder, s};

use super::*;
use crate::codec::shape::shape_of;
use crate::key::canonical::canonical;
use crate::{Bulk, BulkArray};

/// Serializes as the array does by itself: its type is not the array's.
struct ByElement<'a, P, D>(&'a Array<P, D>);

impl<P: Serialize, D: Dimension + Serialize> Serialize for ByElement<'_, P, D> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn grid(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(row, column)| (row * columns + column) as f64 / 4.0)
}

fn same_as_by_element<P, D>(array: &Array<P, D>)
where
    P: Serialize + crate::bulk::Number,
    D: Dimension + Serialize + DeserializeOwned,
{
    let by_element = canonical(&ByElement(array)).unwrap();
    assert!(canonical(array).unwrap() == by_element, "{:?}", array.shape());
    assert!(canonical(&vec![array]).unwrap() == canonical(&vec![ByElement(array)]).unwrap());
    assert!(canonical(&BulkArray::from(array.clone())).unwrap() == by_element);
    assert_eq!(shape_of(array), shape_of(&ByElement(array)));
    assert_eq!(json(array), json(&ByElement(array)));
    assert_eq!(json(&BulkArray::from(array.clone())), json(&ByElement(array)));
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn keys_do_not_tell_bulk_from_elements() {
    same_as_by_element(&grid(100, 100));
    same_as_by_element(&grid(2, 3));
    same_as_by_element(&grid(0, 3));
    same_as_by_element(&grid(100, 100).reversed_axes());
    same_as_by_element(&grid(100, 100).slice_move(s![10..20, ..]));
    same_as_by_element(&grid(100, 100).slice_move(s![.., 10..90;2]));
    same_as_by_element(&Array::from_vec(vec![1u8; 3000]));
    same_as_by_element(&Array0::from_elem((), 1.5f32));
    same_as_by_element(&Array3::from_elem((3, 5, 7), -1i16));
    same_as_by_element(&ArrayD::from_elem(IxDyn(&[3, 5, 7, 9]), 7u32));
    same_as_by_element(&ArrayD::from_elem(IxDyn(&[]), 7u64));
    same_as_by_element(&Array::from_elem((2, 2, 2, 2, 2, 2), 1i64));
    same_as_by_element(&Array2::from_elem((300, 2), f64::NAN));
    let bits = |nan: u64| canonical(&Array2::from_elem((300, 2), f64::from_bits(nan))).unwrap();
    assert!(bits(0x7ff8_0000_0000_0000) == bits(0x7ff8_dead_beef_0001), "one NaN");
}

#[test]
fn arrays_come_back_in_any_layout() {
    round_trip(grid(100, 100), CodecId::Sections);
    round_trip(grid(2, 3), CodecId::Compact);
    round_trip(grid(0, 3), CodecId::Compact);
    round_trip(grid(100, 90).reversed_axes(), CodecId::Sections);
    round_trip(Array2::from_shape_vec((30, 40).f(), vec![1.5f64; 1200]).unwrap(), CodecId::Sections);
    round_trip(grid(100, 100).slice_move(s![.., 10..90;2]), CodecId::Sections);
    let mut inverted = grid(100, 100);
    inverted.invert_axis(Axis(0));
    round_trip(inverted, CodecId::Sections);
    round_trip(("x".to_owned(), vec![grid(10, 10), grid(1, 1)], Some(grid(64, 1))), CodecId::Sections);
    round_trip(ArrayD::from_elem(IxDyn(&[3, 5, 7, 9]), 7u32), CodecId::Sections);
    round_trip(Array2::from_elem((30, 30), "text".to_owned()), CodecId::Compact);
    round_trip(Array2::from_elem((30, 30), true), CodecId::Compact);
    let rows = BulkArray::from(grid(100, 100).slice_move(s![10..20, ..]));
    assert_eq!((rows.view(), rows.as_bulk().len()), (grid(100, 100).slice(s![10..20, ..]), 1000));
    let columns = BulkArray::from(grid(100, 90).reversed_axes());
    assert_eq!(columns.view(), grid(100, 90).t());
    round_trip(rows.clone(), CodecId::Sections);
    assert_eq!(rows.into_array(), grid(100, 100).slice(s![10..20, ..]));
}

#[test]
fn an_array_is_not_copied_on_its_way_out() {
    let array = grid(100, 100);
    let encoding = encode_ref(&array).unwrap();
    assert_eq!((encoding.codec, encoding.mapped), (CodecId::Sections, false));
    let last = encoding.parts.last().unwrap();
    assert_eq!(last.as_ptr(), array.as_ptr().cast());
    assert_eq!(decode::<Array2<f64>>(encoding.codec, &encoding.concat()).unwrap(), array);
}

#[test]
fn a_mapped_array_stays_in_its_file() {
    let value = (BulkArray::from(grid(100, 100)), "beside".to_owned());
    let encoding = encode_ref(&value).unwrap();
    assert!(encoding.mapped);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&encoding.concat()).unwrap();
    let mapped = Mapped::whole(&file).unwrap();
    let place = mapped.as_ptr_range();
    let back: (BulkArray<f64, Ix2>, String) = decode_large(encoding.codec, Large::Mapped(mapped)).unwrap();
    assert_eq!(back, value);
    assert!(back.0.is_mapped());
    assert!(place.contains(&back.0.view().as_ptr().cast()));
}

#[test]
fn a_shape_that_does_not_fit_is_refused() {
    type Square = BulkArray<f64, Ix2>;
    assert!(serde_json::from_str::<Square>(r#"{"v":1,"dim":[2,1],"data":[1.0,2.0]}"#).is_ok());
    assert!(serde_json::from_str::<Square>(r#"{"v":1,"dim":[1,1],"data":[1.0,2.0]}"#).is_err());
    assert!(serde_json::from_str::<Square>(r#"{"v":1,"dim":[3,1],"data":[1.0,2.0]}"#).is_err());
    assert!(serde_json::from_str::<Square>(r#"{"v":2,"dim":[2,1],"data":[1.0,2.0]}"#).is_err());
    let huge = format!(r#"{{"v":1,"dim":[{0},{0}],"data":[]}}"#, 1u64 << 33);
    assert!(serde_json::from_str::<Square>(&huge).is_err());
    assert!(BulkArray::from(Array2::<f64>::zeros((0, 3))).as_bulk() == &Bulk::default());
}
