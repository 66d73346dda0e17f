//! e^−z without a call of a library, so that a loop over many numbers runs in vector registers, and gives the same bits on
//! every machine.
//!
//! e^−z = 2^k · e^r, with k the whole number nearest to −z / ln 2 and |r| ≤ ½ ln 2, where e^r is its Taylor polynomial: the
//! first term left out is below 10⁻¹⁷. ln 2 is subtracted in two parts (Cody and Waite, Software Manual for the Elementary
//! Functions, 1980, chapter 6).

/// From here on e^−z counts as that of this number, 3 · 10⁻³⁰⁸.
const LARGEST: f64 = 708.0;

/// 1.5 · 2⁵²: a number that is added to it is rounded to a whole one, which its last bits then hold.
const ROUNDS: f64 = 6_755_399_441_055_744.0;

/// ln 2 in two parts: the first has few enough bits that its multiples are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// The reciprocals of 13! to 0!.
const TAYLOR: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// e^−z of a number that is not negative.
#[inline]
pub(super) fn decay(z: f64) -> f64 {
    // what is no number stays none
    let x = if z > LARGEST { -LARGEST } else { -z };
    let rounded = x * std::f64::consts::LOG2_E + ROUNDS;
    let k = rounded - ROUNDS;
    let r = (x - k * LN_2[0]) - k * LN_2[1];
    let mut series = TAYLOR[0];
    for term in &TAYLOR[1..] {
        series = series * r + term;
    }
    // the exponent of a number has 1,023 added, and 52 bits below it
    series * f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential() {
        for i in 0..=70_800 {
            let z = f64::from(i) * 0.01;
            approx::assert_relative_eq!(decay(z), (-z).exp(), max_relative = 6e-16);
        }
        assert_eq!(decay(0.0), 1.0);
        assert!(decay(1e9) > 0.0 && decay(f64::INFINITY) < 1e-300);
        assert!(decay(f64::NAN).is_nan());
    }
}
