//! The predictions of held-out runs beside what was measured.

/// The prediction of one response of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// ln of the predicted over the measured.
    pub log_error: f64,
    /// Half-width of the 95 % interval of the logarithm.
    pub half_width: f64,
    /// ln of the baseline's prediction over the measured.
    pub baseline: f64,
}

/// The prediction of a run: time, power and energy, where they were measured.
#[derive(Debug, Clone)]
pub(super) struct Predicted {
    pub source: String,
    pub outcomes: [Option<Outcome>; 3],
    /// ln of the expected time, power and energy, by which plans are ranked; `None` where no grids are looked for.
    pub log_expected: Option<[f64; 3]>,
}
