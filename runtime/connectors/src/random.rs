//! Random numbers that depend on a position alone, so that a generator can start anywhere.

/// One independent stream of random numbers: the n-th is a function of the stream's key and n (SplitMix64,
/// whose state is a counter: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RandomStream {
    key: u64,
}

#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl RandomStream {
    /// The stream `name` of `seed`: different names give unrelated streams.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name; the mixing after it spreads what FNV leaves close together.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        RandomStream { key: mix(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ hash) }
    }

    /// 64 random bits for position `n`.
    #[inline(always)]
    pub fn bits(&self, n: u64) -> u64 {
        mix(self.key.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// Uniform in `0..bound`; `bound` is at least 1.
    #[inline(always)]
    pub fn below(&self, n: u64, bound: u64) -> u64 {
        scale(self.bits(n), bound)
    }

    /// Uniform in `0.0..1.0`.
    #[inline(always)]
    pub fn unit(&self, n: u64) -> f64 {
        (self.bits(n) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// Random bits scaled to `0..bound`.
#[inline(always)]
pub(crate) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions in checkpoints mean these numbers: they must never change.
    #[test]
    fn numbers_are_pinned() {
        let stream = RandomStream::new(1, "price");
        let numbers = [stream.bits(0), stream.bits(1), stream.bits(u64::MAX)];
        assert_eq!(
            numbers,
            [17_184_339_124_460_982_323, 1_910_126_213_155_264_751, 5_640_498_883_842_085_354]
        );
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let stream = RandomStream::new(7, "x");
        let mut counts = [0u32; 10];
        let mut sum = 0.0;
        for n in 0..100_000 {
            counts[stream.below(n, 10) as usize] += 1;
            sum += stream.unit(n);
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert!((sum / 100_000.0 - 0.5).abs() < 0.01, "{sum}");
        assert_ne!(stream.bits(5), RandomStream::new(7, "y").bits(5));
        assert_ne!(stream.bits(5), RandomStream::new(8, "x").bits(5));
    }
}
