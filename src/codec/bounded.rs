//! Bytes up to a limit: what is longer is not written to its end.

use std::io;

pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Bounded {
        Bounded { bytes: Vec::new(), most, is_full: false }
    }

    /// Takes more, or none of it from the first that is too much.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        self.is_full |= self.bytes.len() + bytes.len() > self.most;
        if !self.is_full {
            self.bytes.extend_from_slice(bytes);
        }
        !self.is_full
    }

    /// Whether something was too much.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.take(bytes) { Ok(bytes.len()) } else { Err(io::Error::other("it is too long")) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    use serde::{Serialize, Serializer};

    use super::super::{CodecId, encode_small};
    use super::*;

    #[test]
    fn what_is_too_long_is_refused_for_good() {
        let mut bounded = Bounded::new(4);
        assert!(bounded.take(b"abc") && bounded.take(b"d"));
        assert!(!bounded.take(b"e") && bounded.is_full() && !bounded.take(b""));
        assert_eq!(bounded.into_bytes(), b"abcd");
    }

    /// A list that counts how many of its elements are asked for.
    struct Endless(Cell<u64>);

    impl Serialize for Endless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = serializer.serialize_seq(Some(1 << 40))?;
            for element in 0..1_u64 << 40 {
                self.0.set(self.0.get() + 1);
                list.serialize_element(&element)?;
            }
            list.end()
        }
    }

    #[test]
    fn a_long_value_is_not_written_to_its_end() {
        let endless = Endless(Cell::new(0));
        assert_eq!(encode_small(&(1, &endless), 100, |_| true), None);
        assert!(endless.0.get() < 200, "{}", endless.0.get());
    }

    #[test]
    fn what_does_not_come_back_goes_to_the_codec_that_describes_itself() {
        let value = BTreeMap::from([("a", 1.5)]);
        let small = encode_small(&value, 100, |_| true).expect("it is short");
        assert_eq!(small.codec(), CodecId::Compact);
        let named = encode_small(&value, 100, |encoded| encoded.codec() != CodecId::Compact).expect("it is short");
        assert_eq!(named.decode::<serde_json::Value>().expect("it names itself"), serde_json::json!({ "a": 1.5 }));
        assert_eq!(encode_small(&value, 100, |_| false), None);
        assert_eq!(encode_small(&value, 3, |_| true), None);
    }
}
