//! Random numbers without end from one seed.

use std::convert::Infallible;
use std::fmt;

use rand_core::TryRng;

use super::Seed;
use crate::digest::Purpose;

/// As many bytes are made at a time: four blocks of blake3.
const BUFFER_BYTES: usize = 256;

/// A generator of random numbers made from a [`Seed`]: given by [`Seed::rng`], with the feature `rand`.
///
/// Implements `rand_core` 0.10's `Rng`, and so all that `rand` 0.10 adds to it (`random_range`, `shuffle`,
/// distributions). It is one stream of bytes, blake3's extended output: numbers and bytes are taken from it one after
/// the other, none is passed over, little endian. Equal seeds give equal streams on every machine and in every release;
/// what `rand` makes of them may change with `rand`. It never repeats itself (2^64 bytes).
///
/// Each 64 bytes are a compression of blake3. A task that does little but draw numbers is quicker with a generator made
/// for speed, seeded with [`Seed::to_bytes`]. Not for secrets, as its seed is not.
///
/// # Examples
/// ```
/// use larder::{RunSeed, Seed};
/// use rand_core::Rng;
///
/// fn throw(dice: usize, seed: Seed) -> Vec<u64> {
///     let mut rng = seed.rng();
///     (0..dice).map(|_| rng.next_u64() % 6 + 1).collect()
/// }
///
/// let seed = RunSeed::new(42).item("Tuesday");
/// assert_eq!(throw(5, seed), throw(10, seed)[..5]);
/// ```
#[derive(Clone)]
pub struct Generator {
    reader: blake3::OutputReader,
    buffer: [u8; BUFFER_BYTES],
    /// So many bytes of the buffer are taken.
    taken: usize,
}

impl Generator {
    pub(super) fn new(seed: Seed) -> Generator {
        let reader = Purpose::Generator.hasher().update(&seed.to_bytes()).finalize_xof();
        Generator { reader, buffer: [0; BUFFER_BYTES], taken: BUFFER_BYTES }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> [u8; N] {
        if let Some(bytes) = self.buffer[self.taken..].first_chunk() {
            self.taken += N;
            return *bytes;
        }
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        let rest = &self.buffer[self.taken..];
        let (first, others) = bytes.split_at_mut(rest.len().min(bytes.len()));
        first.copy_from_slice(&rest[..first.len()]);
        self.taken += first.len();
        if others.is_empty() {
            return;
        }
        // What fills buffers goes where it belongs at once.
        let (whole, last) = others.split_at_mut(others.len() - others.len() % BUFFER_BYTES);
        self.reader.fill(whole);
        if !last.is_empty() {
            self.reader.fill(&mut self.buffer);
            last.copy_from_slice(&self.buffer[..last.len()]);
            self.taken = last.len();
        }
    }
}

impl TryRng for Generator {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

/// Where it stands is nobody's business.
impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunSeed;
    use rand_core::Rng;

    fn seed() -> Seed {
        RunSeed::new(42).item(&7_u64)
    }

    fn stream(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        seed().rng().fill_bytes(&mut bytes);
        bytes
    }

    /// A change here changes the results of everyone's simulations.
    #[test]
    fn golden_vector() {
        assert_eq!(crate::key::hex(&stream(32)), GOLDEN);
    }

    const GOLDEN: &str = "afc8d4b4ffc63ef3af013ab1aca14528827f205548f5466c58eb5f9e12fc5e61";

    #[test]
    fn it_is_one_stream_however_it_is_read() {
        let expected = stream(20_000);
        for step in [1, 3, 64, 255, 256, 257, 511, 512, 513, 5000] {
            let mut rng = seed().rng();
            let mut bytes = vec![0; expected.len()];
            bytes.chunks_mut(step).for_each(|part| rng.fill_bytes(part));
            assert!(bytes == expected, "by {step}");
        }
        // Numbers of both widths and bytes in turn: every way to meet the end of the buffer.
        let mut rng = seed().rng();
        let mut bytes = Vec::new();
        for round in 0.. {
            match round % 3 {
                0 => bytes.extend(rng.next_u64().to_le_bytes()),
                1 => bytes.extend(rng.next_u32().to_le_bytes()),
                _ => {
                    let mut part = vec![0; round % 31];
                    rng.fill_bytes(&mut part);
                    bytes.extend(part);
                }
            }
            if bytes.len() > 10_000 {
                break;
            }
        }
        assert!(bytes == expected[..bytes.len()]);
        let mut rng = seed().rng();
        rng.next_u32();
        assert_eq!(rng.clone().next_u64(), rng.next_u64());
    }

    #[test]
    fn seeds_have_streams_of_their_own() {
        let next = |seed: Seed| seed.rng().next_u64();
        assert_ne!(next(seed()), next(seed().child(&0)));
        assert_ne!(next(seed()), seed().to_u64(), "a stream does not tell its seed");
    }

    /// No proof of randomness, which is blake3's; but a buffer that is read twice or not filled shows.
    #[test]
    fn the_bytes_are_spread_evenly() {
        let bytes = stream(1 << 20);
        let mut counts = [0_u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        // 4096 of each are expected; of 256 counts none lies 6 deviations of 64 away.
        assert!(counts.iter().all(|count| count.abs_diff(4096) < 6 * 64), "{counts:?}");
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        // 2^22 are expected, with a deviation of 1448.
        assert!(ones.abs_diff(1 << 22) < 6 * 1448, "{ones}");
        let blocks: std::collections::HashSet<&[u8]> = bytes.chunks(8).collect();
        assert_eq!(blocks.len(), bytes.len() / 8);
    }
}
