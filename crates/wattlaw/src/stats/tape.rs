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

    /// A constant beside it.
    fn like(self, constant: f64) -> Self;

    /// A function of it, with its value and derivative.
    fn function(self, value: f64, slope: f64) -> Self;

    /// A function of both, with its value and partial derivatives.
    fn function_with(self, other: Self, value: f64, slopes: [f64; 2]) -> Self;

    /// It and `factor` times another.
    fn plus(self, factor: f64, other: Self) -> Self {
        self.function_with(other, self.value() + factor * other.value(), [1.0, factor])
    }
}

/// 1 / (1 + exp(−x)).
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Real for f64 {
    #[inline]
    fn value(self) -> f64 {
        self
    }

    #[inline]
    fn like(self, constant: f64) -> Self {
        constant
    }

    #[inline]
    fn function(self, value: f64, _: f64) -> Self {
        value
    }

    #[inline]
    fn function_with(self, _: Self, value: f64, _: [f64; 2]) -> Self {
        value
    }
}

/// An operation: its operands by position, and the partial derivatives.
#[derive(Debug, Clone, Copy)]
struct Operation {
    operands: [u32; 2],
    partials: [f64; 2],
}

/// A variable or constant: nothing that it depends on is recorded.
const NO_OPERATION: Operation = Operation { operands: [0, 0], partials: [0.0, 0.0] };

/// The position of all constants.
const CONSTANT: u32 = 0;

/// A record of operations, reused from one evaluation to the next.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    /// The constant, the variables, then the operations.
    operations: RefCell<Vec<Operation>>,
}

impl Tape {
    /// Forgets the record and starts one with this number of variables.
    pub(crate) fn restart(&self, variables: usize) {
        let mut operations = self.operations.borrow_mut();
        operations.truncate(variables + 1);
        operations.resize(variables + 1, NO_OPERATION);
    }

    /// Variable `index` of the record, with its value.
    #[inline]
    pub(crate) const fn variable(&self, index: usize, value: f64) -> Recorded<'_> {
        Recorded { tape: self, at: index as u32 + 1, value }
    }

    /// Derivatives of two numbers in each of the variables, of which there are `variables`; in memory that is reused.
    pub(crate) fn gradients<'m>(
        &self,
        of: [Recorded<'_>; 2],
        variables: usize,
        adjoints: &'m mut Vec<[f64; 2]>,
    ) -> &'m [[f64; 2]] {
        let operations = self.operations.borrow();
        let last = (of[0].at.max(of[1].at) as usize).max(variables);
        adjoints.clear();
        adjoints.resize(last + 1, [0.0; 2]);
        let adjoints = adjoints.as_mut_slice();
        for (k, of) in of.into_iter().enumerate() {
            adjoints[of.at as usize][k] += 1.0;
        }
        let recorded = operations[variables + 1..=last].iter().enumerate();
        for (at, Operation { operands, partials }) in recorded.rev() {
            let adjoint = adjoints[variables + 1 + at];
            for (operand, partial) in operands.iter().zip(partials) {
                // nothing is asked of a constant
                if *operand != CONSTANT {
                    let sum = &mut adjoints[*operand as usize];
                    *sum = [sum[0] + adjoint[0] * partial, sum[1] + adjoint[1] * partial];
                }
            }
        }
        &adjoints[1..=variables]
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
    #[inline]
    fn push(self, value: f64, operands: [u32; 2], partials: [f64; 2]) -> Self {
        let mut operations = self.tape.operations.borrow_mut();
        let at = operations.len() as u32;
        operations.push(Operation { operands, partials });
        Self { tape: self.tape, at, value }
    }
}

impl Add for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        self.plus(1.0, other)
    }
}

impl Sub for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self.plus(-1.0, other)
    }
}

impl Mul for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        self.function_with(other, self.value * other.value, [other.value, self.value])
    }
}

impl Div for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        let (quotient, inverse) = (self.value / other.value, 1.0 / other.value);
        self.function_with(other, quotient, [inverse, -quotient * inverse])
    }
}

impl Neg for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        self.function(-self.value, -1.0)
    }
}

impl Add<f64> for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn add(self, other: f64) -> Self {
        // the derivatives stay
        Self { value: self.value + other, ..self }
    }
}

impl Sub<f64> for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn sub(self, other: f64) -> Self {
        Self { value: self.value - other, ..self }
    }
}

impl Mul<f64> for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn mul(self, other: f64) -> Self {
        self.function(self.value * other, other)
    }
}

impl Div<f64> for Recorded<'_> {
    type Output = Self;
    #[inline]
    fn div(self, other: f64) -> Self {
        self.function(self.value / other, 1.0 / other)
    }
}

impl Real for Recorded<'_> {
    #[inline]
    fn value(self) -> f64 {
        self.value
    }

    #[inline]
    fn like(self, constant: f64) -> Self {
        Self { tape: self.tape, at: CONSTANT, value: constant }
    }

    #[inline]
    fn plus(self, factor: f64, other: Self) -> Self {
        let value = self.value + factor * other.value;
        // a constant adds nothing to the derivatives
        if other.at == CONSTANT {
            return Self { value, ..self };
        }
        self.function_with(other, value, [1.0, factor])
    }

    #[inline]
    fn function(self, value: f64, slope: f64) -> Self {
        self.push(value, [self.at, CONSTANT], [slope, 0.0])
    }

    #[inline]
    fn function_with(self, other: Self, value: f64, slopes: [f64; 2]) -> Self {
        self.push(value, [self.at, other.at], slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function<R: Real>([x, y, z]: [R; 3]) -> R {
        let a = sqrt(x * 3.0 + y) * of_logit(z) - sqrt(x / y);
        let b = of_logit(-z) + x.plus(0.7, y) / (z * z + 2.0) - x.like(0.25);
        a / (b + x.like(0.5)) + (y - 0.5) * (y - 0.5) / 4.0 - x * z
    }

    fn sqrt<R: Real>(x: R) -> R {
        let root = x.value().sqrt();
        x.function(root, 0.5 / root)
    }

    fn of_logit<R: Real>(x: R) -> R {
        let share = logistic(x.value());
        x.function(share, share * (1.0 - share))
    }

    #[test]
    fn gradients_equal_finite_differences() {
        for at in [[1.3, 0.9, -0.4], [0.2, 2.5, 1.1], [4.0, 0.7, 0.0]] {
            let tape = Tape::default();
            tape.restart(3);
            let recorded = function([0, 1, 2].map(|i| tape.variable(i, at[i])));
            assert_eq!(recorded.value(), function(at));
            let twice = recorded * 2.0;
            let mut memory = Vec::new();
            let gradients = tape.gradients([recorded, twice], 3, &mut memory);
            for i in 0..3 {
                let step = 1e-6;
                let moved = |by: f64| {
                    let mut x = at;
                    x[i] += by;
                    function(x)
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                for (k, gradient) in gradients[i].into_iter().enumerate() {
                    let times = (k + 1) as f64;
                    approx::assert_relative_eq!(
                        gradient,
                        times * difference,
                        max_relative = 1e-7,
                        epsilon = 1e-8
                    );
                }
            }
        }
    }
}
