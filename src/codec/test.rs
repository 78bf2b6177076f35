//! What goes out comes back, by the codec that can carry it.

mod arrays;
mod hostile;
#[cfg(feature = "ndarray")]
mod ndarray;

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

pub(super) fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, expected: CodecId) {
    let Encoded { codec, bytes } = encode(&value).unwrap();
    assert_eq!(codec, expected, "{value:?}");
    assert_eq!(decode::<T>(codec, &bytes).unwrap(), value);
    if codec != CodecId::Numbers {
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode::<T>(codec, &longer).is_err(), "a byte too many after {value:?}");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u8>,
    second: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { x: u8 },
    B,
}

#[test]
fn plain_values_go_compact() {
    round_trip((), CodecId::Compact);
    round_trip(vec![(1.0f64, 2u8); 1000], CodecId::Compact);
    round_trip((1u8, -2i64, 3.5f64, 'x', true, "text".to_owned()), CodecId::Compact);
    round_trip(Some(Some(None::<u8>)), CodecId::Compact);
    round_trip(HashMap::from([("a".to_owned(), vec![1u8]), ("b".to_owned(), vec![])]), CodecId::Compact);
    round_trip(Ok::<u8, String>(3), CodecId::Compact);
    round_trip(u128::MAX, CodecId::Compact);
    round_trip(Vec::<()>::new(), CodecId::Compact);
    round_trip([(), (), ()].to_vec(), CodecId::Compact);
}

#[test]
fn vectors_of_numbers_are_their_bytes() {
    round_trip(vec![1.5f64, -0.0, f64::INFINITY], CodecId::Numbers);
    round_trip(Vec::<f32>::new(), CodecId::Numbers);
    round_trip((0..=255).collect::<Vec<u8>>(), CodecId::Numbers);
    round_trip(vec![i16::MIN, -1, i16::MAX], CodecId::Numbers);
    round_trip((0..1000).collect::<Vec<u64>>(), CodecId::Numbers);
    assert_eq!(encode(&vec![1.0f64, 2.0]).unwrap().bytes, [1.0f64.to_le_bytes(), 2.0f64.to_le_bytes()].concat());
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let back: Vec<f64> = encode(&vec![nan]).unwrap().decode().unwrap();
    assert_eq!(back[0].to_bits(), nan.to_bits(), "a NaN keeps its bits");
    // Not a vector itself: the other codecs.
    round_trip(Some(vec![1.0f64]), CodecId::Compact);
    round_trip(vec![vec![1.0f64], vec![]], CodecId::Compact);
    assert!(decode::<Vec<f64>>(CodecId::Numbers, &[0; 12]).is_err(), "half a number");
    assert!(decode::<String>(CodecId::Numbers, &[0; 8]).is_err(), "not a vector");
}

#[test]
fn numbers_that_were_read_in_words_stay_or_are_copied() {
    fn by_words<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
        let Encoded { codec, bytes } = encode(&value).unwrap();
        let mut words = Words::zeroed(bytes.len());
        words.as_mut_slice().copy_from_slice(&bytes);
        assert_eq!(decode_large::<T>(codec, Large::Read(words)).unwrap(), value);
    }
    by_words(vec![1.5f64, 2.5, -3.0]);
    by_words(vec![1u64, 2]);
    by_words(vec![-1i64]);
    by_words(vec![1.5f32, 2.5, 3.5]);
    by_words(vec![1u8, 2, 3, 4, 5, 6, 7, 8, 9]);
    by_words(Vec::<f64>::new());
    by_words("not numbers".to_owned());
}

#[test]
fn what_describes_itself_goes_self_describing() {
    round_trip(Untagged::Text("x".into()), CodecId::SelfDescribing);
    round_trip(vec![Untagged::Number(1), Untagged::Text("x".into())], CodecId::SelfDescribing);
    round_trip(Flat { id: 1, rest: BTreeMap::from([("k".into(), 2)]) }, CodecId::SelfDescribing);
    round_trip(Tagged::A { x: 3 }, CodecId::SelfDescribing);
    round_trip(Tagged::B, CodecId::SelfDescribing);
    round_trip(serde_json::json!({"a": [1, null, {"b": 2.5}]}), CodecId::SelfDescribing);
    // One value of a type goes compact, another of the same type does not.
    round_trip(None::<Untagged>, CodecId::Compact);
    round_trip(Some(Untagged::Number(7)), CodecId::SelfDescribing);
}

#[test]
fn a_skipped_field_never_shifts_the_next_one_into_its_place() {
    // bincode would decode `{second: Some(5)}` as `{first: Some(5), second: ?}`.
    round_trip(Skipping { first: Some(1), second: Some(2) }, CodecId::Compact);
    round_trip(Skipping { first: None, second: Some(5) }, CodecId::SelfDescribing);
    let large: Vec<Skipping> = (0..100_000).map(|i| Skipping { first: Some(i as u8), second: None }).collect();
    round_trip(large.clone(), CodecId::Compact);
    let mut last_skips = large;
    last_skips.push(Skipping { first: None, second: Some(5) });
    round_trip(last_skips, CodecId::SelfDescribing);
}

#[test]
fn what_neither_carries_is_an_error_that_names_both() {
    #[derive(Debug, Serialize)]
    struct OneWay(u8);
    impl<'de> Deserialize<'de> for OneWay {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
            Err(serde::de::Error::custom("no way back"))
        }
    }
    let words = encode(&OneWay(1)).unwrap_err().to_string();
    assert_eq!(words.matches("no way back").count(), 2, "{words}");
    assert!(words.contains("compact codec:") && words.contains("self-describing codec:"), "{words}");

    #[derive(Debug, Serialize, Deserialize)]
    struct Lossy(#[serde(serialize_with = "halve")] u32);
    fn halve<S: serde::Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(value / 2)
    }
    let words = encode(&Lossy(8)).unwrap_err().to_string();
    assert!(words.contains("comes back changed"), "{words}");
}

#[test]
fn errors_are_known_by_any_alias() {
    type Alias = Result<u8, String>;
    assert!(is_err(&Alias::Err("x".into())));
    assert!(!is_err(&Alias::Ok(1)));
    assert!(!is_err(&Some(Alias::Err("x".into()))), "an error within is data");
    assert!(!is_err(&1u8) && !is_err("Err") && !is_err(&()) && !is_err(&None::<u8>) && !is_err(&[1u8]));
}

#[test]
fn a_shape_sees_names_and_kinds_but_no_content() {
    #[derive(Serialize)]
    struct Ab {
        a: f64,
        b: f64,
    }
    #[derive(Serialize)]
    struct Ba {
        b: f64,
        a: f64,
    }
    assert_eq!(shape_of(&Ab { a: 1.0, b: 2.0 }), shape_of(&Ab { a: 3.0, b: 4.0 }));
    assert_ne!(shape_of(&Ab { a: 1.0, b: 2.0 }), shape_of(&Ba { b: 1.0, a: 2.0 }));
    assert_ne!(shape_of(&1u64), shape_of(&1i64));
    assert_ne!(shape_of(&Tagged::A { x: 1 }), shape_of(&Tagged::B));
    let map = |order: [u32; 3]| order.map(|at| (at, (at > 1).then_some(at))).into_iter().collect::<HashMap<_, _>>();
    assert_eq!(shape_of(&map([1, 2, 3])), shape_of(&map([3, 2, 1])), "a map comes back in any order");
    let late = |last: Tagged| (0..100_000).map(|_| Tagged::B).chain([last]).collect::<Vec<_>>();
    assert_ne!(shape_of(&late(Tagged::B)), shape_of(&late(Tagged::A { x: 1 })), "a variant late in a long list");
    assert_eq!(shape_of(&vec![1.0f64; 3]), shape_of(&vec![2.0f64; 1_000_000]), "a run is one step");
    assert_eq!(shape_of(&vec![1.0f64; 3]), shape_of(&std::collections::LinkedList::from([1.0, 2.0])));
    assert_ne!(shape_of(&(1u8, 2u8)), shape_of(&(1u8,)));
    assert_ne!(
        shape_of(&HashMap::from([(1, Ab { a: 1.0, b: 2.0 })])),
        shape_of(&HashMap::from([(1, Ba { b: 1.0, a: 2.0 })]))
    );
}

proptest! {
    #[test]
    fn any_bytes_decode_to_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for codec in [CodecId::Compact, CodecId::SelfDescribing, CodecId::Sections] {
            // Both answers are good; a panic or a huge allocation is not.
            let _ = decode::<BTreeMap<String, Vec<Option<f64>>>>(codec, &bytes);
            let _ = decode::<(u8, String, Vec<u16>)>(codec, &bytes);
            let _ = decode::<Vec<()>>(codec, &bytes);
        }
    }

    #[test]
    fn any_value_comes_back(value in prop::collection::btree_map("[a-z]{0,4}", prop::collection::vec(prop::option::of(any::<i64>()), 0..9), 0..9)) {
        let Encoded { codec, bytes } = encode(&value).unwrap();
        prop_assert_eq!(decode::<BTreeMap<String, Vec<Option<i64>>>>(codec, &bytes).unwrap(), value);
    }
}
