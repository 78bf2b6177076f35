//! Integration tests as one binary: one module per capability.

// What fails here fails a test, in its helpers too.
#![allow(clippy::unwrap_used)]

mod arrays;
mod blobs;
mod child;
mod damage;
mod examples;
mod holes;
#[cfg(unix)]
mod hostile;
mod kills;
mod location;
mod memory;
mod parallel;
mod places;
mod programs;
mod support;
mod tidy;
mod types;
mod ui;
