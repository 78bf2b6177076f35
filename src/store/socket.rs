//! The socket beside a store: who may connect, and where it is.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Its name in the directory of the store.
const NAME: &str = "socket";
/// What an address of a socket has room for, with the zero at its end (108 on Linux, 104 elsewhere).
const LONGEST_ADDRESS: usize = if cfg!(target_os = "linux") { 108 } else { 104 };

/// A path that an address has room for.
struct Address {
    path: PathBuf,
    /// The directory that the path goes by, where its own is too long.
    _by: Option<fs::File>,
}

impl Address {
    fn of(dir: &Path, name: &str) -> io::Result<Address> {
        let path = dir.join(name);
        if path.as_os_str().len() < LONGEST_ADDRESS {
            return Ok(Address { path, _by: None });
        }
        if cfg!(target_os = "linux") {
            use std::os::fd::AsRawFd;
            // An open directory has a short name.
            let by = fs::File::open(dir)?;
            let path = Path::new("/proc/self/fd").join(by.as_raw_fd().to_string()).join(name);
            return Ok(Address { path, _by: Some(by) });
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is longer than the address of a socket allows"))
    }
}

/// Listens beside the store. Whoever calls holds its lock, so a socket that is there is nobody's any more.
pub(super) fn listen(dir: &Path) -> io::Result<UnixListener> {
    // It gets its name when it has its permissions. What a kill leaves of it goes as any temporary file does.
    let (temp, name) = (dir.join("temp"), format!("new-{:016x}-socket", super::program()));
    let new = temp.join(&name);
    let remove_new = || super::remove_if_there(&new);
    remove_new()?;
    let listener = UnixListener::bind(&Address::of(&temp, &name)?.path)?;
    let named =
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).and_then(|()| fs::rename(&new, dir.join(NAME)));
    if let Err(error) = named {
        remove_new()?;
        return Err(error);
    }
    Ok(listener)
}

/// Connects to whoever listens beside the store.
pub(super) fn connect(dir: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(&Address::of(dir, NAME)?.path)
}

/// Takes the socket away from those who come.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    super::remove_if_there(&dir.join(NAME))
}

/// Whether the other side is a process of the same user, who could read and write the store's files anyway.
pub(super) fn is_same_user(stream: &UnixStream) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(stream)?;
        Ok(peer.uid == rustix::process::geteuid())
    }
    // The permissions of the socket's file are all there is.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        Ok(true)
    }
}

/// Wakes a thread that waits for connections, for the last time.
pub(super) fn stop_listening(listener: &UnixListener, dir: &Path) {
    if cfg!(target_os = "linux") {
        // Fails only for what is no socket.
        let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
    } else {
        let _ = connect(dir);
    }
}

/// How long a reader looks for an answer before it sleeps: an owner that is awake answers within some microseconds, and
/// being put to sleep and woken costs as much again.
const LOOKING: Duration = Duration::from_micros(30);

/// A stream whose reader is awake when a quick answer comes.
pub(super) struct Wakeful(pub(super) UnixStream);

impl Read for Wakeful {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match rustix::net::recv(&self.0, &mut *buffer, rustix::net::RecvFlags::DONTWAIT) {
                Ok((_, read)) => return Ok(read),
                // Gives the core to the owner, should both share one.
                Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < LOOKING => std::thread::yield_now(),
                // Whatever it is, waiting for it tells.
                Err(_) => return self.0.read(buffer),
            }
        }
    }
}
