//! Published properties of NVIDIA GPU sensors: update period, averaging window and error.
//!
//! Sources: Z. Yang, K. Adamek, W. Armour, "Accurate and Convenient Energy Measurements for GPUs: A Detailed Study of NVIDIA GPU's
//! Built-In Power Sensor", SC '24 (arXiv 2312.02741), more than 70 GPUs against external meters; NVML's documentation of
//! `nvmlDeviceGetPowerUsage` and `nvmlDeviceGetTotalEnergyConsumption`.

use nvml_wrapper::enums::device::DeviceArchitecture;
use wattlaw::base::units::Seconds;

/// A GPU's sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensor {
    /// Update period of the power, s.
    pub power_update: Seconds,
    /// Averaging window of the power, s.
    pub averaging: Seconds,
    /// Relative standard deviation of the systematic error, which all runs on the GPU share.
    pub systematic: f64,
}

/// Update period of the energy counter: about 100 ms (documentation of Zeus; 20 to 100 ms by that of Alumet).
pub(crate) const COUNTER_UPDATE: Seconds = Seconds::new(0.1);

/// Relative error stated in NVML's documentation of `nvmlDeviceGetPowerUsage`, for the boards that have one.
const DEFAULT_ERROR: f64 = 0.05;

/// Models with an energy error above the default in SC '24 (for the K80: error of steady power). The error of one card is not that of
/// its model, so readings are not corrected, and no model gets a smaller error than the default.
const WORSE_SENSORS: [(&str, f64); 4] =
    [("RTX 3090", 0.055), ("RTX 2080 Ti", 0.08), ("RTX 2060 SUPER", 0.127), ("K80", 0.089)];

impl Sensor {
    /// The sensor of a GPU model.
    pub(crate) fn for_model(name: &str, architecture: &DeviceArchitecture) -> Self {
        use DeviceArchitecture as A;
        // NVML: the average of a second on Ampere (except GA100) and newer, the moment's power before. SC '24: update and window
        // in ms, A100 100/25, V100 and P100 20/10, Quadro RTX 8000 100/20, Turing 100/100, Ampere's power.draw 100/1000
        let ga100 = ["A100", "A800", "A30"].iter().any(|model| contains_word(name, model));
        let (update_s, averaging_s) = match architecture {
            A::Ampere if ga100 => (0.1, 0.025),
            A::Kepler | A::Maxwell => (0.1, 0.1),
            A::Pascal | A::Volta => (0.02, 0.01),
            A::Turing if contains_word(name, "RTX 8000") => (0.1, 0.02),
            A::Turing => (0.1, 0.1),
            _ => (0.1, 1.0),
        };
        let worse = WORSE_SENSORS.iter().find(|(model, _)| contains_word(name, model));
        Self {
            power_update: Seconds::new(update_s),
            averaging: Seconds::new(averaging_s),
            systematic: worse.map_or(DEFAULT_ERROR, |&(_, error)| error),
        }
    }
}

/// Whether a board's name contains a model's name as whole words: `NVIDIA A100-SXM4-80GB` contains `A100`, not `A10`.
fn contains_word(name: &str, model: &str) -> bool {
    name.match_indices(model).any(|(at, _)| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !letter(name[..at].chars().next_back()) && !letter(name[at + model.len()..].chars().next())
    })
}

/// Whether the board's counter covers a module of GPU and CPU: Grace Hopper and Grace Blackwell
/// (<https://github.com/ml-energy/zeus/issues/172> for GH200).
pub(crate) fn is_module(name: &str) -> bool {
    ["GH200", "GB200", "GB300"].iter().any(|model| contains_word(name, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(name: &str, architecture: DeviceArchitecture) -> (f64, f64) {
        let sensor = Sensor::for_model(name, &architecture);
        ((sensor.power_update.value() * 1e3).round(), (sensor.averaging.value() * 1e3).round())
    }

    #[test]
    fn sensors_have_the_published_values() {
        use DeviceArchitecture as A;
        assert_eq!(ms("NVIDIA A100-SXM4-80GB", A::Ampere), (100.0, 25.0));
        assert_eq!(ms("NVIDIA A10", A::Ampere), (100.0, 1000.0));
        assert_eq!(ms("NVIDIA H100 80GB HBM3", A::Hopper), (100.0, 1000.0));
        assert_eq!(ms("Tesla V100-SXM2-16GB", A::Volta), (20.0, 10.0));
        assert_eq!(ms("Tesla P100-PCIE-16GB", A::Pascal), (20.0, 10.0));
        assert_eq!(ms("Quadro RTX 8000", A::Turing), (100.0, 20.0));
        assert_eq!(ms("NVIDIA GeForce RTX 2080 Ti", A::Turing), (100.0, 100.0));
    }

    #[test]
    fn a_published_error_only_increases_the_default() {
        let error = |name: &str| Sensor::for_model(name, &DeviceArchitecture::Turing).systematic;
        assert_eq!(error("NVIDIA GeForce RTX 2080 Ti"), 0.08);
        assert_eq!(error("NVIDIA GeForce RTX 2080"), 0.05);
        assert_eq!(error("Tesla T4"), 0.05);
    }

    #[test]
    fn modules_are_known_by_name() {
        assert!(is_module("NVIDIA GH200 480GB") && is_module("NVIDIA GB200"));
        assert!(!is_module("NVIDIA H200") && !is_module("NVIDIA B200"));
    }
}
