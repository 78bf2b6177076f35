//! The attributes of the `larder` crate. Use them from there: `larder::task` and `larder::cached`.
//!
//! # Crate layout
//! An attribute's tokens take one road, and the files are its stops:
//!
//! ```text
//! options + function -> signature (checked) -> task, cached, method or method_of -> expand (what they share)
//!                       instance (generics)                 fingerprint, keys, results ----^
//! ```
//!
//! What the expansions refer to is in `larder::__private`; the two crates are released together and name each other's
//! exact version.

#![forbid(unsafe_code)]

mod attribute;
mod cached;
mod clock;
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
/// Each parameter has a plain name; there may be sixteen of them.
///
/// | written        | a worker decodes | use it for                                                     |
/// |----------------|------------------|----------------------------------------------------------------|
/// | `x: T`         | `T`              | numbers, enums, small structs, values the function consumes    |
/// | `x: &str`      | `String`         | text                                                           |
/// | `x: &[T]`      | `Vec<T>`         | rows, samples                                                  |
/// | `x: &Path`     | `PathBuf`        | file names (what is *in* the file does not enter the key)      |
/// | `x: &T`        | `T`              | tables, models; `&Payload<T>` is encoded and hashed only once  |
///
/// A `T` has to be `serde::Serialize` and `serde::de::DeserializeOwned`; it need not be `Clone`. `mut x: T` is allowed, and
/// so is a name for the lifetime of a reference.
///
/// # Results
/// The result is any owned type with the same two serde traits. A return type whose last path segment is `Result`
/// (`Result<T, E>`, `io::Result<T>`, `anyhow::Result<T>`) is a failure when it is `Err`: only the `Ok` side is stored,
/// and only it needs the serde traits. The error reaches the caller whole where it is `Error + Send + Sync`, as text
/// where it has `Display` or `Debug`, else as a sentence with its type's name. An alias under another name works too,
/// but an attribute sees names and not what they stand for: say so with the option `result`, or the whole `Result` needs
/// the serde traits.
///
/// A `None` is no failure, and by default it is not stored either: what was not found may be found the next time. This is
/// about an `Option` that is returned as such, by whatever name, and not about one inside of something else.
///
/// # Options
/// They say what is in the key and what is stored, so they are about the caches in front of the function, that of a
/// `Memory` or a `Parallel`.
/// - `version = 2`: a number in every key. Raise it when results have changed meaning though this function's code has
///   not: a new data file, a fixed helper function.
/// - `ignore(threads, progress)`: parameters that do not enter the key, because the result does not depend on them.
///   They are sent to workers like the others. joblib's `ignore`.
/// - `key = (image.id, scale)`: a value that takes the place of all arguments in the key. In the expression, each
///   parameter's name is a reference to its argument (what is borrowed already is not borrowed again: of `x: u64` it is a
///   `&u64`, of `text: &str` a `&str`). The value has to be `Serialize`; calls with equal values share a result. Not
///   together with `ignore`.
/// - `depends(helper, module::other)`: items whose code is part of the key though nothing names them: functions that are chosen
///   when the program runs, types that callers bring. Those of other packages need one of the attributes; an instance of a
///   generic function with an attribute is written with its types (`helper<f64>`). Two functions with attributes cannot depend on
///   each other in this way, which the compiler words as a cycle.
/// - `depends(file = "data/model.bin", env = "MODEL")`: a file or a variable of the environment that the function, or what it
///   calls, reads. It is looked at when a call is made, and is part of that call's key: of a file the content counts, wherever
///   it comes from (relative to the current directory, as for the function itself), of a variable its value; a missing file
///   and an unset variable are states like others. So going back to an older file finds the older results. A file costs a call
///   one `stat` as long as it does not change. What cannot be read, or is no file, leaves the call without a key: it is
///   computed, and that is warned of. A result is not stored if one of them changed while the function ran. May stand beside
///   functions in one `depends(..)`, sixteen of them at most; those of a function that is depended on count too.
/// - `toolchain = true`: the compiler's version and the target are part of the key, for results that may differ with them (the
///   last bits of a floating-point sum, the layout of a struct). Without it, a new compiler finds what the old one stored.
/// - `dependencies = "ignore"`: the versions of the packages that the code uses are no part of its fingerprint.
/// - `expires_after = "30d"`: for how long a stored result holds. A text (`45s`, `15m`, `12h`, `30d`, `2w`; checked when
///   the program is compiled) or any expression of type `std::time::Duration`.
/// - `validate = path`: a `fn(&larder::Metadata) -> bool`, or a closure, that says whether a stored result still holds.
///   joblib's `cache_validation_callback`.
/// - `store(none)`: a `None` is stored like other results. `store(err)`: so is an `Err`; the whole `Result` then needs the
///   serde traits. A run still ends with it as its failure. What was stored before the option was taken back is still
///   loaded as far as `none` is concerned; `err` is part of the code's fingerprint.
/// - `result`: the return type is a `Result` by another name.
/// - `of = Model`: the function stands in an `impl` of that type; see below.
///
/// # Methods
/// An attribute sees only the method, so it has to be told whose it is. The value is an argument like the others, called
/// `self`; its type needs the serde traits. The call is delayed by the type's name, which begins with a capital letter, or
/// stands between `<` and `>`.
///
/// ```ignore
/// impl Model {
///     #[larder::task(of = Model)]
///     fn score(&self, x: f64) -> f64 {
///         self.weights.iter().map(|weight| weight * x).sum()
///     }
/// }
///
/// let scores = Parallel::new().run(rows.iter().map(|x| delayed!(Model::score(&model, *x))))?;
/// ```
///
/// Only in an `impl` of the type itself, and for types without parameters: `of = Grid<f64>` in an `impl Grid<f64>` is one.
/// `&mut self` is refused.
///
/// # Generic functions
/// A generic function has a type for each instance, and the types of an instance are in its key: `f::<f64>` and `f::<f32>`
/// share nothing. The type is called as the function is, `memory.cached::<f<f64>>()` and `delayed!(f::<f64>(x))`. Type
/// parameters have to be `'static`, and need the serde traits where the signature has them: those of an argument
/// `Serialize`, those of a result `DeserializeOwned` too. Types are known by their paths: an instance with a closure among its
/// types is computed each time, and so is the second of two that have one path; both are warned of.
///
/// Threads run any instance. A worker process knows those that are listed at the level of a module by
/// `larder::register!(f::<f64>, f::<f32>);`.
///
/// # Restrictions
/// Refused, with a message that says what to do: `impl Trait`, `async`, `unsafe` and `extern` functions, `&mut` parameters,
/// patterns in place of names, references inside other types, bounds by the lifetime of an argument, and results that
/// borrow.
///
/// The new type takes the function's name among the *types* and modules of its scope, so a module of the same name
/// has to live elsewhere. The types in the signature of a `pub` task have to be as public as the task.
///
/// # Your part of the bargain
/// Parallel calls and stored results are right only for functions that are *pure* as far as their result goes: the
/// same arguments give an equal result, whoever calls, when, and in which process. The key knows the function's path,
/// its code and that of all it can reach by name, the locked versions of other packages, its `version` and its arguments. It does
/// not know files and the environment (but for `depends`), clocks, random numbers, or what is chosen when the program runs: declare
/// it, pass what matters as an argument, or raise `version`. docs/fingerprint.md in the repository has the whole list.
///
/// Of an argument the key knows what serde tells of it: arguments that should give different results must serialize
/// differently (a `#[serde(skip)]` field is not seen, nor which of two equal variants of an untagged enum it was), and
/// equal ones should serialize equally, or an equal call is computed again. A result comes back as serde brings it back;
/// one that shares what can change with its clones (an `Arc<Mutex<..>>` deep within) must not be changed by its callers.
///
/// The code's fingerprint is blind to white space, comments, documentation, visibility, lint levels, the order of items, what the
/// function does not reach, and what rustfmt changes. Any other edit of the signature, of the body, or of what these name changes it.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    clock::timed(|| attribute::expand(Kind::Task, options.into(), item.into()).into())
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
/// - All of [`task`](macro@task): `version`, `ignore`, `key`, `depends`, `toolchain`, `dependencies`, `expires_after`,
///   `validate`, `store`, `result`. An
///   ignored parameter still has to implement `Serialize`, but is never serialized into a key.
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
/// # Methods
/// Methods have a cache without further words, in an `impl` of a type and of a trait, and by default in a trait; the types
/// of the `impl`, of the method and of the value itself (`Self`) are in the key. The value of `&self` or `self` is an
/// argument, so it has to be `Serialize`; with `ignore(self)`, or a `key`, it need not be.
///
/// ```ignore
/// impl Archive {
///     #[larder::cached(ignore(self), expires_after = "12h")]
///     fn page(&self, number: u32) -> std::io::Result<String> {
///         self.connection.fetch(number)
///     }
/// }
/// ```
///
/// A function in an `impl` without `self` and without `Self` in its signature cannot be told from a free one: write
/// `of = Self`. A method that takes `self` by value has its body in another method beside it, so not in a trait, and its
/// `key` is that of its arguments. A method that is also a `task` says whose it is: `#[larder::cached(task, of = Model)]`.
/// The caches of methods other than those cannot be had as a `larder::Cached`.
///
/// # Generic functions
/// As for [`task`](macro@task); the attribute adds the bound `'static` to the function's type parameters. Finding the
/// cache of its instance (that of a method, too) costs a call a shared lock and a search more.
///
/// # `async` functions
/// With the feature `async` of larder, an `async fn` is awaited as before, and loaded if it was computed: see
/// `larder::Cached::call_async`. Its result has to be `Send`. It is no task: it is awaited, not delayed. Not for methods
/// and generic functions.
///
/// ```ignore
/// #[larder::cached(expires_after = "15m")]
/// async fn weather(city: &str) -> Result<Report, Error> {
///     client().get(city).await
/// }
/// ```
///
/// # Errors and panics
/// Neither an `Err`, nor a `None`, nor a panic is stored: the next call runs the body again (for the first two, `store`
/// says otherwise). A cache that cannot be read or written does not make a call fail; it makes it compute.
///
/// # Restrictions
/// Those of [`task`](macro@task), and `const fn` is refused. An `#[expect(..)]` on the function acts as `#[allow(..)]`:
/// the attribute splits the function in two, and only one half would meet the expectation.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    clock::timed(|| attribute::expand(Kind::Cached, options.into(), item.into()).into())
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
