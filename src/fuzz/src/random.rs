//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): nearby seeds give unrelated
//! sequences.

/// A generator; the same seed gives the same numbers.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed at a place.
    pub fn new(seed: u64, at: u64) -> Self {
        let mut random = Self(seed);
        Self(random.number() ^ at)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Below `end`; 0 if there is nothing below.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.number() % end as u64) as usize }
    }

    /// A part of `length` items, mostly short.
    pub fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = if self.below(4) == 0 { length } else { 16 };
        start..length.min(start + self.below(longest + 1))
    }

    /// One of them; none of none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
