//! Integration tests as one binary: one module per capability.

#![allow(clippy::unwrap_used, reason = "a test that fails there says where and why")]

mod arrays;
#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "async")]
mod awaited;
#[cfg(feature = "async")]
mod awaits;
mod bless;
mod blobs;
#[cfg(feature = "async")]
mod cancelled;
mod child;
mod code;
mod context;
mod damage;
mod endings;
mod examples;
mod explain;
mod flips;
mod holes;
#[cfg(unix)]
mod hostile;
mod joblib;
mod joblib_memory;
mod kills;
#[cfg(feature = "conformance")]
mod laws;
mod limits;
mod location;
mod memory;
mod named;
mod observers;
mod outcomes;
mod parallel;
mod places;
#[cfg(all(unix, feature = "auto-worker"))]
mod processes;
mod programs;
mod rebuilt;
mod resumed;
mod shapes;
mod sources;
#[cfg(feature = "conformance")]
mod stores;
mod streams;
mod support;
mod tidy;
#[cfg(feature = "cli")]
mod tool;
#[cfg(feature = "cli")]
mod tool_runs;
mod types;
mod ui;
