//! How much a cache may hold, as its users say it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// A number of bytes, given as a number or as a text such as `"500K"`, `"1.5M"` or `"10G"`: powers of 1024, as joblib's.
///
/// # Examples
/// ```
/// use larder::Size;
///
/// assert_eq!("10K".parse::<Size>()?.bytes()?, 10 * 1024);
/// assert_eq!(Size::from("1.5 GiB").bytes()?, 3 << 29);
/// assert_eq!(Size::from(4096).bytes()?, 4096);
/// assert!(Size::from(-1).bytes().is_err());
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size(std::result::Result<u64, String>);

impl Size {
    /// The number of bytes.
    ///
    /// # Errors
    /// What was given is negative, or a text that is no size.
    pub fn bytes(&self) -> Result<u64> {
        self.0.clone().map_err(Error::invalid_option)
    }

    fn parse(text: &str) -> Size {
        Size(parse(text).ok_or_else(|| {
            format!(
                "`{text}` is no size: give a number of bytes, or one with a letter, such as `500K`, `1.5M`, `10G`, `2T`"
            )
        }))
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale: u64 = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return None,
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(scale),
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * scale as f64;
            // 2^53: above it a float names no byte.
            (bytes.is_finite() && bytes <= 9.0e15).then_some(bytes as u64)
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Size> {
        let size = Size::parse(text);
        size.bytes().map(|_| size)
    }
}

impl From<&str> for Size {
    fn from(text: &str) -> Size {
        Size::parse(text)
    }
}

impl From<String> for Size {
    fn from(text: String) -> Size {
        Size::parse(&text)
    }
}

macro_rules! from_numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for Size {
            fn from(bytes: $number) -> Size {
                Size(u64::try_from(bytes).map_err(|_| format!("{bytes} is no size: give a number of bytes from 1 on")))
            }
        }
    )*};
}

from_numbers! { u32 u64 usize i32 i64 }

/// How much a cache may hold. Unset limits limit nothing.
///
/// Given to [`Memory::reduce_size`](crate::Memory::reduce_size) for once; [`MemoryBuilder`](crate::MemoryBuilder) has the same
/// three for limits that hold on every write.
///
/// What goes first is what is worth the least: the time that a result took to compute and the number of its uses, for each
/// byte, halved for every day that it was not used. This is GreedyDual-Size-Frequency (Cherkasova, HP Labs 98-69) with
/// an age in days in place of its clock, so that the order is the same in every program and after every restart.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use larder::Limits;
///
/// let limits = Limits::new().max_bytes("2G").max_age(Duration::from_hours(30 * 24));
/// assert!(limits.check().is_ok());
/// assert!(Limits::new().max_entries(0).check().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "limits do nothing by themselves"]
pub struct Limits {
    max_bytes: Option<Size>,
    max_entries: Option<u64>,
    max_age: Option<Duration>,
}

impl Limits {
    /// No limits.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// The most bytes: of encoded results before compression, with their records. joblib's `bytes_limit`.
    pub fn max_bytes(mut self, size: impl Into<Size>) -> Limits {
        self.max_bytes = Some(size.into());
        self
    }

    /// The most entries. joblib's `items_limit`.
    pub fn max_entries(mut self, entries: u64) -> Limits {
        self.max_entries = Some(entries);
        self
    }

    /// How long an entry is kept that nobody uses. joblib's `age_limit`.
    pub fn max_age(mut self, age: Duration) -> Limits {
        self.max_age = Some(age);
        self
    }

    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }

    /// Says what is wrong with the limits.
    ///
    /// # Errors
    /// One of them is zero or negative, or a text that is no size.
    pub fn check(&self) -> Result<()> {
        self.caps().map(drop)
    }

    pub(crate) fn caps(&self) -> Result<Caps> {
        let zero = |name: &str, remedy: &str| {
            Error::invalid_option(format!("`{name}` is 0, which would keep nothing: {remedy}, or leave the limit out"))
        };
        let bytes = match &self.max_bytes {
            None => u64::MAX,
            Some(size) => match size.bytes().map_err(|error| Error::invalid_option(format!("`max_bytes`: {error}")))? {
                0 => return Err(zero("max_bytes", "give a size such as `10G`")),
                bytes => bytes,
            },
        };
        if self.max_entries == Some(0) {
            return Err(zero("max_entries", "give a number of entries"));
        }
        if self.max_age == Some(Duration::ZERO) {
            return Err(zero("max_age", "give a duration"));
        }
        let age_ms = self.max_age.map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1));
        Ok(Caps { bytes, entries: self.max_entries.unwrap_or(u64::MAX), age_ms })
    }
}

/// Limits as the store holds to them; `u64::MAX` limits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) age_ms: u64,
}

impl Caps {
    pub(crate) const NONE: Caps = Caps { bytes: u64::MAX, entries: u64::MAX, age_ms: u64::MAX };

    /// What holds where both do.
    pub(crate) fn and(self, other: Caps) -> Caps {
        Caps {
            bytes: self.bytes.min(other.bytes),
            entries: self.entries.min(other.entries),
            age_ms: self.age_ms.min(other.age_ms),
        }
    }
}

/// What was removed to keep to limits, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reduced {
    /// Entries.
    pub entries: u64,
    /// Their bytes, encoded, with their records.
    pub bytes: u64,
    /// What they took to compute.
    pub compute_time: Duration,
}

impl fmt::Display for Reduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries, {} bytes, {:.1} s of computing",
            self.entries,
            self.bytes,
            self.compute_time.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17b", 17),
            ("10K", 10 << 10),
            (" 2 M ", 2 << 20),
            ("2MiB", 2 << 20),
            ("1g", 1 << 30),
            ("0.5T", 1 << 39),
        ] {
            assert_eq!(Size::from(text).bytes().unwrap(), bytes, "{text}");
        }
        for text in ["", "K", "-1K", "1X", "1.2.3M", "ten", "99999999999G", "1e400"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().contains("is no size"), "{text}: {error}");
        }
        assert!(Size::from(-5).bytes().unwrap_err().to_string().starts_with("-5 is no size"));
    }

    #[test]
    fn limits_that_mean_nothing_are_refused() {
        for (limits, start) in [
            (Limits::new().max_bytes(0), "`max_bytes` is 0"),
            (Limits::new().max_bytes("-1G"), "`max_bytes`: `-1G` is no size"),
            (Limits::new().max_bytes(-3), "`max_bytes`: -3 is no size"),
            (Limits::new().max_entries(0), "`max_entries` is 0"),
            (Limits::new().max_age(Duration::ZERO), "`max_age` is 0"),
        ] {
            let error = limits.check().unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().starts_with(start), "{error}");
        }
        assert_eq!(Limits::new().caps().unwrap(), Caps::NONE);
        let caps = Limits::new().max_bytes("1K").max_entries(7).caps().unwrap();
        let other = Limits::new().max_entries(3).max_age(Duration::from_secs(1)).caps().unwrap();
        assert_eq!(caps.and(other), Caps { bytes: 1024, entries: 3, age_ms: 1000 });
    }
}
