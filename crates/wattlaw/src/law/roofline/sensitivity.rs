//! Sensitivity of a job's time and power to each parameter.

use super::physics::{COUNT, Physics};
use super::terms::Terms;

/// Time and mean power, in that order.
pub(crate) const RESPONSES: usize = 2;

/// Derivatives of ln T and ln(E/T) with respect to the logarithms of the parameters, by central differences.
pub fn derivatives(logs: &[f64; COUNT], terms: &Terms) -> [[f64; COUNT]; RESPONSES] {
    // the cube root of the rounding error balances rounding and truncation; logarithms are of order one
    const STEP: f64 = 1e-5;
    let mut out = [[0.0; COUNT]; RESPONSES];
    let mut parameters = logs.map(f64::exp);
    for j in 0..COUNT {
        let value = parameters[j];
        parameters[j] = value * STEP.exp();
        let above = time_and_power(parameters, terms);
        parameters[j] = value * (-STEP).exp();
        let below = time_and_power(parameters, terms);
        parameters[j] = value;
        for response in 0..RESPONSES {
            out[response][j] = (above[response] - below[response]) / (2.0 * STEP);
        }
    }
    out
}

/// ln(T / s) and ln(E/T / W).
pub(crate) fn time_and_power(parameters: [f64; COUNT], terms: &Terms) -> [f64; RESPONSES] {
    let physics = Physics(parameters.into());
    let [time, energy] = physics.logs(terms);
    [time, energy - time]
}
