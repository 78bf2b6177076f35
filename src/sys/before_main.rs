//! The entry of worker processes before `main`, for programs whose `main` is not their author's: tests, benches.

#![allow(unsafe_code)]

/// Run by the system's loader, as constructors of C++ programs are. The tasks' registry is filled in the same way, by
/// constructors of the crates that have the tasks; these are linked, and so run, before the crate they depend on.
// SAFETY: what this section holds on these systems are addresses of functions that take nothing that this one looks at and
// return nothing. It runs on the only thread there is, with the C library and the environment in place; the standard library
// promises little of what it does before `main`, so in any process but a worker it only looks at the environment and at
// descriptor 0, and in a worker, where `main` never comes, it is tested with every release.
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    // A panic must not cross into the loader; without an entry a program is told so when it needs one.
    let _ = std::panic::catch_unwind(crate::worker::init);
}
