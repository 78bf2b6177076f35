//! What a store needs that keeps its claims elsewhere: on a server that many programs ask.

use super::claims::{Claimant, Claims};

impl Claimant {
    /// The claimant as bytes, for another program that keeps the claims.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.program.to_le_bytes());
        bytes[8..].copy_from_slice(&self.thread.to_le_bytes());
        bytes
    }

    /// The claimant that [`to_bytes`](Claimant::to_bytes) wrote.
    pub fn from_bytes(bytes: [u8; 16]) -> Claimant {
        let (program, thread) = (bytes[..8].try_into(), bytes[8..].try_into());
        let number = |half: Result<[u8; 8], _>| u64::from_le_bytes(half.unwrap_or_default());
        Claimant { program: number(program), thread: number(thread) }
    }

    /// Whether both are threads of one program.
    pub fn is_in_program_of(self, other: Claimant) -> bool {
        self.program == other.program
    }
}

impl Claims {
    /// Ends all claims of the program that `one` is a thread of, with nothing stored: it is gone.
    pub fn release_all_of_program(&self, one: Claimant) {
        self.release_program(one.program);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::store::{Claimed, EntryKey, Patience};

    #[test]
    fn a_claimant_is_the_same_on_the_other_side() {
        let me = Claimant::current();
        let other = thread::spawn(Claimant::current).join().unwrap();
        assert_eq!(Claimant::from_bytes(me.to_bytes()), me);
        assert_ne!(Claimant::from_bytes(other.to_bytes()), me);
        assert!(me.is_in_program_of(other));
        assert!(!me.is_in_program_of(Claimant::from_bytes([0x5a; 16])));
    }

    #[test]
    fn the_claims_of_a_program_that_is_gone_end() {
        let claims = Claims::default();
        let key = EntryKey::from_bytes([3; 40]);
        let not_at_all = Patience::AtMost(Duration::ZERO);
        let gone = Claimant::from_bytes([0x5a; 16]);
        assert_eq!(claims.claim(&key, gone, not_at_all), Claimed::Mine);
        claims.release_all_of_program(Claimant::current());
        assert_eq!(claims.claim(&key, Claimant::current(), not_at_all), Claimed::Busy);
        let mut another_thread = gone.to_bytes();
        another_thread[8] ^= 1;
        claims.release_all_of_program(Claimant::from_bytes(another_thread));
        assert_eq!(claims.claim(&key, Claimant::current(), not_at_all), Claimed::Mine);
    }
}
