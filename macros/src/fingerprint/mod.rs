//! A digest of code: equal for what rustfmt and documentation change, different for everything else.
//!
//! Errors have a side. To see a difference where there is none costs one more computation; to overlook one returns a
//! stale result. So each rule below that drops something names why it cannot matter, and where a case cannot be told
//! from tokens, it counts as a difference.
//!
//! Sources take one road, and the files are its stops:
//!
//! ```text
//! cargo (packages, lock) -> sources -> load -> source (tokens to items) -> index
//!                      root (the function) -> closure <- names <- resolve <----^
//!                                             closure -> code (digest, list, settings)
//! ```

mod cargo;
mod closure;
mod code;
mod index;
mod layout;
mod load;
mod names;
mod predicate;
mod resolve;
mod root;
mod scope;
mod source;
mod sources;
mod tokens;

#[cfg(test)]
mod closure_test;
#[cfg(test)]
mod edits;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod test;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Type;

use crate::function::Function;
use crate::options::{Input, Options};
use root::Root;
use sources::Sources;

/// Goes with the rules in `tokens.rs`: raise the version when they change, because every stored result changes its key.
const CONTEXT: &str = "larder 2026-11 code fingerprint v3";

/// What is known of a function's code when it is compiled.
#[derive(Default)]
pub(crate) struct Code {
    /// The digest of all that was seen.
    pub(crate) digest: [u8; 32],
    /// What was seen, for people: a line for each item, `digest (16 hex digits) TAB kind and name TAB file or package`.
    pub(crate) items: String,
    /// What only the compiler knows: part of every key beside the digest.
    pub(crate) settings: Vec<Setting>,
    /// The functions of `depends(..)` that the compiler has to find: those with an attribute, and those in other packages.
    pub(crate) depends: Vec<Type>,
    /// What the functions that are called declare that they read: this one reads it with them.
    pub(crate) inputs: Vec<Input>,
    /// Whether one of them takes the toolchain in.
    pub(crate) toolchain: bool,
    /// What was not seen, and why, for whoever compiles. Said once.
    pub(crate) note: Option<String>,
}

/// Something that the code asks of the build.
pub(crate) enum Setting {
    /// `cfg(PREDICATE)`: whether it holds.
    Cfg(TokenStream),
    /// `env!("NAME")`: its value, if it is set.
    Env(String),
}

/// The code of one function, with all that it reaches by name.
pub(crate) fn of_function(function: &Function, options: &Options) -> Code {
    let own = own(function, options);
    Sources::with_current(|sources| match sources {
        Ok(sources) => code::of(sources, &Root::of(function, own), options),
        Err(why) => code::alone(own, why, options),
    })
}

/// The digest of one function's own tokens: its attributes, signature and body, without its visibility; and behind them
/// what the attribute itself says about what is in a key and what is stored. A function ends with its body, so nothing else
/// reads as these words.
fn own(function: &Function, options: &Options) -> [u8; 32] {
    let mut tokens = TokenStream::new();
    for attr in &function.attrs {
        attr.to_tokens(&mut tokens);
    }
    function.sig.to_tokens(&mut tokens);
    function.body.to_tokens(&mut tokens);
    if let Some(key) = &options.key {
        tokens.extend(quote! { key = #key; });
    }
    // Other bytes are stored then.
    if options.store.err.is_some() {
        tokens.extend(quote! { store_err; });
    }
    if options.result.is_some() {
        tokens.extend(quote! { result; });
    }
    of_tokens(tokens)
}

/// The digest of a stretch of code.
fn of_tokens(code: TokenStream) -> [u8; 32] {
    let mut bytes = Vec::new();
    tokens::feed(code, &mut bytes);
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&bytes);
    *hasher.finalize().as_bytes()
}
