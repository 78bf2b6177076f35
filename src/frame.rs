//! Messages on a stream: a length, then so many bytes.

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
    fn what_is_cut_or_too_long_is_refused() {
        let mut message = Vec::new();
        assert!(read(&mut &[5, 0, 0, 0, 1][..], &mut message, 100).is_err());
        assert!(read(&mut &[5, 0][..], &mut message, 100).is_err());
        assert!(read(&mut &[0xff; 20][..], &mut message, 100).is_err());
        assert!(message.capacity() < 1000, "{}", message.capacity());
        assert!(write(&mut Vec::new(), &[0; 101], 100).is_err());
    }
}
