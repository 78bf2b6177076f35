//! The work of a blessing: which entries there are, a sample of them computed again, and the note.

use super::answers::{code_of, read};
use super::blessing::{Grant, Grants, blessed_code, digits};
use super::error::Kind;
use super::recall::{Again, Compared, Recall};
use super::sample::{self, Candidate};
use super::{Bless, BlessError, Blessed, Difference};
use crate::key::{Identity, Key};
use crate::memory::metadata::Metadata;
use crate::memory::shelves::Shelves;
use crate::memory::validity::Validity;
use crate::memory::{Memory, store_failed};
use crate::store::census::Code;
use crate::store::entry::CallBytes;
use crate::store::{Listed, Prefix, RecordInfo, StoreError, now_ms, time_at};
use crate::task::registry::{self, TaskEntry};

/// A sample is taken of no more entries than this. They come in the order of their keys, which are digests: so these are a
/// sample of all by themselves.
const MOST_CANDIDATES: usize = 1 << 16;
/// So many digits of a code say which it is.
const LEAST_DIGITS: usize = 4;

type Result<T> = std::result::Result<T, BlessError>;

/// One function that is to be blessed.
pub(super) struct Work<'w> {
    pub(super) memory: &'w Memory,
    /// With the code that it has now.
    pub(super) identity: &'w Identity,
    pub(super) validity: &'w Validity,
    pub(super) recall: &'w Recall,
    pub(super) options: &'w Bless,
}

/// The entries that would answer.
#[derive(Default)]
struct Population {
    entries: u64,
    without_arguments: u64,
    /// Those that can be computed again, and which of the codes each is of.
    candidates: Vec<Candidate>,
    codes: Vec<usize>,
}

/// Blesses a task of this program by its name.
pub(super) fn by_name(memory: &Memory, function: &str, options: &Bless) -> Result<Blessed> {
    options.check()?;
    let mut tasks: Vec<(&TaskEntry, Identity)> = registry::tasks()
        .map(|task| (task, (task.recall().identity)()))
        .filter(|(_, identity)| identity.name() == function)
        .collect();
    // Of one code, one is as good as another.
    tasks.sort_unstable_by_key(|(_, identity)| *identity.digest());
    tasks.dedup_by_key(|(_, identity)| *identity.digest());
    let has_several = tasks.len() > 1;
    if has_several {
        // Of two functions of one name, what is blessed is the one that the entries are not of.
        let mut codes = codes(place(memory)?, function)?;
        if options.from.is_some() {
            let from = newest(&codes, options.from.as_deref(), function)?;
            codes.retain(|(code, _)| *code == from);
        }
        tasks.retain(|(_, identity)| codes.iter().all(|(code, _)| *code != code_of(identity)));
    }
    match &tasks[..] {
        [] if has_several => several(function),
        [(task, identity)] => {
            let (recall, validity) = (task.recall(), (task.recall().validity)());
            Work { memory, identity, validity: &validity, recall, options }.bless()
        }
        [] => {
            let last = format!("::{}", function.rsplit("::").next().unwrap_or(function));
            let names = registry::tasks().map(|task| (task.recall().identity)().name().to_owned());
            let similar = names.filter(|name| name.ends_with(&last)).collect();
            Err(BlessError::new(Kind::UnknownFunction { function: function.to_owned(), similar }))
        }
        _ => several(function),
    }
}

fn several(function: &str) -> Result<Blessed> {
    let words = format!(
        "the program has several functions `{function}`: say which code the entries are of (`--from CODE`), or call \
         `Cached::bless` of the one that is meant, in the program"
    );
    Err(BlessError::new(Kind::Invalid(words)))
}

fn place(memory: &Memory) -> Result<&Shelves> {
    let Some(shelves) = &memory.inner.place else {
        return Err(BlessError::new(Kind::Invalid("the memory is disabled: there is nothing to bless".to_owned())));
    };
    Ok(shelves)
}

fn failed(shelves: &Shelves) -> impl Fn(StoreError) -> BlessError + '_ {
    |error| store_failed(shelves, &error).into()
}

impl Work<'_> {
    pub(super) fn bless(&self) -> Result<Blessed> {
        self.options.check()?;
        let shelves = place(self.memory)?;
        if shelves.store.is_read_only() {
            let words = "the cache is open for reading only: open it with `Memory::open` to bless".to_owned();
            return Err(BlessError::new(Kind::Invalid(words)));
        }
        let at_ms = now_ms();
        let from = self.from(shelves, at_ms)?;
        let mut population = self.population(shelves, &from)?;
        let sampled = self.compare_sample(shelves, &from, &mut population)?;
        let Population { entries, without_arguments, .. } = population;
        let by = self.options.who();
        let grant = Grant { from, by, at_ms, sampled, agreed: sampled, entries };
        let blessed = Blessed {
            function: self.name(),
            fingerprint: digits(&code_of(self.identity)),
            version: self.identity.version(),
            from: grant.from.iter().map(|(code, until_ms)| blessed_code(code, *until_ms)).collect(),
            by: grant.by.clone(),
            entries,
            sampled,
            without_arguments,
        };
        self.note(shelves, grant)?;
        Ok(blessed)
    }

    fn name(&self) -> String {
        self.identity.name().to_owned()
    }

    /// The codes whose entries are to answer, and until when these were stored: the one that is blessed, and those that answer
    /// for it.
    fn from(&self, shelves: &Shelves, at_ms: u64) -> Result<Vec<(Code, u64)>> {
        let own = code_of(self.identity);
        let mut codes = codes(shelves, self.identity.name())?;
        if self.options.from.is_none() {
            codes.retain(|(code, _)| *code != own);
        }
        let first = newest(&codes, self.options.from.as_deref(), self.identity.name())?;
        if first == own {
            return Err(BlessError::new(Kind::SameCode { function: self.name() }));
        }
        let mut from = vec![(first, at_ms)];
        let earlier = self.identity.with_code(first.fingerprint, first.version);
        let grants = read(shelves, &earlier).map_err(failed(shelves))?;
        let behind = grants.iter().flat_map(Grants::from);
        from.extend(behind.filter(|(code, _)| *code != own && *code != first));
        Ok(from)
    }

    /// The entries of these codes.
    fn population(&self, shelves: &Shelves, from: &[(Code, u64)]) -> Result<Population> {
        let mut population = Population::default();
        each_entry(shelves, self.identity.name(), |listed, info| {
            let origin = info.origin();
            let code = Code { fingerprint: origin.fingerprint, version: origin.version };
            let covers = |(blessed, until_ms): &(Code, u64)| *blessed == code && info.created_at_ms() <= *until_ms;
            let Some(place) = from.iter().position(covers) else { return };
            let known = || Some(Metadata::of(info).into());
            if self.validity.judge(time_at(info.created_at_ms()), known).is_err() {
                return;
            }
            population.entries += 1;
            if origin.call.is_none() {
                population.without_arguments += 1;
            } else if population.candidates.len() < MOST_CANDIDATES {
                let compute_nanos = u64::try_from(info.compute_time().as_nanos()).unwrap_or(u64::MAX);
                population.candidates.push(Candidate { key: *listed.key().call().as_bytes(), compute_nanos });
                population.codes.push(place);
            }
        })?;
        if population.entries == 0 {
            let wanted = self.options.from.clone();
            return Err(BlessError::new(Kind::NoEntries { function: self.name(), wanted }));
        }
        Ok(population)
    }

    /// Computes a sample again; answers of how many entries, which all gave the same.
    fn compare_sample(&self, shelves: &Shelves, from: &[(Code, u64)], population: &mut Population) -> Result<u32> {
        let _sampling = shelves.answering.sampling();
        let size = usize::try_from(self.options.sample).unwrap_or(usize::MAX);
        let identities: Vec<Identity> =
            from.iter().map(|(code, _)| self.identity.with_code(code.fingerprint, code.version)).collect();
        let prefix = Prefix::of(self.identity.name());
        let mut agreed = 0;
        for at in sample::order(&population.candidates, size) {
            if agreed == self.options.sample {
                break;
            }
            let entry = prefix.entry(&Key::from_bytes(population.candidates[at].key));
            // One that went meanwhile, or is damaged, answers for nothing.
            let Ok(found) = shelves.store.get(&entry) else { continue };
            let kept = found.info().and_then(|info| {
                let CallBytes { codec, bytes } = info.origin().call.clone()?;
                Some((codec, bytes.into_owned(), Metadata::of(&info).to_string()))
            });
            let Some((codec, arguments, call)) = kept else { continue };
            let identity = &identities[population.codes[at]];
            let again = Again { identity, entry, codec, arguments: &arguments, found };
            match (self.recall.compare)(again) {
                Compared::Equal => agreed += 1,
                Compared::Differs { old, new } => {
                    return Err(BlessError::new(Kind::Differs(Difference { call, old, new, agreed })));
                }
                Compared::OtherKey => {
                    return Err(BlessError::new(Kind::OtherKeys { function: self.name(), call }));
                }
                Compared::NoArguments => population.without_arguments += 1,
            }
        }
        if agreed == 0 {
            let entries = population.entries;
            return Err(BlessError::new(Kind::NoArguments { function: self.name(), entries }));
        }
        Ok(agreed)
    }

    fn note(&self, shelves: &Shelves, grant: Grant) -> Result<()> {
        let code = code_of(self.identity);
        let before = read(shelves, self.identity).map_err(failed(shelves))?;
        let none = || Grants { function: self.name(), code, grants: Vec::new() };
        let grants = before.unwrap_or_else(none).with(grant);
        // A task's code has a fingerprint, and so a name.
        let Some(name) = Grants::name(self.identity.name(), &code) else {
            return Err(BlessError::new(Kind::NoTask { function: self.name() }));
        };
        shelves.store.set_note(&name, Some(&grants.encode())).map_err(failed(shelves))?;
        shelves.answering.forget();
        Ok(())
    }
}

/// Calls `each` with the entries of a function with an attribute, in the order of their keys.
fn each_entry(shelves: &Shelves, function: &str, mut each: impl FnMut(&Listed, &RecordInfo<'_>)) -> Result<()> {
    let mut after = None;
    loop {
        let page = shelves.store.page(Some(function), after.as_ref()).map_err(failed(shelves))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key());
        for listed in &page {
            // What is damaged answers for nothing.
            if let Ok(info) = listed.info()
                && info.is_of(function, false)
            {
                each(listed, &info);
            }
        }
    }
}

/// The codes of a function that have entries, and when the last of these was stored.
fn codes(shelves: &Shelves, function: &str) -> Result<Vec<(Code, u64)>> {
    if let Some(totals) = shelves.store.function(function, false).map_err(failed(shelves))? {
        return Ok(totals.tally.codes.iter().map(|tally| (tally.code, tally.last_ms)).collect());
    }
    // A store that keeps no totals.
    let mut codes: Vec<(Code, u64)> = Vec::new();
    each_entry(shelves, function, |_, info| {
        let code = Code { fingerprint: info.origin().fingerprint, version: info.origin().version };
        match codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, last_ms)) => *last_ms = info.created_at_ms().max(*last_ms),
            None => codes.push((code, info.created_at_ms())),
        }
    })?;
    Ok(codes)
}

/// The code that was wanted; else the one that stored an entry last.
fn newest(codes: &[(Code, u64)], wanted: Option<&str>, function: &str) -> Result<Code> {
    let none = || {
        let (function, wanted) = (function.to_owned(), wanted.map(str::to_owned));
        BlessError::new(Kind::NoEntries { function, wanted })
    };
    let Some(text) = wanted else {
        return codes.iter().max_by_key(|(_, last_ms)| *last_ms).map(|(code, _)| *code).ok_or_else(none);
    };
    let (first, version) = parse_code(text)?;
    let is_wanted = |code: &Code| digits(code).starts_with(&first) && version.is_none_or(|it| it == code.version);
    let mut matching = codes.iter().map(|(code, _)| *code).filter(is_wanted);
    match (matching.next(), matching.next()) {
        (Some(code), None) => Ok(code),
        (None, _) => Err(none()),
        _ => {
            let words = format!("several codes of `{function}` are `{text}`: give more digits, or `@` and the version");
            Err(BlessError::new(Kind::Invalid(words)))
        }
    }
}

/// The digits and the version in `0123abcd@2`.
fn parse_code(text: &str) -> Result<(String, Option<u64>)> {
    let (first, version) = match text.split_once('@') {
        Some((first, version)) => (first, Some(version.parse::<u64>().ok())),
        None => (text, None),
    };
    let is_code = first.len() >= LEAST_DIGITS && first.chars().all(|letter| letter.is_ascii_hexdigit());
    match version {
        None if is_code => Ok((first.to_ascii_lowercase(), None)),
        Some(Some(version)) if is_code => Ok((first.to_ascii_lowercase(), Some(version))),
        _ => {
            let words = format!(
                "`{text}` is no code: give the first digits of a fingerprint, at least {LEAST_DIGITS}, and `@3` behind them \
                 for its version 3"
            );
            Err(BlessError::new(Kind::Invalid(words)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_named_by_its_first_digits() {
        let code = |byte: u8, version| Code { fingerprint: Some([byte; 32]), version };
        let codes = [(code(0xab, 2), 5), (code(0xab, 1), 9), (code(0xcd, 1), 7)];
        assert_eq!(newest(&codes, None, "f").unwrap(), codes[1].0);
        assert_eq!(newest(&codes, Some("CDCD"), "f").unwrap(), codes[2].0);
        assert_eq!(newest(&codes, Some("abab@2"), "f").unwrap(), codes[0].0);
        assert!(newest(&codes, Some("abab"), "f").unwrap_err().is_invalid_option(), "there are two");
        assert!(newest(&codes, Some("0000"), "f").unwrap_err().is_nothing());
        for text in ["", "abc", "xyzw", "abab@", "abab@x", "@2"] {
            assert!(newest(&codes, Some(text), "f").unwrap_err().is_invalid_option(), "{text}");
        }
    }
}
