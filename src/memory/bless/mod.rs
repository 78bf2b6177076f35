//! "Same meaning": entries of earlier code answer for the code that is there now, once a sample of them was computed again
//! with it and gave the same results. See [`Cached::bless`].

mod answers;
mod blessing;
mod error;
mod noted;
#[cfg(unix)]
mod program;
mod recall;
mod sample;
mod work;

pub(super) use answers::{Answering, code_of};
pub(crate) use blessing::Grants;
pub use blessing::{BlessedCode, Blessing};
pub use error::{BlessError, Difference};
pub(super) use noted::Noted;
pub(crate) use recall::Recall;
pub(super) use recall::are_of;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Cached, Memory, store_failed};
use crate::error::Result;
use crate::task::{Task, registry};
#[cfg(unix)]
pub(crate) use error::Kind as NotBlessed;
use error::Kind;
use work::Work;

/// How a function is blessed: [`Cached::bless`]. All of it may be left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bless {
    sample: u32,
    by: Option<String>,
    from: Option<String>,
}

impl Default for Bless {
    fn default() -> Bless {
        Bless { sample: 32, by: None, from: None }
    }
}

impl Bless {
    /// 32 entries, of the code that stored the last one, by the user that the environment names.
    pub fn new() -> Bless {
        Bless::default()
    }

    /// So many entries are computed again, or all if there are fewer. If none of 32 differs, fewer than 9 % of all do, at 95 %;
    /// with 300 it is 1 %.
    #[must_use]
    pub fn sample(mut self, entries: u32) -> Bless {
        self.sample = entries;
        self
    }

    /// Who says so; kept with the blessing. Unset, it is what `USER` or `LOGNAME` say, or `unknown`.
    #[must_use]
    pub fn by(mut self, name: impl Into<String>) -> Bless {
        self.by = Some(name.into());
        self
    }

    /// Entries of this code: the first digits of its fingerprint, at least 4, and `@3` behind them for its version 3. Unset, it
    /// is the other code of the function that stored an entry last.
    #[must_use]
    pub fn from(mut self, code: impl Into<String>) -> Bless {
        self.from = Some(code.into());
        self
    }

    /// Who says so.
    fn who(&self) -> String {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.by.clone().or_else(|| named("USER")).or_else(|| named("LOGNAME")).unwrap_or_else(|| "unknown".to_owned())
    }

    /// # Errors
    /// A value that means nothing.
    fn check(&self) -> std::result::Result<(), BlessError> {
        if self.sample == 0 {
            let words = "`sample` is 0: give how many entries are to be computed again, 1 at least".to_owned();
            return Err(BlessError::new(Kind::Invalid(words)));
        }
        Ok(())
    }
}

/// What was blessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blessed {
    /// The function's full name.
    pub function: String,
    /// The code that is answered for: its digest in hexadecimal digits.
    pub fingerprint: String,
    /// Its version.
    pub version: u64,
    /// The codes whose entries answer for it.
    pub from: Vec<BlessedCode>,
    /// Who said so.
    pub by: String,
    /// How many entries answer now.
    pub entries: u64,
    /// How many of them were computed again, and gave the same result.
    pub sampled: u32,
    /// How many could not be: their arguments are not kept, or do not decode any more.
    pub without_arguments: u64,
}

impl Blessed {
    /// With what confidence how many entries would have given another result: "0 of 32 differ: at 95 % fewer than 9 % of all
    /// entries would". For entries as they are sampled: those that keep their arguments.
    pub fn bound(&self) -> String {
        sample::words(self.sampled, self.entries)
    }
}

/// One line, with the [bound](Blessed::bound).
impl fmt::Display for Blessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blessed { function, entries, without_arguments, .. } = self;
        write!(f, "{entries} entries of earlier code answer for `{function}` now; {}", self.bound())?;
        if *without_arguments > 0 {
            write!(f, " ({without_arguments} keep no arguments and could not be among them)")?;
        }
        Ok(())
    }
}

impl<T: Task> Cached<T> {
    /// Says that the code of the function changed and its meaning did not: entries of earlier code then answer for the code
    /// that is there now. It is not only said: a sample of these entries is computed again, on this thread, and only if each
    /// result is the one that is stored is anything changed. joblib has nothing like it; its users rename files.
    ///
    /// The sample has quick and slow calls as there are among the entries, spread over the arguments; the same entries give
    /// the same sample. Results are compared by what keys know of them, so the order within a `HashMap` does not matter; a panic
    /// or an `Err` is another result. The function runs past its own cache.
    ///
    /// A call without an entry of its own is then answered by the earlier one, which counts among the hits and under
    /// [`Stats::hits_blessed`](crate::Stats::hits_blessed), and is judged by `expires_after` and `validate` as it is. The entries
    /// stay as they are: going back to the earlier code finds them too, and [`unbless`](Cached::unbless) undoes it. What is
    /// blessed from code that was itself blessed includes what answered for that. Entries that are stored by the earlier code
    /// later on do not answer. Other programs know of it within a second.
    ///
    /// To be computed again, a call needs its arguments. They are kept with an entry where they take up to 4 KiB, of functions
    /// that are called by name: `#[larder::task]`, `#[larder::cached(task)]`. What is not in the key (`ignore(..)`) is kept too.
    ///
    /// # What is not promised
    /// That the entries which were not computed again would give the same: [`Blessed::bound`] says how likely it is. What the
    /// function does beside its result is not looked at.
    ///
    /// # Errors
    /// A result differs ([`BlessError::difference`]), there is nothing to bless, or nothing that can be computed again; or the
    /// cache fails. Nothing is changed then.
    ///
    /// # Examples
    /// ```
    /// use larder::{Bless, Memory};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let memory = Memory::open(dir.path())?;
    /// {
    ///     // last month
    ///     #[larder::task]
    ///     fn area(width: u64, height: u64) -> u64 {
    ///         width * height
    ///     }
    ///     (1..=100).for_each(|width| drop(memory.cached::<area>().call((width, 2))));
    /// }
    /// // today
    /// #[larder::task]
    /// fn area(width: u64, height: u64) -> u64 {
    ///     std::iter::repeat_n(width, height as usize).sum()
    /// }
    /// let cached = memory.cached::<area>();
    /// let blessed = cached.bless(&Bless::new().by("ana"))?;
    /// assert_eq!((blessed.entries, blessed.sampled), (100, 32));
    /// assert_eq!(blessed.bound(), "0 of 32 differ: at 95 % fewer than 9 % of all entries would");
    ///
    /// assert_eq!(cached.call((7, 2)), 14); // loaded
    /// assert_eq!(memory.stats().hits_blessed, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bless(&self, options: &Bless) -> std::result::Result<Blessed, BlessError> {
        let function = self.subject.identity.name();
        let Some(entry) = registry::entry::<T>() else {
            return Err(BlessError::new(Kind::NoTask { function: function.to_owned() }));
        };
        let (identity, validity) = (&self.subject.identity, &self.subject.validity);
        Work { memory: &self.memory, identity, validity, recall: entry.recall(), options }.bless()
    }

    /// Takes back what was [blessed](Cached::bless) for the code that the function has now; answers whether there was something.
    /// Calls without an entry of their own are then computed. Other programs know of it within a second, and go on with values
    /// that they have in memory.
    ///
    /// # Errors
    /// The store refuses.
    pub fn unbless(&self) -> Result<bool> {
        let Some(shelves) = &self.memory.inner.place else { return Ok(false) };
        let Some(name) = Grants::name(self.subject.identity.name(), &code_of(&self.subject.identity)) else {
            return Ok(false);
        };
        let was = shelves.store.note(&name).map_err(|error| store_failed(shelves, &error))?.is_some();
        // Values that were loaded so are in memory.
        let removed = shelves.clear(|store| if was { store.set_note(&name, None) } else { Ok(()) });
        removed.map(|()| was).map_err(|error| store_failed(shelves, &error))
    }
}

impl Memory {
    /// What is [blessed](Cached::bless) of a function, for whichever code of it.
    ///
    /// # Errors
    /// The cache cannot be reached or read.
    pub fn blessings(&self, function: &str) -> Result<Vec<Blessing>> {
        let Some(shelves) = &self.inner.place else { return Ok(Vec::new()) };
        let notes = shelves.store.notes(&Grants::names_of(function)).map_err(|error| store_failed(shelves, &error))?;
        let grants = notes.iter().filter_map(|(_, note)| Grants::parse(note, function));
        Ok(grants.flat_map(|grants| grants.blessings().collect::<Vec<_>>()).collect())
    }

    /// Takes back all that is blessed of a function, for whichever code of it; answers what that was.
    /// [`Cached::unbless`] does so for the code that a program has.
    ///
    /// # Errors
    /// The store refuses; what is then still blessed is told by [`blessings`](Memory::blessings).
    pub fn unbless(&self, function: &str) -> Result<Vec<Blessing>> {
        let blessings = self.blessings(function)?;
        let Some(shelves) = &self.inner.place else { return Ok(blessings) };
        let removed = shelves.clear(|store| {
            for (name, note) in store.notes(&Grants::names_of(function))? {
                if Grants::parse(&note, function).is_some() {
                    store.set_note(&name, None)?;
                }
            }
            Ok(())
        });
        removed.map(|()| blessings).map_err(|error| store_failed(shelves, &error))
    }

    /// As [`Cached::bless`], for a task of this program by its name, as [`functions`](Memory::functions) tells it.
    ///
    /// # Errors
    /// As [`Cached::bless`]; or the program has no task of this name.
    pub fn bless(&self, function: &str, options: &Bless) -> std::result::Result<Blessed, BlessError> {
        work::by_name(self, function, options)
    }
}
