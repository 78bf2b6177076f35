//! The canonical form of a value: equal content gives equal bytes, however it is stored or shared.
//!
//! Every value is a tag and its content; every group ends with [`END`]; every text carries its length: so no two
//! values share a form. Numbers that follow each other in a list share one tag ([`RUN`]), and long runs enter as
//! their digest ([`LONG_RUN`]), which is what lets an array pass through blake3 whole. Entries of maps and sets are
//! hashed one by one and sorted. The table of bytes is in docs/key.md.

use serde::Serialize;

use super::ignores;
use super::run::{Content, Run};
use super::sink::Sink;
use crate::digest::Purpose;
use crate::walk::{Group, Halt, Primitive, Step, Visit, walk};

const END: u8 = 0x00;
const RUN: u8 = 0x01;
const LONG_RUN: u8 = 0x02;
const DIGEST: u8 = 0x03;
const FIELD: u8 = b'.';
const TEXT: u8 = b'"';
const UNIT: u8 = b'0';
const NONE: u8 = b'N';
const UNIT_VARIANT: u8 = b'E';

/// Up to this many bytes stand in a form as they are; more are replaced by their digest.
pub(super) const INLINE_BYTES: usize = 64;

/// The canonical form of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'f> {
    /// The form itself, at most [`INLINE_BYTES`].
    Short(&'f [u8]),
    /// The digest of a longer form.
    Digest([u8; 32]),
}

impl Form<'_> {
    /// The digest of the form, short or not.
    pub(crate) fn digest(&self) -> [u8; 32] {
        match self {
            Form::Short(bytes) => Purpose::Value.digest(bytes),
            Form::Digest(digest) => *digest,
        }
    }
}

/// A form that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canonical(Box<[u8]>);

impl Canonical {
    fn new(form: Form<'_>) -> Canonical {
        Canonical(match form {
            Form::Short(bytes) => bytes.into(),
            Form::Digest(digest) => [&[DIGEST][..], &digest].concat().into(),
        })
    }

    /// The digest of the form, short or not.
    #[cfg(test)]
    pub(crate) fn digest(&self) -> [u8; 32] {
        as_form(&self.0).digest()
    }

    /// The form as another process of this program can have it; two values share one only if they are equal.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What [`as_bytes`](Canonical::as_bytes) gave.
    #[cfg(unix)]
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Canonical {
        Canonical(bytes.into())
    }
}

/// Reads what [`Canonical`] keeps: no form of a value starts with the tag of a digest.
fn as_form(bytes: &[u8]) -> Form<'_> {
    match bytes.split_first().map(|(tag, rest)| (*tag, <[u8; 32]>::try_from(rest))) {
        Some((DIGEST, Ok(digest))) => Form::Digest(digest),
        _ => Form::Short(bytes),
    }
}

/// The canonical form of `value`.
///
/// # Errors
/// The value's own refusal to be serialized.
pub(crate) fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Canonical, Halt> {
    let mut canon = Canon::new(None);
    walk(value, &mut canon)?;
    Ok(Canonical::new(canon.finish()))
}

/// Tells the canonical form of each element of a tuple in order, but for those whose bit in `ignored` is set; `()` has
/// none.
///
/// # Errors
/// As [`canonical`]; or `tuple` is none.
#[inline]
pub(super) fn elements<T: Serialize + ?Sized>(
    tuple: &T,
    ignored: u32,
    mut each: impl FnMut(Form<'_>),
) -> Result<(), Halt> {
    let mut canon = Canon::new(Some(Elements { each: &mut each, ignored }));
    walk(tuple, &mut canon)?;
    let is_empty_tuple = || canon.sink.short().is_some_and(|form| form == EMPTY_TUPLE);
    if canon.elements.is_some() && !is_empty_tuple() {
        return Err(Halt::Refused("the arguments are no tuple".to_owned()));
    }
    Ok(())
}

/// Tells the canonical form of `value`, which is the only argument.
///
/// # Errors
/// As [`canonical`].
#[inline]
pub(super) fn single<T: Serialize + ?Sized>(value: &T, each: impl FnOnce(Form<'_>)) -> Result<(), Halt> {
    let mut canon = Canon::new(None);
    walk(value, &mut canon)?;
    each(canon.finish());
    Ok(())
}

/// `()` is the unit with an empty name.
const EMPTY_TUPLE: &[u8] = &[UNIT, 0, 0, 0, 0];

/// The name under which a payload hands over the form it already knows. No type of a user's is called so.
const SPLICE: &str = "$larder::Payload";

/// Whether `S` is the serializer of this file, whatever type it serves just now.
///
/// Told by name: a serializer's type is all that serde shows of it. Were the name to change its spelling, payloads
/// would be hashed as what they hold, with the same key for the top level and more work; a test watches for that.
pub(crate) fn is_canonical<S>() -> bool {
    let (own, given) = (crate::walk::serializer_name::<Canon<'static>>(), std::any::type_name::<S>());
    given.starts_with(own)
}

/// Serializes a known form into the serializer of this file, in place of the value it belongs to.
pub(crate) fn splice<S: serde::Serializer>(form: &Canonical, serializer: S) -> Result<S::Ok, S::Error> {
    struct Bytes<'b>(&'b [u8]);
    impl Serialize for Bytes<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }
    serializer.serialize_newtype_struct(SPLICE, &Bytes(&form.0))
}

/// Who takes the elements of the outermost tuple, and which are left out.
struct Elements<'e> {
    each: &'e mut dyn FnMut(Form<'_>),
    ignored: u32,
}

pub(crate) struct Canon<'e> {
    sink: Sink,
    run: Run,
    /// Whether the innermost group is a list, whose numbers form runs.
    in_list: bool,
    /// A payload's form follows as bytes.
    splicing: bool,
    /// The digest of a payload that is all there is so far: alone, it is the value's digest.
    only: Option<[u8; 32]>,
    /// Set until the outermost tuple is met.
    elements: Option<Elements<'e>>,
}

pub(crate) struct Frame<'e> {
    was_in_list: bool,
    kind: FrameKind<'e>,
}

enum FrameKind<'e> {
    Plain,
    /// Each entry has a sink of its own while `outer` waits.
    Entries(Box<Entries>),
    /// Each element is told apart.
    Elements {
        elements: Elements<'e>,
        index: usize,
    },
    /// A payload's known form.
    Splice,
}

struct Entries {
    outer: Sink,
    digests: Vec<[u8; 32]>,
}

impl<'e> Canon<'e> {
    fn new(elements: Option<Elements<'e>>) -> Canon<'e> {
        Canon {
            sink: Sink::new(Purpose::Value),
            run: Run::default(),
            in_list: false,
            splicing: false,
            only: None,
            elements,
        }
    }

    #[inline]
    fn finish(&mut self) -> Form<'_> {
        if let Some(digest) = self.only.take() {
            return Form::Digest(digest);
        }
        if self.sink.short().is_none_or(|short| short.len() > INLINE_BYTES) {
            return Form::Digest(self.sink.digest());
        }
        Form::Short(self.sink.short().unwrap_or_default())
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        if self.only.is_some() {
            self.put_only();
        }
        self.sink.put(bytes);
    }

    #[cold]
    #[inline(never)]
    fn put_only(&mut self) {
        if let Some(digest) = self.only.take() {
            self.sink.put(&[DIGEST]);
            self.sink.put(&digest);
        }
    }

    fn put_name(&mut self, name: &str) {
        self.put(&(name.len() as u32).to_le_bytes());
        self.put(name.as_bytes());
    }

    fn splice(&mut self, form: &[u8]) {
        self.splicing = false;
        match as_form(form) {
            Form::Digest(digest) if self.only.is_none() && self.sink.short().is_some_and(<[u8]>::is_empty) => {
                self.only = Some(digest);
            }
            _ => self.put(form),
        }
    }

    #[inline]
    fn enter_run(&mut self, tag: u8) {
        if !self.run.takes(tag) {
            self.put_run();
        }
        self.run.open(tag);
    }

    #[inline]
    fn close_run(&mut self) {
        if self.run.is_open() {
            self.put_run();
        }
    }

    fn put_run(&mut self) {
        let run = self.run.close();
        let count = run.count.to_le_bytes();
        match run.content {
            Content::Short(bytes) => {
                self.put(&[RUN, run.tag]);
                self.put(&count);
                self.put(&bytes);
                self.run.reuse(bytes);
            }
            Content::Long(digest) => {
                self.put(&[LONG_RUN, run.tag]);
                self.put(&count);
                self.put(&digest);
            }
        }
    }
}

impl<'e> Visit for Canon<'e> {
    type Frame = Frame<'e>;
    const FOR_PEOPLE: bool = false;

    #[inline]
    fn primitive<P: Primitive>(&mut self, value: P) -> Step {
        if self.in_list {
            self.enter_run(P::TAG);
            self.run.push(value);
        } else {
            self.put(&[P::TAG]);
            self.put(value.canonical().as_ref());
        }
        Ok(())
    }

    fn run<P: Primitive>(&mut self, values: &[P]) -> Step {
        if self.splicing {
            match P::as_bytes(values) {
                Some(form) => self.splice(form),
                None => return Err(Halt::Refused("a payload's form is no bytes".to_owned())),
            }
        } else if !values.is_empty() {
            self.enter_run(P::TAG);
            self.run.extend(values);
        }
        Ok(())
    }

    fn text(&mut self, value: &str) -> Step {
        self.close_run();
        self.put(&[TEXT]);
        self.put(&(value.len() as u64).to_le_bytes());
        self.put(value.as_bytes());
        Ok(())
    }

    fn unit(&mut self, name: &'static str) -> Step {
        self.close_run();
        self.put(&[UNIT]);
        self.put_name(name);
        Ok(())
    }

    fn none(&mut self) -> Step {
        self.close_run();
        self.put(&[NONE]);
        Ok(())
    }

    fn unit_variant(&mut self, name: &'static str, variant: &'static str) -> Step {
        self.close_run();
        self.put(&[UNIT_VARIANT]);
        self.put_name(name);
        self.put_name(variant);
        Ok(())
    }

    #[inline]
    fn begin(&mut self, group: Group) -> Result<Frame<'e>, Halt> {
        self.close_run();
        let was_in_list = std::mem::replace(&mut self.in_list, group == Group::List);
        if self.splicing {
            return Ok(Frame { was_in_list, kind: FrameKind::Splice });
        }
        let kind = match group {
            Group::Tuple if self.elements.is_some() => match self.elements.take() {
                Some(elements) => FrameKind::Elements { elements, index: 0 },
                None => FrameKind::Plain,
            },
            Group::Newtype(SPLICE) => {
                self.splicing = true;
                FrameKind::Splice
            }
            Group::Set | Group::Map => {
                self.put(&[tag(group)]);
                let outer = std::mem::replace(&mut self.sink, Sink::new(Purpose::Value));
                FrameKind::Entries(Box::new(Entries { outer, digests: Vec::new() }))
            }
            Group::Some | Group::List | Group::Tuple => {
                self.put(&[tag(group)]);
                FrameKind::Plain
            }
            Group::Newtype(name) | Group::TupleStruct(name) | Group::Struct(name) => {
                self.put(&[tag(group)]);
                self.put_name(name);
                FrameKind::Plain
            }
            Group::NewtypeVariant(name, variant)
            | Group::TupleVariant(name, variant)
            | Group::StructVariant(name, variant) => {
                self.put(&[tag(group)]);
                self.put_name(name);
                self.put_name(variant);
                FrameKind::Plain
            }
        };
        Ok(Frame { was_in_list, kind })
    }

    #[inline]
    fn passes_over(&mut self, frame: &mut Frame<'e>) -> bool {
        match &mut frame.kind {
            FrameKind::Elements { elements, index } if ignores(elements.ignored, *index) => {
                *index += 1;
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn item(&mut self, _: &mut Frame<'e>, field: Option<&'static str>) -> Step {
        if let Some(field) = field {
            self.put(&[FIELD]);
            self.put_name(field);
        }
        Ok(())
    }

    #[inline]
    fn item_end(&mut self, frame: &mut Frame<'e>) -> Step {
        match &mut frame.kind {
            FrameKind::Plain | FrameKind::Splice => {}
            FrameKind::Entries(entries) => {
                entries.digests.push(self.finish().digest());
                self.sink.clear();
            }
            FrameKind::Elements { elements, index } => {
                (elements.each)(self.finish());
                self.sink.clear();
                *index += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, _: Group, frame: Frame<'e>) -> Step {
        self.close_run();
        self.in_list = frame.was_in_list;
        match frame.kind {
            FrameKind::Plain => self.put(&[END]),
            FrameKind::Splice | FrameKind::Elements { .. } => {}
            FrameKind::Entries(entries) => {
                let Entries { outer, mut digests } = *entries;
                digests.sort_unstable();
                self.sink = outer;
                self.put(&(digests.len() as u64).to_le_bytes());
                for digest in &digests {
                    self.put(digest);
                }
            }
        }
        Ok(())
    }
}

fn tag(group: Group) -> u8 {
    match group {
        Group::Some => b'S',
        Group::Newtype(_) => b'w',
        Group::List => b'[',
        Group::Set => b'{',
        Group::Map => b'm',
        Group::Tuple => b'(',
        Group::TupleStruct(_) => b't',
        Group::Struct(_) => b's',
        Group::NewtypeVariant(..) => b'1',
        Group::TupleVariant(..) => b'2',
        Group::StructVariant(..) => b'3',
    }
}
