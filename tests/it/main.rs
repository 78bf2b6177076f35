//! Integration tests as one binary: one module per capability.

mod memory;
mod support;
mod tidy;
mod ui;
