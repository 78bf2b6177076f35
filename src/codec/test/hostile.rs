//! Bytes that lie: refused in little memory, little stack and little time.

use std::collections::{BTreeMap, HashMap, LinkedList};
use std::thread;

use super::*;

/// Three quarters of what a thread has by default, in an unoptimised build.
const STACK_BYTES: usize = 1536 << 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Bush {
    Branch { left: Option<Box<Bush>>, name: String, right: Vec<Bush>, more: HashMap<String, Bush> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Guess {
    Number(i64),
    Node { inner: Box<Guess> },
    Other(Vec<Guess>),
}

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap();
}

fn tree(depth: usize) -> Tree {
    (0..depth).fold(Tree::Leaf, |tree, _| Tree::Node(Box::new(tree)))
}

#[test]
fn depth_is_limited_where_bytes_decide_it() {
    on_a_small_stack(|| {
        // One byte a level: an `enum`'s second variant.
        let refused = decode::<Tree>(CodecId::Compact, &[1; 1_000_000]).unwrap_err().to_string();
        assert!(refused.contains("levels deep"), "{refused}");
        // A `Some` with an empty name and so on: the left side of a bush.
        let refused = decode::<Bush>(CodecId::Compact, &[0, 1].repeat(500_000)).unwrap_err().to_string();
        assert!(refused.contains("levels deep"), "{refused}");
        // MessagePack: maps of one entry with the same key; lists in lists.
        let nodes = [&[0x81, 0xa5][..], b"inner"].concat().repeat(100_000);
        assert!(decode::<Guess>(CodecId::SelfDescribing, &nodes).is_err());
        assert!(decode::<Guess>(CodecId::SelfDescribing, &[0x91; 100_000]).is_err());
        assert!(decode::<serde_json::Value>(CodecId::SelfDescribing, &[0x91; 100_000]).is_err());
        let nodes = [&[0x81, 0xa4][..], b"Node"].concat().repeat(100_000);
        let refused = decode::<Tree>(CodecId::SelfDescribing, &nodes).unwrap_err().to_string();
        assert!(refused.contains("levels deep"), "{refused}");
    });
}

#[test]
fn what_is_deep_within_the_limit_comes_back_and_what_is_deeper_is_refused() {
    on_a_small_stack(|| {
        let deepest = usize::from(guard::MAX_DEPTH);
        round_trip(tree(deepest - 1), CodecId::Compact);
        let refused = encode(&tree(deepest + 1)).unwrap_err().to_string();
        assert_eq!(refused.matches("levels deep").count(), 2, "both codecs: {refused}");
        let guess = (0..deepest / 2 - 2).fold(Guess::Number(1), |inner, _| Guess::Node { inner: Box::new(inner) });
        round_trip(guess, CodecId::SelfDescribing);
    });
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for length in [1u64 << 60, u64::MAX, 1 << 40, u64::from(u32::MAX)] {
        let mut compact = vec![253];
        compact.extend_from_slice(&length.to_le_bytes());
        assert!(decode::<Vec<u64>>(CodecId::Compact, &compact).is_err());
        assert!(decode::<Vec<u8>>(CodecId::Compact, &compact).is_err());
        assert!(decode::<String>(CodecId::Compact, &compact).is_err());
        assert!(decode::<Vec<String>>(CodecId::Compact, &compact).is_err());
        assert!(decode::<HashMap<String, u8>>(CodecId::Compact, &compact).is_err());
        assert!(decode::<LinkedList<Vec<u8>>>(CodecId::Compact, &compact).is_err());
    }
    for kind in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        let bytes = [kind, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<Vec<String>>(CodecId::SelfDescribing, &bytes).is_err());
        assert!(decode::<String>(CodecId::SelfDescribing, &bytes).is_err());
        assert!(decode::<Vec<u8>>(CodecId::SelfDescribing, &bytes).is_err());
        assert!(decode::<BTreeMap<String, u8>>(CodecId::SelfDescribing, &bytes).is_err());
        assert!(decode::<serde_json::Value>(CodecId::SelfDescribing, &bytes).is_err());
    }
}

/// A list of these that claimed 2^60 elements took no bytes, no memory and for ever.
#[test]
fn elements_that_take_no_bytes_are_limited() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing {}
    let mut compact = vec![253];
    compact.extend_from_slice(&(1u64 << 60).to_le_bytes());
    let refused = decode::<Vec<()>>(CodecId::Compact, &compact).unwrap_err().to_string();
    assert!(refused.contains("take no bytes"), "{refused}");
    assert!(decode::<Vec<Nothing>>(CodecId::Compact, &compact).is_err());
    assert!(decode::<Vec<[(); 3]>>(CodecId::Compact, &compact).is_err());
    assert!(decode::<LinkedList<((), Nothing)>>(CodecId::Compact, &compact).is_err());
    assert!(decode::<HashMap<(), ()>>(CodecId::Compact, &compact).is_err());
    // Many lists share one limit.
    let many = [&[253, 0, 1, 0, 0, 0, 0, 0, 0][..], &[251, 0, 250].repeat(256)].concat();
    assert!(decode::<Vec<Vec<()>>>(CodecId::Compact, &many).is_err());

    round_trip(vec![(); 1000], CodecId::Compact);
    round_trip(vec![Nothing {}; guard::MAX_IDLE as usize], CodecId::Compact);
    // More than that: a codec that gives each a byte.
    round_trip(vec![(); guard::MAX_IDLE as usize + 1], CodecId::SelfDescribing);
    round_trip(vec![[(); 3]; 100], CodecId::Compact);
}

/// A capacity that a visitor takes from the size hint is within what the bytes can hold.
#[test]
fn no_type_hears_of_more_elements_than_there_are_bytes() {
    #[derive(Debug)]
    struct Hint(usize);
    impl<'de> Deserialize<'de> for Hint {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hint, D::Error> {
            struct Hear;
            impl<'de> serde::de::Visitor<'de> for Hear {
                type Value = Hint;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a list")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Hint, A::Error> {
                    Ok(Hint(list.size_hint().unwrap_or(0)))
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Hint, A::Error> {
                    Ok(Hint(map.size_hint().unwrap_or(0)))
                }
            }
            deserializer.deserialize_any(Hear)
        }
    }
    for kind in [0xdd, 0xdf] {
        // What is not read is an error of its own, so one byte of it is enough to see the hint.
        let watch = guard::Watch::marking_all(5);
        let seed = guard::Watched { seed: std::marker::PhantomData::<Hint>, watch: &watch };
        let mut bytes = &[kind, 0xff, 0xff, 0xff, 0xff][..];
        let inner = &mut rmp_serde::Deserializer::new(&mut bytes);
        assert!(serde::de::DeserializeSeed::deserialize(seed, inner).map_or(0, |hint| hint.0) <= 5);
    }
}
