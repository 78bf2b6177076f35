//! The one module where `unsafe` may live. Each part is a small, safe face over one promise the compiler cannot check.

#[cfg(all(feature = "auto-worker", any(target_os = "linux", target_os = "macos")))]
mod before_main;
#[cfg(unix)]
pub(crate) mod board;
pub(crate) mod cast;
pub(crate) mod exit;
pub(crate) mod filled;
pub(crate) mod map;
pub(crate) mod pages;
