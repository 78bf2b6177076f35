//! The attributes of the `larder` crate. Use them from there: `larder::task` and `larder::cached`.
//!
//! # Crate layout
//! An attribute's tokens take one road, and the files are its stops:
//!
//! ```text
//! options + function -> signature (checked) -> task or cached -> expand (what both share)
//!                                                 fingerprint ----^
//! ```
//!
//! What the expansions refer to is in `larder::__private`; the two crates are released together and name each other's
//! exact version.

#![forbid(unsafe_code)]

mod attribute;
mod cached;
mod delayed;
mod expand;
mod fingerprint;
mod function;
mod instance;
mod keys;
mod main_function;
mod method;
mod method_of;
mod options;
mod problems;
mod results;
mod signature;
mod spelling;
mod task;
mod types;

use proc_macro::TokenStream;

use attribute::Kind;

/// Makes a function known to the toolkit, so that its calls can be delayed and sent to workers.
///
/// The function stays exactly as it is: it is called, tested and documented as before. Beside it appears a type of the
/// same name, which implements `larder::Task`; `delayed!(name(..))` finds it there. The function is also entered into
/// the program's registry under its full path, so that a worker process can find it by name.
///
/// ```ignore
/// use larder::{Parallel, delayed};
///
/// #[larder::task]
/// fn mean(column: usize, table: &[Vec<f64>]) -> f64 {
///     table.iter().map(|row| row[column]).sum::<f64>() / table.len() as f64
/// }
///
/// let table = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
/// let means = Parallel::new().n_jobs(-1).run((0..2).map(|column| delayed!(mean(column, &table))))?;
/// ```
///
/// # Parameters
/// Each parameter has a plain name and a concrete type; there may be sixteen of them.
///
/// | written        | a worker decodes | use it for                                                     |
/// |----------------|------------------|----------------------------------------------------------------|
/// | `x: T`         | `T`              | numbers, enums, small structs, values the function consumes    |
/// | `x: &str`      | `String`         | text                                                           |
/// | `x: &[T]`      | `Vec<T>`         | rows, samples                                                  |
/// | `x: &Path`     | `PathBuf`        | file names (what is *in* the file does not enter the key)      |
/// | `x: &T`        | `T`              | tables, models; `&Payload<T>` is encoded and hashed only once  |
///
/// A `T` has to be `serde::Serialize` and `serde::de::DeserializeOwned`; it need not be `Clone`. `mut x: T` is allowed.
///
/// # Results
/// The result is any owned type with the same two serde traits. A return type whose last path segment is `Result`
/// (`Result<T, E>`, `io::Result<T>`, `anyhow::Result<T>`) is a failure when it is `Err`: only the `Ok` side is stored,
/// and only it needs the serde traits. The error reaches the caller whole where it is `Error + Send + Sync`, as text
/// where it has `Display` or `Debug`, else as a sentence with its type's name. An alias under another name works too,
/// but then the whole `Result` needs the serde traits, because an attribute sees names and not what they stand for.
///
/// # Options
/// - `version = 2`: a number in every key. Raise it when results have changed meaning though this function's code has
///   not: a new data file, a fixed helper function.
/// - `ignore(threads, progress)`: parameters that do not enter the key, because the result does not depend on them.
///   They are sent to workers like the others.
///
/// # Restrictions
/// Refused, with a message that says what to do: methods, generic functions, `impl Trait`, `async`, `unsafe` and
/// `extern` functions, `&mut` parameters, patterns in place of names, lifetimes, references inside other types, and
/// results that borrow.
///
/// The new type takes the function's name among the *types* and modules of its scope, so a module of the same name
/// has to live elsewhere. The types in the signature of a `pub` task have to be as public as the task.
///
/// # Your part of the bargain
/// Parallel calls and stored results are right only for functions that are *pure* as far as their result goes: the
/// same arguments give an equal result, whoever calls, when, and in which process. The key knows the function's path,
/// its own code, its `version` and its arguments. It does not know the functions it calls, files, clocks, random
/// numbers, features and other `cfg`s, or the environment: pass what matters as an argument, or raise `version`.
///
/// Of an argument the key knows what serde tells of it: arguments that should give different results must serialize
/// differently (a `#[serde(skip)]` field is not seen, nor which of two equal variants of an untagged enum it was), and
/// equal ones should serialize equally, or an equal call is computed again. A result comes back as serde brings it back;
/// one that shares what can change with its clones (an `Arc<Mutex<..>>` deep within) must not be changed by its callers.
///
/// The code's fingerprint is blind to white space, comments, documentation, visibility, lint levels and the trailing
/// commas that rustfmt adds and removes. Any other edit of the signature or the body changes it.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Kind::Task, options.into(), item.into()).into()
}

/// Puts a cache in front of a function: a call that was made before, in this run or an earlier one, returns what it
/// returned then.
///
/// Signature, documentation and visibility stay; callers notice only the time. Calls of the function inside its own
/// body go through the cache as well. The type of the same name, the parameters, results, restrictions and the
/// obligation to be pure are those of [`task`](macro@task), and calls can be delayed in the same way.
///
/// ```ignore
/// /// The number of ways to climb `steps` stairs.
/// #[larder::cached]
/// pub fn ways(steps: u64) -> u64 {
///     if steps < 2 { 1 } else { ways(steps - 1) + ways(steps - 2) }
/// }
///
/// assert_eq!(ways(80), 37_889_062_373_143_906); // eighty-one calls of the body, and none on the next run
/// ```
///
/// # Options
/// - `version = 2` and `ignore(threads)`: as for [`task`](macro@task). An ignored parameter still has to implement
///   `Serialize`, but is never serialized into a key.
/// - `memory = EXPR`: where to store; a `static` with a `larder::Memory` or a `LazyLock` of one, or any other
///   expression of that type. Without it, the program's own memory is used. The expression runs once, at the first call,
///   and cannot name the function's parameters.
/// - `task`: enter the function into the registry as well, so that worker processes can run it. They use the cache
///   on their side. This takes the place of writing `#[larder::task]` on the same function, which is refused.
///
/// ```ignore
/// use std::sync::LazyLock;
/// use larder::Memory;
///
/// static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::open("target/weather").expect("the cache opens"));
///
/// #[larder::cached(memory = MEMORY, version = 3, ignore(threads), task)]
/// fn smooth(readings: &[f64], width: usize, threads: usize) -> std::io::Result<Vec<f64>> {
///     todo!()
/// }
/// ```
///
/// # Errors and panics
/// Neither an `Err` nor a panic is stored: the next call runs the body again. A cache that cannot be read or written
/// does not make a call fail; it makes it compute.
///
/// # Restrictions
/// Those of [`task`](macro@task), and `const fn` is refused. An `#[expect(..)]` on the function acts as `#[allow(..)]`:
/// the attribute splits the function in two, and only one half would meet the expectation.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Kind::Cached, options.into(), item.into()).into()
}

/// Makes `main` the entry of the program's worker processes too: `larder::init()` as its first line.
///
/// A worker process is the same program, started again. It must not run `main` a second time, so it is told apart before
/// anything else happens there. Needed by programs that use `Backend::Processes`, and only by these.
///
/// ```ignore
/// #[larder::main]
/// fn main() -> larder::Result<()> {
///     // as ever
/// }
/// ```
///
/// With an attribute that makes an `async fn main` a plain one, such as `#[tokio::main]`, write that one above this one.
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    main_function::expand(options.into(), item.into()).into()
}

/// Packs one call; what `larder::delayed!` expands to where the path of a function has more than names. Not for people.
#[doc(hidden)]
#[proc_macro]
pub fn delayed(call: TokenStream) -> TokenStream {
    delayed::expand(call.into()).into()
}
