//! What a program and its worker processes say to each other.
//!
//! A worker's socket carries [messages](message), each a frame ([`crate::frame`]) that may have a descriptor with it. The
//! two sides are the same program, so the bytes have no versions; the first message proves that they are
//! ([`message::Hello`]).

pub(crate) mod channel;
pub(crate) mod message;
