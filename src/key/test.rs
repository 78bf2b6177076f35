//! What must be alike, what must differ, and bytes that must not move.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;
use serde::{Serialize, Serializer};

use super::canonical::canonical;
use super::*;
use crate::payload::Payload;

fn key_of<A: Serialize + ?Sized>(function: &Identity, args: &A, layout: Layout) -> Key {
    key(function, args, layout, &mut MadeOf::default()).unwrap()
}

fn digest<T: Serialize + ?Sized>(value: &T) -> String {
    hex(&canonical(value).unwrap().digest())
}

/// Written by hand to be told apart from any derive: a list of which serde only hears elements.
struct Elements<'e, T>(&'e [T]);

impl<T: Serialize> Serialize for Elements<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut list = serializer.serialize_seq(None)?;
        for element in self.0 {
            list.serialize_element(element)?;
        }
        list.end()
    }
}

struct Bytes<'b>(&'b [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[test]
fn the_digests_of_release_0_1_stay() {
    // A change here makes every entry of every user's cache unreachable: see `Purpose` for what it takes.
    #[derive(Serialize)]
    struct Point {
        x: f64,
        y: f64,
    }
    #[derive(Serialize)]
    enum Shape {
        Empty,
        Circle(Point, f64),
        Named { name: &'static str },
    }
    let golden: [(&str, String); 17] = [
        ("unit", digest(&())),
        ("1u8", digest(&1u8)),
        ("1u64", digest(&1u64)),
        ("-1i32", digest(&-1i32)),
        ("1.0", digest(&1.0f64)),
        ("nan", digest(&f64::NAN)),
        ("\"1\"", digest("1")),
        ("Some(1)", digest(&Some(1))),
        ("None", digest(&None::<u8>)),
        ("(1,)", digest(&(1,))),
        ("[1]", digest(&[1])),
        ("map", digest(&HashMap::from([("a", 1), ("b", 2)]))),
        ("set", digest(&HashSet::from([1, 2, 3]))),
        ("Empty", digest(&Shape::Empty)),
        ("Circle", digest(&Shape::Circle(Point { x: 1.0, y: 2.0 }, 3.0))),
        ("Named", digest(&Shape::Named { name: "n" })),
        ("1000 numbers", digest(&(0..1000).map(f64::from).collect::<Vec<f64>>())),
    ];
    let actual: Vec<String> = golden.iter().map(|(name, digest)| format!("{name} {digest}")).collect();
    let stored = include_str!("golden.txt");
    assert_eq!(actual.join("\n"), stored.trim_end());
    let key = key_of(&Identity::by_hand("f".into(), 1), &(1u64, "two"), Layout::Tuple { ignored: 0 });
    assert_eq!(key.to_string(), "ccddd62fec3d99a2a52ceb4d9a6daf17d5fdc32be2888a8b6c8c512694d6c1b1");
}

#[test]
fn equal_content_is_alike_however_it_is_kept() {
    let numbers = vec![1.5f64, -0.0, f64::NAN, 3.0];
    let expected = digest(&numbers);
    assert_eq!(digest(&numbers[..]), expected, "a slice");
    assert_eq!(digest(&[1.5f64, -0.0, -f64::NAN, 3.0]), expected, "an array, and another NaN");
    assert_eq!(digest(&Box::new([1.5f64, -0.0, f64::NAN, 3.0])), expected, "a boxed array");
    assert_eq!(digest(&Arc::new(numbers.clone())), expected);
    assert_eq!(digest(&Rc::new(numbers.clone())), expected);
    assert_eq!(digest(&Cow::Borrowed(&numbers[..])), expected);
    assert_eq!(digest(&VecDeque::from(numbers.clone())), expected);
    assert_eq!(digest(&numbers.iter().collect::<LinkedList<_>>()), expected);
    assert_eq!(digest(&Elements(&numbers)), expected, "element by element");
    assert_eq!(digest(&Payload::new(numbers.clone())), expected, "a payload");
    assert_eq!(digest(&&&numbers), expected);
    let mut ring = VecDeque::from(numbers.clone());
    ring.rotate_left(2);
    ring.rotate_right(2);
    assert_eq!(digest(&ring), expected, "a ring that wraps around");

    assert_eq!(digest("text"), digest(&String::from("text")));
    assert_eq!(digest(&7usize), digest(&7u64));
    assert_eq!(digest(&vec![7usize, 8]), digest(&vec![7u64, 8]));
    assert_eq!(digest(&Bytes(b"abc")), digest(&b"abc".to_vec()), "bytes are a list of u8");
}

#[test]
fn long_lists_are_alike_by_every_road() {
    for len in [0, 1, 127, 128, 129, 8191, 8192, 8193, 100_000] {
        let mut numbers: Vec<f64> = (0..len).map(f64::from).collect();
        for nan in [false, true] {
            if nan && len > 0 {
                numbers[len as usize / 2] = f64::from_bits(0x7ff0_0000_0000_0001);
            }
            let expected = digest(&numbers);
            assert_eq!(digest(&Elements(&numbers)), expected, "{len} numbers, a NaN: {nan}");
            assert_eq!(digest(&Payload::new(numbers.clone())), expected, "{len} numbers, a NaN: {nan}");
        }
    }
}

#[test]
fn the_order_of_maps_and_sets_does_not_matter() {
    let forward: HashMap<u32, String> = (0..100).map(|i| (i, i.to_string())).collect();
    let backward: HashMap<u32, String> = (0..100).rev().map(|i| (i, i.to_string())).collect();
    assert_eq!(digest(&forward), digest(&backward));
    assert_eq!(digest(&forward), digest(&forward.clone().into_iter().collect::<BTreeMap<_, _>>()));
    let set: HashSet<u32> = (0..100).collect();
    assert_eq!(digest(&set), digest(&(0..100).rev().collect::<HashSet<u32>>()));
    assert_eq!(digest(&set), digest(&(0..100).collect::<BTreeSet<u32>>()));
    assert_eq!(digest(&Some(&set)), digest(&Some(set.iter().copied().collect::<BTreeSet<u32>>())), "within another");
    assert_eq!(digest(&BinaryHeap::from([1, 2, 3])), digest(&BinaryHeap::from([3, 1, 2])));
    assert_ne!(digest(&set), digest(&(0..100).collect::<Vec<u32>>()), "a set is no list");
    let nested = |order: [u8; 2]| order.map(|at| (at, HashSet::from([at, 9]))).into_iter().collect::<HashMap<_, _>>();
    assert_eq!(digest(&nested([1, 2])), digest(&nested([2, 1])));
}

#[test]
fn different_content_differs() {
    #[derive(Serialize)]
    struct A {
        x: u8,
    }
    #[derive(Serialize)]
    struct B {
        x: u8,
    }
    #[derive(Serialize)]
    struct OtherField {
        y: u8,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Untagged {
        A(A),
        B(B),
        Other(OtherField),
    }
    #[derive(Serialize)]
    enum Fruit {
        Apple,
        Pear,
    }
    let digests = [
        ("1u8", digest(&1u8)),
        ("1u16", digest(&1u16)),
        ("1u32", digest(&1u32)),
        ("1u64", digest(&1u64)),
        ("1u128", digest(&1u128)),
        ("1i8", digest(&1i8)),
        ("1i64", digest(&1i64)),
        ("1f32", digest(&1f32)),
        ("1f64", digest(&1f64)),
        ("0.0", digest(&0.0)),
        ("-0.0", digest(&-0.0)),
        ("NaN", digest(&f64::NAN)),
        ("\"1\"", digest("1")),
        ("'1'", digest(&'1')),
        ("true", digest(&true)),
        ("Some(1u8)", digest(&Some(1u8))),
        ("Some(Some(1u8))", digest(&Some(Some(1u8)))),
        ("None", digest(&None::<u8>)),
        ("Some(None)", digest(&Some(None::<u8>))),
        ("()", digest(&())),
        ("(1u8,)", digest(&(1u8,))),
        ("((1u8,),)", digest(&((1u8,),))),
        ("[1u8]", digest(&[1u8])),
        ("[[1u8]]", digest(&[[1u8]])),
        ("[1u8, 1u8]", digest(&[1u8, 1])),
        ("(1u8, 1u8)", digest(&(1u8, 1u8))),
        ("[]", digest(&[0u8; 0])),
        ("[[]]", digest(&[[0u8; 0]])),
        ("\"\"", digest("")),
        ("{}", digest(&HashMap::<u8, u8>::new())),
        ("set {}", digest(&HashSet::<u8>::new())),
        ("(\"ab\", \"c\")", digest(&("ab", "c"))),
        ("(\"a\", \"bc\")", digest(&("a", "bc"))),
        ("[\"ab\", \"c\"]", digest(&["ab", "c"])),
        ("[\"a\", \"bc\"]", digest(&["a", "bc"])),
        ("([1u8], 2u8)", digest(&([1u8], 2u8))),
        ("([1u8, 2u8],)", digest(&([1u8, 2],))),
        ("[[1u8], [2u8]]", digest(&[vec![1u8], vec![2]])),
        ("[[1u8, 2u8], []]", digest(&[vec![1u8, 2], vec![]])),
        ("A { x: 1 }", digest(&Untagged::A(A { x: 1 }))),
        ("B { x: 1 }", digest(&Untagged::B(B { x: 1 }))),
        ("OtherField { y: 1 }", digest(&Untagged::Other(OtherField { y: 1 }))),
        ("Apple", digest(&Fruit::Apple)),
        ("Pear", digest(&Fruit::Pear)),
        ("map a->b", digest(&HashMap::from([("a", "b")]))),
        ("map b->a", digest(&HashMap::from([("b", "a")]))),
        ("map ab->c", digest(&HashMap::from([("ab", "c")]))),
        ("map a->bc", digest(&HashMap::from([("a", "bc")]))),
    ];
    for (at, (name, digest)) in digests.iter().enumerate() {
        for (other_name, other) in &digests[..at] {
            assert_ne!(digest, other, "{name} and {other_name}");
        }
    }
}

#[test]
fn arguments_are_apart_from_each_other() {
    let f = Identity::by_hand("f".into(), 1);
    let all = Layout::Tuple { ignored: 0 };
    let ab_c = key_of(&f, &("ab", "c"), all);
    assert_ne!(ab_c, key_of(&f, &("a", "bc"), all));
    let long = "x".repeat(1000);
    assert_ne!(key_of(&f, &(&long, "c"), all), key_of(&f, &("c", &long), all));
    assert_ne!(ab_c, key_of(&Identity::by_hand("g".into(), 1), &("ab", "c"), all));
    assert_ne!(ab_c, key_of(&Identity::by_hand("f".into(), 2), &("ab", "c"), all));
}

#[test]
fn ignored_arguments_do_not_enter() {
    let f = Identity::by_hand("f".into(), 1);
    let second = Layout::Tuple { ignored: 0b10 };
    let mut made_of = MadeOf::default();
    let one = key(&f, &(1, true, "x"), second, &mut made_of).unwrap();
    assert_eq!(one, key_of(&f, &(1, false, "x"), second));
    assert_ne!(one, key_of(&f, &(1, false, "y"), second));
    assert_eq!(made_of.digests().count(), 2);
}

#[test]
fn a_payload_is_hashed_once_and_stands_for_its_value() {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static SERIALIZED: AtomicU32 = AtomicU32::new(0);
    struct Counted(Vec<u64>);
    impl Serialize for Counted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            SERIALIZED.fetch_add(1, Relaxed);
            self.0.serialize(serializer)
        }
    }
    let f = Identity::by_hand("f".into(), 1);
    let layout = Layout::Tuple { ignored: 0 };
    for len in [0, 1, 5, 6, 7, 1000] {
        let value: Vec<u64> = (0..len).collect();
        SERIALIZED.store(0, Relaxed);
        let payload = Payload::new(Counted(value.clone()));
        let keys: Vec<Key> = (0..10).map(|_| key_of(&f, &(&payload.clone(), 1u8), layout)).collect();
        assert_eq!(SERIALIZED.load(Relaxed), 1, "{len} numbers");
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(keys[0], key_of(&f, &(&value, 1u8), layout), "{len} numbers, as an argument of its own");
        let nested = |last: u8| key_of(&f, &(vec![(&payload, last)],), layout);
        assert_eq!(nested(1), nested(1));
        assert_ne!(nested(1), nested(2), "what follows a payload counts");
    }
    let (a, b) = (Payload::new(vec![1u64; 100]), Payload::new(vec![2u64; 100]));
    assert_ne!(digest(&(&a, &b)), digest(&(&b, &a)));
    assert_ne!(digest(&[&a, &a]), digest(&[&a]));
}

#[test]
fn a_value_that_refuses_is_refused_in_its_words() {
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let f = Identity::by_hand("f".into(), 1);
    let refused = key(&f, &(1, Refuses), Layout::Tuple { ignored: 0 }, &mut MadeOf::default()).unwrap_err();
    assert_eq!(refused.to_string(), "not today");
    assert!(canonical(&Payload::new(Refuses)).is_err());
}

/// A tree of all that serde's data model tells apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
enum Tree {
    Unit,
    Bool(bool),
    Small(u8),
    Number(i64),
    Float(u64),
    Text(String),
    Maybe(Option<Box<Tree>>),
    List(Vec<Tree>),
    Numbers(Vec<i32>),
    Pair(Box<Tree>, Box<Tree>),
    Map(BTreeMap<String, Tree>),
    Named { left: Box<Tree>, right: Vec<String> },
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Unit),
        any::<bool>().prop_map(Tree::Bool),
        any::<u8>().prop_map(Tree::Small),
        any::<i64>().prop_map(Tree::Number),
        any::<u64>().prop_map(Tree::Float),
        "[ab]{0,3}".prop_map(Tree::Text),
        prop::collection::vec(0..3i32, 0..4).prop_map(Tree::Numbers),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::option::of(inner.clone()).prop_map(|tree| Tree::Maybe(tree.map(Box::new))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Pair(Box::new(a), Box::new(b))),
            prop::collection::btree_map("[ab]{0,2}", inner.clone(), 0..3).prop_map(Tree::Map),
            (inner, prop::collection::vec("[ab]{0,2}", 0..3))
                .prop_map(|(left, right)| Tree::Named { left: Box::new(left), right }),
        ]
    })
}

proptest! {
    #[test]
    fn forms_are_equal_exactly_where_values_are(a in trees(), b in trees()) {
        prop_assert_eq!(digest(&a) == digest(&b), a == b);
        prop_assert_eq!(digest(&a), digest(&a.clone()));
    }

    #[test]
    fn unequal_lists_of_numbers_differ(a in prop::collection::vec(any::<u16>(), 0..600), at in any::<prop::sample::Index>()) {
        let mut b = a.clone();
        b.push(0);
        prop_assert_ne!(digest(&a), digest(&b));
        if !a.is_empty() {
            let mut c = a.clone();
            let at = at.index(c.len());
            c[at] ^= 1;
            prop_assert_ne!(digest(&a), digest(&c));
        }
        prop_assert_eq!(digest(&a), digest(&Elements(&a)));
    }

    #[test]
    fn a_tuple_of_texts_is_told_apart_at_every_cut(text in "[ab]{2,8}", cut in 1usize..7, other in 1usize..7) {
        let (cut, other) = (cut.min(text.len() - 1), other.min(text.len() - 1));
        let split = |at: usize| digest(&text.split_at(at));
        prop_assert_eq!(split(cut) == split(other), cut == other);
    }
}
