//! ndarray's arrays of numbers, in bulk.
//!
//! ndarray serializes its elements one by one. Where the toolkit meets an array of numbers in standard layout, it serializes
//! an [`InBulk`] instead: the same structure, with the numbers as a slice that is hashed and stored whole. The key and
//! the stored form are those that ndarray's own serialization has, which tests hold it to.

use std::any::type_name;
use std::fmt;

use ndarray::{Array, ArrayView, Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn};
use serde::de::{DeserializeOwned, Error};
use serde::ser::{SerializeStruct, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bulk::{Bulk, Number, for_each_number};
use crate::sys::cast::{Anything, Lifeless};

/// The version that ndarray writes before an array.
const FORMAT_VERSION: u8 = 1;

fn serialize<S: Serializer>(dim: Dim<'_>, data: &impl Serialize, serializer: S) -> Result<S::Ok, S::Error> {
    let mut array = serializer.serialize_struct("Array", 3)?;
    array.serialize_field("v", &FORMAT_VERSION)?;
    array.serialize_field("dim", &dim)?;
    array.serialize_field("data", data)?;
    array.end()
}

/// An array's lengths, as ndarray serializes them: a tuple, or a list where their number is not in the type.
#[derive(Clone, Copy)]
struct Dim<'a> {
    lengths: &'a [usize],
    in_type: bool,
}

impl<'a> Dim<'a> {
    fn new<D: Dimension>(lengths: &'a [usize]) -> Dim<'a> {
        Dim { lengths, in_type: D::NDIM.is_some() }
    }
}

impl Serialize for Dim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.in_type {
            return serializer.collect_seq(self.lengths);
        }
        let mut tuple = serializer.serialize_tuple(self.lengths.len())?;
        self.lengths.iter().try_for_each(|length| tuple.serialize_element(length))?;
        tuple.end()
    }
}

/// An array in standard layout.
pub(crate) struct InBulk<'a> {
    dim: Dim<'a>,
    data: Data<'a>,
}

impl<'a> InBulk<'a> {
    /// The numbers as memory holds them.
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.data.bytes
    }
}

impl Serialize for InBulk<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.dim, &self.data, serializer)
    }
}

struct Data<'a> {
    tag: u8,
    bytes: &'a [u8],
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macro_rules! numbers {
            ($type:ty) => {
                if self.tag == <$type as crate::bulk::sealed::Plain>::TAG {
                    return serializer.collect_seq(bytemuck::cast_slice::<u8, $type>(self.bytes));
                }
            };
        }
        for_each_number!(numbers);
        Err(serde::ser::Error::custom("no known numbers"))
    }
}

/// `value` in bulk, if it is an array of numbers in standard layout, or a reference to one.
#[inline]
pub(crate) fn in_bulk<T: ?Sized>(value: &T) -> Option<InBulk<'_>> {
    // By name first: eighty types are asked for next. Should the name change its spelling, arrays go element by element.
    let name = type_name::<T>();
    if !name.strip_prefix('&').unwrap_or(name).starts_with("ndarray::ArrayBase<") {
        return None;
    }
    find(&Anything::of(value))
}

fn find<'v>(value: &Anything<'v>) -> Option<InBulk<'v>> {
    fn of<'v, P: Number, D: Dimension + 'static>(value: &Anything<'v>) -> Option<Option<InBulk<'v>>>
    where
        Array<P, D>: Lifeless,
    {
        let array = value.to::<Array<P, D>>()?;
        Some(array.as_slice().map(|numbers| InBulk {
            dim: Dim::new::<D>(array.shape()),
            data: Data { tag: P::TAG, bytes: bytemuck::cast_slice(numbers) },
        }))
    }
    macro_rules! each_dimension {
        ($number:ty: $($dimension:ty),*) => {$(
            if let Some(found) = of::<$number, $dimension>(value) {
                return found;
            }
        )*};
    }
    macro_rules! each_number {
        ($number:ty) => {
            each_dimension!($number: Ix2, Ix1, Ix3, IxDyn, Ix0, Ix4, Ix5, Ix6)
        };
    }
    for_each_number!(each_number);
    None
}

/// An n-dimensional array of plain numbers that may be a part of a mapped file: a [`Bulk`] with a shape, in row-major order.
///
/// As an argument it has the key of an `Array` of the same type, shape and numbers.
///
/// # Examples
/// ```
/// use larder::BulkArray;
/// use ndarray::{Array2, Ix2};
///
/// let table: BulkArray<f64, Ix2> = Array2::from_shape_fn((2, 3), |(row, column)| (row * 3 + column) as f64).into();
/// assert_eq!(table.view().row(1).sum(), 12.0);
/// assert_eq!(table.view().t().shape(), [3, 2]);
/// ```
#[derive(Clone)]
pub struct BulkArray<T: Number, D: Dimension> {
    /// The product of its lengths is the number of elements.
    dim: D,
    data: Bulk<T>,
}

impl<T: Number, D: Dimension> BulkArray<T, D> {
    /// The array, to be read.
    ///
    /// # Panics
    /// Never: the shape is compared with the numbers when the array is made.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        ArrayView::from_shape(self.dim.clone(), &self.data)
            .expect("the shape has as many elements as there are numbers")
    }

    /// Its lengths along each axis.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// The numbers, row by row.
    pub fn as_bulk(&self) -> &Bulk<T> {
        &self.data
    }

    /// Whether the numbers are a part of a mapped file: see [`Bulk`].
    pub fn is_mapped(&self) -> bool {
        self.data.is_mapped()
    }

    /// The array as one that can be changed. Copies the numbers if they are mapped or shared with a clone.
    ///
    /// # Panics
    /// Never, as [`BulkArray::view`].
    pub fn into_array(self) -> Array<T, D> {
        Array::from_shape_vec(self.dim, self.data.into_vec())
            .expect("the shape has as many elements as there are numbers")
    }
}

/// Takes the numbers over where they are in standard layout, and copies them into it where not.
impl<T: Number, D: Dimension> From<Array<T, D>> for BulkArray<T, D> {
    fn from(array: Array<T, D>) -> BulkArray<T, D> {
        let (dim, len) = (array.raw_dim(), array.len());
        if !array.is_standard_layout() {
            return BulkArray { dim, data: array.iter().copied().collect() };
        }
        let (mut numbers, offset) = array.into_raw_vec_and_offset();
        // A sliced array keeps what is around it.
        let start = offset.unwrap_or(0);
        numbers.truncate(start + len);
        numbers.drain(..start);
        BulkArray { dim, data: numbers.into() }
    }
}

impl<T: Number, D: Dimension> PartialEq for BulkArray<T, D> {
    fn eq(&self, other: &BulkArray<T, D>) -> bool {
        self.dim == other.dim && self.data == other.data
    }
}

/// As ndarray shows its own.
impl<T: Number, D: Dimension> fmt::Debug for BulkArray<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

/// As ndarray serializes an `Array`.
impl<T: Number, D: Dimension> Serialize for BulkArray<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(Dim::new::<D>(self.dim.slice()), &self.data, serializer)
    }
}

impl<'de, T: Number, D: Dimension + DeserializeOwned> Deserialize<'de> for BulkArray<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<BulkArray<T, D>, De::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Array", bound = "T: Number, D: DeserializeOwned")]
        struct Parts<T: Number, D> {
            v: u8,
            dim: D,
            data: Bulk<T>,
        }
        let Parts { v, dim, data } = Parts::<T, D>::deserialize(deserializer)?;
        if v != FORMAT_VERSION {
            return Err(De::Error::custom(format_args!("an array of version {v}")));
        }
        if dim.size_checked() != Some(data.len()) {
            return Err(De::Error::custom("the shape and the number of elements do not agree"));
        }
        Ok(BulkArray { dim, data })
    }
}
