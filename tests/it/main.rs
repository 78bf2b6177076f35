//! Integration tests as one binary: one module per capability.

#![allow(clippy::unwrap_used, reason = "a test that fails there says where and why")]

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
