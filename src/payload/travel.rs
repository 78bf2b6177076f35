//! How payloads go to another process: as a number in the arguments, and once as a sealed file beside them.
//!
//! serde shows a value nothing of the message it becomes a part of, so the two ends are told through the thread: within
//! [`departing`] a payload writes its number and is noted down; within [`Arrivals::within`] a number is read as the payload
//! that came under it. Elsewhere a payload is written and read as the value it is.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Payload;
use crate::backend::processes;
use crate::codec::{self, CodecError, CodecId, Encoding, Large, Prefer, Words};
use crate::digest::Purpose;
use crate::key::canonical::Canonical;
use crate::lock::lock;
use crate::memory_file::MemoryFile;
use crate::panics;

/// Smaller payloads are not worth a descriptor, which they keep.
const MIN_FILE_BYTES: usize = 64 << 10;
/// Arguments and results that are longer go in a file, for as long as they are on their way: a socket holds no more at once.
const MIN_MESSAGE_FILE_BYTES: usize = 256 << 10;

/// A payload as bytes that any process of this program can have.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// No other payload of this program has it, ever.
    pub(crate) id: u64,
    /// Equal payloads are one.
    identity: Identity,
    pub(crate) codec: CodecId,
    /// Its part in keys, where that was needed before.
    pub(crate) form: Option<Canonical>,
    pub(crate) content: Content,
    /// The payloads that this one refers to.
    pub(crate) within: Vec<Arc<Sealed>>,
    /// How many payloads were encoded for it, and how many bytes that gave.
    encodings: u64,
    bytes_encoded: u64,
}

/// The last holder is gone: workers that have it and nothing to do need not keep it.
impl Drop for Sealed {
    fn drop(&mut self) {
        let mut sealed = lock(&SEALED);
        // An equal one may have been made meanwhile.
        if sealed.get(&self.identity).is_some_and(|held| held.strong_count() == 0) {
            sealed.remove(&self.identity);
        }
        drop(sealed);
        processes::keeper::forget_payloads();
    }
}

#[derive(Debug)]
pub(crate) enum Content {
    File(Arc<MemoryFile>),
    /// Small, or the system refused a file.
    Bytes(Vec<u8>),
}

impl Content {
    /// The bytes as a file, or as they are where that is refused or not worth it.
    fn new(name: &str, encoding: &Encoding<'_>, min_file_bytes: usize) -> Content {
        if encoding.len() >= min_file_bytes {
            let file = FOLDER.with_borrow(|folder| match folder {
                Some(folder) => MemoryFile::write_in(folder, &encoding.parts),
                None => MemoryFile::write(name, &encoding.parts),
            });
            if let Ok(file) = file {
                return Content::File(Arc::new(file));
            }
        }
        Content::Bytes(encoding.concat().into_owned())
    }

    /// The arguments or the results of a batch.
    pub(crate) fn of_message(name: &str, encoding: &Encoding<'_>) -> Content {
        Content::new(name, encoding, MIN_MESSAGE_FILE_BYTES)
    }

    /// How long the file is, if it is one: what a message says of it.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        match self {
            Content::File(file) => Some(file.len() as u64),
            Content::Bytes(_) => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Content::File(file) => file.len(),
            Content::Bytes(bytes) => bytes.len(),
        }
    }
}

/// Where a payload keeps its bytes once they were needed: in the small form, and in the one that describes itself.
#[derive(Default)]
pub(super) struct Seal {
    small: OnceLock<Result<Arc<Sealed>, CodecError>>,
    self_describing: OnceLock<Result<Arc<Sealed>, CodecError>>,
}

/// The payloads that left with some arguments.
#[derive(Debug)]
pub(crate) struct Departed {
    /// In which form they leave.
    prefer: Prefer,
    /// Each once, those that others refer to before them.
    pub(crate) payloads: Vec<Arc<Sealed>>,
    /// How many were encoded for the first time.
    pub(crate) encodings: u64,
    pub(crate) bytes_encoded: u64,
}

impl Departed {
    fn note(&mut self, sealed: &Arc<Sealed>) {
        if self.payloads.iter().any(|noted| noted.id == sealed.id) {
            return;
        }
        sealed.within.iter().for_each(|inner| self.note(inner));
        self.payloads.push(Arc::clone(sealed));
    }
}

thread_local! {
    static DEPARTING: RefCell<Option<Departed>> = const { RefCell::new(None) };
    /// Where files lie that this thread makes, if not in memory.
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static ARRIVED: RefCell<Option<Arrivals>> = const { RefCell::new(None) };
}

/// Puts a value into a thread's place and the former one back at the end, whatever happens between.
struct Within<T: 'static> {
    place: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    before: Option<T>,
}

impl<T> Within<T> {
    fn enter(place: &'static std::thread::LocalKey<RefCell<Option<T>>>, value: T) -> Within<T> {
        Within { place, before: place.replace(Some(value)) }
    }

    fn leave(mut self) -> Option<T> {
        let before = self.before.take();
        let value = self.place.replace(before);
        std::mem::forget(self);
        value
    }
}

impl<T> Drop for Within<T> {
    fn drop(&mut self) {
        self.place.replace(self.before.take());
    }
}

/// Runs `encode`, in which payloads are written as their numbers, and answers which were.
pub(crate) fn departing<R>(prefer: Prefer, encode: impl FnOnce() -> R) -> (R, Departed) {
    let none = || Departed { prefer, payloads: Vec::new(), encodings: 0, bytes_encoded: 0 };
    let within = Within::enter(&DEPARTING, none());
    let done = encode();
    (done, within.leave().unwrap_or_else(none))
}

/// Runs `encode`; the files that it makes lie in `folder`, if there is one. A payload that has its file keeps that.
pub(crate) fn lying_in<R>(folder: Option<&Path>, encode: impl FnOnce() -> R) -> R {
    let Some(folder) = folder else { return encode() };
    let _within = Within::enter(&FOLDER, folder.to_owned());
    encode()
}

/// The number to write in place of `value`, if it is to be written so just now.
pub(super) fn depart<T: Serialize>(
    value: &T,
    form: Option<&Canonical>,
    seal: &Seal,
) -> Option<Result<u64, CodecError>> {
    let prefer = DEPARTING.with_borrow(|departed| Some(departed.as_ref()?.prefer))?;
    let seal = match prefer {
        Prefer::Small => &seal.small,
        Prefer::SelfDescribing => &seal.self_describing,
    };
    let mut is_fresh = false;
    let sealed = seal.get_or_init(|| {
        is_fresh = true;
        self::seal(value, form, prefer)
    });
    Some(match sealed {
        Err(error) => Err(error.clone()),
        Ok(sealed) => {
            DEPARTING.with_borrow_mut(|departed| {
                let Some(departed) = departed else { return };
                departed.note(sealed);
                if is_fresh {
                    departed.encodings += sealed.encodings;
                    departed.bytes_encoded += sealed.bytes_encoded;
                }
            });
            Ok(sealed.id)
        }
    })
}

/// The sealed payloads of this program that somebody holds, by what is in them.
static SEALED: LazyLock<Mutex<HashMap<Identity, Weak<Sealed>>>> = LazyLock::new(Mutex::default);

/// A type, and the digest of bytes: equal bytes of another type have another part in keys.
type Identity = (TypeId, [u8; 32]);

fn seal<T: Serialize>(value: &T, form: Option<&Canonical>, prefer: Prefer) -> Result<Arc<Sealed>, CodecError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (encoding, inner) = departing(prefer, || codec::encode_unproved(value, prefer));
    let encoding = encoding?;
    let (content, digest) = content_and_digest(&encoding);
    let identity = (typeid::of::<T>(), digest);
    let mut sealed = lock(&SEALED);
    // Values that are equal but were made apart are one here, and in every worker.
    if let Some(same) = sealed.get(&identity).and_then(Weak::upgrade) {
        drop(sealed);
        return Ok(same);
    }
    let new = Arc::new(Sealed {
        id: NEXT.fetch_add(1, Relaxed),
        identity,
        codec: encoding.codec,
        form: form.cloned(),
        content,
        within: inner.payloads,
        encodings: 1 + inner.encodings,
        bytes_encoded: encoding.len() as u64 + inner.bytes_encoded,
    });
    sealed.insert(identity, Arc::downgrade(&new));
    Ok(new)
}

/// A large payload is digested on a thread of its own while it is written: each takes about as long.
const MIN_APART_BYTES: usize = 4 << 20;

fn content_and_digest(encoding: &Encoding<'_>) -> (Content, [u8; 32]) {
    let digest = || {
        let codec = [encoding.codec.as_byte()];
        let parts: Vec<&[u8]> = std::iter::once(&codec[..]).chain(encoding.parts.iter().map(|part| &**part)).collect();
        Purpose::Payload.digest_of(&parts)
    };
    let write = || Content::new("larder-payload", encoding, MIN_FILE_BYTES);
    if encoding.len() < MIN_APART_BYTES {
        return (write(), digest());
    }
    std::thread::scope(|scope| {
        let apart = std::thread::Builder::new().name("larder-digest".to_owned()).spawn_scoped(scope, digest);
        let content = write();
        let digest = match apart {
            Ok(apart) => apart.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => digest(),
        };
        (content, digest)
    })
}

/// The payloads that came to this process, by their numbers.
#[derive(Default)]
pub(crate) struct Arrivals {
    payloads: HashMap<u64, Arrived>,
}

/// A payload that came.
pub(crate) struct Arrived {
    pub(crate) codec: CodecId,
    pub(crate) form: Option<Canonical>,
    pub(crate) bytes: Large,
    /// As what it was asked for, each a `Payload`.
    decoded: HashMap<TypeId, Box<dyn Any>>,
}

impl Arrived {
    pub(crate) fn new(codec: CodecId, form: Option<Canonical>, bytes: Large) -> Arrived {
        Arrived { codec, form, bytes, decoded: HashMap::new() }
    }
}

/// Bytes of a message, to be kept.
pub(crate) fn kept(bytes: &[u8]) -> Large {
    let mut words = Words::zeroed(bytes.len());
    words.as_mut_slice().copy_from_slice(bytes);
    Large::Read(words)
}

impl Arrivals {
    pub(crate) fn add(&mut self, id: u64, payload: Arrived) {
        self.payloads.insert(id, payload);
    }

    pub(crate) fn forget(&mut self, id: u64) {
        self.payloads.remove(&id);
    }

    /// Runs `decode`, in which numbers are read as the payloads that came under them.
    pub(crate) fn within<R>(&mut self, decode: impl FnOnce() -> R) -> R {
        let within = Within::enter(&ARRIVED, std::mem::take(self));
        // The user's own `Deserialize` may panic; the payloads are not lost for that.
        let done = panics::catch(decode);
        *self = within.leave().unwrap_or_default();
        done.unwrap_or_else(|panic| panic.resume())
    }
}

/// Whether payloads are read as their numbers just now.
pub(super) fn is_arriving() -> bool {
    ARRIVED.with_borrow(Option::is_some)
}

/// The payload that came under a number.
pub(super) fn arrive<T: DeserializeOwned + 'static>(id: u64) -> Result<Payload<T>, CodecError> {
    let wanted = TypeId::of::<T>();
    // Taken out while it is decoded: what it holds may be payloads that are looked for here.
    let taken = ARRIVED.with_borrow_mut(|arrived| {
        let arrived = arrived.as_mut()?.payloads.get_mut(&id)?;
        if let Some(payload) = arrived.decoded.get(&wanted).and_then(|any| any.downcast_ref::<Payload<T>>()) {
            return Some(Ok(payload.clone()));
        }
        Some(Err((arrived.codec, arrived.form.clone(), arrived.bytes.again())))
    });
    let (codec, form, bytes) = match taken {
        Some(Ok(payload)) => return Ok(payload),
        Some(Err(bytes)) => bytes,
        None => return Err(CodecError::new(format_args!("there is no payload {id} here"))),
    };
    let payload = Payload::with_form(codec::decode_large::<T>(codec, bytes)?, form);
    ARRIVED.with_borrow_mut(|arrived| {
        if let Some(arrived) = arrived.as_mut().and_then(|arrived| arrived.payloads.get_mut(&id)) {
            arrived.decoded.insert(wanted, Box::new(payload.clone()));
        }
    });
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoded;
    use crate::key::canonical::canonical;
    use crate::{Bulk, task};

    /// Sends a value through bytes, with the payloads beside them; answers what was encoded too.
    fn send<T: Serialize, R: DeserializeOwned>(value: &T, arrivals: &mut Arrivals) -> (R, Departed) {
        let (encoded, departed) = departing(Prefer::Small, || codec::encode_args(value).unwrap());
        for payload in &departed.payloads {
            let bytes = match &payload.content {
                Content::File(file) => Large::Mapped(file.map().unwrap()),
                Content::Bytes(bytes) => kept(bytes),
            };
            arrivals.add(payload.id, Arrived::new(payload.codec, payload.form.clone(), bytes));
        }
        let Encoded { codec, bytes } = encoded;
        assert!(bytes.len() < 100, "{}", bytes.len());
        (arrivals.within(|| codec::decode(codec, &bytes).unwrap()), departed)
    }

    #[test]
    fn a_payload_is_encoded_once_and_decoded_once() {
        let payload = Payload::new(vec!["text".to_owned(); 10_000]);
        let mut arrivals = Arrivals::default();
        let ((a, b), departed) =
            send::<_, (Payload<Vec<String>>, Payload<Vec<String>>)>(&(&payload, &payload), &mut arrivals);
        assert_eq!((&*a, departed.encodings, departed.payloads.len()), (&*payload, 1, 1));
        assert!(Payload::ptr_eq(&a, &b));
        let (c, departed) = send::<_, Payload<Vec<String>>>(&payload, &mut arrivals);
        assert_eq!((departed.encodings, departed.payloads.len(), departed.bytes_encoded), (0, 1, 0));
        assert_eq!(*c, *payload);
    }

    #[test]
    fn arrays_stay_where_they_are() {
        let payload = Payload::new((0..100_000).map(f64::from).collect::<Bulk<f64>>());
        let (back, _) = send::<_, Payload<Bulk<f64>>>(&payload, &mut Arrivals::default());
        assert!(back.is_mapped() && back[99_999] == 99_999.0);
    }

    #[test]
    fn payloads_within_payloads_come_before_them() {
        let inner = Payload::new(vec![7_u8; 300_000]);
        let outer = Payload::new((inner.clone(), inner.clone(), 5));
        type Outer = (Payload<Vec<u8>>, Payload<Vec<u8>>, i32);
        let (back, departed) = send::<_, Payload<Outer>>(&outer, &mut Arrivals::default());
        assert_eq!((departed.encodings, departed.payloads.len()), (2, 2));
        assert_eq!((&*back.0, &*back.1, back.2), (&*inner, &*inner, 5));
        assert!(Payload::ptr_eq(&back.0, &back.1));
    }

    #[test]
    fn a_payload_that_arrived_has_its_key() {
        #[task]
        fn length(text: &Payload<String>) -> usize {
            text.len()
        }
        let payload = Payload::new("key".repeat(100));
        let key = canonical(&(&payload,)).unwrap();
        let (back, _) = send::<_, Payload<String>>(&payload, &mut Arrivals::default());
        assert!(back.shared.form.get().is_some(), "not hashed again");
        assert_eq!(canonical(&(&back,)).unwrap(), key);
        assert_eq!(length(&back), 300);
    }

    #[test]
    fn equal_payloads_are_one() {
        let make = || Payload::new(vec![3_u8; 500_000]);
        let (a, b) = (make(), make());
        let mut arrivals = Arrivals::default();
        let ((first, second), departed) = send::<_, (Payload<Vec<u8>>, Payload<Vec<u8>>)>(&(&a, &b), &mut arrivals);
        assert_eq!((departed.payloads.len(), &*first), (1, &*a));
        assert!(Payload::ptr_eq(&first, &second));
        let id = departed.payloads[0].id;
        drop((a, departed));
        assert_eq!(
            departing(Prefer::Small, || codec::encode_args(&b).unwrap()).1.payloads[0].id,
            id,
            "the other holds it"
        );
        drop(b);
        assert_ne!(
            departing(Prefer::Small, || codec::encode_args(&make()).unwrap()).1.payloads[0].id,
            id,
            "nobody held it"
        );
    }

    #[test]
    fn elsewhere_a_payload_is_its_value() {
        let payload = Payload::new(vec![1_u8, 2, 3]);
        assert_eq!(serde_json::to_string(&payload).unwrap(), "[1,2,3]");
        assert_eq!(*serde_json::from_str::<Payload<Vec<u8>>>("[1,2,3]").unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_number_without_a_payload_is_an_error() {
        let mut arrivals = Arrivals::default();
        let bytes = codec::encode_args(&7_u64).unwrap();
        let error = arrivals.within(|| bytes.decode::<Payload<String>>()).unwrap_err();
        assert!(error.to_string().contains("no payload 7"), "{error}");
    }

    #[test]
    fn what_refuses_to_be_written_says_so_each_time() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("not this one"))
            }
        }
        let payload = Payload::new(Refuses);
        for _ in 0..2 {
            let (encoded, departed) = departing(Prefer::Small, || codec::encode_args(&payload));
            assert!(encoded.unwrap_err().to_string().contains("not this one"));
            assert!(departed.payloads.is_empty());
        }
    }
}
