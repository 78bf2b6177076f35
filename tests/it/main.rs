//! Integration tests as one binary: one module per capability.

mod arrays;
mod blobs;
mod child;
mod damage;
mod examples;
mod flips;
mod holes;
#[cfg(feature = "conformance")]
mod laws;
mod location;
mod memory;
mod parallel;
mod programs;
#[cfg(feature = "conformance")]
mod stores;
mod support;
mod tidy;
mod types;
mod ui;
