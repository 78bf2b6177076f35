//! Limits, kept on every write: what is worth the least goes first.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::catalog::{Catalog, now_ms};
use super::census::bytes_of;
use super::entry;
use super::entry_key::EntryKey;
use super::limits::{Caps, Reduced};
use super::ranking::{Order, Ranked, Ranking};
use super::tombstone::Removal;
use super::types::StoreError;
use super::used::Used;
use crate::lock::{lock, try_lock};

/// The limits of an owner and of those it serves.
#[derive(Default)]
pub(super) struct Limited {
    /// What each session wants; what holds is the strictest of all.
    wanted: Mutex<HashMap<u64, Caps>>,
    rankings: Mutex<Rankings>,
}

impl Limited {
    pub(super) fn caps(&self) -> Caps {
        lock(&self.wanted).values().fold(Caps::NONE, |all, caps| all.and(*caps))
    }

    /// What a session wants held to, from now until it ends.
    pub(super) fn want(&self, session: u64, caps: Caps) {
        if caps != Caps::NONE {
            lock(&self.wanted).insert(session, caps);
        }
    }

    pub(super) fn end_of(&self, session: u64) {
        let mut wanted = lock(&self.wanted);
        wanted.remove(&session);
        let is_over = wanted.is_empty();
        drop(wanted);
        // A removal by hand that was cut short may have left some. Where they are at work just now, nobody waits for that.
        if is_over && let Some(mut rankings) = try_lock(&self.rankings) {
            *rankings = Rankings::default();
        }
    }

    /// Has the rankings built anew at their next need.
    pub(super) fn forget_all(&self) {
        *lock(&self.rankings) = Rankings::default();
    }
}

/// Built when one is needed for the first time, and kept from then on: some 50 bytes for each entry, twice that at most.
#[derive(Default)]
struct Rankings {
    by_worth: Option<Ranking>,
    by_last_use: Option<Ranking>,
}

impl Rankings {
    fn push(&mut self, key: &EntryKey, record: &[u8], now_ms: u64) {
        let Ok((fields, _)) = entry::fields(record) else { return };
        for ranking in [&mut self.by_worth, &mut self.by_last_use].into_iter().flatten() {
            // Nobody has used it yet.
            let score = ranking.order.score(&fields.facts, Default::default(), bytes_of(&fields, record), now_ms);
            ranking.push(score, *key);
        }
    }

    /// Has those built anew at their next need that are longer than this: most of what stands there is out of date.
    fn keep_to(&mut self, most: usize) {
        for ranking in [&mut self.by_worth, &mut self.by_last_use] {
            ranking.take_if(|ranking| ranking.len() > most);
        }
    }
}

/// Entries that were used after this are young enough.
fn oldest_ms(caps: Caps, now_ms: u64) -> f64 {
    now_ms.saturating_sub(caps.age_ms) as f64
}

fn count(reduced: &mut Reduced, bytes: u64, nanos: u64) {
    reduced.entries += 1;
    reduced.bytes += bytes;
    reduced.compute_time = reduced.compute_time.saturating_add(Duration::from_nanos(nanos));
}

impl Catalog {
    /// Whether an entry of this record can be kept at all.
    pub(super) fn has_room_for(&self, record: &[u8]) -> bool {
        let caps = self.keeping.limited.caps();
        caps.bytes == u64::MAX || entry::fields(record).is_ok_and(|(fields, _)| bytes_of(&fields, record) <= caps.bytes)
    }

    /// Removes what is too much, now that this entry is in, which itself stays.
    pub(super) fn keep_to_limits(&self, put: &EntryKey, record: &[u8]) -> Result<(), StoreError> {
        let caps = self.keeping.limited.caps();
        if caps == Caps::NONE {
            return Ok(());
        }
        let mut rankings = lock(&self.keeping.limited.rankings);
        rankings.push(put, record, now_ms());
        rankings.keep_to(2 * usize::try_from(self.sums().0).unwrap_or(usize::MAX / 4) + 1024);
        self.reduce_to(caps, &mut rankings, u64::MAX, Some(put)).map(drop)
    }

    /// Removes what is too much for these limits, but no more than so many entries.
    pub(super) fn reduce(&self, caps: Caps, most: u64) -> Result<Reduced, StoreError> {
        let reduced = {
            let mut rankings = lock(&self.keeping.limited.rankings);
            let reduced = self.reduce_to(caps, &mut rankings, most, None)?;
            if reduced.entries < most && self.keeping.limited.caps() == Caps::NONE {
                *rankings = Rankings::default();
            }
            reduced
        };
        self.index.flush()?;
        Ok(reduced)
    }

    fn reduce_to(
        &self,
        caps: Caps,
        rankings: &mut Rankings,
        most: u64,
        except: Option<&EntryKey>,
    ) -> Result<Reduced, StoreError> {
        let mut reduced = Reduced::default();
        // One time for all: a score that rose with each look would never be the lowest.
        let now_ms = now_ms();
        if caps.age_ms != u64::MAX {
            let oldest = oldest_ms(caps, now_ms);
            let by_last_use = self.ranked(&mut rankings.by_last_use, Order::LastUse, now_ms)?;
            while reduced.entries < most
                && self.remove_lowest(by_last_use, oldest, now_ms, except, Removal::MaxAge, &mut reduced)?
            {}
        }
        loop {
            let (entries, bytes) = self.sums();
            let why = match () {
                () if reduced.entries >= most => return Ok(reduced),
                () if bytes > caps.bytes => Removal::MaxBytes,
                () if entries > caps.entries => Removal::MaxEntries,
                () => return Ok(reduced),
            };
            let is_new = rankings.by_worth.is_none();
            let by_worth = self.ranked(&mut rankings.by_worth, Order::Worth, now_ms)?;
            if self.remove_lowest(by_worth, f64::INFINITY, now_ms, except, why, &mut reduced)? {
                continue;
            }
            if is_new {
                return Ok(reduced);
            }
            // What was stored while nobody asked for limits is in none.
            rankings.by_worth = None;
        }
    }

    /// The ranking, built if there is none. Who asks a score finds what uses have added to it.
    fn ranked<'r>(
        &self,
        ranking: &'r mut Option<Ranking>,
        order: Order,
        now_ms: u64,
    ) -> Result<&'r mut Ranking, StoreError> {
        let kept = ranking.take();
        Ok(ranking.insert(match kept {
            Some(ranking) => ranking,
            None => {
                let mut ranking = Ranking::new(order);
                self.index.for_each(|slot, record| {
                    if let (Ok((fields, _)), Ok(slot)) = (entry::fields(record), slot.try_into()) {
                        let score = order.score(&fields.facts, Default::default(), bytes_of(&fields, record), now_ms);
                        ranking.push(score, EntryKey::from_bytes(slot));
                    }
                })?;
                ranking
            }
        }))
    }

    /// Removes the entry with the lowest score below `limit`; answers whether there was one.
    fn remove_lowest(
        &self,
        ranking: &mut Ranking,
        limit: f64,
        now_ms: u64,
        except: Option<&EntryKey>,
        why: Removal,
        reduced: &mut Reduced,
    ) -> Result<bool, StoreError> {
        let mut spared = None;
        let mut is_removed = false;
        while let Some(Ranked { score, key }) = ranking.pop_below(limit) {
            if except == Some(&key) {
                spared = Some(Ranked { score, key });
                continue;
            }
            // One that is gone was removed, or stands here twice.
            let Some(record) = self.index.get(&key)? else { continue };
            let Ok((fields, _)) = entry::fields(&record) else { continue };
            let bytes = bytes_of(&fields, &record);
            let score_now = ranking.order.score(&fields.facts, self.used(&key)?, bytes, now_ms);
            if score_now > score {
                ranking.push(score_now, key);
                continue;
            }
            if self.take_out(key.as_bytes(), &record, Some(why))? {
                count(reduced, bytes, fields.facts.compute_nanos);
                is_removed = true;
                break;
            }
        }
        if let Some(Ranked { score, key }) = spared {
            ranking.push(score, key);
        }
        Ok(is_removed)
    }

    /// What [`reduce`](Catalog::reduce) would remove.
    pub(super) fn would_reduce(&self, caps: Caps) -> Result<Reduced, StoreError> {
        let now_ms = now_ms();
        let oldest = oldest_ms(caps, now_ms);
        let mut reduced = Reduced::default();
        let mut rest = Vec::new();
        self.index.for_each(|slot, record| {
            let Ok((fields, _)) = entry::fields(record) else { return };
            let key = slot.try_into().map(EntryKey::from_bytes);
            let used = key.map_or_else(|_| Used::default(), |key| self.used(&key).unwrap_or_default());
            let bytes = bytes_of(&fields, record);
            let nanos = fields.facts.compute_nanos;
            if caps.age_ms != u64::MAX && Order::LastUse.score(&fields.facts, used, bytes, now_ms) < oldest {
                count(&mut reduced, bytes, nanos);
            } else {
                rest.push((Order::Worth.score(&fields.facts, used, bytes, now_ms), bytes, nanos));
            }
        })?;
        rest.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        let mut entries = rest.len() as u64;
        let mut sum: u64 = rest.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, nanos) in rest {
            if entries <= caps.entries && sum <= caps.bytes {
                break;
            }
            (entries, sum) = (entries - 1, sum - bytes);
            count(&mut reduced, bytes, nanos);
        }
        Ok(reduced)
    }
}

#[cfg(test)]
mod tests {
    use super::super::census::bytes_of;
    use super::*;
    use crate::codec::CodecId;
    use crate::store::entry::{Facts, Origin, Place, Record};

    /// In a cache that was full once and is not now, each store left a line in a ranking that nobody asked for.
    #[test]
    fn rankings_do_not_grow_with_every_store() {
        let key = EntryKey::from_bytes([1; 40]);
        let origin = Origin { function: "f".into(), fingerprint: None, version: 1, arguments: Vec::new(), call: None };
        let facts = Facts { codec: CodecId::Compact, shape: 0, created_at_ms: 1, compute_nanos: 1, value_bytes: 1 };
        let record = Record { facts, place: Place::Inline { start: 0 } };
        let bytes = entry::encode(&key, &record, &origin.encode(), &[b"x".as_slice().into()]);
        assert!(bytes_of(&record, &bytes) > 0);
        let mut rankings = Rankings { by_worth: Some(Ranking::new(Order::Worth)), by_last_use: None };
        for _ in 0..10 {
            rankings.push(&key, &bytes, 1);
            rankings.keep_to(8);
        }
        assert!(rankings.by_worth.is_none(), "it is built anew at its next need");
    }
}
