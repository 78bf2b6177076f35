//! What a program can be to the index, and how it becomes that.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Access;
use super::asks::OWN;
use super::catalog::{Catalog, Looked, Place};
#[cfg(unix)]
use super::guest::{Greeted, Guest, NotAdmitted};
#[cfg(unix)]
use super::limits::Caps;
use super::link::Shared;
use super::location::{self, Hold, Holder, Location};
use super::program;
use super::repair::{self, Opened};
use super::seat::{self, Others};
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

pub(super) enum Role {
    Served(Way),
    /// Does without, for this reason.
    Apart(StoreError),
}

/// The way to an index.
pub(super) enum Way {
    Here(Here),
    #[cfg(unix)]
    Guest(Guest),
}

/// An index that is open in this program: as its owner, or a copy of one that nobody has open, to be read.
pub(super) struct Here {
    #[cfg(unix)]
    server: Option<Server>,
    pub(super) catalog: Arc<Catalog>,
    /// Where a copy is.
    _copy: Option<TempDir>,
}

impl Here {
    /// Ends what would still be done by name: the directory is gone, or another's. What the index would write at its end is
    /// not wanted there, so it is never dropped; that happens at most once per removal of a directory in use.
    fn abandon(&self) {
        std::mem::forget(Arc::clone(&self.catalog));
        #[cfg(unix)]
        if let Some(server) = &self.server {
            server.stop(false);
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if !self.catalog.is_in_place(true) {
            self.abandon();
        }
    }
}

impl Role {
    /// Whether someone must watch for its end.
    pub(super) fn needs_keeper(&self) -> bool {
        !matches!(self, Role::Served(Way::Here(_)))
    }

    /// Ends what a role that is over would still do.
    pub(super) fn abandon(&self) {
        match self {
            Role::Served(Way::Here(here)) if here.catalog.place.is_some() => here.abandon(),
            // The keeper waits for the end of an owner that may only be stopped.
            #[cfg(unix)]
            Role::Served(Way::Guest(guest)) => guest.leave(),
            Role::Served(Way::Here(_)) | Role::Apart(_) => {}
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

/// Looks for a role until there is one, or `patience` is over; `is_first`: no call of this program was made yet.
///
/// # Errors
/// The location cannot be used at all.
pub(super) fn seek(shared: &Shared, patience: Duration, is_first: bool) -> Result<Found, Error> {
    let start = Instant::now();
    loop {
        let met = match shared.access {
            Access::ReadWrite => enter(shared, is_first)?,
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

fn enter(shared: &Shared, is_first: bool) -> Result<Met, Error> {
    location::prepare(&shared.path)?;
    Ok(match Location::try_hold(&shared.path)? {
        Hold::Mine(location) => Met::Role(Box::new(own(shared, location, is_first)?)),
        Hold::Held(holder) => join(shared, holder),
    })
}

/// Opens the index, takes over what an earlier owner left, and serves.
fn own(shared: &Shared, location: Location, is_first: bool) -> Result<Found, Error> {
    let path = &location.path;
    let Others { alive, dead } = seat::others(path);
    let state = repair::Before {
        // A thread of this program may be between its blob and its record just now.
        alone: is_first && alive.is_empty(),
        killed: !dead.is_empty(),
    };
    let Opened { index, as_closed, repair } = repair::open(path, &shared.blobs, state)?;
    let mut news: Vec<_> = repair.into_iter().collect();
    seat::remove_leftovers(&path.join("temp"), &alive);
    // Only now: a kill before leaves it to the next owner to compare blobs and index.
    dead.iter().for_each(seat::Dead::remove);
    let (blobs, claims) = (Arc::clone(&shared.blobs), Arc::clone(&shared.claims));
    let catalog = Catalog::new(index, blobs, claims, as_closed, Some(Place::of(location)));
    let path = &shared.path;
    let catalog = Arc::new(catalog.map_err(|error| repair::refused(path, error))?);
    catalog.keeping.limited.want(OWN, *lock(&shared.caps));
    {
        let held = lock(&shared.held);
        for claim in shared.own_claims(&held) {
            shared.claims.adopt(program(), &claim);
        }
    }
    for (key, record) in lock(&shared.recent).all() {
        // A record that is refused is a result that is computed again.
        if matches!(catalog.get(&key), Ok(Looked::Nothing)) && catalog.put(&key, &record, false).is_err() {
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
    let here = Here {
        #[cfg(unix)]
        server,
        catalog,
        _copy: None,
    };
    Ok(Found { role: Role::Served(Way::Here(here)), news })
}

#[cfg(unix)]
fn join(shared: &Shared, holder: Holder) -> Met {
    let refused = |words: &dyn std::fmt::Display| {
        let why = format!("it is held by {holder}, which this program cannot share it with: {words}");
        Met::Role(Box::new(Found::apart(&shared.path, &why)))
    };
    let attached = Greeted::greet(&shared.path, shared.access == Access::ReadWrite).and_then(|greeted| {
        if shared.access == Access::ReadOnly {
            return greeted.attach(Caps::NONE, Vec::new(), &[]);
        }
        shared.take_seat().map_err(|error| NotAdmitted::Refused(error.to_string()))?;
        let holds = shared.own_claims(&lock(&shared.held));
        let caps = *lock(&shared.caps);
        greeted.attach(caps, holds, &lock(&shared.recent).all())
    });
    match attached {
        Ok(guest) => Met::Role(Box::new(Found { role: Role::Served(Way::Guest(guest)), news: Vec::new() })),
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
    let (index, as_closed) = repair::open_copy(path, dir.path(), &shared.blobs)?;
    let (blobs, claims) = (Arc::clone(&shared.blobs), Arc::clone(&shared.claims));
    let catalog = Catalog::new(index, blobs, claims, as_closed, None);
    let here = Here {
        #[cfg(unix)]
        server: None,
        catalog: Arc::new(catalog.map_err(|error| repair::refused(path, error))?),
        _copy: Some(dir),
    };
    Ok(Met::Role(Box::new(Found { role: Role::Served(Way::Here(here)), news: Vec::new() })))
}
