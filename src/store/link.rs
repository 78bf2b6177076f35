//! How a program reaches the index: it owns it, is served by the program that does, or does without.
//!
//! ```text
//!            lock is free                        owner is gone
//!   seeking ---------------> owner     guest ------------------> seeking
//!      |    someone answers                     once a second
//!      +-------------------> guest     apart ------------------> seeking
//!      |    nobody does
//!      +-------------------> apart
//! ```
//!
//! One thread, the keeper, does the seeking; calls wait for it a few seconds and then compute for themselves. It is started
//! when there is something to watch: a program that owns its store and keeps it needs none.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::attempt::answered;
use super::attempt::{Attempt, Unanswered, gone, unanswered};
use super::blob::Blobs;
use super::catalog::{Looked, Met, Wish};
use super::claims::{Claimant, Claimed, Claims, End, OwnClaim};
use super::entry_key::EntryKey;
#[cfg(unix)]
use super::guest::{Guest, NoAnswer};
use super::limits::Caps;
use super::recent::Recent;
use super::role::{Found, Role, Way, seek};
use super::seat::Seat;
use super::types::StoreError;
use super::{Access, program};
use crate::error::Error;
use crate::lock::{lock, whole};

/// How long the opening of a store, or the keeper, waits for an owner that is just opening or ending.
const SEEKING: Duration = Duration::from_secs(10);
/// How long a call waits for the keeper.
const WAITING: Duration = Duration::from_secs(5);
/// How often a program that does without looks again.
const AGAIN: Duration = Duration::from_secs(1);
/// A call that loses its owner so often in a row computes for itself.
const MOST_ATTEMPTS: u32 = 8;

/// The way to the index.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) access: Access,
    pub(super) blobs: Arc<Blobs>,
    pub(super) claims: Arc<Claims>,
    /// The limits that this program wants.
    pub(super) caps: Mutex<Caps>,
    /// `None` while the keeper seeks.
    role: RwLock<Option<Arc<Role>>>,
    /// Whether this store is being closed; signalled with every change of the role too.
    closing: Mutex<bool>,
    moved: Condvar,
    /// As a guest: the claims that this program has, or is about to.
    pub(super) held: Mutex<HashMap<EntryKey, OwnClaim>>,
    pub(super) recent: Mutex<Recent>,
    /// Kept from the first time as a guest to the end: it says that this program is alive.
    seat: Mutex<Option<Seat>>,
    has_news: AtomicBool,
    news: Mutex<Vec<String>>,
}

impl Link {
    /// Finds the way to the index of the store at `path`.
    ///
    /// # Errors
    /// The location cannot be used at all.
    pub(super) fn open(path: &Path, access: Access, blobs: Arc<Blobs>) -> Result<Link, Error> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            access,
            blobs,
            claims: Arc::default(),
            caps: Mutex::new(Caps::NONE),
            role: RwLock::new(None),
            closing: Mutex::new(false),
            moved: Condvar::new(),
            held: Mutex::default(),
            recent: Mutex::default(),
            seat: Mutex::default(),
            has_news: AtomicBool::new(false),
            news: Mutex::default(),
        });
        let link = Link { shared, keeper: Mutex::default() };
        let Found { role, news } = seek(&link.shared, SEEKING, true)?;
        let is_kept = role.needs_keeper();
        link.shared.take_up(role, news);
        if is_kept {
            link.start_keeper();
        }
        Ok(link)
    }

    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(super) fn access(&self) -> Access {
        self.shared.access
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.shared.claims
    }

    pub(super) fn news(&self) -> Option<String> {
        if !self.shared.has_news.load(SeqCst) {
            return None;
        }
        let mut news = lock(&self.shared.news);
        self.shared.has_news.store(false, SeqCst);
        let all = std::mem::take(&mut *news);
        (!all.is_empty()).then(|| all.join("\n"))
    }

    pub(super) fn get(&self, key: &EntryKey) -> Result<Looked, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(here.catalog.get(key)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.get(key)),
        })
    }

    /// Looks a record up, if that is wished, and claims its key where there is none.
    pub(super) fn get_or_claim(&self, who: Claimant, wish: Wish<'_>) -> Result<Met, Unanswered> {
        let claims = &self.shared.claims;
        let mut is_lost = false;
        let met = self.ask(|way, attempt| match way {
            Way::Here(here) => Attempt::Done(here.catalog.get_or_claim(who, wish).map(|met| match met {
                // Asked of an owner that is gone, and taken over since.
                Met::Claimed(Claimed::MustNotWait) if attempt > 0 && claims.holds(wish.key, who) => Met::Mine(None),
                met => met,
            })),
            #[cfg(unix)]
            Way::Guest(guest) => {
                let met = self.claim_as_guest(guest, who, wish, attempt);
                is_lost |= matches!(met, Err(NoAnswer::Lost(_)));
                answered(met)
            }
        });
        if is_lost && !matches!(met, Ok(Met::Mine(_))) {
            // What was asked of the first owner may have been told to the next one as a claim.
            self.release(wish.key, who, End::Stored);
        }
        met
    }

    #[cfg(unix)]
    fn claim_as_guest(&self, guest: &Guest, who: Claimant, wish: Wish<'_>, attempt: u32) -> Result<Met, NoAnswer> {
        let key = wish.key;
        let claim = |granted| OwnClaim { key: *key, thread: who.thread, granted };
        // Noted before it is asked for: should the owner end between its answer and this program's note, the next owner
        // would give the key to another.
        let noted = {
            let mut held = lock(&self.shared.held);
            match held.get(key) {
                Some(claim) if claim.thread == who.thread && attempt == 0 => {
                    return Ok(Met::Claimed(Claimed::MustNotWait));
                }
                Some(claim) => claim.thread == who.thread,
                None => held.insert(*key, claim(false)).is_none(),
            }
        };
        let met = guest.get_or_claim(who, wish);
        match &met {
            Ok(Met::Mine(_)) => drop(lock(&self.shared.held).insert(*key, claim(true))),
            // Still wanted of the next owner.
            Err(NoAnswer::Lost(_)) => {}
            _ if noted => drop(lock(&self.shared.held).remove(key)),
            _ => {}
        }
        met
    }

    pub(super) fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        {
            let mut held = lock(&self.shared.held);
            if held.get(key).is_some_and(|claim| claim.thread == who.thread) {
                held.remove(key);
            }
        }
        // A claim that was made without an owner is still here.
        self.shared.claims.release(key, who, end);
        #[cfg(unix)]
        if let Some(role) = self.shared.role_now()
            && let Role::Served(Way::Guest(guest)) = &*role
        {
            guest.release(key, who, end);
        }
    }

    pub(super) fn put(&self, key: &EntryKey, record: &[u8], costly: bool) -> Result<Option<StoreError>, Unanswered> {
        self.may_write("writing the index")?;
        self.ask(|way, _| match way {
            Way::Here(here) if !here.catalog.is_in_place(costly) => Attempt::Over(gone()),
            Way::Here(here) => Attempt::Done(here.catalog.put(key, record, costly)),
            #[cfg(unix)]
            Way::Guest(guest) => {
                if !costly {
                    // Before the answer, which may be the last thing that this owner does.
                    lock(&self.shared.recent).push(key, record);
                }
                answered(guest.put(key, record, costly))
            }
        })
    }

    pub(super) fn may_write(&self, what: &str) -> Result<(), Unanswered> {
        match self.shared.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Unanswered::Failed(StoreError::new(what, "it is open for reading only"))),
        }
    }

    pub(super) fn settle(&self) {
        if let Some(role) = self.shared.role_now()
            && let Role::Served(Way::Here(here)) = &*role
            && here.catalog.place.is_some()
            && here.catalog.is_in_place(true)
        {
            if here.catalog.write_all_totals().is_err() {
                here.catalog.index.close_unsettled();
            }
            here.catalog.index.settle();
        }
        // This program ends as it should, and not as one that was killed.
        *lock(&self.shared.seat) = None;
    }

    /// Whether there is someone to give a record to; asked before the files that it names are written.
    pub(super) fn is_served(&self) -> Result<(), StoreError> {
        match self.shared.role_now().or_else(|| self.shared.wait_for_role()).as_deref() {
            Some(Role::Apart(why)) => Err(why.clone()),
            Some(_) => Ok(()),
            None => Err(unanswered()),
        }
    }

    /// Gives up an index whose directory is gone; answers whether it was, and there is another by now.
    pub(super) fn is_renewed(&self) -> bool {
        // Someone else has noticed where there is none.
        let Some(role) = self.shared.role_now() else { return self.is_served().is_ok() };
        let is_gone = match &*role {
            Role::Served(Way::Here(here)) => !here.catalog.is_in_place(true),
            #[cfg(unix)]
            Role::Served(Way::Guest(_)) => !self.shared.path.join("lock").exists(),
            Role::Apart(_) => false,
        };
        if is_gone {
            self.shared.give_up(&role);
            self.start_keeper();
        }
        is_gone && self.is_served().is_ok()
    }

    /// Asks whoever can answer, and the next one where that ends meanwhile. `asked` is told how many it asked before.
    #[inline]
    pub(super) fn ask<R>(&self, mut asked: impl FnMut(&Way, u32) -> Attempt<R>) -> Result<R, Unanswered> {
        let mut over = None;
        for attempt in 0..MOST_ATTEMPTS {
            let Some(role) = self.shared.role_now().or_else(|| self.shared.wait_for_role()) else { break };
            let way = match &*role {
                Role::Served(way) => way,
                Role::Apart(why) => return Err(Unanswered::Apart(why.clone())),
            };
            match asked(way, attempt) {
                Attempt::Done(done) => return done.map_err(Unanswered::Failed),
                Attempt::Over(error) => {
                    over = Some(error);
                    self.shared.give_up(&role);
                    self.start_keeper();
                }
            }
        }
        Err(Unanswered::Apart(over.unwrap_or_else(unanswered)))
    }

    fn start_keeper(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.is_none() {
            let shared = Arc::clone(&self.shared);
            // Without a thread, the role that is over stays so: calls are computed.
            *keeper = thread::Builder::new().name("larder-keeper".to_owned()).spawn(move || shared.keep()).ok();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        *lock(&self.shared.closing) = true;
        self.shared.moved.notify_all();
        #[cfg(unix)]
        if let Some(role) = self.shared.role_now()
            && let Role::Served(Way::Guest(guest)) = &*role
        {
            guest.leave();
        }
        if let Some(keeper) = lock(&self.keeper).take() {
            // Its panics were reported by the hook; there is nothing to save.
            let _ = keeper.join();
        }
    }
}

impl Shared {
    #[inline]
    pub(super) fn role_now(&self) -> Option<Arc<Role>> {
        whole(self.role.read()).clone()
    }

    /// The role, once the keeper has found one; `None` if that takes too long.
    #[cold]
    fn wait_for_role(&self) -> Option<Arc<Role>> {
        let start = Instant::now();
        let mut closing = lock(&self.closing);
        loop {
            if let Some(role) = self.role_now() {
                return Some(role);
            }
            let left = WAITING.checked_sub(start.elapsed()).filter(|left| !left.is_zero() && !*closing)?;
            closing = whole(self.moved.wait_timeout(closing, left)).0;
        }
    }

    fn take_up(&self, role: Role, news: Vec<String>) {
        if !news.is_empty() {
            lock(&self.news).extend(news);
            self.has_news.store(true, SeqCst);
        }
        let role = Arc::new(role);
        {
            // Under this lock, so that who is about to wait sees it or is woken.
            let _closing = lock(&self.closing);
            *whole(self.role.write()) = Some(Arc::clone(&role));
            self.moved.notify_all();
        }
        #[cfg(unix)]
        if let Role::Served(Way::Guest(guest)) = &*role {
            // A claim that ended while the owner was told of it had nobody to tell its end to.
            let own = self.own_claims(&lock(&self.held));
            guest.release_ended(|claim| own.iter().any(|now| (now.key, now.thread) == (claim.key, claim.thread)));
        }
    }

    /// Ends a role, if it is not over already.
    fn give_up(&self, over: &Arc<Role>) {
        let _closing = lock(&self.closing);
        let mut role = whole(self.role.write());
        if role.as_ref().is_some_and(|now| Arc::ptr_eq(now, over)) {
            *role = None;
            lock(&self.recent).forget_old();
            over.abandon();
            self.moved.notify_all();
        }
    }

    /// The keeper's work.
    fn keep(&self) {
        while !*lock(&self.closing) {
            let role = self.role_now();
            match role.as_deref() {
                Some(Role::Served(Way::Here(_))) => {
                    let mut closing = lock(&self.closing);
                    while !*closing && self.role_now().is_some() {
                        closing = whole(self.moved.wait(closing));
                    }
                    continue;
                }
                #[cfg(unix)]
                Some(Role::Served(Way::Guest(guest))) => {
                    guest.wait_for_end();
                    if let Some(role) = &role {
                        self.give_up(role);
                    }
                    continue;
                }
                Some(Role::Apart(_)) => {
                    let closing = lock(&self.closing);
                    if *closing || *whole(self.moved.wait_timeout(closing, AGAIN)).0 {
                        return;
                    }
                }
                None => {}
            }
            let patience = if role.is_some() { Duration::ZERO } else { SEEKING };
            let Found { role: found, mut news } = seek(self, patience, false).unwrap_or_else(Found::refused);
            if let (Some(Role::Apart(_)), Role::Apart(_)) = (role.as_deref(), &found) {
                // It was said when it began.
                news.clear();
            }
            if !*lock(&self.closing) {
                self.take_up(found, news);
            }
        }
    }

    /// Whether whoever seeks should stop.
    pub(super) fn is_closing(&self) -> bool {
        *lock(&self.closing)
    }

    /// Makes sure that other programs can see this one alive.
    pub(super) fn take_seat(&self) -> io::Result<()> {
        let mut seat = lock(&self.seat);
        if seat.as_ref().is_none_or(|seat| !seat.is_in_place()) {
            *seat = None;
            *seat = Some(Seat::take(&self.path)?);
        }
        Ok(())
    }

    /// The claims that threads of this program hold, wherever they made them.
    pub(super) fn own_claims(&self, held: &HashMap<EntryKey, OwnClaim>) -> Vec<OwnClaim> {
        let mut own = self.claims.of_program(program());
        own.extend(held.values());
        own
    }
}
