//! Values with vectors of numbers in them: aligned, checked, mapped where they ask for it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::Write;
use std::ops::Range;

use super::*;
use crate::Bulk;
use crate::key::canonical::canonical;

fn ramp(len: usize) -> Vec<f64> {
    (0..len).map(|n| n as f64 / 4.0).collect()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Table {
    name: String,
    columns: Vec<Vec<f64>>,
    rows: Option<Vec<u32>>,
    pixels: (Vec<u8>, Vec<i16>),
    by_name: HashMap<String, Vec<f32>>,
    few: Vec<f64>,
    sizes: Vec<usize>,
}

fn table() -> Table {
    Table {
        name: "weather".to_owned(),
        columns: vec![ramp(100), ramp(64), ramp(63), vec![]],
        rows: Some((0..1000).collect()),
        pixels: (vec![7; 100_000], (-400..400).collect()),
        by_name: (0..5).map(|n| (format!("column {n}"), vec![n as f32; 1000])).collect(),
        few: vec![1.0, 2.0],
        sizes: (0..300).collect(),
    }
}

/// A file of the bytes, mapped, and where in memory it is.
fn mapped(bytes: &[u8]) -> (Mapped, Range<*const u8>) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let mapped = Mapped::whole(&file).unwrap();
    let place = mapped.as_ptr_range();
    (mapped, place)
}

fn words(bytes: &[u8]) -> Large {
    let mut words = Words::zeroed(bytes.len());
    words.as_mut_slice().copy_from_slice(bytes);
    Large::Read(words)
}

#[test]
fn vectors_anywhere_in_a_value_are_sections() {
    round_trip(table(), CodecId::Sections);
    round_trip((ramp(64), vec![1u32; 128]), CodecId::Sections);
    round_trip(Some(ramp(64)), CodecId::Sections);
    round_trip(Some(ramp(63)), CodecId::Compact);
    round_trip(vec![ramp(64); 300], CodecId::Sections);
    round_trip(vec![ramp(20_000), ramp(3), ramp(70), ramp(20_000)], CodecId::Sections);
    round_trip(BTreeMap::from([(1u8, vec![1u64; 100])]), CodecId::Sections);
    round_trip(Ok::<Vec<f64>, String>(ramp(100)), CodecId::Sections);
    // A list of numbers that is no slice, and one whose elements only begin as numbers of one type do.
    round_trip(VecDeque::from(ramp(1000)), CodecId::Sections);
    round_trip((0..1000u64).collect::<HashSet<_>>(), CodecId::Sections);
    round_trip(vec![true; 1000], CodecId::Compact);
    round_trip(vec!['x'; 1000], CodecId::Compact);
    round_trip(vec![1u128; 1000], CodecId::Compact);
    round_trip((vec![1i128; 1000], vec![1i64; 64]), CodecId::Sections);
    // Values that describe themselves stay with the codec that carries them.
    round_trip(Some(Untagged::Text("x".repeat(600))), CodecId::SelfDescribing);
    round_trip(serde_json::json!({ "a": ramp(1000) }), CodecId::SelfDescribing);
    let nan = f64::from_bits(0x7ff8_dead_beef_0001);
    let back: (Vec<f64>,) = encode(&(vec![nan; 100],)).unwrap().decode().unwrap();
    assert!(back.0.iter().all(|number| number.to_bits() == nan.to_bits()), "a NaN keeps its bits");
}

#[test]
fn sections_are_aligned_and_nothing_else_is_there() {
    let value = (vec![1.5f64; 64], "between".to_owned(), vec![7u8; 600], vec![-1i32; 128]);
    let Encoded { codec, bytes } = encode(&value).unwrap();
    assert_eq!(codec, CodecId::Sections);
    // Header, table, outline: a marker, the text, two markers.
    assert_eq!(bytes[..16], [[11u8, 0, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]].concat()[..]);
    assert_eq!(bytes[64..75], *b"\0\x07between\0\0");
    assert_eq!(bytes[128..128 + 512], [1.5f64.to_le_bytes(); 64].concat());
    assert_eq!(bytes[640..1240], [7; 600]);
    assert_eq!(bytes[1280..], [0xff; 512]);
}

/// A list whose elements are not what the first one promised.
#[test]
fn a_mixed_list_goes_out_one_by_one() {
    #[derive(Debug)]
    struct Mixed;
    impl Serialize for Mixed {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = serializer.serialize_seq(Some(601))?;
            (0..600).try_for_each(|n| list.serialize_element(&(n as u8)))?;
            list.serialize_element("the end")?;
            list.end()
        }
    }
    impl<'de> Deserialize<'de> for Mixed {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Mixed, D::Error> {
            struct Hear;
            impl<'de> serde::de::Visitor<'de> for Hear {
                type Value = Mixed;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a mixed list")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Mixed, A::Error> {
                    for n in 0..600 {
                        assert_eq!(list.next_element::<u8>()?, Some(n as u8));
                    }
                    assert_eq!(list.next_element::<String>()?.as_deref(), Some("the end"));
                    assert!(list.next_element::<u8>()?.is_none());
                    Ok(Mixed)
                }
            }
            deserializer.deserialize_seq(Hear)
        }
    }
    // Its 600 numbers are gathered for a section, until the text comes.
    let value = (vec![0u8; 600], Mixed);
    let Encoded { codec, bytes } = encode(&value).unwrap();
    assert_eq!(codec, CodecId::Sections);
    assert_eq!(bytes[8], 1, "one section, of the vector");
    let back = decode::<(Vec<u8>, Mixed)>(codec, &bytes).unwrap();
    assert_eq!(back.0, value.0);
}

#[test]
fn a_damaged_table_is_an_error() {
    let Encoded { bytes, .. } = encode(&(vec![1.5f64; 64], vec![7u8; 600])).unwrap();
    type Value = (Vec<f64>, Vec<u8>);
    assert!(decode::<Value>(CodecId::Sections, &bytes).is_ok());
    for cut in 0..bytes.len() {
        assert!(decode::<Value>(CodecId::Sections, &bytes[..cut]).is_err(), "cut at {cut}");
    }
    // Every byte of header, table and outline at its extremes: an error, or the same number of elements.
    for at in 0..64 {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            if let Ok(value) = decode::<Value>(CodecId::Sections, &damaged) {
                assert_eq!((value.0.len(), value.1.len()), (64, 600), "{byte} at {at}");
            }
        }
    }
    for count in [u64::MAX, 1 << 60, u64::MAX / 16, u64::MAX / 8 + 1] {
        for at in [0, 8, 24, 40] {
            let mut damaged = bytes.clone();
            damaged[at..at + 8].copy_from_slice(&count.to_le_bytes());
            assert!(decode::<Value>(CodecId::Sections, &damaged).is_err(), "{count} at {at}");
        }
    }
    assert!(decode::<(Vec<f64>,)>(CodecId::Sections, &bytes).is_err(), "a section is left over");
    assert!(decode::<(Vec<f64>, Vec<u8>, Vec<u8>)>(CodecId::Sections, &bytes).is_err(), "a section too few");
    assert!(decode::<(Vec<String>, Vec<u8>)>(CodecId::Sections, &bytes).is_err(), "other elements");
}

#[test]
fn a_bulk_is_its_numbers_and_asks_to_be_mapped() {
    let bulk: Bulk<f64> = ramp(1000).into();
    round_trip(bulk.clone(), CodecId::Numbers);
    round_trip((bulk.clone(), 1u8), CodecId::Sections);
    round_trip(vec![Some(bulk.clone()), None], CodecId::Sections);
    round_trip((Bulk::from(vec![1u8, 2]), 1u8), CodecId::Compact);

    let encoding = encode_ref(&bulk).unwrap();
    assert!(encoding.mapped);
    assert_eq!(encoding.parts[0].as_ptr(), bulk.as_ptr().cast(), "not copied");
    assert!(encode_ref(&(1u8, std::sync::Arc::new(bulk.clone()))).unwrap().mapped);
    assert!(!encode_ref(&(1u8, ramp(1000))).unwrap().mapped);
    assert!(!encode_ref(&ramp(1000)).unwrap().mapped);
    assert!(!encode_ref(&(Bulk::from(vec![1u8, 2]), ramp(1000))).unwrap().mapped, "the bulk is no section");

    let form = canonical(&bulk).unwrap();
    assert!(form == canonical(&ramp(1000)).unwrap(), "a bulk has the key of a vector");
    assert!(canonical(&vec![bulk]).unwrap() == canonical(&vec![ramp(1000)]).unwrap());
    assert!(canonical(&Bulk::<f32>::default()).unwrap() == canonical(&Vec::<f32>::new()).unwrap());
}

#[test]
fn a_mapped_bulk_stays_in_its_file() {
    let numbers = ramp(1000);
    let (whole, place) = mapped(&encode(&Bulk::from(numbers.clone())).unwrap().bytes);
    let back: Bulk<f64> = decode_large(CodecId::Numbers, Large::Mapped(whole)).unwrap();
    assert!(back.is_mapped());
    assert_eq!(back, numbers);
    assert!(place.contains(&back.as_ptr().cast()));
    let clone = back.clone();
    assert_eq!(clone.as_ptr(), back.as_ptr());
    drop(back);
    assert_eq!(clone.into_vec(), numbers);

    type Nested = (String, Bulk<f64>, Vec<Bulk<u8>>, Vec<f64>);
    let value: Nested = ("x".into(), numbers.clone().into(), vec![vec![1; 600].into(), vec![2; 5].into()], ramp(99));
    let Encoded { codec, bytes } = encode(&value).unwrap();
    let (whole, place) = mapped(&bytes);
    let back: Nested = decode_large(codec, Large::Mapped(whole)).unwrap();
    assert_eq!(back, value);
    assert!(back.1.is_mapped() && back.2[0].is_mapped() && !back.2[1].is_mapped());
    assert!(place.contains(&back.1.as_ptr().cast()) && place.contains(&back.2[0].as_ptr()));

    let read: Nested = decode_large(codec, words(&bytes)).unwrap();
    assert_eq!(read, value);
    assert!(!read.1.is_mapped());
    let large = words(bytemuck::cast_slice(&numbers));
    let at = large.as_slice().as_ptr();
    let back: Bulk<f64> = decode_large(CodecId::Numbers, large).unwrap();
    assert_eq!(back, numbers);
    assert_eq!(back.as_ptr().cast(), at, "the words are taken over");
}

#[test]
fn a_bulk_of_a_file_that_is_not_whole_numbers_is_refused() {
    let (whole, _) = mapped(&[1; 1001]);
    assert!(decode_large::<Bulk<f64>>(CodecId::Numbers, Large::Mapped(whole.clone())).is_err());
    assert_eq!(decode_large::<Vec<u8>>(CodecId::Numbers, Large::Mapped(whole.clone())).unwrap(), [1; 1001]);
    // Aligned for no number of eight bytes: copied.
    let odd: Option<Bulk<f64>> = Bulk::from_mapped(whole.part(1..1 + 800).unwrap());
    assert!(odd.is_none());
    assert_eq!(decode_large::<Bulk<u8>>(CodecId::Numbers, Large::Mapped(whole)).unwrap(), [1; 1001]);
}

#[test]
fn a_bulk_is_a_list_to_other_formats() {
    let bulk: Bulk<f64> = ramp(1000).into();
    let text = serde_json::to_string(&bulk).unwrap();
    assert_eq!(text, serde_json::to_string(&ramp(1000)).unwrap());
    assert_eq!(serde_json::from_str::<Bulk<f64>>(&text).unwrap(), bulk);
    assert!(serde_json::from_str::<Bulk<f64>>(r#"["x"]"#).is_err());
    let bytes = self_describing::encode(&bulk).unwrap();
    assert_eq!(decode::<Bulk<f64>>(CodecId::SelfDescribing, &bytes).unwrap(), bulk);
    assert_eq!(format!("{:?}", Bulk::from(vec![1u8; 20])), "[1, 1, 1, 1, 1, 1, 1, 1, ... 20 in all]");
    assert_eq!(format!("{:?}", Bulk::from(vec![1u8; 2])), "[1, 1]");
}

#[test]
fn the_module_takes_fields_as_slices() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct With {
        #[serde(with = "crate::bulk")]
        vector: Vec<f64>,
        #[serde(with = "crate::bulk")]
        shared: std::sync::Arc<[u16]>,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename = "With")]
    struct Without {
        vector: Vec<f64>,
        shared: std::sync::Arc<[u16]>,
    }
    let with = With { vector: ramp(100), shared: vec![1; 1000].into() };
    let without = Without { vector: with.vector.clone(), shared: with.shared.clone() };
    round_trip(with.clone(), CodecId::Sections);
    assert!(canonical(&with).unwrap() == canonical(&without).unwrap());
    assert_eq!(encode(&with).unwrap(), encode(&without).unwrap());
    assert_eq!(serde_json::to_string(&with).unwrap(), serde_json::to_string(&without).unwrap());
}
