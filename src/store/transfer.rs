//! Entries as one file, to be taken to another cache (docs/format.md, "An exported file").
//!
//! Each entry is a front of fixed length with a digest of its own, so that its length can be believed, and a record that
//! holds the value. The last front says how many there were: so a file that was cut anywhere is told.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::Duration;

use super::bytes::Reader;
use super::entry::{self, Origin, OriginHead, Place};
use super::entry_key::Prefix;
use super::listed::Listed;
use super::types::{Absent, NewEntry, StoreError, Value};
use super::{EntryKey, Store};
use crate::codec::Large;
use crate::digest::Purpose;
use crate::key::Key;

const MAGIC: &[u8; 8] = b"LARDEXPT";
/// The version of the file; a reader refuses a higher one.
const FORMAT: u32 = 1;

const END: u8 = 0;
const ENTRY: u8 = 1;
/// Bit of the flags: the value is to be mapped.
const MAPPED: u8 = 1;
const FRONT_BYTES: usize = 1 + 1 + 32 + 8;
const DIGEST_BYTES: usize = 32;
/// So much is asked of memory at once, for a record whose bytes are still to come.
const STEP_BYTES: u64 = 1 << 20;

/// What went into an exported file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Entries.
    pub entries: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Entries that were left out, since they are damaged or only a newer release can read them.
    pub left_out: u64,
}

/// What came of an exported file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Entries that were stored.
    pub imported: u64,
    /// Entries that were there already, and stay as they are.
    pub there_already: u64,
    /// Entries that this cache does not take: larger than all it may hold, or of a newer release.
    pub left_out: u64,
}

impl Imported {
    fn all(&self) -> u64 {
        self.imported + self.there_already + self.left_out
    }
}

/// Why a transfer ended early.
pub(crate) enum Fault {
    Store(StoreError),
    /// The file is not what was written, or not all of it.
    Damaged(String),
    /// The file cannot be read or written.
    Io(&'static str, io::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

/// What stands before a record, and at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Entry { mapped: bool, call: Key, len: u64 },
    End { count: u64 },
}

impl Front {
    fn encode(self) -> [u8; FRONT_BYTES + DIGEST_BYTES] {
        let (kind, flags, key, number) = match self {
            Front::Entry { mapped, call, len } => (ENTRY, u8::from(mapped) * MAPPED, *call.as_bytes(), len),
            Front::End { count } => (END, 0, [0; 32], count),
        };
        let mut out = [0; FRONT_BYTES + DIGEST_BYTES];
        out[..2].copy_from_slice(&[kind, flags]);
        out[2..34].copy_from_slice(&key);
        out[34..FRONT_BYTES].copy_from_slice(&number.to_le_bytes());
        let digest = Purpose::ExportFront.digest_of(&[&out[..FRONT_BYTES]]);
        out[FRONT_BYTES..].copy_from_slice(&digest);
        out
    }

    fn parse(bytes: &[u8; FRONT_BYTES + DIGEST_BYTES]) -> Option<Front> {
        let (front, digest) = bytes.split_at(FRONT_BYTES);
        (Purpose::ExportFront.digest_of(&[front]) == digest).then_some(())?;
        let mut reader = Reader::new(front);
        let (kind, flags) = (reader.u8()?, reader.u8()?);
        let (call, number) = (Key::from_bytes(reader.array()?), reader.u64()?);
        match kind {
            END => Some(Front::End { count: number }),
            ENTRY => Some(Front::Entry { mapped: flags & MAPPED != 0, call, len: number }),
            _ => None,
        }
    }
}

/// Writes the entries of these functions; of all, if none is named.
pub(crate) fn export(store: &dyn Store, functions: &[&str], writer: impl Write) -> Result<Exported, Fault> {
    let mut file = Export { file: io::BufWriter::new(writer), done: Exported::default() };
    file.write(MAGIC)?;
    file.write(&FORMAT.to_le_bytes())?;
    if functions.is_empty() {
        file.add_all(store, None)?;
    }
    for function in functions.iter().collect::<BTreeSet<_>>() {
        file.add_all(store, Some(function))?;
    }
    file.write(&Front::End { count: file.done.entries }.encode())?;
    file.file.flush().map_err(writing)?;
    Ok(file.done)
}

struct Export<W: Write> {
    file: io::BufWriter<W>,
    done: Exported,
}

impl<W: Write> Export<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.done.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(writing)
    }

    fn add_all(&mut self, store: &dyn Store, function: Option<&str>) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page = store.page(function, after.as_ref())?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.key);
            for listed in page {
                if function.is_none_or(|function| is_of(&listed, function)) {
                    self.add(store, &listed)?;
                }
            }
        }
    }

    fn add(&mut self, store: &dyn Store, listed: &Listed) -> Result<(), Fault> {
        let Listed { key, record, .. } = listed;
        match entry::parse(key, record) {
            Ok(entry::Record { place: Place::Inline { .. }, .. }) => self.put(key, false, record, &[]),
            Ok(_) => self.add_large(store, key),
            Err(_) => {
                self.done.left_out += 1;
                Ok(())
            }
        }
    }

    fn add_large(&mut self, store: &dyn Store, key: &EntryKey) -> Result<(), Fault> {
        match store.get(key) {
            Ok(found) => {
                let mapped = matches!(found.value, Value::Blob(Large::Mapped(_)));
                let origin = entry::fields(&found.record).map(|(_, origin)| origin).unwrap_or_default();
                let value = found.value();
                self.put(key, mapped, &entry::encode_front(key, &found.facts, origin, value), value)
            }
            // It went meanwhile.
            Err(Absent::Never | Absent::Removed(_)) => Ok(()),
            Err(Absent::NotServed(error)) => Err(error.into()),
            Err(_) => {
                self.done.left_out += 1;
                Ok(())
            }
        }
    }

    /// Writes a record that is in two parts.
    fn put(&mut self, key: &EntryKey, mapped: bool, start: &[u8], rest: &[u8]) -> Result<(), Fault> {
        let len = (start.len() + rest.len()) as u64;
        self.write(&Front::Entry { mapped, call: key.call(), len }.encode())?;
        self.write(start)?;
        self.write(rest)?;
        self.done.entries += 1;
        Ok(())
    }
}

fn writing(error: io::Error) -> Fault {
    Fault::Io("writing", error)
}

fn is_of(listed: &Listed, function: &str) -> bool {
    // What is damaged is no function's.
    entry::fields(&listed.record)
        .is_ok_and(|(_, origin)| OriginHead::parse(origin).is_some_and(|head| head.function == function))
}

/// Stores what is in a file and not yet there. `done` says what was done, however it ends.
pub(crate) fn import(store: &dyn Store, reader: impl Read, costly: Duration, done: &mut Imported) -> Result<(), Fault> {
    let mut file = io::BufReader::new(reader);
    let mut start = [0; MAGIC.len() + 4];
    read(&mut file, &mut start).map_err(|fault| not_begun(fault, &start))?;
    let (magic, format) = start.split_at(MAGIC.len());
    match Reader::new(format).u32() {
        _ if magic != MAGIC => return Err(Fault::Damaged("is no exported file".to_owned())),
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => {
            let words = format!("is of a newer release (format {newer}, this one knows {FORMAT}), or altered");
            return Err(Fault::Damaged(words));
        }
        _ => return Err(Fault::Damaged("is altered in its first bytes".to_owned())),
    }
    loop {
        let mut front = [0; FRONT_BYTES + DIGEST_BYTES];
        read(&mut file, &mut front)?;
        match Front::parse(&front) {
            Some(Front::Entry { mapped, call, len }) => take_in(store, &mut file, costly, (mapped, call, len), done)?,
            Some(Front::End { count }) if count == done.all() => break,
            Some(Front::End { count }) => {
                let words = format!("lacks entries: it was written with {count}, and has {}", done.all());
                return Err(Fault::Damaged(words));
            }
            None => return Err(Fault::Damaged("is altered".to_owned())),
        }
    }
    match file.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Fault::Damaged("goes on behind its end".to_owned())),
        Err(error) => Err(Fault::Io("reading", error)),
    }
}

/// Reads and verifies one record, and stores it.
fn take_in(
    store: &dyn Store,
    file: &mut impl Read,
    costly: Duration,
    (mapped, call, len): (bool, Key, u64),
    done: &mut Imported,
) -> Result<(), Fault> {
    let altered = || Fault::Damaged("is altered".to_owned());
    let mut record = Vec::with_capacity(len.min(STEP_BYTES) as usize);
    file.take(len).read_to_end(&mut record).map_err(|error| Fault::Io("reading", error))?;
    if record.len() as u64 != len {
        return Err(cut());
    }
    if !entry::is_whole(&call, &record) {
        return Err(altered());
    }
    let (facts, start, origin) = match entry::fields(&record) {
        Ok((entry::Record { facts, place: Place::Inline { start } }, origin)) => (facts, start, origin),
        Err(Absent::NewerRecord) => {
            done.left_out += 1;
            return Ok(());
        }
        _ => return Err(altered()),
    };
    let origin = Origin::parse(origin).ok_or_else(altered)?;
    let key = Prefix::of(&origin.function).entry(&call);
    match store.get(&key) {
        Ok(_) => {
            done.there_already += 1;
            return Ok(());
        }
        Err(Absent::NotServed(error) | Absent::Unreadable(error)) => return Err(error.into()),
        // Damaged ones are replaced.
        Err(_) => {}
    }
    let entry = NewEntry {
        key,
        codec: facts.codec,
        shape: facts.shape,
        compute_nanos: facts.compute_nanos,
        origin: &origin,
        parts: &[record[start..].into()],
        mapped,
        costly: Duration::from_nanos(facts.compute_nanos) >= costly,
        created_at_ms: Some(facts.created_at_ms),
    };
    match store.put(&entry) {
        Ok(late) => {
            done.imported += 1;
            late.map_or(Ok(()), |late| Err(late.into()))
        }
        Err(error) if error.is_too_large() => {
            done.left_out += 1;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn read(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), Fault> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut(),
        _ => Fault::Io("reading", error),
    })
}

fn cut() -> Fault {
    Fault::Damaged("is cut short".to_owned())
}

/// A file that ends in its first bytes: of ours, if it begins so.
fn not_begun(fault: Fault, start: &[u8]) -> Fault {
    match fault {
        Fault::Damaged(_) if start[..4] != MAGIC[..4] => Fault::Damaged("is no exported file".to_owned()),
        fault => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecId;
    use crate::store::VolatileStore;

    fn filled(names: &[&str]) -> VolatileStore {
        let store = VolatileStore::new();
        for (at, name) in names.iter().enumerate() {
            let origin =
                Origin { function: (*name).into(), fingerprint: None, version: 1, arguments: Vec::new(), call: None };
            let entry = NewEntry {
                key: Prefix::of(name).entry(&Key::from_bytes([at as u8; 32])),
                codec: CodecId::Compact,
                shape: 7,
                compute_nanos: 11,
                origin: &origin,
                parts: &[vec![at as u8; 10].into()],
                mapped: false,
                costly: false,
                created_at_ms: Some(1_700_000_000_000),
            };
            assert!(matches!(store.put(&entry), Ok(None)));
        }
        store
    }

    fn all(store: &dyn Store) -> Vec<Listed> {
        store.page(None, None).unwrap()
    }

    fn exported(store: &dyn Store, functions: &[&str]) -> (Exported, Vec<u8>) {
        let mut file = Vec::new();
        match export(store, functions, &mut file) {
            Ok(done) => (done, file),
            Err(_) => panic!("the store lists, and a vector takes all"),
        }
    }

    fn imported(file: &[u8]) -> (VolatileStore, Imported, Result<(), Fault>) {
        let (store, mut done) = (VolatileStore::new(), Imported::default());
        let ended = import(&store, file, Duration::MAX, &mut done);
        (store, done, ended)
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let store = filled(&["f", "g", "f"]);
        let (done, file) = exported(&store, &[]);
        assert_eq!((done.entries, done.bytes, done.left_out), (3, file.len() as u64, 0));
        let (again, done, ended) = imported(&file);
        assert!(ended.is_ok());
        assert_eq!(done, Imported { imported: 3, ..Imported::default() });
        // Times too: the records are the same bytes.
        assert_eq!(all(&again), all(&store));
        let mut twice = Imported::default();
        assert!(import(&again, &file[..], Duration::MAX, &mut twice).is_ok());
        assert_eq!(twice, Imported { there_already: 3, ..Imported::default() });
        let (done, file) = exported(&store, &["f", "f", "no such"]);
        assert_eq!(done.entries, 2);
        assert_eq!(imported(&file).1.imported, 2);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_told_and_nothing_bad_is_stored() {
        let store = filled(&["f", "g"]);
        let good = all(&store);
        let (_, file) = exported(&store, &[]);
        let check = |file: &[u8], what: &str| {
            let (again, done, ended) = imported(file);
            assert!(matches!(ended, Err(Fault::Damaged(_))), "{what}");
            let stored = all(&again);
            assert_eq!(done.imported, stored.len() as u64, "{what}");
            assert!(stored.iter().all(|listed| good.contains(listed)), "{what}");
        };
        for cut in 0..file.len() {
            check(&file[..cut], &format!("cut at {cut}"));
        }
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped, &format!("bit {bit}"));
        }
        check(&[&file[..], b"x"].concat(), "longer");
        // A whole entry that was cut out.
        let entry = FRONT_BYTES + DIGEST_BYTES + good[0].record.len();
        check(&[&file[..12], &file[12 + entry..]].concat(), "an entry is missing");
    }
}
