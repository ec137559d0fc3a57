//! The sum of the root image, by which PID 1 notices a damaged boot medium: XXH64 with seed 0, as xxh64sum(1) prints it. It
//! is against damage, not against people; it costs a few operations for each eight bytes, also without a processor's help.
//!
//! Reference: xxHash `doc/xxhash_spec.md`, "XXH64 Algorithm Description". Words are little-endian.

use crate::fields::{Malformed, lines, number, push};

const PRIMES: [u64; 5] =
    [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5];
const STRIPE: usize = 32;

/// Size and sum of the root image, the content of [`crate::paths::ROOT_SUM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootSum {
    /// Bytes.
    pub size: u64,
    /// Their XXH64.
    pub xxh64: u64,
}

impl RootSum {
    /// Of a whole image.
    pub fn of(image: &[u8]) -> Self {
        let mut sum = Xxh64::default();
        sum.update(image);
        Self { size: image.len() as u64, xxh64: sum.finish() }
    }

    /// The text of the file.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push(&mut out, "size", self.size);
        push(&mut out, "xxh64", format_args!("{:016x}", self.xxh64));
        out
    }

    /// Reads the text of the file; both lines must be there.
    pub fn decode(text: &str) -> Result<Self, Malformed> {
        let (mut size, mut xxh64) = (None, None);
        for (line, key, value) in lines(text) {
            match key {
                "size" => size = Some(number(line, key, value)?),
                "xxh64" => xxh64 = u64::from_str_radix(value, 16).ok(),
                _ => return Err(Malformed { line, reason: format!("unknown key {key:?}") }),
            }
        }
        match (size, xxh64) {
            (Some(size), Some(xxh64)) => Ok(Self { size, xxh64 }),
            _ => Err(Malformed { line: text.lines().count(), reason: "expected a size and an xxh64".into() }),
        }
    }
}

/// A sum in the making.
#[derive(Debug, Clone)]
pub struct Xxh64 {
    lanes: [u64; 4],
    /// The beginning of the next stripe: the first `total % 32` bytes.
    pending: [u8; STRIPE],
    total: u64,
}

impl Default for Xxh64 {
    fn default() -> Self {
        let lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, PRIMES[0].wrapping_neg()];
        Self { lanes, pending: [0; STRIPE], total: 0 }
    }
}

impl Xxh64 {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let have = (self.total % STRIPE as u64) as usize;
        self.total = self.total.wrapping_add(bytes.len() as u64);
        if have > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(STRIPE - have));
            self.pending[have..have + head.len()].copy_from_slice(head);
            bytes = rest;
            if have + head.len() < STRIPE {
                return;
            }
            self.lanes = stripe(self.lanes, &self.pending);
        }
        let mut lanes = self.lanes;
        let mut stripes = bytes.chunks_exact(STRIPE);
        for bytes in &mut stripes {
            lanes = stripe(lanes, bytes);
        }
        self.lanes = lanes;
        let rest = stripes.remainder();
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    /// The sum of all that was added.
    pub fn finish(&self) -> u64 {
        let mut sum = if self.total < STRIPE as u64 {
            PRIMES[4]
        } else {
            let [a, b, c, d] = self.lanes;
            let turned = [a.rotate_left(1), b.rotate_left(7), c.rotate_left(12), d.rotate_left(18)];
            let start = turned.into_iter().fold(0, u64::wrapping_add);
            let merge = |sum: u64, lane| (sum ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
            self.lanes.into_iter().fold(start, merge)
        };
        sum = sum.wrapping_add(self.total);
        let mut rest = &self.pending[..(self.total % STRIPE as u64) as usize];
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            sum ^= round(0, u64::from_le_bytes(*word));
            sum = sum.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
            rest = after;
        }
        if let Some((word, after)) = rest.split_first_chunk::<4>() {
            sum ^= u64::from(u32::from_le_bytes(*word)).wrapping_mul(PRIMES[0]);
            sum = sum.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
            rest = after;
        }
        for &byte in rest {
            sum ^= u64::from(byte).wrapping_mul(PRIMES[4]);
            sum = sum.rotate_left(11).wrapping_mul(PRIMES[0]);
        }
        sum = (sum ^ (sum >> 33)).wrapping_mul(PRIMES[1]);
        sum = (sum ^ (sum >> 29)).wrapping_mul(PRIMES[2]);
        sum ^ (sum >> 32)
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// Four words, each into its lane.
fn stripe(mut lanes: [u64; 4], bytes: &[u8]) -> [u64; 4] {
    for (lane, word) in lanes.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *lane = round(*lane, u64::from_le_bytes(*word));
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::{RootSum, Xxh64};

    fn sum(bytes: &[u8]) -> u64 {
        RootSum::of(bytes).xxh64
    }

    /// As xxh64sum(1) of xxHash 0.8 prints them.
    #[test]
    fn known_sums() {
        let counting: Vec<u8> = (0..=255).collect();
        for (bytes, expected) in [
            (&b""[..], 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"abc", 0x44bc_2cf5_ad77_0999),
            (&counting[..31], 0xc346_d2b5_9b4d_8ee1),
            (&counting[..32], 0xcbf5_9c51_16ff_32b4),
            (&counting[..77], 0x93f8_5c1b_6280_ead3),
            (&counting, 0x1fac_be84_06cd_904b),
        ] {
            assert_eq!(sum(bytes), expected, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn pieces_make_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|number| (number * 7) as u8).collect();
        for size in [1, 3, 8, 31, 32, 33, 64, 999] {
            let mut pieces = Xxh64::default();
            bytes.chunks(size).for_each(|piece| pieces.update(piece));
            assert_eq!(pieces.finish(), sum(&bytes), "pieces of {size}");
        }
    }

    #[test]
    fn each_bit_counts() {
        let whole = vec![0x5a; 100];
        for bit in 0..800 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&damaged), sum(&whole), "bit {bit}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let whole = RootSum { size: 5, xxh64: 0xab };
        assert_eq!(whole.encode(), "size 5\nxxh64 00000000000000ab\n");
        assert_eq!(RootSum::decode(&whole.encode()), Ok(whole));
        for wrong in ["", "size 5\n", "xxh64 1\n", "size x\nxxh64 1\n", "size 1\nxxh64 no\n", "size 1\nxxh64 1\nmore\n"]
        {
            assert!(RootSum::decode(wrong).is_err(), "{wrong:?}");
        }
    }
}
