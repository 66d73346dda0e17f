//! Physical quantities as types: SI units inside; only meaningful products compile.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("A quantity of `value` ", $unit, ".")]
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            #[doc = concat!("The number of ", $unit, ".")]
            pub const fn value(self) -> f64 {
                self.0
            }

            /// Zero.
            pub const ZERO: Self = Self(0.0);

            /// The larger of two.
            #[must_use]
            pub const fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The smaller of two.
            #[must_use]
            pub const fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Mul<$name> for f64 {
            type Output = $name;
            fn mul(self, quantity: $name) -> $name {
                $name(self * quantity.0)
            }
        }

        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }

        impl Div for $name {
            type Output = f64;
            fn div(self, other: Self) -> f64 {
                self.0 / other.0
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                // the empty sum of floats is −0, which would print as "-0"
                Self(items.map(|q| q.0).fold(0.0, |a, b| a + b))
            }
        }
    };
}

macro_rules! product {
    ($a:ident * $b:ident = $c:ident) => {
        impl Mul<$b> for $a {
            type Output = $c;
            fn mul(self, other: $b) -> $c {
                $c(self.0 * other.0)
            }
        }

        impl Mul<$a> for $b {
            type Output = $c;
            fn mul(self, other: $a) -> $c {
                $c(self.0 * other.0)
            }
        }

        impl Div<$a> for $c {
            type Output = $b;
            fn div(self, other: $a) -> $b {
                $b(self.0 / other.0)
            }
        }

        impl Div<$b> for $c {
            type Output = $a;
            fn div(self, other: $b) -> $a {
                $a(self.0 / other.0)
            }
        }
    };
}

quantity!(
    /// Energy in joules.
    Joules,
    "joules"
);
quantity!(
    /// Power in watts.
    Watts,
    "watts"
);
quantity!(
    /// Time in seconds.
    Seconds,
    "seconds"
);
quantity!(
    /// A count of floating-point operations; a fused multiply-add is two.
    Flops,
    "floating-point operations"
);
quantity!(
    /// A rate of floating-point operations per second.
    FlopsPerSecond,
    "floating-point operations per second"
);
quantity!(
    /// An amount of data in bytes.
    Bytes,
    "bytes"
);
quantity!(
    /// A rate of data in bytes per second.
    BytesPerSecond,
    "bytes per second"
);

product!(Watts * Seconds = Joules);
product!(FlopsPerSecond * Seconds = Flops);
product!(BytesPerSecond * Seconds = Bytes);

/// Joules in a kilowatt-hour, by definition.
pub const JOULES_PER_KWH: f64 = 3.6e6;

/// Seconds in an hour.
pub(crate) const SECONDS_PER_HOUR: f64 = 3600.0;

/// Bytes in a gibibyte (GiB), 2³⁰.
pub(crate) const BYTES_PER_GIB: f64 = 1_073_741_824.0;

impl Joules {
    /// Energy given in kilowatt-hours.
    pub const fn from_kwh(kwh: f64) -> Self {
        Self(kwh * JOULES_PER_KWH)
    }

    /// Energy in kilowatt-hours.
    pub const fn kwh(self) -> f64 {
        self.0 / JOULES_PER_KWH
    }
}

impl Bytes {
    /// An amount given in gibibytes (2³⁰ bytes).
    pub(crate) const fn from_gib(gib: f64) -> Self {
        Self(gib * BYTES_PER_GIB)
    }

    /// The amount in gibibytes (2³⁰ bytes).
    pub const fn gib(self) -> f64 {
        self.0 / BYTES_PER_GIB
    }
}

impl BytesPerSecond {
    /// A rate given in GB/s (10⁹ bytes per second).
    pub(crate) const fn from_gb_per_s(gb: f64) -> Self {
        Self(gb * 1e9)
    }

    /// The rate in GB/s (10⁹ bytes per second).
    pub const fn gb_per_s(self) -> f64 {
        self.0 / 1e9
    }
}

impl FlopsPerSecond {
    /// A rate given in TFLOP/s (10¹² per second).
    pub(crate) const fn from_tflops(tflops: f64) -> Self {
        Self(tflops * 1e12)
    }

    /// The rate in TFLOP/s.
    pub const fn tflops(self) -> f64 {
        self.0 / 1e12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_times_time_is_energy_and_back() {
        let energy = Watts::new(250.0) * Seconds::new(8.0);
        assert_eq!(energy, Joules::new(2000.0));
        assert_eq!(energy / Seconds::new(8.0), Watts::new(250.0));
        assert_eq!(energy / Watts::new(250.0), Seconds::new(8.0));
    }

    #[test]
    fn conversions_are_the_defined_ones() {
        assert_eq!(Joules::from_kwh(2.0).value(), 7.2e6);
        assert_eq!(Bytes::from_gib(1.0).value(), 1_073_741_824.0);
        assert_eq!(Bytes::new(3.0 * 1_073_741_824.0).gib(), 3.0);
        assert_eq!(BytesPerSecond::from_gb_per_s(600.0) * Seconds::new(2.0), Bytes::new(1.2e12));
        assert_eq!(Flops::new(6e12) / FlopsPerSecond::from_tflops(3.0), Seconds::new(2.0));
    }
}
