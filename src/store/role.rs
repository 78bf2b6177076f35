//! What a program can be to the index, and how it becomes that.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::Access;
use super::catalog::Catalog;
#[cfg(unix)]
use super::guest::{Greeted, Guest, NotAdmitted};
use super::link::Shared;
use super::location::{self, Hold, Holder, Location};
use super::program;
use super::repair;
use super::seat;
#[cfg(unix)]
use super::server::Server;
use super::types::StoreError;
use crate::error::Error;
use crate::lock::lock;

/// Between two looks for a lock or a socket: neither can be waited for so long and no longer.
const PAUSE: Duration = Duration::from_millis(3);
/// How long a new owner waits for the programs that are alive, before it gives out claims that may be theirs: some
/// milliseconds mostly, all of it only where one of them is stopped.
const CHECK_IN: Duration = Duration::from_secs(5);
/// How often an owner looks whether its directory is still there, costly results apart.
const LOOK_AFTER_MS: u64 = 100;

pub(super) enum Role {
    Owner(Owner),
    #[cfg(unix)]
    Guest(Guest),
    /// Reads from a copy of an index that nobody has open.
    Copy(Copy),
    /// Does without, for this reason.
    Apart(StoreError),
}

pub(super) struct Owner {
    #[cfg(unix)]
    server: Option<Server>,
    pub(super) catalog: Arc<Catalog>,
    opened: Instant,
    looked_at_ms: AtomicU64,
    // Last, so that the index is closed before the directory is free for others.
    location: Location,
}

impl Owner {
    /// Whether the directory is still the one that is held; asked rarely for results that cost little.
    pub(super) fn is_in_place(&self, costly: bool) -> bool {
        let now = self.opened.elapsed().as_millis() as u64;
        if !costly && now.saturating_sub(self.looked_at_ms.load(Relaxed)) < LOOK_AFTER_MS {
            return true;
        }
        self.looked_at_ms.store(now, Relaxed);
        self.location.is_in_place()
    }
}

pub(super) struct Copy {
    pub(super) catalog: Catalog,
    _dir: tempfile::TempDir,
}

impl Role {
    /// Whether someone must watch for its end.
    pub(super) fn needs_keeper(&self) -> bool {
        !matches!(self, Role::Owner(_) | Role::Copy(_))
    }

    /// Ends what a role that is over would still do.
    pub(super) fn abandon(self: &Arc<Role>) {
        if let Role::Owner(owner) = &**self {
            // The directory is gone or another's: what the index would write at its end, by name, is not wanted there.
            // So it is never dropped; it happens at most once per removal of a directory in use.
            std::mem::forget(Arc::clone(self));
            #[cfg(unix)]
            if let Some(server) = &owner.server {
                server.stop(false);
            }
            #[cfg(not(unix))]
            let _ = owner;
        }
    }
}

/// A role, and what its user should be told.
pub(super) struct Found {
    pub(super) role: Role,
    pub(super) news: Vec<String>,
}

impl Found {
    fn apart(path: &Path, why: &str) -> Found {
        let error = StoreError::new(format!("reaching the cache `{}`", path.display()), why);
        let news = format!("{error}; until it can be reached, results are computed and not stored");
        Found { role: Role::Apart(error), news: vec![news] }
    }

    /// A location that cannot be used.
    pub(super) fn refused(error: Error) -> Found {
        let news = format!("{error}; until it can be used, results are computed and not stored");
        Found { role: Role::Apart(StoreError::new("using the cache", error)), news: vec![news] }
    }
}

/// Looks for a role until there is one, or `patience` is over.
///
/// # Errors
/// The location cannot be used at all.
pub(super) fn seek(shared: &Shared, patience: Duration) -> Result<Found, Error> {
    let start = Instant::now();
    loop {
        let met = match shared.access {
            Access::ReadWrite => enter(shared)?,
            Access::ReadOnly => enter_to_read(shared)?,
        };
        let holder = match met {
            Met::Role(found) => return Ok(*found),
            Met::Nobody(holder) => holder,
        };
        if holder.is_elsewhere() {
            let why = format!("it is held by {holder}, and a network file system carries no socket from there");
            return Ok(Found::apart(&shared.path, &why));
        }
        if start.elapsed() >= patience || shared.is_closing() {
            let why = format!("it is held by {holder}, which does not serve other programs");
            return Ok(Found::apart(&shared.path, &why));
        }
        thread::park_timeout(PAUSE);
    }
}

enum Met {
    Role(Box<Found>),
    /// Someone holds the directory and cannot be asked now.
    Nobody(Holder),
}

fn enter(shared: &Shared) -> Result<Met, Error> {
    location::prepare(&shared.path)?;
    Ok(match Location::try_hold(&shared.path)? {
        Hold::Mine(location) => Met::Role(Box::new(own(shared, location)?)),
        Hold::Held(holder) => join(shared, holder),
    })
}

/// Opens the index, takes over what an earlier owner left, and serves.
fn own(shared: &Shared, location: Location) -> Result<Found, Error> {
    let path = &location.path;
    let alive = seat::others(path);
    let (index, repaired) = repair::open(path, &shared.blobs, alive.is_empty())?;
    let mut news: Vec<_> = repaired.into_iter().collect();
    seat::remove_leftovers(&path.join("temp"), &alive);
    let catalog = Arc::new(Catalog { index, blobs: Arc::clone(&shared.blobs), claims: Arc::clone(&shared.claims) });
    {
        let held = lock(&shared.held);
        for claim in shared.own_claims(&held) {
            shared.claims.adopt(program(), &claim);
        }
    }
    for (key, record) in lock(&shared.recent).all() {
        // A record that is refused is a result that is computed again.
        if matches!(catalog.get(&key), Ok(None)) && catalog.put(&key, &record, false).is_err() {
            break;
        }
    }
    shared.claims.expect(alive, CHECK_IN);
    #[cfg(unix)]
    let server = match Server::start(path, Arc::clone(&catalog)) {
        Ok(server) => Some(server),
        Err(error) => {
            news.push(format!(
                "other programs cannot share the cache `{}` with this one: {error}; they will compute for themselves",
                path.display()
            ));
            None
        }
    };
    let role = Role::Owner(Owner {
        #[cfg(unix)]
        server,
        catalog,
        opened: Instant::now(),
        looked_at_ms: AtomicU64::new(0),
        location,
    });
    Ok(Found { role, news })
}

#[cfg(unix)]
fn join(shared: &Shared, holder: Holder) -> Met {
    let refused = |words: &dyn std::fmt::Display| {
        let why = format!("it is held by {holder}, which this program cannot share it with: {words}");
        Met::Role(Box::new(Found::apart(&shared.path, &why)))
    };
    let attached = Greeted::greet(&shared.path, shared.access == Access::ReadWrite).and_then(|greeted| {
        if shared.access == Access::ReadOnly {
            return greeted.attach(Vec::new(), &[]);
        }
        shared.take_seat().map_err(|error| NotAdmitted::Refused(error.to_string()))?;
        let holds = shared.own_claims(&lock(&shared.held));
        greeted.attach(holds, &lock(&shared.recent).all())
    });
    match attached {
        Ok(guest) => Met::Role(Box::new(Found { role: Role::Guest(guest), news: Vec::new() })),
        Err(NotAdmitted::Nobody) => Met::Nobody(holder),
        Err(NotAdmitted::Refused(words)) => refused(&words),
    }
}

#[cfg(not(unix))]
fn join(_: &Shared, holder: Holder) -> Met {
    Met::Nobody(holder)
}

fn enter_to_read(shared: &Shared) -> Result<Met, Error> {
    let path = &shared.path;
    location::check(path)?;
    let _hold = match location::hold_to_read(path) {
        Ok(hold) => hold,
        Err(Ok(holder)) => return Ok(join(shared, holder)),
        Err(Err(error)) => return Err(location::unreadable(path, error)),
    };
    let dir = tempfile::tempdir().map_err(|error| location::unreadable(path, error))?;
    let index = repair::open_copy(path, dir.path(), &shared.blobs)?;
    let catalog = Catalog { index, blobs: Arc::clone(&shared.blobs), claims: Arc::clone(&shared.claims) };
    let role = Role::Copy(Copy { catalog, _dir: dir });
    Ok(Met::Role(Box::new(Found { role, news: Vec::new() })))
}
