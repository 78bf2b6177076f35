//! A handle to a result that stays where it is stored.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::load::{checked, decode_found};
use super::metadata::Metadata;
use super::{Memory, store_failed};
use crate::codec::{self, CodecId, Encoded};
use crate::error::{Error, Kind, Result};
use crate::store::{Absent, EntryKey};

/// A small handle to a result of type `V` that stays where it is stored: what
/// [`call_and_shelve`](crate::Cached::call_and_shelve) gives. joblib's `MemorizedResult`.
///
/// It can be serialized in place of the result, and opens the cache where it is read. Where nothing is stored (the memory is
/// disabled, the store failed), it holds the encoded result itself.
///
/// # Examples
/// ```
/// use larder::{Memory, Shelved};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let memory = Memory::open(dir.path())?;
/// let squares = memory.cached_fn("squares", 1, |count: &u64| (0..*count).map(|x| x * x).collect::<Vec<u64>>());
/// let shelved = squares.call_and_shelve(&1000).expect("it is stored");
/// let sent = serde_json::to_string(&shelved).unwrap();
///
/// let shelved: Shelved<Vec<u64>> = serde_json::from_str(&sent).unwrap();
/// assert_eq!(shelved.get()?[999], 998_001);
/// shelved.clear()?;
/// assert!(shelved.get().unwrap_err().is_not_stored());
/// # Ok::<(), larder::Error>(())
/// ```
pub struct Shelved<V> {
    function: String,
    place: Place,
    _value: PhantomData<fn() -> V>,
}

enum Place {
    Cache {
        location: Option<PathBuf>,
        key: EntryKey,
        memory: OnceLock<Memory>,
    },
    /// The bytes; gone once they are cleared.
    Held {
        encoded: Encoded,
        shape: u64,
        is_cleared: OnceLock<()>,
    },
}

/// A handle as it is sent.
#[derive(Serialize, Deserialize)]
enum Sent {
    Cache { function: String, location: PathBuf, key: Vec<u8> },
    Held { function: String, codec: u8, shape: u64, bytes: Vec<u8> },
}

impl<V> Shelved<V> {
    pub(super) fn stored(memory: &Memory, function: &str, key: EntryKey) -> Shelved<V> {
        let location = memory.location().and_then(|path| std::path::absolute(path).ok());
        let place = Place::Cache { location, key, memory: OnceLock::from(memory.clone()) };
        Shelved { function: function.to_owned(), place, _value: PhantomData }
    }

    pub(super) fn held(function: &str, encoded: Encoded, shape: u64) -> Shelved<V> {
        let place = Place::Held { encoded, shape, is_cleared: OnceLock::new() };
        Shelved { function: function.to_owned(), place, _value: PhantomData }
    }

    /// The name of the function whose result it is. joblib's `func_id`.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The directory of the cache; `None` where the handle holds the result itself, or the store has none.
    pub fn location(&self) -> Option<&Path> {
        match &self.place {
            Place::Cache { location, .. } => location.as_deref(),
            Place::Held { .. } => None,
        }
    }

    /// Removes the result from the cache, or from this handle if it holds it. One that is gone already is no error. Other programs
    /// may still have it in memory.
    ///
    /// # Errors
    /// The cache cannot be opened, or refuses.
    pub fn clear(&self) -> Result<()> {
        match &self.place {
            Place::Held { is_cleared, .. } => *is_cleared.get_or_init(|| ()),
            Place::Cache { key, .. } => {
                let memory = match self.memory() {
                    Err(error) if error.is_not_stored() => return Ok(()),
                    memory => memory?,
                };
                let Some(shelves) = &memory.inner.place else { return Ok(()) };
                shelves.forget(key).map_err(|error| store_failed(shelves, &error))?;
            }
        }
        Ok(())
    }

    /// What is known of the result, without reading it. `None` where the handle holds it itself.
    ///
    /// # Errors
    /// It is not stored any more ([`is_not_stored`](Error::is_not_stored)), or the cache cannot be opened.
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        let Place::Cache { key, .. } = &self.place else { return Ok(None) };
        let memory = self.memory()?;
        let Some(shelves) = &memory.inner.place else { return Err(self.gone(&Absent::Never)) };
        let listed = shelves.store.peek(key).map_err(|absent| self.gone(&absent))?;
        listed.info().map(|info| Some(Metadata::of(&info))).map_err(|absent| self.gone(&absent))
    }

    /// The memory, opened where the handle came from elsewhere.
    fn memory(&self) -> Result<&Memory> {
        let Place::Cache { location: Some(location), memory, .. } = &self.place else {
            return match &self.place {
                Place::Cache { memory, .. } => memory.get().ok_or_else(|| self.gone(&Absent::Never)),
                Place::Held { .. } => Err(self.gone(&Absent::Never)),
            };
        };
        match memory.get() {
            Some(memory) => Ok(memory),
            // Opening would make an empty cache there.
            None if !location.exists() => Err(self.without_cache(location)),
            None => {
                let opened = Memory::open(location)?;
                Ok(memory.get_or_init(|| opened))
            }
        }
    }

    #[cold]
    fn without_cache(&self, location: &Path) -> Error {
        let what = format!(
            "the shelved result of `{}` is in the cache `{}`, which is not there: bring it back, or call the function again",
            self.function,
            location.display()
        );
        Error::new(Kind::NotStored { what })
    }

    #[cold]
    fn gone(&self, absent: &Absent) -> Error {
        self.lost(&match absent {
            Absent::Never => "it was removed".to_owned(),
            Absent::Removed(tombstone) => {
                format!("it was {} on {}", tombstone.why(), super::time::utc(tombstone.at()))
            }
            Absent::NotServed(error) | Absent::Unreadable(error) => error.to_string(),
            damaged => format!("it is damaged ({damaged:?})"),
        })
    }

    #[cold]
    fn lost(&self, why: &str) -> Error {
        let at = self.location().map_or_else(String::new, |path| format!(" in the cache `{}`", path.display()));
        let what =
            format!("the shelved result of `{}` is not{at} any more: {why}; call the function again", self.function);
        Error::new(Kind::NotStored { what })
    }
}

impl<V: Serialize + DeserializeOwned> Shelved<V> {
    /// Loads the result. joblib's `MemorizedResult.get`.
    ///
    /// # Errors
    /// It is not stored any more, or damaged, or of another type ([`is_not_stored`](Error::is_not_stored)), or the cache cannot
    /// be opened.
    pub fn get(&self) -> Result<V> {
        match &self.place {
            Place::Held { is_cleared, .. } if is_cleared.get().is_some() => Err(self.gone(&Absent::Never)),
            Place::Held { encoded, shape, .. } => {
                let value = checked(*shape, || codec::decode(encoded.codec, &encoded.bytes));
                value.ok_or_else(|| self.other_type())
            }
            Place::Cache { key, .. } => {
                let memory = self.memory()?;
                let Some(shelves) = &memory.inner.place else { return Err(self.gone(&Absent::Never)) };
                let found = shelves.store.get(key).map_err(|absent| self.gone(&absent))?;
                let value = decode_found(found).ok_or_else(|| self.other_type())?;
                // What is loaded so is in use, and not the first to be evicted.
                if shelves.uses.entry(key) {
                    memory.tell_uses(shelves);
                }
                Ok(value)
            }
        }
    }

    #[cold]
    fn other_type(&self) -> Error {
        let what = format!(
            "the shelved result of `{}` is no `{}`: read it as the type that the function returns",
            self.function,
            std::any::type_name::<V>()
        );
        Error::new(Kind::NotStored { what })
    }
}

impl<V> Serialize for Shelved<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let function = self.function.clone();
        match &self.place {
            Place::Cache { location: Some(location), key, .. } => {
                Sent::Cache { function, location: location.clone(), key: key.as_bytes().to_vec() }.serialize(serializer)
            }
            Place::Cache { location: None, .. } => Err(S::Error::custom(
                "this shelved result is in a store without a directory, so it cannot be found from elsewhere: use a memory of \
                 `Memory::open`, or send the result itself",
            )),
            Place::Held { encoded, shape, .. } => {
                let (codec, bytes) = (encoded.codec.as_byte(), encoded.bytes.clone());
                Sent::Held { function, codec, shape: *shape, bytes }.serialize(serializer)
            }
        }
    }
}

impl<'de, V> Deserialize<'de> for Shelved<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Shelved<V>, D::Error> {
        let (function, place) = match Sent::deserialize(deserializer)? {
            Sent::Cache { function, location, key } => {
                let key = key.try_into().map_err(|_| D::Error::custom("a shelved result has a key of 40 bytes"))?;
                let key = EntryKey::from_bytes(key);
                (function, Place::Cache { location: Some(location), key, memory: OnceLock::new() })
            }
            Sent::Held { function, codec, shape, bytes } => {
                let codec = CodecId::from_byte(codec)
                    .ok_or_else(|| D::Error::custom("a shelved result was encoded by a newer release"))?;
                (function, Place::Held { encoded: Encoded { codec, bytes }, shape, is_cleared: OnceLock::new() })
            }
        };
        Ok(Shelved { function, place, _value: PhantomData })
    }
}

impl<V> fmt::Debug for Shelved<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelved")
            .field("function", &self.function)
            .field("location", &self.location())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handle that was sent to where the cache is not made an empty one there, and said that the result was removed.
    #[test]
    fn a_handle_makes_no_cache() {
        let dir = tempfile::tempdir().unwrap();
        let location = dir.path().join("cache");
        let key = EntryKey::from_bytes([1; 40]);
        let place = Place::Cache { location: Some(location.clone()), key, memory: OnceLock::new() };
        let shelved = Shelved::<u64> { function: "f".to_owned(), place, _value: PhantomData };
        let error = shelved.get().unwrap_err();
        assert!(error.is_not_stored() && error.to_string().contains("which is not there"), "{error}");
        assert!(shelved.metadata().is_err_and(|error| error.is_not_stored()));
        assert!(shelved.clear().is_ok());
        assert!(!location.exists());
    }
}
