//! The random numbers of `numpy.random.default_rng(seed)`: PCG64 seeded through a `SeedSequence`.
//!
//! The study draws the seeds of its splits from this generator, so its splits can only be repeated
//! with it. Sources: numpy/random/bit_generator.pyx (`SeedSequence`),
//! numpy/random/src/pcg64/pcg64.h (XSL-RR 128/64) and
//! numpy/random/src/distributions/distributions.c (`buffered_bounded_lemire_uint32`).

/// Generates what `numpy.random.default_rng(seed).integers(0, bound)` gives, call after call.
#[derive(Debug, Clone)]
pub(super) struct Pcg64 {
    state: u128,
    increment: u128,
    /// Upper half of the last 64-bit draw, where it has not been used yet.
    spare: Option<u32>,
}

impl Pcg64 {
    pub(super) fn new(seed: u64) -> Self {
        let [state_high, state_low, stream_high, stream_low] = seed_words(seed);
        let join = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let increment = join(stream_high, stream_low) << 1 | 1;
        let mut rng = Self { state: 0, increment, spare: None };
        rng.step();
        rng.state = rng.state.wrapping_add(join(state_high, state_low));
        rng.step();
        rng
    }

    /// Draws a whole number below `bound` by Lemire's multiplication (arXiv 1805.10941); zero when
    /// `bound` is zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        let rejected_below = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(bound);
            if product as u32 >= rejected_below {
                return (product >> 32) as u32;
            }
        }
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(upper) = self.spare.take() {
            return upper;
        }
        let word = self.next_u64();
        self.spare = Some((word >> 32) as u32);
        word as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    fn step(&mut self) {
        const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }
}

/// Gives `SeedSequence(seed).generate_state(4, numpy.uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    const POOL: usize = 4;
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mut constant = 0x43b0_d7e5_u32;
    for word in &mut pool {
        *word = hash(*word, &mut constant, 0x931e_8875);
    }
    for source in 0..POOL {
        for target in 0..POOL {
            if source != target {
                let hashed = hash(pool[source], &mut constant, 0x931e_8875);
                pool[target] = mix(pool[target], hashed);
            }
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let mut half = |word: usize| u64::from(hash(pool[word % POOL], &mut constant, 0x58f3_8ded));
    std::array::from_fn(|word| half(2 * word) | half(2 * word + 1) << 32)
}

fn hash(word: u32, constant: &mut u32, multiplier: u32) -> u32 {
    let mixed = word ^ *constant;
    *constant = constant.wrapping_mul(multiplier);
    let mixed = mixed.wrapping_mul(*constant);
    mixed ^ mixed >> 16
}

fn mix(x: u32, y: u32) -> u32 {
    let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
    mixed ^ mixed >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    // All expected values: NumPy 2.4.6.

    #[test]
    fn seed_sequence_is_that_of_numpy() {
        // numpy.random.SeedSequence(2026).generate_state(4, numpy.uint64)
        assert_eq!(
            seed_words(2026),
            [0x838e72eaa293040d, 0x59bf224c1e488ba7, 0x5f633c176582396c, 0x6ebb35e84c2a4205]
        );
    }

    #[test]
    fn raw_words_are_those_of_numpy() {
        // numpy.random.PCG64(2026).random_raw(3)
        let mut rng = Pcg64::new(2026);
        let words = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(words, [0x2dceac04da12f9aa, 0xa3d1596706c34cbf, 0x779ee6e55d8ff1ea]);
    }

    #[test]
    fn bounded_draws_are_those_of_numpy() {
        let draw = |seed, bound, n| {
            let mut rng = Pcg64::new(seed);
            (0..n).map(|_| rng.below(bound)).collect::<Vec<u32>>()
        };
        assert_eq!(
            draw(2026, i32::MAX as u32, 5),
            [1829338324, 384259585, 56731231, 1374203058, 784857332]
        );
        assert_eq!(draw(7, 3, 12), [2, 1, 2, 2, 1, 2, 2, 0, 0, 0, 0, 2]);
        // A seed of two words, and a bound that rejects a quarter of the draws.
        assert_eq!(
            draw((1 << 40) + 5, 3 << 30, 8),
            [
                45609584, 15266867, 1449456208, 2949844697, 1891598386, 487692404, 1352785900,
                2863990635
            ]
        );
    }
}
