//! The expansions pass where unsafe code is forbidden, warnings are errors, and every name of the prelude is taken.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, missing_debug_implementations, missing_copy_implementations, unreachable_pub)]
#![deny(unused_qualifications, single_use_lifetimes, elided_lifetimes_in_paths, unnameable_types)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

/// A task among hostile names.
pub mod shadowed {
    #![allow(dead_code, non_camel_case_types, missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    struct Option;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct String;
    struct Vec;
    struct str;
    struct Clone;
    mod core {}
    mod std {}
    mod larder_macros {}

    #[larder::task]
    fn plain(x: u64, rows: &[u64]) -> u64 {
        x + rows.iter().sum::<u64>()
    }

    #[larder::cached(task)]
    fn cached(x: u64, rows: &[u64]) -> u64 {
        x + rows.iter().sum::<u64>()
    }

    #[larder::cached(task, key = (x, rows.len()), depends(plain, cached), expires_after = "1d", store(err, none))]
    fn optioned(x: u64, rows: &[u64]) -> ::core::option::Option<u64> {
        rows.first().map(|row| x + row)
    }

    #[larder::task]
    fn generic<T: ::serde::Serialize + ::serde::de::DeserializeOwned, const N: usize>(x: T) -> T {
        x
    }

    #[larder::cached]
    fn generic_cached<T: ::serde::Serialize>(x: &T, y: u64) -> u64 {
        let _ = x;
        y
    }

    #[larder::cached]
    async fn awaited(x: &[u64]) -> u64 {
        x.iter().sum()
    }

    #[derive(::serde::Serialize, ::serde::Deserialize)]
    struct Model(u64);

    impl Model {
        #[larder::cached(expires_after = "1d")]
        fn cached(&self, x: u64) -> ::core::option::Option<u64> {
            self.0.checked_add(x)
        }

        #[larder::cached(key = (self.0, x))]
        fn keyed(&self, x: u64) -> u64 {
            self.0 + x
        }

        #[larder::cached]
        fn consumed(mut self, mut x: u64) -> Self {
            x += 1;
            self.0 += x;
            self
        }

        #[larder::task(of = Model)]
        fn delayed(&self, x: u64) -> u64 {
            self.0 + x
        }

        #[larder::cached(task, of = Model)]
        fn both(self, mut x: u64) -> Self {
            x += self.0;
            Self(x)
        }
    }
}

/// A model.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Model {
    weight: u64,
}

impl Model {
    /// Weighs.
    #[larder::cached]
    #[must_use]
    pub fn weighed(&self, mut by: u64) -> u64 {
        by += 1;
        self.weight * by
    }

    /// Weighs on a worker.
    #[larder::task(of = Model)]
    #[must_use]
    pub fn delayed(&self, by: u64) -> u64 {
        self.weight * by
    }

    /// Weighs once, anywhere.
    ///
    /// # Errors
    /// Never.
    #[larder::cached(task, of = Model, ignore(by))]
    pub fn both(&self, by: u64) -> Result<u64, std::fmt::Error> {
        Ok(self.weight * by)
    }

    /// Consumes.
    #[larder::cached]
    #[must_use]
    pub fn consumed(self) -> u64 {
        self.weight
    }
}

/// Measures anything.
#[larder::cached]
#[must_use]
pub fn length<T: serde::Serialize + AsRef<[u8]>>(mut value: T) -> usize {
    value = std::convert::identity(value);
    value.as_ref().len()
}

/// Measures later.
#[larder::cached]
pub async fn later(text: &str) -> usize {
    std::future::ready(text.len()).await
}

/// Adds.
#[larder::task]
#[must_use]
pub fn add(one: u64, other: u64) -> u64 {
    [one, other].iter().sum()
}

/// Adds a number that is written out.
///
/// # Errors
/// Text that is not a number.
#[larder::cached]
pub fn add_text(text: &str, mut row: u64) -> Result<u64, std::num::ParseIntError> {
    row += text.parse::<u64>()?;
    Ok(row)
}

fn main() {
    assert_eq!(larder::delayed!(add(1, 2)).call(), 3);
    assert_eq!(larder::delayed!(Model::delayed(&Model { weight: 2 }, 3)).call(), 6);
}
