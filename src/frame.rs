//! Messages on a stream: a length, then so many bytes. Where the other side may be out of its mind, as a process that runs
//! any code, a check of the length tells a message from garbage: see [`head`].

use std::io::{self, BufRead, Write};

/// Writes one message, in one call of the system where it fits.
///
/// # Errors
/// The stream refuses, or the message is longer than a reader would take.
pub(crate) fn write(stream: &mut impl Write, message: &[u8], longest: usize) -> io::Result<()> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, format!("a message of {} bytes", message.len()));
    let len = u32::try_from(message.len()).ok().filter(|_| message.len() <= longest).ok_or_else(too_long)?;
    let mut framed = Vec::with_capacity(4 + message.len());
    framed.extend_from_slice(&len.to_le_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

/// Reads one message into `message`; answers `false` at the stream's end.
///
/// # Errors
/// The stream fails or ends within a message, or the message is longer than `longest`: then nothing is asked of memory.
pub(crate) fn read(stream: &mut impl BufRead, message: &mut Vec<u8>, longest: usize) -> io::Result<bool> {
    message.clear();
    if stream.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes")));
    }
    message.resize(len, 0);
    stream.read_exact(message)?;
    Ok(true)
}

/// How long the [`head`] of a checked message is.
pub(crate) const HEAD_BYTES: usize = 8;

/// What makes the check: a length alone would be believed.
const CHECK: u32 = 0x6c61_7264;

/// What stands before a message of `len` bytes; `None` if it is too long to be sent.
pub(crate) fn head(len: usize) -> Option<[u8; HEAD_BYTES]> {
    let len = u32::try_from(len).ok()?;
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&(!len ^ CHECK).to_le_bytes());
    Some(head)
}

/// The length that stands in a [`head`]; `None` if it is none.
pub(crate) fn length(head: [u8; HEAD_BYTES]) -> Option<usize> {
    let (len, check) = (u64::from_le_bytes(head) as u32, (u64::from_le_bytes(head) >> 32) as u32);
    (check == !len ^ CHECK).then_some(len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_one_by_one() {
        let mut stream = Vec::new();
        for message in [&b"one"[..], b"", &[7; 5000]] {
            write(&mut stream, message, 5000).unwrap();
        }
        let (mut stream, mut message) = (&stream[..], Vec::new());
        for expected in [&b"one"[..], b"", &[7; 5000]] {
            assert!(read(&mut stream, &mut message, 5000).unwrap());
            assert_eq!(message, expected);
        }
        assert!(!read(&mut stream, &mut message, 5000).unwrap(), "the end");
    }

    #[test]
    fn a_head_is_told_from_garbage() {
        for len in [0, 1, 5000, u32::MAX as usize] {
            assert_eq!(length(head(len).unwrap()), Some(len));
        }
        assert_eq!(head(1 << 32), None);
        for garbage in [[0; 8], [0xff; 8], *b"GET / HT", *b"Segmenta"] {
            assert_eq!(length(garbage), None);
        }
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let mut message = Vec::new();
        assert!(read(&mut &[5, 0, 0, 0, 1][..], &mut message, 100).is_err());
        assert!(read(&mut &[5, 0][..], &mut message, 100).is_err());
        assert!(read(&mut &[0xff; 20][..], &mut message, 100).is_err());
        assert!(message.capacity() < 1000, "{}", message.capacity());
        assert!(write(&mut Vec::new(), &[0; 101], 100).is_err());
    }
}
