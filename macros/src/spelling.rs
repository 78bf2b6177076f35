//! Tokens as a person would write them: `&Payload<Vec<u8>>`, not `& Payload < Vec < u8 > >`.
//!
//! The text of a parameter's type is shown in descriptions of calls, so it must not depend on how a compiler release
//! happens to space printed tokens.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The spelling of a type.
pub(crate) fn of(tokens: TokenStream) -> String {
    let mut text = String::new();
    write(tokens, &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    let mut trees = tokens.into_iter().peekable();
    // The first half of `->`, written when its second half comes.
    let mut arrow = false;
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                '-' if punct.spacing() == Spacing::Joint => arrow = true,
                '>' if std::mem::take(&mut arrow) => text.push_str(" -> "),
                ',' if matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '>') => {}
                ',' if trees.peek().is_none() => text.push(','),
                ',' => text.push_str(", "),
                ';' => text.push_str("; "),
                ':' if punct.spacing() == Spacing::Alone && !text.ends_with(':') => text.push_str(": "),
                '=' => text.push_str(" = "),
                '+' => text.push_str(" + "),
                other => text.push(other),
            },
            word => {
                if text.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == '>') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

#[cfg(test)]
mod test {
    #[test]
    fn types_read_as_written_by_hand() {
        for spelling in [
            "u64",
            "&str",
            "&Payload<Vec<u8>>",
            "&'static str",
            "std::collections::HashMap<String, (u8,)>",
            "[[f64; 3]; N]",
            "<Vec<T> as IntoIterator>::Item",
            "Option<Box<dyn Fn(u8, &str) -> Vec<u8> + Send>>",
            "Iter<Item = u8>",
            "Matrix<{ N }>",
            "&mut T",
            "*const u8",
            "()",
        ] {
            let spaced = spelling.parse::<proc_macro2::TokenStream>().expect("a type").to_string();
            assert_eq!(super::of(spaced.parse().expect("the same type")), spelling);
        }
        assert_eq!(super::of("HashMap<A,B,>".parse().expect("a type")), "HashMap<A, B>");
    }
}
