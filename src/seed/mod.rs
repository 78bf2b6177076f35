//! Random numbers that do not depend on who runs what when.
//!
//! `seed of an item = H(run seed, canonical form of the item's key)`, as docs/key.md has it. Whoever changes a byte of
//! it changes the results of everyone's simulations, so the vectors in the tests hold it still.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "rand")]
mod generator;

#[cfg(feature = "rand")]
pub use generator::Generator;

use crate::digest::Purpose;
use crate::error::{Error, Result};
use crate::key::canonical::canonical;
use crate::key::{hex, unhex};

/// The seed of a whole run, from which each item gets its own: R's `future.seed` and `furrr`'s `seed =`, numpy's
/// `SeedSequence`.
///
/// A generator that tasks share gives its numbers to whoever asks first, so that each run has other results. Here the
/// [`Seed`] of an item comes from the run's seed and the item's key and from nothing else: not from its worker, its
/// batch, its place in the input or what ran before it. So any number of workers, any schedule, any order of the items
/// and any resumed run give the same results; and two items with different keys have independent numbers.
///
/// # Why a seed is an argument
/// It would be less to write if a task could ask for its seed. But a result depends on the numbers it was made of, and
/// a cache knows of a call what its arguments say: a call with another run seed would be served the old result. As an
/// argument the seed is in the key. It crosses to worker processes as arguments do, it is in the text of a failure, and
/// the task can be called by hand, in a test, with the same numbers.
///
/// # Examples
/// ```
/// use larder::{Parallel, RunSeed, Seed, delayed};
///
/// #[larder::task]
/// fn simulate(row: u64, seed: Seed) -> u64 {
///     row + seed.to_u64() % 6 // or `StdRng::from_seed(seed.to_bytes())`, or, with the feature `rand`, `seed.rng()`
/// }
///
/// let seeds = RunSeed::new(42);
/// let run = |n_jobs, rows: &[u64]| {
///     let calls = rows.iter().map(|row| delayed!(simulate(*row, seeds.item(row))));
///     Parallel::new().n_jobs(n_jobs).run(calls)
/// };
/// let mut expected = run(1, &[1, 2, 3, 4])?;
/// expected.reverse();
/// assert_eq!(run(2, &[4, 3, 2, 1])?, expected);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunSeed(u64);

impl RunSeed {
    /// The run seed of this number.
    pub const fn new(seed: u64) -> RunSeed {
        RunSeed(seed)
    }

    /// Another run seed each time. Print it, and give the number to [`new`](RunSeed::new) to have the same run again.
    ///
    /// # Examples
    /// ```
    /// use larder::RunSeed;
    ///
    /// let seeds = RunSeed::random();
    /// println!("seed {seeds}");
    /// let again = RunSeed::new(seeds.to_string().parse()?);
    /// assert_eq!(again.item(&0), seeds.item(&0));
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn random() -> RunSeed {
        // std's keys of hash maps are the system's randomness, and differ between two of one program too.
        RunSeed(RandomState::new().hash_one(0))
    }

    /// The number it was made of.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The seed of the item with this key: its index, its name, the tuple of its arguments, whatever tells it from the
    /// others and stays the same.
    ///
    /// Equal keys have equal seeds, so an item that is there twice has the same numbers twice: where it should not, its
    /// index belongs to its key. A key is what serde tells of it, as for a cached call: with its type (`1_u32` and
    /// `1_u64` are two keys; `usize` is `u64`), however it is kept (`&str` and `String` are one), in any order of a
    /// map's entries.
    ///
    /// # Panics
    /// The key refuses to be serialized, as a path that is no UTF-8 does: see [`try_item`](RunSeed::try_item).
    pub fn item<K: Serialize + ?Sized>(self, key: &K) -> Seed {
        self.try_item(key).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`item`](RunSeed::item), for keys that may refuse to be serialized.
    ///
    /// # Errors
    /// The key does so.
    ///
    /// # Examples
    /// ```
    /// use larder::RunSeed;
    /// # #[cfg(unix)] {
    /// use std::ffi::OsStr;
    /// use std::os::unix::ffi::OsStrExt;
    /// use std::path::Path;
    ///
    /// let path = Path::new(OsStr::from_bytes(b"caf\xe9"));
    /// let error = RunSeed::new(42).try_item(path).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the key of a seed cannot be serialized: path contains invalid UTF-8 characters; give another one, such as \
    ///      the item's index"
    /// );
    /// # }
    /// ```
    pub fn try_item<K: Serialize + ?Sized>(self, key: &K) -> Result<Seed> {
        derive(Purpose::ItemSeed, &self.0.to_le_bytes(), key)
    }
}

/// Where the random numbers of one item begin: 256 bits that belong to it alone.
///
/// Made by [`RunSeed::item`], given to a task as an argument. Where it is shown, it is 64 hexadecimal digits.
///
/// Not for secrets: whoever knows the run seed, a number of 64 bits, and the key knows it.
///
/// # Examples
/// ```
/// use larder::{RunSeed, Seed};
///
/// /// A walk with noise: two streams that do not disturb each other.
/// fn walk(steps: u64, seed: Seed) -> (u64, u64) {
///     let (walk, noise) = (seed.child("walk"), seed.child("noise"));
///     (0..steps).fold((0, 0), |(place, sum), step| {
///         (place + walk.child(&step).to_u64() % 2, sum + noise.child(&step).to_u64() % 10)
///     })
/// }
///
/// let seed = RunSeed::new(42).item(&("walk", 7));
/// assert_eq!(walk(20, seed).0, walk(20, seed).0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed([u8; 32]);

impl Seed {
    /// The seed of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Seed {
        Seed(bytes)
    }

    /// The seed itself: what `SeedableRng::from_seed` of `StdRng`, `ChaCha8Rng` and others takes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The first 64 bits, for what takes a number.
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// A seed for a part of the item's work: different labels have independent numbers, and none of them those of this
    /// seed. So a part that takes more numbers than before does not change the others.
    ///
    /// # Panics
    /// The label refuses to be serialized, as a key of [`RunSeed::item`] may.
    pub fn child<K: Serialize + ?Sized>(self, label: &K) -> Seed {
        derive(Purpose::ChildSeed, &self.0, label).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A generator that begins with this seed: one call of the task, one generator.
    #[cfg(feature = "rand")]
    pub fn rng(self) -> Generator {
        Generator::new(self)
    }
}

fn derive<K: Serialize + ?Sized>(purpose: Purpose, parent: &[u8], key: &K) -> Result<Seed> {
    let form = canonical(key).map_err(|refused| {
        Error::invalid_option(format!(
            "the key of a seed cannot be serialized: {refused}; give another one, such as the item's index"
        ))
    })?;
    // The parent's length is that of the purpose, so where the form begins is known.
    Ok(Seed(purpose.digest_of(&[parent, form.as_bytes()])))
}

impl From<u64> for RunSeed {
    fn from(seed: u64) -> RunSeed {
        RunSeed(seed)
    }
}

/// The number, as [`RunSeed::new`] takes it.
impl fmt::Display for RunSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed({self})")
    }
}

/// For people its digits, for machines its bytes.
impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_newtype_struct("Seed", &self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Seed, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Seed")]
        struct Bytes([u8; 32]);

        if deserializer.is_human_readable() {
            let digits = String::deserialize(deserializer)?;
            let bytes =
                unhex(&digits).ok_or_else(|| D::Error::custom("a seed is 64 hexadecimal digits in lower case"))?;
            Ok(Seed(bytes))
        } else {
            Bytes::deserialize(deserializer).map(|Bytes(bytes)| Seed(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap, HashSet};

    /// A change here changes the results of everyone's simulations, and calls with seeds in all caches.
    #[test]
    fn golden_vectors() {
        let seeds = RunSeed::new(42);
        let item = seeds.item(&7_u64);
        let golden = [
            ("0 of 0", RunSeed::new(0).item(&0_u64)),
            ("7 of 42", item),
            ("name", seeds.item("name")),
            ("arguments", seeds.item(&(1_u32, "two", 3.0_f64))),
            ("1000 numbers", seeds.item(&(0..1000).map(f64::from).collect::<Vec<_>>())),
            ("child", item.child("noise")),
            ("grandchild", item.child("noise").child(&1_u8)),
        ];
        let actual: Vec<String> = golden.iter().map(|(name, seed)| format!("{name}: {seed}")).collect();
        assert_eq!(actual, GOLDEN);
        assert_eq!(item.to_u64().to_le_bytes(), item.to_bytes()[..8]);
    }

    const GOLDEN: [&str; 7] = [
        "0 of 0: f8e4838ce580386df980fc2b5a3a4acdc43f24bb91ab316b6560f8fca1b245fd",
        "7 of 42: 6adea3e26bc5c5125d89b025d3644b2ce49fe361a6b43099fdef645eb0d0c299",
        "name: 676cde7f98a9f2c8a2277cde3d1c7dbf942e4a0a3848156c3b1130af0c670e36",
        "arguments: cb556350658202f26d1360febf5c84497821224593bbccbe81ec5002d0225dbe",
        "1000 numbers: 280b1edcb4ddfc524443b953429d3b491e9f092c4a5a7b5883eb5044a9dcaba3",
        "child: 190cb1259ca2756a453a7206921caf87ada8a083e38b334163bd1281c671026c",
        "grandchild: 739b4638fbaaa213936f831d59fd14df21e636ab9795c149134e9aeb2b967db0",
    ];

    /// docs/key.md, by hand.
    #[test]
    fn a_seed_is_made_as_the_page_says() {
        let hash = |context, parts: &[&[u8]]| {
            let mut hasher = blake3::Hasher::new_derive_key(context);
            parts.iter().for_each(|part| _ = hasher.update(part));
            Seed(hasher.finalize().into())
        };
        let item = RunSeed::new(42).item(&7_u64);
        let number = 7_u64.to_le_bytes();
        assert_eq!(item, hash("larder 2026-11 item seed v1", &[&42_u64.to_le_bytes(), b"L", &number]));
        let length = 5_u64.to_le_bytes();
        let noise = hash("larder 2026-11 child seed v1", &[&item.to_bytes(), b"\"", &length, b"noise"]);
        assert_eq!(item.child("noise"), noise);
    }

    #[test]
    fn a_seed_is_that_of_its_run_and_key() {
        let seeds = RunSeed::new(1);
        let mut all = HashSet::new();
        for run in 0..10 {
            for key in 0..100_u64 {
                assert!(all.insert(RunSeed::new(run).item(&key)));
            }
        }
        let item = seeds.item(&5_u64);
        assert!(all.contains(&item));
        // Neither another type, nor another shape, nor a child is one of them, or one another.
        let others = [
            seeds.item(&5_u32),
            seeds.item(&5_i64),
            seeds.item("5"),
            seeds.item(&(5_u64,)),
            seeds.item(&[5_u64]),
            seeds.item(&Some(5_u64)),
            item.child(&5_u64),
            item.child(&6_u64),
            item.child(&()),
        ];
        assert!(others.into_iter().all(|other| all.insert(other)));
    }

    #[test]
    fn equal_keys_are_one_however_they_are_kept() {
        let seeds = RunSeed::new(1);
        assert_eq!(seeds.item(&5_usize), seeds.item(&5_u64));
        assert_eq!(seeds.item("name"), seeds.item(&"name".to_owned()));
        assert_eq!(seeds.item(&vec![1.0, 2.0]), seeds.item(&[1.0, 2.0][..]));
        let entries = || (0..50).map(|x| (x, x * x));
        assert_eq!(
            seeds.item(&entries().collect::<HashMap<_, _>>()),
            seeds.item(&entries().collect::<BTreeMap<_, _>>())
        );
    }

    #[test]
    fn random_run_seeds_differ_and_can_be_had_again() {
        let all: HashSet<RunSeed> = (0..100).map(|_| RunSeed::random()).collect();
        assert_eq!(all.len(), 100);
        for seeds in all {
            assert_eq!(RunSeed::from(seeds.to_string().parse::<u64>().unwrap()), seeds);
            assert_eq!(serde_json::from_str::<RunSeed>(&seeds.to_string()).unwrap(), seeds);
        }
    }

    #[test]
    fn a_seed_is_text_for_people_and_bytes_for_machines() {
        let seed = RunSeed::new(42).item("x");
        let digits = serde_json::to_string(&seed).unwrap();
        assert_eq!(digits, format!("\"{seed}\""));
        assert_eq!(serde_json::from_str::<Seed>(&digits).unwrap(), seed);
        assert_eq!(rmp_serde::from_slice::<Seed>(&rmp_serde::to_vec_named(&seed).unwrap()).unwrap(), seed);
        assert_eq!(Seed::from_bytes(seed.to_bytes()), seed);
        for wrong in ["\"\"".to_owned(), digits.to_uppercase(), digits.replace('"', "\"0"), "7".to_owned()] {
            assert!(serde_json::from_str::<Seed>(&wrong).is_err(), "{wrong}");
        }
    }

    struct Refuses;

    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }

    #[test]
    fn a_key_that_refuses_is_told_with_the_remedy() {
        let error = RunSeed::new(1).try_item(&(1, Refuses)).unwrap_err();
        assert!(error.is_invalid_option());
        assert_eq!(
            error.to_string(),
            "the key of a seed cannot be serialized: never; give another one, such as the item's index"
        );
        for panics in [|| RunSeed::new(1).item(&Refuses), || RunSeed::new(1).item(&1).child(&Refuses)] {
            let panic = crate::panics::catch(panics).unwrap_err();
            assert_eq!(panic.message(), error.to_string());
        }
    }
}
