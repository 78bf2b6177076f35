//! Results of every kind of type that people have: computed once, loaded by another memory, equal.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::OsString;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::ops::{Bound, Range, RangeInclusive};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use nalgebra::{DMatrix, Vector3};
use ndarray::{Array0, Array2, Array3};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::open;

/// Each value computed once and loaded by a memory that was opened anew, and found the same by `same`.
fn stored_as<T, S>(name: &str, values: &[T], same: S)
where
    T: Clone + Debug + Serialize + DeserializeOwned,
    S: Fn(&T, &T) -> bool,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    let calls = values.len() as u64;
    {
        let memory = open(dir.path());
        for (at, value) in values.iter().enumerate() {
            let cached = memory.cached_fn(name, 1, |_: &usize| value.clone()).store_none();
            cached.call(&at);
        }
        assert_eq!((memory.stats().misses(), memory.stats().stores), (calls, calls), "{name} {values:?}");
    }
    let memory = open(dir.path());
    for (at, value) in values.iter().enumerate() {
        let cached =
            memory.cached_fn(name, 1, |_: &usize| -> T { panic!("`{name}` {at} is computed again: {value:?}") });
        let loaded = cached.call(&at);
        assert!(same(&loaded, value), "{name}: {loaded:?} for {value:?}");
    }
    assert_eq!((memory.stats().hits(), memory.stats().misses()), (calls, 0), "{name}");
}

fn stored<T: Clone + PartialEq + Debug + Serialize + DeserializeOwned>(name: &str, values: &[T]) {
    stored_as(name, values, |a, b| a == b);
}

#[test]
fn json_values() {
    let long = json!({"numbers": (0..2000).map(f64::from).collect::<Vec<_>>(), "text": "x".repeat(5000)});
    stored(
        "value",
        &[
            Value::Null,
            json!(true),
            json!(1),
            json!(-1),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!([]),
            json!({}),
            json!([null, [1, "two", {"three": [3.0, {}]}]]),
            json!({"": {"\u{0}": null}, "snow ☃": [false]}),
            long.clone(),
        ],
    );
    stored("within", &[(1u8, Some(vec![long])), (2, None), (3, Some(vec![]))]);
    stored("map", &[BTreeMap::from([("a".to_owned(), json!(1)), ("b".to_owned(), json!([1, null]))])]);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
    Many(Vec<Untagged>),
    Fields { x: f64, y: Option<f64> },
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Unit,
    Fields { x: u8, tags: BTreeMap<String, i64> },
    Held(Held),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    numbers: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    One(u8),
    Two(u8, String),
    Fields { x: Vec<f64> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Flat {
    long_name: u32,
    #[serde(flatten)]
    held: Option<Held>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    #[serde(alias = "older")]
    newer: u8,
}

impl Default for Flat {
    fn default() -> Flat {
        Flat { long_name: 7, held: None, rest: BTreeMap::new(), left_out: None, newer: 1 }
    }
}

#[test]
fn enums_and_structs_with_attributes() {
    let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
    stored(
        "untagged",
        &[
            Untagged::Number(-7),
            Untagged::Text("seven".to_owned()),
            Untagged::Many(vec![Untagged::Number(1), Untagged::Many(vec![]), Untagged::Nothing]),
            Untagged::Fields { x: 1.5, y: Some(-0.0) },
            Untagged::Fields { x: f64::INFINITY, y: None },
            Untagged::Nothing,
        ],
    );
    stored(
        "internal",
        &[
            Internal::Unit,
            Internal::Fields { x: 1, tags: BTreeMap::from([("a".to_owned(), -1)]) },
            Internal::Held(Held { numbers: numbers.clone() }),
        ],
    );
    stored(
        "adjacent",
        &[Adjacent::Unit, Adjacent::One(1), Adjacent::Two(1, "x".to_owned()), Adjacent::Fields { x: numbers.clone() }],
    );
    stored(
        "flat",
        &[
            Flat::default(),
            Flat { held: Some(Held { numbers }), left_out: Some("here".to_owned()), ..Flat::default() },
            Flat { rest: BTreeMap::from([("more".to_owned(), json!([1, {"a": null}]))]), ..Flat::default() },
        ],
    );
}

#[test]
fn dates_ids_and_matrices() {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
    stored("day", &[day(1970, 1, 1), day(-4000, 2, 29), day(262_000, 12, 31)]);
    let moment: DateTime<Utc> = day(2026, 2, 28).and_hms_nano_opt(23, 59, 59, 123_456_789).unwrap().and_utc();
    stored("moment", &[moment, DateTime::UNIX_EPOCH]);
    stored("elsewhere", &[moment.with_timezone(&FixedOffset::east_opt(5 * 3600 + 1800).unwrap())]);
    stored("clock", &[(moment.naive_utc(), moment.time(), vec![moment; 300])]);
    stored("id", &[Uuid::nil(), Uuid::max(), Uuid::from_u128(0x0123_4567_89ab_cdef)]);
    stored("ids", &[(0..1000).map(|n| (Uuid::from_u128(n), n)).collect::<HashMap<_, _>>()]);

    stored("vector3", &[Vector3::new(1.0, -0.0, f64::MAX)]);
    stored("matrix", &[DMatrix::<f64>::from_fn(60, 50, |row, column| (row * column) as f64), DMatrix::zeros(0, 3)]);
    stored("vectors", &[vec![Vector3::new(1.0f32, 2.0, 3.0); 1000]]);
    stored("array", &[Array2::<f64>::from_elem((60, 50), 1.5), Array2::zeros((0, 3)), Array2::zeros((3, 0))]);
    stored("array0", &[Array0::from_elem((), 1u8)]);
    stored("array3", &[Array3::from_shape_fn((2, 3, 4), |at| at)]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Unit,
    Pair(i8, bool),
    Fields { c: char },
}

#[test]
fn maps_with_any_keys() {
    let keys = [Key::Unit, Key::Pair(-1, true), Key::Pair(0, false), Key::Fields { c: 'ß' }];
    stored("by enum", &[keys.iter().map(|key| (*key, vec![1.5; 100])).collect::<HashMap<_, _>>(), HashMap::new()]);
    stored("by pair", &[BTreeMap::from([((1u8, "a".to_owned()), -1i64), ((1, "b".to_owned()), 1)])]);
    stored("by option", &[BTreeMap::from([(None, 0), (Some(-5i128), 1), (Some(i128::MAX), 2)])]);
    stored("by list", &[BTreeMap::from([(vec![], ()), (vec![0u64; 100], ()), (vec![1], ())])]);
    stored("by unit", &[HashMap::from([((), "the only".to_owned())]), HashMap::new()]);
    stored("by bool", &[BTreeMap::from([(true, [1u8; 3]), (false, [2; 3])])]);
    stored("by map", &[BTreeMap::from([(BTreeMap::from([(1, 'x')]), 1u8), (BTreeMap::new(), 2)])]);
    stored("sets", &[(keys.into_iter().collect::<HashSet<_>>(), (0..1000u32).collect::<BTreeSet<_>>())]);
    stored("lists", &[(VecDeque::from(vec![1.5f64; 900]), LinkedList::from([1u8, 2]))]);
    stored_as("heap", &[(0..500i64).collect::<BinaryHeap<_>>()], |a, b| {
        a.clone().into_sorted_vec() == b.clone().into_sorted_vec()
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Typed<T>(PhantomData<T>, Unit, [(); 3]);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Empty {}

#[test]
fn nothing_in_many_forms() {
    stored("unit", &[()]);
    stored("unit struct", &[Unit]);
    stored("phantom", &[PhantomData::<String>]);
    stored("typed", &[Typed::<String>(PhantomData, Unit, [(); 3])]);
    stored("empty", &[Empty {}]);
    stored("units", &[[(); 3]]);
    stored("many units", &[vec![(); 1000], vec![(); 100_000], vec![]]);
    stored("many empty", &[vec![(Unit, Empty {}); 1000]]);
    stored("options", &[None, Some(None), Some(Some(None)), Some(Some(Some(())))]);
    stored("more options", &[None, Some(None), Some(Some(None)), Some(Some(Some(5u8)))]);
    stored("no numbers", &[Vec::<f64>::new()]);
    stored("no text", &[String::new()]);
    stored("no lists", &[Vec::<Vec<u8>>::new(), vec![vec![]], vec![vec![]; 5000]]);
    stored("no elements", &[([0u8; 0], BTreeMap::<u8, u8>::new(), None::<u8>)]);
}

#[test]
fn numbers_at_their_edges() {
    stored("i128", &[i128::MIN, -1, 0, i128::MAX]);
    stored("u128s", &[vec![u128::MAX; 1000], vec![0]]);
    stored("chars", &[vec!['\0', 'a', 'ß', '\u{10ffff}'], vec!['x'; 2000]]);
    stored("usize", &[(usize::MAX, isize::MIN, vec![usize::MAX; 1000], vec![isize::MIN; 1000])]);
    stored("nonzero", &[NonZeroU8::MAX]);
    let bits = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
    let floats = [
        0.0,
        -0.0,
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0xfff8_dead_beef_0001),
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        5e-324,
    ];
    // The index is the argument, so that the two zeros and the NaNs are values of different calls.
    stored_as("float", &floats, bits);
    stored_as("floats", &[(floats.repeat(100), 1u8), (floats.to_vec(), 2)], |a, b| {
        a.1 == b.1 && a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(|(a, b)| bits(a, b))
    });
    stored_as("f32", &[f32::from_bits(0x7f80_0001), -0.0, f32::MAX], |a, b| a.to_bits() == b.to_bits());
}

#[test]
fn what_the_standard_library_has() {
    stored("durations", &[Duration::ZERO, Duration::MAX, Duration::new(1, 999_999_999)]);
    stored("times", &[SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::new(1 << 33, 5)]);
    stored("paths", &[PathBuf::new(), PathBuf::from("/tmp/ß/..")]);
    stored("system text", &[OsString::from("x y")]);
    stored(
        "results",
        &[(Ok(1u8), Err("no".to_owned())), (Err(()), Ok::<u8, String>(2))]
            .map(|(a, b)| vec![a.map_err(|()| "unit".to_owned()), b]),
    );
    stored("within results", &[Some(Err::<Vec<f64>, Unit>(Unit)), Some(Ok(vec![1.0; 900])), None]);
    stored("shared", &[(Arc::new(vec![1.5; 900]), Box::new(1u8))]);
    stored("counted", &[Rc::new(vec!["a".to_owned()])]);
    stored("slices", &[(Arc::<[f64]>::from(vec![1.5; 900]), Box::<str>::from("text"), Box::<[u8]>::from([1, 2]))]);
    stored("cows", &[Cow::<'static, str>::Owned("text".to_owned()), Cow::Borrowed("")]);
    stored("addresses", &["::1", "127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap()));
    stored("ranges", &[(Range { start: 1, end: 5 }, RangeInclusive::new('a', 'z'), Bound::Excluded(1.5))]);
    stored("tuples", &[((1u8,), (1u8, (2u16, ((), [[1.5f32; 2]; 3]))), [("a".to_owned(), 'b'); 1])]);
}
