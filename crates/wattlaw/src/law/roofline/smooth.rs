//! Smooth maxima and minima: of times that overlap, and of a limit that is felt before it is reached.
//!
//! Each is one operation of a tape, with the derivatives that are written here.

use crate::stats::tape::Real;

/// (a^q + b^q + c^q)^(1/q) without overflow: between the largest and the sum of positive numbers.
pub(super) fn smooth_maximum<R: Real>([a, b]: [R; 2], c: Option<R>, q: R) -> R {
    let (sharp, third) = (q.value(), c.map_or(0.0, Real::value));
    let all = [a.value(), b.value(), third];
    let largest = all[0].max(all[1]).max(all[2]);
    let (mut sum, mut of_logs, mut shares) = (0.0, 0.0, [0.0; 3]);
    for (share, of) in shares.iter_mut().zip(all) {
        if of == largest {
            *share = 1.0;
        } else if of > 0.0 {
            let log = (of / largest).ln();
            *share = (sharp * log).exp();
            of_logs += *share * log;
        }
        sum += *share;
    }
    let log_sum = sum.ln();
    let value = largest * (log_sum / sharp).exp();
    let slope = |k: usize| if all[k] > 0.0 { value * shares[k] / (sum * all[k]) } else { 0.0 };
    let in_sharpness = value * (of_logs / sum - log_sum / sharp) / sharp;
    let of_two = a.function_with(b, value, [slope(0), slope(1)]);
    match c {
        Some(c) => {
            let rest = c.function_with(q, 0.0, [slope(2), in_sharpness]);
            of_two.function_with(rest, value, [1.0, 1.0])
        }
        None => of_two.function_with(q, value, [1.0, in_sharpness]),
    }
}

/// (a⁴ + b⁴)^(1/4) without overflow: the slower of two transfers that go on at once.
pub(super) fn slower<R: Real>(a: R, b: R) -> R {
    let (large, small) = if a.value() > b.value() { (a, b) } else { (b, a) };
    let ratio = small.value() / large.value();
    let bend = ((ratio * ratio).powi(2) + 1.0).sqrt().sqrt();
    let by_large = (bend * bend * bend).recip();
    large.function_with(small, large.value() * bend, [by_large, by_large * ratio.powi(3)])
}

/// (x⁻⁸ + limit⁻⁸)^(-1/8): a minimum with a bend. The sharpness is assumed.
pub(super) fn smooth_minimum<R: Real>(x: R, limit: f64) -> R {
    // the larger one is drawn out, so that no power overflows
    let over = x.value() > limit;
    let ratio = if over { limit / x.value() } else { x.value() / limit };
    let bend = (ratio.powi(8) + 1.0).sqrt().sqrt().sqrt().recip();
    let (value, share) = if over { (bend * limit, bend * ratio) } else { (bend * x.value(), bend) };
    x.function(value, share.powi(9))
}

/// share · base^−slope, of the logarithm of the base.
pub(super) fn falling<R: Real>(share: R, log: f64, slope: R) -> R {
    let power = (-slope.value() * log).exp();
    let value = share.value() * power;
    share.function_with(slope, value, [power, -log * value])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::LN_2;

    use approx::assert_relative_eq;

    #[test]
    fn smooth_extremes_are_the_norms_that_they_say() {
        let of_three = smooth_maximum([3.0, 4.0], Some(2.0), 2.0_f64);
        assert_relative_eq!(of_three, 29.0_f64.sqrt(), max_relative = 1e-14);
        assert_relative_eq!(smooth_maximum([3.0, 4.0], None, 2.0), 5.0, max_relative = 1e-14);
        assert_relative_eq!(smooth_maximum([1e200, 0.0], None, 9.0), 1e200);
        assert_relative_eq!(slower(1.0, 2.0), 17.0_f64.powf(0.25), max_relative = 1e-14);
        for x in [1.0, 2.0, 5.0] {
            let of_eight = (f64::powi(x, -8) + f64::powi(2.0, -8)).powf(-0.125);
            assert_relative_eq!(smooth_minimum(x, 2.0), of_eight, max_relative = 1e-14);
        }
        assert_relative_eq!(falling(3.0, LN_2, 0.5), 3.0 / 2.0_f64.sqrt(), max_relative = 1e-14);
    }
}
