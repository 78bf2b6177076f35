//! Tells the crate which compiler builds it, and for which target: part of the keys of functions with `toolchain = true`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(&compiler).arg("-vV").output();
    let said = said.unwrap_or_else(|error| panic!("`{} -vV` cannot be run: {error}", compiler.display()));
    let said = String::from_utf8_lossy(&said.stdout);
    // Where the compiler itself runs changes nothing.
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("host:"));
    let target = env::var("TARGET").unwrap_or_default();
    let toolchain: Vec<String> = lines.map(str::to_owned).chain([format!("target: {target}")]).collect();
    println!("cargo:rustc-env=LARDER_TOOLCHAIN={}", toolchain.join(", "));
}
