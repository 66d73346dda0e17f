//! Reverse-mode differentiation: one evaluation of a function gives its gradient in all variables.
//!
//! A function that is generic over [`Real`] runs on plain numbers, or on a [`Tape`] that records each operation with
//! its partial derivatives; the gradient then follows backwards through the record (Griewank and Walther, Evaluating
//! Derivatives, 2nd edition, 2008, chapter 3).

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number, or one whose operations are recorded.
pub(crate) trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// Gives the number alone.
    fn value(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// A constant power.
    fn powf(self, exponent: f64) -> Self;
    /// A power; the base is positive.
    fn pow(self, exponent: Self) -> Self;
    /// 1 / (1 + exp(−x)).
    fn logistic(self) -> Self;

    /// A constant beside it.
    fn like(self, constant: f64) -> Self;

    /// The larger one.
    fn max(self, other: Self) -> Self {
        if self.value() >= other.value() { self } else { other }
    }

    /// Its square.
    fn squared(self) -> Self {
        self * self
    }
}

/// ln(1 + exp(x)) without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 / (1 + exp(−x)).
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Real for f64 {
    fn value(self) -> f64 {
        self
    }

    fn like(self, constant: f64) -> Self {
        constant
    }

    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn powf(self, exponent: f64) -> Self {
        self.powf(exponent)
    }

    fn pow(self, exponent: Self) -> Self {
        self.powf(exponent)
    }

    fn logistic(self) -> Self {
        logistic(self)
    }
}

/// An operation: its operands by position, and the partial derivatives.
#[derive(Debug, Clone, Copy)]
struct Operation {
    operands: [u32; 2],
    partials: [f64; 2],
}

/// A record of operations, reused from one evaluation to the next.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    operations: RefCell<Vec<Operation>>,
}

impl Tape {
    /// Forgets the record and starts one with these variables, whose positions are their indices.
    pub(crate) fn restart(&self, variables: usize) {
        let mut operations = self.operations.borrow_mut();
        operations.clear();
        let variable = Operation { operands: [0, 0], partials: [0.0, 0.0] };
        operations.resize(variables, variable);
    }

    /// Variable `at` of the record, with its value.
    pub(crate) const fn variable(&self, at: usize, value: f64) -> Recorded<'_> {
        Recorded { tape: self, at: at as u32, value }
    }

    /// Writes the derivative of `of` in each of the first `gradient.len()` variables.
    pub(crate) fn gradient(&self, of: Recorded<'_>, adjoints: &mut Vec<f64>, gradient: &mut [f64]) {
        let operations = self.operations.borrow();
        let last = of.at as usize;
        adjoints.clear();
        adjoints.resize(last + 1, 0.0);
        adjoints[last] = 1.0;
        for at in (gradient.len()..=last).rev() {
            let adjoint = adjoints[at];
            if adjoint == 0.0 {
                continue;
            }
            let Operation { operands: [a, b], partials: [da, db] } = operations[at];
            adjoints[a as usize] += adjoint * da;
            adjoints[b as usize] += adjoint * db;
        }
        for (slope, adjoint) in gradient.iter_mut().zip(adjoints.iter()) {
            *slope = *adjoint;
        }
    }
}

/// A number on a tape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded<'t> {
    tape: &'t Tape,
    at: u32,
    value: f64,
}

impl Recorded<'_> {
    fn push(self, value: f64, operands: [u32; 2], partials: [f64; 2]) -> Self {
        let mut operations = self.tape.operations.borrow_mut();
        let at = operations.len() as u32;
        operations.push(Operation { operands, partials });
        Self { tape: self.tape, at, value }
    }

    fn of_one(self, value: f64, partial: f64) -> Self {
        self.push(value, [self.at, self.at], [partial, 0.0])
    }

    fn of_two(self, other: Self, value: f64, partials: [f64; 2]) -> Self {
        self.push(value, [self.at, other.at], partials)
    }
}

impl Add for Recorded<'_> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.of_two(other, self.value + other.value, [1.0, 1.0])
    }
}

impl Sub for Recorded<'_> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.of_two(other, self.value - other.value, [1.0, -1.0])
    }
}

impl Mul for Recorded<'_> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.of_two(other, self.value * other.value, [other.value, self.value])
    }
}

impl Div for Recorded<'_> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let quotient = self.value / other.value;
        self.of_two(other, quotient, [1.0 / other.value, -quotient / other.value])
    }
}

impl Neg for Recorded<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        self.of_one(-self.value, -1.0)
    }
}

impl Add<f64> for Recorded<'_> {
    type Output = Self;
    fn add(self, other: f64) -> Self {
        self.of_one(self.value + other, 1.0)
    }
}

impl Sub<f64> for Recorded<'_> {
    type Output = Self;
    fn sub(self, other: f64) -> Self {
        self.of_one(self.value - other, 1.0)
    }
}

impl Mul<f64> for Recorded<'_> {
    type Output = Self;
    fn mul(self, other: f64) -> Self {
        self.of_one(self.value * other, other)
    }
}

impl Div<f64> for Recorded<'_> {
    type Output = Self;
    fn div(self, other: f64) -> Self {
        self.of_one(self.value / other, 1.0 / other)
    }
}

impl Real for Recorded<'_> {
    fn value(self) -> f64 {
        self.value
    }

    fn like(self, constant: f64) -> Self {
        self.push(constant, [0, 0], [0.0, 0.0])
    }

    fn sqrt(self) -> Self {
        let root = self.value.sqrt();
        // a root of zero has no finite slope; nothing that is zero depends on a variable here
        let slope = if root > 0.0 { 0.5 / root } else { 0.0 };
        self.of_one(root, slope)
    }

    fn powf(self, exponent: f64) -> Self {
        let power = self.value.powf(exponent);
        self.of_one(power, exponent * power / self.value)
    }

    fn pow(self, exponent: Self) -> Self {
        let power = self.value.powf(exponent.value);
        let partials = [exponent.value * power / self.value, power * self.value.ln()];
        self.of_two(exponent, power, partials)
    }

    fn logistic(self) -> Self {
        let share = logistic(self.value);
        self.of_one(share, share * (1.0 - share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function<R: Real>([x, y, z]: [R; 3]) -> R {
        let a = (x * 3.0 + y).powf(0.3) * z.logistic() - (x / y).sqrt();
        let b = (-z).logistic() + x.pow(y) / (z.squared() + 2.0);
        a.max(b) + (y - 0.5).powf(1.7) / 4.0 - x * z
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for at in [[1.3, 0.9, -0.4], [0.2, 2.5, 1.1], [4.0, 0.7, 0.0]] {
            let tape = Tape::default();
            tape.restart(3);
            let recorded = function([0, 1, 2].map(|i| tape.variable(i, at[i])));
            assert_eq!(recorded.value(), function(at));
            let mut gradient = [0.0; 3];
            tape.gradient(recorded, &mut Vec::new(), &mut gradient);
            for i in 0..3 {
                let step = 1e-6;
                let moved = |by: f64| {
                    let mut x = at;
                    x[i] += by;
                    function(x)
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                approx::assert_relative_eq!(
                    gradient[i],
                    difference,
                    max_relative = 1e-7,
                    epsilon = 1e-8
                );
            }
        }
    }
}
