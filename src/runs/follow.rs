//! What other programs write while this one is at the run: which items fail there, so that they are not tried here too.
//!
//! Results need no such look, since the cache has them. A look costs a list of the folder and what was written since the last one;
//! so there is one each [`OFTEN`] while others take part, and one each [`RARELY`] while nobody does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::folder::{self, Segment};
use super::frame::{FrameReader, HEADER_BYTES, Kind, Tail};
use super::item::{Failing, ItemId};
use super::read::Seen;
use super::record::{Outcome, Record};
use crate::key::ByFirstBytes;
use crate::lock::{lock, try_lock};

const OFTEN: Duration = Duration::from_millis(5);
const RARELY: Duration = Duration::from_millis(500);
/// Read at once.
const STEP_BYTES: usize = 1 << 16;

pub(crate) struct Follower {
    dir: PathBuf,
    /// The id of this program's segment.
    own: u64,
    began: Instant,
    /// Milliseconds after it began.
    next_ms: AtomicU64,
    segments: Mutex<Segments>,
    failed: Mutex<HashMap<ItemId, (u32, Failing), ByFirstBytes>>,
}

/// The segments that are followed, and those that are not, or no more.
type Segments = HashMap<PathBuf, Option<Followed>>;

struct Followed {
    segment: Segment,
    id: u64,
    /// The place of the frame that comes next.
    at: u64,
}

impl Follower {
    /// Follows what these segments have from here on, and all that begin from here on.
    pub(super) fn new(dir: &Path, own: u64, seen: Vec<Seen>) -> Follower {
        let follow = |seen: Seen| (seen.segment.path.clone(), Followed::of(seen.segment, seen.end));
        let segments = seen.into_iter().map(follow).collect();
        Follower {
            dir: dir.to_owned(),
            own,
            began: Instant::now(),
            next_ms: AtomicU64::new(0),
            segments: Mutex::new(segments),
            failed: Mutex::default(),
        }
    }

    /// How an item failed in another program since this one began, and after how many attempts; as far as is known. It may have a
    /// result by now.
    pub(crate) fn failed(&self, id: ItemId) -> Option<(u32, Failing)> {
        let now_ms = self.began.elapsed().as_millis() as u64;
        // One looks, and the others go by what is known.
        if now_ms >= self.next_ms.load(Relaxed)
            && let Some(mut segments) = try_lock(&self.segments)
        {
            let pause = if self.look(&mut segments) { OFTEN } else { RARELY };
            // However long a look takes, most of the time goes by without one.
            let looked_ms = self.began.elapsed().as_millis() as u64;
            self.next_ms.store(looked_ms + (pause.as_millis() as u64).max(looked_ms - now_ms), Relaxed);
        }
        lock(&self.failed).get(&id).cloned()
    }

    /// Reads what was written since the last look; answers whether others take part. Where something cannot be read, items may be
    /// tried once more: the next reader of the ledger says what is wrong.
    fn look(&self, segments: &mut Segments) -> bool {
        let Ok(paths) = folder::paths(&self.dir) else { return false };
        segments.retain(|path, _| paths.binary_search(path).is_ok());
        for path in paths {
            let followed = match segments.entry(path) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    // With the next look, maybe.
                    let Ok(segment) = Segment::open(place.key().clone()) else { continue };
                    place.insert(Followed::of(segment, HEADER_BYTES as u64))
                }
            };
            let is_over = match followed {
                Some(followed) if followed.id == self.own => true,
                Some(followed) => {
                    // Before it is read: what is dead then does not grow.
                    let is_live = folder::is_held(&followed.segment.file).unwrap_or(false);
                    self.read(followed).is_err() || !is_live
                }
                None => false,
            };
            if is_over {
                *followed = None;
            }
        }
        segments.values().any(Option::is_some)
    }

    fn read(&self, followed: &mut Followed) -> io::Result<()> {
        let mut file = &followed.segment.file;
        file.seek(SeekFrom::Start(followed.at))?;
        let mut frames = FrameReader::at(BufReader::with_capacity(STEP_BYTES, file), followed.id, followed.at);
        let tail = frames.read(|payload| {
            // Lists may be long, and say nothing here.
            if Record::is_outcome(payload)
                && let Some(Record::Outcome { outcome, .. }) = Record::parse(payload)
            {
                self.note(outcome);
            }
            true
        })?;
        followed.at = frames.place();
        match tail {
            Tail::Altered(_) => Err(io::ErrorKind::InvalidData.into()),
            Tail::Whole | Tail::Cut => Ok(()),
        }
    }

    /// Whoever asks knows of results, whichever of two segments is read first.
    fn note(&self, outcome: Outcome) {
        let Outcome { id, attempts, failure, .. } = outcome;
        let mut failed = lock(&self.failed);
        match failure {
            Some(failing) => drop(failed.insert(id, (attempts, *failing))),
            None => drop(failed.remove(&id)),
        }
    }
}

impl Followed {
    /// `None` if it is no program's. One that has ended is read once.
    fn of(segment: Segment, at: u64) -> Option<Followed> {
        let header = segment.header.filter(|header| header.kind == Kind::Program)?;
        Some(Followed { id: header.id, segment, at })
    }
}
