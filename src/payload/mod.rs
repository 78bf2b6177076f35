//! One value that many calls share.

#[cfg(unix)]
pub(crate) mod travel;

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::key::canonical::{Canonical, canonical, is_canonical, splice};

/// A value that many calls share: kept once, hashed once, encoded once.
///
/// Clones share the value (as an `Arc` does). Its part in cache keys is computed on first need and then used as it is,
/// so a thousand calls with one 200 MB payload hash it once. Worker processes get its bytes once: in a file that is only in
/// memory, which all of them map and nobody can change, kept until the last clone is dropped. There each worker decodes
/// it once; arrays that are [`Bulk`](crate::Bulk) are used where they are, so that all workers together hold them once. A key does not tell a payload from the value itself where
/// it is an argument on its own: `f(&Payload<T>)` changed to `f(&T)` keeps its argument's digest.
///
/// The value cannot be changed once shared; a type whose content changes behind `&self` (a `Mutex`, a `Cell`) would
/// keep the key of its first content, and does not belong here.
///
/// # Examples
/// ```
/// use larder::{Parallel, Payload, delayed};
///
/// #[larder::task]
/// fn row_sum(row: usize, table: &Payload<Vec<Vec<f64>>>) -> f64 {
///     table[row].iter().sum()
/// }
///
/// let table = Payload::new(vec![vec![1.0, 2.0], vec![3.0, 4.0]]);
/// let sums = Parallel::new().run((0..2).map(|row| delayed!(row_sum(row, &table))))?;
/// assert_eq!(sums, [3.0, 7.0]);
/// # Ok::<(), larder::Error>(())
/// ```
pub struct Payload<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    value: T,
    form: OnceLock<Canonical>,
    #[cfg(unix)]
    seal: travel::Seal,
}

impl<T> Payload<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Payload<T> {
        Payload::of(value, OnceLock::new())
    }

    fn of(value: T, form: OnceLock<Canonical>) -> Payload<T> {
        Payload {
            shared: Arc::new(Shared {
                value,
                form,
                #[cfg(unix)]
                seal: travel::Seal::default(),
            }),
        }
    }

    /// A value whose part in keys is known.
    #[cfg(unix)]
    fn with_form(value: T, form: Option<Canonical>) -> Payload<T> {
        Payload::of(value, form.map(OnceLock::from).unwrap_or_default())
    }

    /// The value, if this is its last holder.
    ///
    /// # Errors
    /// The payload itself, while others hold it.
    pub fn try_unwrap(payload: Payload<T>) -> Result<T, Payload<T>> {
        Arc::try_unwrap(payload.shared).map(|shared| shared.value).map_err(|shared| Payload { shared })
    }

    /// Whether both are the same value in memory, not merely equal ones.
    pub fn ptr_eq(a: &Payload<T>, b: &Payload<T>) -> bool {
        Arc::ptr_eq(&a.shared, &b.shared)
    }
}

impl<T> Clone for Payload<T> {
    fn clone(&self) -> Payload<T> {
        Payload { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Deref for Payload<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.shared.value
    }
}

impl<T> AsRef<T> for Payload<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> From<T> for Payload<T> {
    fn from(value: T) -> Payload<T> {
        Payload::new(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for Payload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Payload").field(&**self).finish()
    }
}

/// As the value itself, but that a key takes the digest already known.
impl<T: Serialize> Serialize for Payload<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !is_canonical::<S>() {
            #[cfg(unix)]
            if let Some(number) = travel::depart(&self.shared.value, self.shared.form.get(), &self.shared.seal) {
                return serializer.serialize_u64(number.map_err(serde::ser::Error::custom)?);
            }
            return self.shared.value.serialize(serializer);
        }
        let form = match self.shared.form.get() {
            Some(form) => form,
            None => {
                let form = canonical(&self.shared.value).map_err(serde::ser::Error::custom)?;
                self.shared.form.get_or_init(|| form)
            }
        };
        splice(form, serializer)
    }
}

impl<'de, T: DeserializeOwned + 'static> Deserialize<'de> for Payload<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Payload<T>, D::Error> {
        #[cfg(unix)]
        if travel::is_arriving() {
            return travel::arrive(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom);
        }
        T::deserialize(deserializer).map(Payload::new)
    }
}
