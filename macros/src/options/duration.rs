//! `expires_after = "30d"`: a length of time in words, checked while the program is compiled.

use syn::{Error, Expr, ExprLit, Lit, LitStr, parse_quote};

const WRITE: &str = "write a whole number and a unit, such as \"45s\", \"15m\", \"12h\", \"30d\" or \"2w\"";

/// The expression of type `Duration` that was meant.
///
/// # Errors
/// A text that is no length of time, or none at all; a literal of another kind.
pub(super) fn expression(written: Expr) -> syn::Result<Expr> {
    match &written {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let seconds = seconds(&text.value()).map_err(|message| Error::new_spanned(text, message))?;
            Ok(with_span(seconds, text))
        }
        Expr::Lit(literal) => {
            Err(Error::new_spanned(literal, format!("`expires_after` takes a `Duration`, or a text: {WRITE}")))
        }
        _ => Ok(written),
    }
}

fn with_span(seconds: u64, text: &LitStr) -> Expr {
    let number = syn::LitInt::new(&format!("{seconds}u64"), text.span());
    parse_quote! { ::core::time::Duration::from_secs(#number) }
}

/// The seconds of a text such as `12h`.
fn seconds(text: &str) -> Result<u64, String> {
    let units = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number = &text[..text.len() - units.len()];
    let unit = match units.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(format!("\"{text}\" is no length of time: {WRITE}")),
    };
    if number.is_empty() {
        return Err(format!("\"{text}\" is no length of time: {WRITE}"));
    }
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(0) => Err("what expires at once is never loaded: give a longer time, or leave the option out".to_owned()),
        Some(seconds) => Ok(seconds),
        None => Err(format!("\"{text}\" is longer than can be counted: leave `expires_after` out")),
    }
}

#[cfg(test)]
mod test {
    use super::seconds;

    #[test]
    fn units_are_seconds_to_weeks() {
        for (text, answer) in [
            ("45s", 45),
            ("15m", 900),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1 h", 3600),
            ("18446744073709551615s", u64::MAX),
        ] {
            assert_eq!(seconds(text), Ok(answer), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, start) in [
            ("", "\"\" is no length of time: write a whole number and a unit"),
            ("d", "\"d\" is no length"),
            ("30", "\"30\" is no length"),
            ("1.5h", "\"1.5h\" is no length"),
            ("-1h", "\"-1h\" is no length"),
            ("1y", "\"1y\" is no length"),
            ("1h30m", "\"1h30m\" is no length"),
            ("0s", "what expires at once is never loaded"),
            ("18446744073709551616s", "\"18446744073709551616s\" is longer"),
            ("18446744073709551615m", "\"18446744073709551615m\" is longer"),
        ] {
            let message = seconds(text).expect_err(text);
            assert!(message.starts_with(start), "{message}");
        }
    }
}
