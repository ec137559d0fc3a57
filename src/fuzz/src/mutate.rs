//! Wrong inputs from right ones.

use crate::MAX_INPUT_BYTES;
use crate::random::Random;

/// Bytes that readers compare with.
const BYTES: &[u8] = &[0, 1, 0x7f, 0x80, 0xff, b' ', b'\n', b'\r', b'/', b'.', b':', b'=', b'"', b'0', b'9', b'A'];
/// Numbers at which lengths and offsets go wrong.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
/// The same in text.
const WORDS: &[&str] =
    &["0", "-1", "1", "07777777777", "77777777777", "4294967295", "4294967296", "9999999999", "18446744073709551616"];
/// One after another.
const MOST_MUTATIONS: usize = 6;

/// The input with the number `at`.
pub(crate) fn input(corpus: &[Vec<u8>], tokens: &[Vec<u8>], seed: u64, at: u64) -> Vec<u8> {
    let mut random = Random::new(seed, at);
    let mut bytes = random.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=random.below(MOST_MUTATIONS) {
        mutate(&mut bytes, corpus, tokens, &mut random);
        bytes.truncate(MAX_INPUT_BYTES);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], tokens: &[Vec<u8>], random: &mut Random) {
    match random.below(13) {
        0 => {
            let at = random.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            let at = random.below(bytes.len());
            let value = random.pick(BYTES).copied().unwrap_or_default();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        2 | 3 => number(bytes, random),
        4 | 5 => digits(bytes, random),
        6 => bytes.truncate(random.below(bytes.len())),
        7 => drop(bytes.drain(random.range(bytes.len()))),
        8 => {
            let part = bytes.get(random.range(bytes.len())).unwrap_or_default().to_vec();
            insert(bytes, &part, random);
        }
        9 => {
            // Nesting and repetition.
            let part = bytes.get(random.range(bytes.len())).unwrap_or_default().to_vec();
            let count = 1 << random.below(14);
            insert(bytes, &part.repeat(count.min(MAX_INPUT_BYTES / part.len().max(1))), random);
        }
        10 => {
            let noise: Vec<u8> = (0..random.below(16)).map(|_| random.number().to_le_bytes()[0]).collect();
            insert(bytes, &noise, random);
        }
        11 => {
            let token = random.pick(tokens).cloned().unwrap_or_default();
            // In the place of something else, or between.
            if random.below(2) == 0 {
                bytes.drain(random.range(bytes.len()));
            }
            insert(bytes, &token, random);
        }
        _ => {
            let other = random.pick(corpus).cloned().unwrap_or_default();
            bytes.truncate(random.below(bytes.len() + 1));
            bytes.extend(other.get(random.below(other.len() + 1)..).unwrap_or_default());
        }
    }
}

fn insert(bytes: &mut Vec<u8>, part: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    bytes.splice(at..at, part.iter().copied());
}

/// A binary number of 2, 4 or 8 bytes, of either order; often one near the input's length.
fn number(bytes: &mut [u8], random: &mut Random) {
    let width = 2 << random.below(3);
    let value = match random.below(4) {
        0 => (bytes.len() as u64).wrapping_add(random.below(5) as u64).wrapping_sub(2),
        1 => random.number(),
        _ => random.pick(NUMBERS).copied().unwrap_or_default(),
    };
    // Most formats align their fields.
    let step = if random.below(4) == 0 { 1 } else { width };
    let at = random.below(bytes.len() / step + 1) * step;
    let encoded = if random.below(3) == 0 { value.to_be_bytes() } else { value.to_le_bytes() };
    let encoded = if random.below(2) == 0 { &encoded[..width] } else { &encoded[8 - width..] };
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(encoded);
    }
}

/// A number in text, kept as wide as it was or not.
fn digits(bytes: &mut Vec<u8>, random: &mut Random) {
    let from = random.below(bytes.len());
    let Some(start) = bytes.iter().skip(from).position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let length = bytes.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    let mut word = random.pick(WORDS).map_or(Vec::new(), |word| word.as_bytes().to_vec());
    if random.below(2) == 0 {
        word.resize(length, b' ');
    }
    bytes.splice(start..start + length, word);
}

/// Makes the checksums of tar headers right again (POSIX.1, pax, "ustar Interchange Format": the sum of the header's 512
/// bytes with the field itself as spaces), so that what is wrong in them reaches the reader.
pub fn fix_tar(bytes: &mut [u8]) {
    for header in bytes.chunks_exact_mut(512) {
        if header.get(257..262) != Some(b"ustar") {
            continue;
        }
        let Some(field) = header.get_mut(148..156) else { continue };
        field.fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        if let Some(field) = header.get_mut(148..156) {
            field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
