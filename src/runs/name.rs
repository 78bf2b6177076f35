//! What a run may be called.

use std::fmt;

use crate::error::Error;

const LONGEST: usize = 100;
/// Windows takes these for devices, in either case, whatever follows a dot.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];
/// And these with a digit from 1 to 9.
const NUMBERED: [&str; 2] = ["com", "lpt"];

/// The name of a run, which is the name of a directory on any system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

impl Name {
    /// # Errors
    /// The name is empty or too long, has another character than `A-Z a-z 0-9 . _ -`, begins or ends with a dot, or is a
    /// device's on Windows.
    pub(crate) fn new(name: &str) -> Result<Name, Error> {
        let refused = |what: String| {
            Err(Error::invalid_option(format!(
                "{what}: give 1 to {LONGEST} of the characters A-Z a-z 0-9 . _ -, such as `nightly-2026.11`"
            )))
        };
        if name.is_empty() {
            return refused("the name of a run is empty".to_owned());
        }
        if let Some(strange) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !['.', '_', '-'].contains(c)) {
            // Escaped, since it may be a line's end; a name of any length is cut.
            let start: String = name.chars().take(LONGEST).collect();
            return refused(format!("the name of a run has the character {strange:?}: `{}`", start.escape_debug()));
        }
        if name.len() > LONGEST {
            return refused(format!("the name of a run has {} characters", name.len()));
        }
        if name.starts_with('.') || name.ends_with('.') {
            return refused(format!("the name of a run begins or ends with a dot: `{name}`"));
        }
        if is_device(name) {
            return refused(format!("the name of a run is that of a device on Windows: `{name}`"));
        }
        Ok(Name(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |device: &&str| matches!(stem.strip_prefix(*device).map(str::as_bytes), Some([b'1'..=b'9']));
    RESERVED.contains(&stem.as_str()) || NUMBERED.iter().any(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_directories_everywhere() {
        for good in
            ["nightly", "a", "2026-11-22", "A_b.c-d", "console", "com", "com0", "com10", "x.con", &"n".repeat(100)]
        {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        let cases = [
            ("", "is empty"),
            ("a/b", "the character '/': `a/b`"),
            ("..", "begins or ends with a dot"),
            (".hidden", "begins or ends with a dot"),
            ("a.", "begins or ends with a dot"),
            ("a\\b", "the character '\\\\'"),
            ("a b", "the character ' '"),
            ("a\nb", "the character '\\n': `a\\nb`"),
            ("größe", "the character 'ö'"),
            ("nul", "a device on Windows"),
            ("COM1.txt", "a device on Windows"),
            ("lpt9", "a device on Windows"),
        ];
        for (bad, why) in cases {
            let error = Name::new(bad).unwrap_err();
            assert!(error.is_invalid_option());
            let words = error.to_string();
            assert!(words.contains(why), "{words}");
            assert!(words.contains("1 to 100 of the characters"), "{words}");
        }
        assert!(Name::new(&"n".repeat(101)).unwrap_err().to_string().contains("has 101 characters"));
        assert!(Name::new(&"/".repeat(100_000)).unwrap_err().to_string().len() < 500);
    }
}
