//! Gaussian-process predictions against scikit-learn's; `golden/gp.py` made the figures and says how.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use serde::Deserialize;
use wattlaw::stats::gp::{Gp, Kernel};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
    amplitude: f64,
    noise: f64,
    length_scales: Vec<f64>,
    at: Vec<Vec<f64>>,
    mean: Vec<f64>,
    sd: Vec<f64>,
}

/// Means to 1e-7: the points have 1e-10 of the variance more on their diagonal than scikit-learn gives them. Standard deviations to 1e-6: what they
/// are made of is kept in single precision.
#[test]
fn means_and_standard_deviations_are_scikit_learns() {
    let path = format!("{}/tests/golden/gp.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.cases.len(), 3);
    for case in golden.cases {
        let kernel = Kernel {
            amplitude: case.amplitude,
            length_scales: case.length_scales,
            noise: case.noise,
        };
        let gp = Gp::new(kernel, &case.x, &case.y, None).unwrap();
        for ((at, mean), sd) in case.at.iter().zip(&case.mean).zip(&case.sd) {
            let (found, variance) = gp.predict(at);
            approx::assert_relative_eq!(found, *mean, max_relative = 1e-7, epsilon = 1e-10);
            let with_noise = (variance + case.noise * case.noise).sqrt();
            approx::assert_relative_eq!(with_noise, *sd, max_relative = 1e-6);
        }
        let read: Gp = serde_json::from_str(&serde_json::to_string(&gp).unwrap()).unwrap();
        assert_eq!(read.predict(&case.at[0]), gp.predict(&case.at[0]));
    }
}
