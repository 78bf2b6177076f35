//! `#[larder::main]`: a worker goes its own way before `main` does anything.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{ItemFn, parse_quote};

use crate::problems::Problems;

/// `main` with the entry of workers as its first statement.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut main: ItemFn = match syn::parse2(item.clone()) {
        Ok(main) => main,
        Err(_) => return refusal(&item, "`#[larder::main]` goes on `fn main`", &item),
    };
    if !options.is_empty() {
        return refusal(&options, "`#[larder::main]` has no options", &item);
    }
    let sig = &main.sig;
    if sig.ident != "main" {
        return refusal(&sig.ident, "`#[larder::main]` goes on `fn main`: elsewhere, call `larder::init()`", &item);
    }
    if let Some(asyncness) = &sig.asyncness {
        let words = "write `#[larder::main]` below the attribute that makes `main` a plain function: a worker is entered \
                     before there is a runtime";
        return refusal(asyncness, words, &item);
    }
    main.block.stmts.insert(0, parse_quote! { ::larder::init(); });
    main.into_token_stream()
}

fn refusal(at: &impl ToTokens, words: &str, item: &TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    problems.at(at, words);
    let errors = problems.into_tokens();
    // The function stays, so that nothing else is reported for want of it.
    quote! { #item #errors }
}

#[cfg(test)]
mod test {
    use super::*;

    fn expanded(options: &str, item: &str) -> String {
        expand(options.parse().expect("tokens"), item.parse().expect("tokens")).to_string().replace(' ', "")
    }

    #[test]
    fn workers_are_entered_first() {
        let text = expanded("", "#[deny(warnings)] fn main() -> Result<()> { work()?; Ok(()) }");
        assert_eq!(text, "#[deny(warnings)]fnmain()->Result<()>{::larder::init();work()?;Ok(())}");
    }

    #[test]
    fn elsewhere_it_is_refused() {
        for (options, item, words) in [
            ("", "struct Main;", "goes on `fn main`"),
            ("", "fn start() {}", "call `larder::init()`"),
            ("", "async fn main() {}", "below the attribute"),
            ("worker", "fn main() {}", "no options"),
        ] {
            let text = expanded(options, item);
            assert!(text.contains("compile_error!") && text.contains(&words.replace(' ', "")), "{text}");
        }
    }
}
