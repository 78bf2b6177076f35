//! One end of a socket: frames with descriptors, read and written as the socket allows.
//!
//! The same for both sides. A worker's end blocks; its driver's end does not, so that a worker that stops reading, or a
//! reply that is longer than what the socket holds, never keeps the driver from what it has to look after.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::frame;
use crate::memory_file::MemoryFile;
use crate::payload::travel::Content;

/// Read at once; what a socket holds by default.
const READ_BYTES: usize = 256 << 10;
/// Descriptors within so much as is read at once: each message has at most one, but small messages come by the dozen.
const READ_FILES: usize = 253;

pub(crate) struct Channel {
    stream: UnixStream,
    inbox: Inbox,
    outbox: VecDeque<Outgoing>,
}

/// What was read and is not taken yet.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// Where what is not taken begins and ends in `bytes`.
    start: usize,
    end: usize,
    files: VecDeque<OwnedFd>,
}

struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    /// Goes with the first byte.
    file: Option<Arc<dyn AsFd + Send + Sync>>,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Some,
    /// Nothing is there yet.
    Nothing,
    /// The other side is gone.
    End,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Channel {
        Channel { stream, inbox: Inbox::default(), outbox: VecDeque::new() }
    }

    /// The next whole frame, if it was read already.
    ///
    /// # Errors
    /// What was read is no frame.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Inbox { bytes, start, end, .. } = &mut self.inbox;
        let Some((head, rest)) = bytes[*start..*end].split_first_chunk() else { return Ok(None) };
        let len = frame::length(*head)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "bytes that are no message"))?;
        if rest.len() < len {
            return Ok(None);
        }
        let from = *start + frame::HEAD_BYTES;
        *start = from + len;
        Ok(Some(&self.inbox.bytes[from..from + len]))
    }

    /// The descriptor that came with the frame last taken: the frame says whether there is one.
    ///
    /// # Errors
    /// It did not arrive: the system leaves descriptors out where a process may have no more.
    pub(crate) fn file(&mut self) -> io::Result<File> {
        let file = self.inbox.files.pop_front();
        file.map(File::from).ok_or_else(|| io::Error::other("a descriptor did not arrive: too many are open here"))
    }

    /// Reads what is there, waiting for it if the socket blocks.
    ///
    /// # Errors
    /// The socket fails.
    pub(crate) fn read(&mut self) -> io::Result<Read> {
        let Inbox { bytes, start, end, files } = &mut self.inbox;
        if start == end {
            (*start, *end) = (0, 0);
        } else if bytes.len() - *end < READ_BYTES && *start > 0 {
            bytes.copy_within(*start..*end, 0);
            (*start, *end) = (0, *end - *start);
        }
        if bytes.len() - *end < READ_BYTES {
            // A long message doubles it as its bytes come, so a length that lies asks nothing of memory.
            bytes.resize((*end * 2).max(*end + READ_BYTES), 0);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(READ_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut room = [IoSliceMut::new(&mut bytes[*end..])];
        let received = loop {
            match recvmsg(&self.stream, &mut room, &mut control, receive_flags()) {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(Read::Nothing),
                Err(rustix::io::Errno::CONNRESET) => return Ok(Read::End),
                Err(error) => return Err(error.into()),
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                files.extend(descriptors);
            }
        }
        *end += received.bytes;
        Ok(if received.bytes == 0 { Read::End } else { Read::Some })
    }

    /// Makes `body` the next frame to be written, with a descriptor if it has one.
    ///
    /// # Errors
    /// The frame is longer than 4 GiB.
    pub(crate) fn send(&mut self, body: &[&[u8]], file: Option<Arc<dyn AsFd + Send + Sync>>) -> io::Result<()> {
        let len = body.iter().map(|part| part.len()).sum();
        let head = frame::head(len)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("a message of {len} bytes")))?;
        // Small frames that wait go out together.
        match self.outbox.back_mut() {
            Some(last) if file.is_none() && last.bytes.len() + len < READ_BYTES / 4 => {
                last.bytes.extend_from_slice(&head);
                last.bytes.extend(body.iter().copied().flatten());
            }
            _ => {
                let mut bytes = Vec::with_capacity(head.len() + len);
                bytes.extend_from_slice(&head);
                body.iter().for_each(|part| bytes.extend_from_slice(part));
                self.outbox.push_back(Outgoing { bytes, written: 0, file });
            }
        }
        Ok(())
    }

    /// As [`send`](Channel::send), for a head and what belongs to it: behind it, or in a file.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    pub(crate) fn send_with(&mut self, head: &[u8], content: &Content) -> io::Result<()> {
        match content {
            Content::Bytes(bytes) => self.send(&[head, bytes], None),
            Content::File(file) => self.send(&[head], Some(Arc::clone(file) as _)),
        }
    }

    /// The memory file that came with the frame last taken, of so many bytes as the frame says.
    ///
    /// # Errors
    /// It did not arrive, since the system leaves descriptors out where a process may have no more; or it is no such file.
    pub(crate) fn memory_file(&mut self, len: u64) -> io::Result<MemoryFile> {
        let file = self.file()?;
        MemoryFile::received(file, usize::try_from(len).map_err(io::Error::other)?)
    }

    /// As [`memory_file`](Channel::memory_file), from the program to its worker: it may lie in a temporary folder.
    ///
    /// # Errors
    /// As [`memory_file`](Channel::memory_file).
    pub(crate) fn lent_file(&mut self, len: u64) -> io::Result<MemoryFile> {
        let file = self.file()?;
        MemoryFile::lent(file, usize::try_from(len).map_err(io::Error::other)?)
    }

    /// Writes what the socket takes, all of it if it blocks, and answers whether nothing is left.
    ///
    /// # Errors
    /// The socket fails, or the other side is gone.
    pub(crate) fn write(&mut self) -> io::Result<bool> {
        while let Some(next) = self.outbox.front_mut() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let file = next.file.clone();
            let descriptor: Option<[BorrowedFd<'_>; 1]> = file.as_deref().map(|file| [file.as_fd()]);
            if let Some(descriptor) = &descriptor
                && !control.push(SendAncillaryMessage::ScmRights(descriptor))
            {
                return Err(io::Error::other("no room for a descriptor"));
            }
            match sendmsg(&self.stream, &[IoSlice::new(&next.bytes[next.written..])], &mut control, send_flags()) {
                Ok(written) => {
                    next.file = None;
                    next.written += written;
                    if next.written == next.bytes.len() {
                        self.outbox.pop_front();
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether something waits to be written.
    pub(crate) fn has_more_to_write(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// # Errors
    /// The system refuses.
    pub(crate) fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(target_os = "linux")]
fn receive_flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

#[cfg(not(target_os = "linux"))]
fn receive_flags() -> RecvFlags {
    RecvFlags::empty()
}

/// A worker that is gone is an error, not a signal.
#[cfg(target_os = "linux")]
fn send_flags() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// The standard library has the signal ignored.
#[cfg(not(target_os = "linux"))]
fn send_flags() -> SendFlags {
    SendFlags::empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek, Write};

    fn pair() -> (Channel, Channel) {
        let (a, b) = UnixStream::pair().unwrap();
        (Channel::new(a), Channel::new(b))
    }

    fn receive(channel: &mut Channel) -> Vec<u8> {
        loop {
            if let Some(frame) = channel.next().unwrap() {
                return frame.to_vec();
            }
            assert_eq!(channel.read().unwrap(), Read::Some);
        }
    }

    #[test]
    fn frames_of_all_lengths_come_in_order() {
        let (mut here, mut there) = pair();
        let lengths = [0, 1, 7, 8, 9, 100_000, 3, READ_BYTES, 3_000_000, 0, 5];
        let writer = std::thread::spawn(move || {
            for len in lengths {
                here.send(&[&vec![len as u8; len / 2], &vec![len as u8; len - len / 2]], None).unwrap();
                assert!(here.write().unwrap());
            }
        });
        for len in lengths {
            assert_eq!(receive(&mut there), vec![len as u8; len]);
        }
        writer.join().unwrap();
        assert_eq!(there.next().unwrap(), None);
        assert_eq!(there.read().unwrap(), Read::End);
    }

    #[test]
    fn descriptors_come_with_their_frames() {
        let (mut here, mut there) = pair();
        for number in 0..40_u8 {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&[number]).unwrap();
            here.send(&[b"none"], None).unwrap();
            here.send(&[&[number]], Some(Arc::new(file))).unwrap();
        }
        assert!(here.write().unwrap());
        for number in 0..40_u8 {
            assert_eq!(receive(&mut there), b"none");
            assert_eq!(receive(&mut there), [number]);
            let (mut file, mut content) = (there.file().unwrap(), Vec::new());
            file.rewind().unwrap();
            file.read_to_end(&mut content).unwrap();
            assert_eq!(content, [number]);
        }
        assert!(there.file().is_err());
    }

    #[test]
    fn who_does_not_read_blocks_nobody() {
        let (mut here, mut there) = pair();
        here.set_nonblocking(true).unwrap();
        here.send(&[&vec![1; 10_000_000]], None).unwrap();
        assert!(!here.write().unwrap() && here.has_more_to_write());
        assert_eq!(here.read().unwrap(), Read::Nothing);
        let reader = std::thread::spawn(move || receive(&mut there).len());
        here.set_nonblocking(false).unwrap();
        assert!(here.write().unwrap() && !here.has_more_to_write());
        assert_eq!(reader.join().unwrap(), 10_000_000);
    }

    #[test]
    fn garbage_is_told() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut here = Channel::new(here);
        there.write_all(b"Segmentation fault").unwrap();
        here.read().unwrap();
        assert!(here.next().is_err());
    }
}
