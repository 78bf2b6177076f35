//! Arrays of plain numbers that stay where they are.
//!
//! A [`Bulk`] is what a function returns whose result is a large array that many later programs only read: it is loaded
//! by mapping its file, so that the load takes no time and no memory until a number is looked at, and programs that
//! load the same one share it. This is what `mmap_mode="r"` is in joblib.
//!
//! As a module for `#[serde(with = "larder::bulk")]` it takes fields of other crates' vectors that hold their numbers
//! side by side, but whose own serde speaks number by number.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sys::map::Mapped;

/// A number that memory and files hold alike: `f32`, `f64`, and the integers of 8 to 64 bits.
///
/// Sealed: the toolkit alone says which types these are.
pub trait Number: sealed::Plain + Copy + PartialEq + fmt::Debug + Serialize + DeserializeOwned + Send + Sync {}

pub(crate) mod sealed {
    use bytemuck::Pod;

    pub trait Plain: Pod {
        /// The letter of its type, as in keys; on disk for ever (docs/format.md).
        const TAG: u8;
        /// The number whose little-endian bytes these are; as many as it is wide.
        fn from_file_bytes(bytes: &[u8]) -> Self;
        /// From how files hold it to how this machine does, and back.
        fn swapped(self) -> Self;
    }
}

/// Expands a macro once for each kind of number.
macro_rules! for_each_number {
    ($do:ident) => {
        $do!(f64);
        $do!(f32);
        $do!(u8);
        $do!(u16);
        $do!(u32);
        $do!(u64);
        $do!(i8);
        $do!(i16);
        $do!(i32);
        $do!(i64);
    };
}
pub(crate) use for_each_number;

macro_rules! number {
    ($type:ty) => {
        impl Number for $type {}
        impl sealed::Plain for $type {
            const TAG: u8 = <$type as crate::walk::Primitive>::TAG;
            #[inline]
            fn from_file_bytes(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                <$type>::from_le_bytes(own)
            }
            fn swapped(self) -> Self {
                <$type>::from_le_bytes(bytemuck::cast(self))
            }
        }
    };
}

for_each_number!(number);

/// An array of plain numbers that is shared, not copied: owned, or a part of a file in the cache.
///
/// It is a slice to whoever reads it, and clones share it. As an argument it has the key of a `Vec` with the same numbers, and
/// what a cached function returns as a `Vec` of [`Number`]s it can return as a `Bulk`. A result that is one, or holds some
/// (of 512 bytes or more), may come back [mapped](Bulk::is_mapped).
///
/// # Mapped memory
/// Files of a cache are never modified: each is written under another name, renamed when it is whole, and removed by
/// unlinking, which leaves a mapping as it is. The digest of a file is checked before a `Bulk` of it is given out. Who
/// writes into a file of the cache by other means, or cuts it short, while a program has it mapped, changes numbers under
/// that program or ends it with `SIGBUS`, as with every mapping.
///
/// What is not promised: that a result is mapped. A small one, one that the memory tier holds, or one on a machine that keeps
/// numbers in another byte order, is owned.
///
/// # Examples
/// ```
/// use larder::{Bulk, Memory};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let cache = dir.path().join("cache");
/// let memory = Memory::open(cache)?;
/// let ramp = memory.cached_fn("ramp", 1, |n: &u32| (0..*n).map(f64::from).collect::<Bulk<f64>>());
/// let numbers = ramp.call(&100_000);
/// assert_eq!(numbers[99_999], 99_999.0);
/// assert_eq!(numbers.iter().sum::<f64>(), 4_999_950_000.0);
/// # Ok::<(), larder::Error>(())
/// ```
pub struct Bulk<T: Number> {
    held: Held<T>,
}

enum Held<T> {
    Owned(Arc<Vec<T>>),
    /// Aligned for `T` and a whole count of it, which [`Bulk::from_mapped`] sees to.
    Mapped(Mapped),
}

impl<T: Number> Bulk<T> {
    /// Whether the numbers are a part of a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.held, Held::Mapped(_))
    }

    /// The numbers as a vector. Copies them if they are mapped or shared with a clone.
    pub fn into_vec(self) -> Vec<T> {
        match self.held {
            Held::Owned(numbers) => Arc::unwrap_or_clone(numbers),
            Held::Mapped(_) => self.to_vec(),
        }
    }

    /// The numbers that a part of a file is, if this machine can use them where they are.
    pub(crate) fn from_mapped(mapped: Mapped) -> Option<Bulk<T>> {
        let usable = cfg!(target_endian = "little") && bytemuck::try_cast_slice::<u8, T>(&mapped).is_ok();
        usable.then_some(Bulk { held: Held::Mapped(mapped) })
    }
}

impl<T: Number> Deref for Bulk<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.held {
            Held::Owned(numbers) => numbers,
            Held::Mapped(mapped) => bytemuck::cast_slice(mapped),
        }
    }
}

impl<T: Number> AsRef<[T]> for Bulk<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: Number> From<Vec<T>> for Bulk<T> {
    fn from(numbers: Vec<T>) -> Bulk<T> {
        Bulk { held: Held::Owned(Arc::new(numbers)) }
    }
}

impl<T: Number> FromIterator<T> for Bulk<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Bulk<T> {
        numbers.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Number> Default for Bulk<T> {
    fn default() -> Bulk<T> {
        Vec::new().into()
    }
}

impl<T: Number> Clone for Bulk<T> {
    fn clone(&self) -> Bulk<T> {
        let held = match &self.held {
            Held::Owned(numbers) => Held::Owned(Arc::clone(numbers)),
            Held::Mapped(mapped) => Held::Mapped(mapped.clone()),
        };
        Bulk { held }
    }
}

impl<T: Number, O: AsRef<[T]> + ?Sized> PartialEq<O> for Bulk<T> {
    fn eq(&self, other: &O) -> bool {
        **self == *other.as_ref()
    }
}

impl<'b, T: Number> IntoIterator for &'b Bulk<T> {
    type Item = &'b T;
    type IntoIter = std::slice::Iter<'b, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The first numbers and how many there are.
impl<T: Number> fmt::Debug for Bulk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let mut list = f.debug_list();
        list.entries(self.iter().take(SHOWN));
        if self.len() > SHOWN {
            list.entry(&format_args!("... {} in all", self.len()));
        }
        list.finish()
    }
}

/// As a list of its numbers.
impl<T: Number> Serialize for Bulk<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The toolkit's own serializers know a `&Bulk` when they are given one whole.
        serializer.collect_seq(self)
    }
}

impl<'de, T: Number> Deserialize<'de> for Bulk<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bulk<T>, D::Error> {
        deserializer.deserialize_seq(BulkVisitor(PhantomData))
    }
}

/// Hears a list of numbers. The toolkit's own deserializer knows this type, and makes the `Bulk` itself.
struct BulkVisitor<T>(PhantomData<T>);

impl<'de, T: Number> Visitor<'de> for BulkVisitor<T> {
    type Value = Bulk<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<Bulk<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(numbers)).map(Bulk::from)
    }
}

/// Whether a visitor of type `V` only wants to make a `Bulk<T>`.
#[inline]
pub(crate) fn is_bulk_visitor<V, T: Number>() -> bool {
    typeid::of::<V>() == TypeId::of::<BulkVisitor<T>>()
}

/// For `#[serde(with = "larder::bulk")]`: a field that derefs to a slice of numbers, as that slice.
///
/// # Errors
/// What the serializer says.
pub fn serialize<T: Number, S: Serializer>(numbers: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(numbers)
}

/// For `#[serde(with = "larder::bulk")]`: a field that can be made from a `Vec` of numbers.
///
/// # Errors
/// What the deserializer says, or there is no list of such numbers.
pub fn deserialize<'de, T, V, D>(deserializer: D) -> Result<V, D::Error>
where
    V: FromIterator<T>,
    T: Number,
    D: Deserializer<'de>,
{
    Vec::<T>::deserialize(deserializer).map(|numbers| numbers.into_iter().collect())
}
