//! The script format, and the values of its GPUs at a given time.

use serde::Deserialize;

/// File name of the script, next to the library.
pub const SCRIPT: &str = "script.toml";
/// File name of the time in seconds, next to the script, if the script's clock is a file.
pub const CLOCK: &str = "clock";

/// A machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Driver version.
    #[serde(default = "driver")]
    pub driver: String,
    /// Where the time comes from.
    #[serde(default)]
    pub clock: Clock,
    /// Return code of `nvmlInit`; 0 is success.
    #[serde(default)]
    pub init_returns: u32,
    /// The GPUs.
    #[serde(default)]
    pub gpus: Vec<Gpu>,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The monotonic clock, starting at `nvmlInit`.
    #[default]
    Real,
    /// The file `clock` next to the script, so that a test can set the time.
    File,
}

/// A GPU.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Name.
    #[serde(default = "name")]
    pub name: String,
    /// UUID.
    pub uuid: String,
    /// NVML's architecture number: 4 Pascal, 5 Volta, 6 Turing, 7 Ampere, 8 Ada, 9 Hopper, 10 Blackwell.
    #[serde(default = "ampere")]
    pub architecture: u32,
    /// Power as a step function: pairs of start time (s) and power (W).
    pub power_w: Vec<(f64, f64)>,
    /// Period in seconds after which the steps repeat.
    pub repeat_s: Option<f64>,
    /// Whether the GPU has an energy counter.
    #[serde(default = "yes")]
    pub counter: bool,
    /// Update period of the counter, s.
    #[serde(default = "tenth")]
    pub counter_update_s: f64,
    /// Counter value at time 0, mJ.
    #[serde(default = "counted")]
    pub counter_start_mj: u64,
    /// Time at which the counter is reset to 0, s.
    #[serde(default)]
    pub resets_s: Vec<f64>,
    /// Whether the GPU reports power.
    #[serde(default = "yes")]
    pub power: bool,
    /// Update period of the reported power, s.
    #[serde(default = "tenth")]
    pub power_update_s: f64,
    /// Averaging window of the reported power, s.
    #[serde(default)]
    pub averaging_s: f64,
    /// Time span in which the GPU is lost, s.
    pub lost_s: Option<(f64, f64)>,
    /// Return code of getting the handle; 0 is success.
    #[serde(default)]
    pub handle_returns: u32,
    /// Return code of reading energy and power; 0 is success.
    #[serde(default)]
    pub read_returns: u32,
    /// Whether MIG is enabled; `None` if not supported.
    pub mig: Option<bool>,
    /// NVML's virtualization mode: 0 none, 1 pass-through, 2 vGPU, 3 vGPU host, 4 vSGA host.
    #[serde(default)]
    pub virtualization: u32,
    /// Enforced power limit, W.
    #[serde(default = "limit")]
    pub limit_w: f64,
    /// SM clock, MHz.
    #[serde(default = "sm_clock")]
    pub sm_clock_mhz: u32,
    /// Memory clock, MHz.
    #[serde(default = "memory_clock")]
    pub memory_clock_mhz: u32,
    /// Temperature, °C.
    #[serde(default = "temperature")]
    pub temperature_c: u32,
    /// Utilisation, %.
    #[serde(default = "utilization")]
    pub utilization_percent: u32,
    /// Bit mask of throttle reasons.
    #[serde(default)]
    pub throttle_reasons: u64,
    /// Number of active NVLinks.
    #[serde(default)]
    pub nvlinks: u32,
    /// Rate of an NVLink in one direction, MB/s.
    #[serde(default = "nvlink")]
    pub nvlink_mb_per_s: u32,
    /// GPUs with NVLinks reach those with the same number over them.
    #[serde(default)]
    pub nvlink_group: u32,
    /// PCI Express generation and lanes that GPU and slot reach.
    #[serde(default = "pcie")]
    pub pcie: (u32, u32),
}

fn driver() -> String {
    "550.54.15".to_owned()
}
fn name() -> String {
    "NVIDIA A100-SXM4-80GB".to_owned()
}
const fn ampere() -> u32 {
    7
}
const fn counted() -> u64 {
    1_000_000
}
const fn yes() -> bool {
    true
}
const fn tenth() -> f64 {
    0.1
}
const fn limit() -> f64 {
    400.0
}
const fn sm_clock() -> u32 {
    1410
}
const fn memory_clock() -> u32 {
    1593
}
const fn temperature() -> u32 {
    45
}
const fn utilization() -> u32 {
    90
}
const fn nvlink() -> u32 {
    25_000
}
const fn pcie() -> (u32, u32) {
    (4, 16)
}

impl Gpu {
    /// Energy from time 0 to `time_s`, J: the value of a perfect meter.
    pub fn energy_j(&self, time_s: f64) -> f64 {
        match self.repeat_s {
            Some(period) if time_s > period => {
                let whole = (time_s / period).floor();
                whole * self.once_j(period) + self.once_j(time_s - whole * period)
            }
            _ => self.once_j(time_s),
        }
    }

    fn once_j(&self, time_s: f64) -> f64 {
        let ends = self.power_w.iter().skip(1).map(|&(end, _)| end).chain([f64::INFINITY]);
        let steps = self.power_w.iter().zip(ends);
        match self.power_w.first() {
            // the first power also applies before time 0
            Some(&(_, power)) if time_s < 0.0 => power * time_s,
            _ => {
                steps.map(|(&(start, power), end)| power * (time_s.min(end) - start).max(0.0)).sum()
            }
        }
    }

    /// Reported counter value, mJ.
    pub fn counter_mj(&self, time_s: f64) -> u64 {
        let moved = last_update(time_s, self.counter_update_s);
        let reset = self.resets_s.iter().copied().filter(|&reset| reset <= time_s).reduce(f64::max);
        let (start, since) = reset.map_or((self.counter_start_mj, 0.0), |reset| (0, reset));
        let energy = self.energy_j(moved.max(since)) - self.energy_j(since);
        start + (energy * 1e3).round() as u64
    }

    /// Reported power, mW.
    pub fn power_mw(&self, time_s: f64) -> u32 {
        let moved = last_update(time_s, self.power_update_s);
        let back = self.averaging_s.max(1e-6);
        let power = (self.energy_j(moved) - self.energy_j(moved - back)) / back;
        (power * 1e3).round() as u32
    }

    /// Whether the GPU is lost.
    pub fn lost(&self, time_s: f64) -> bool {
        self.lost_s.is_some_and(|(from, to)| (from..to).contains(&time_s))
    }
}

fn last_update(time_s: f64, period_s: f64) -> f64 {
    // a decimal multiple of the period may not be an exact multiple in binary
    if period_s > 0.0 { ((time_s / period_s) + 1e-9).floor() * period_s } else { time_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(rest: &str) -> Gpu {
        let text = format!("uuid = \"GPU-0\"\npower_w = [[0, 100], [10, 300]]\n{rest}");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn energy_is_power_added_up() {
        let once = gpu("");
        assert_eq!(
            [-1.0, 0.0, 5.0, 10.0, 12.0].map(|t| once.energy_j(t)),
            [-100.0, 0.0, 500.0, 1000.0, 1600.0]
        );
        let again = gpu("repeat_s = 20");
        assert_eq!([20.0, 25.0, 32.0].map(|t| again.energy_j(t)), [4000.0, 4500.0, 5600.0]);
    }

    #[test]
    fn a_counter_moves_in_steps_and_is_reset() {
        let g = gpu("counter_start_mj = 7\nresets_s = [5.05]");
        assert_eq!(g.counter_mj(0.0), 7);
        assert_eq!(g.counter_mj(0.19), 10_007);
        assert_eq!(g.counter_mj(5.0), 500_007);
        assert_eq!(g.counter_mj(5.06), 0);
        assert_eq!(g.counter_mj(5.1), 5_000);
    }

    #[test]
    fn power_averages_over_what_lies_behind() {
        let g = gpu("averaging_s = 1.0");
        assert_eq!(
            (g.power_mw(0.0), g.power_mw(10.0), g.power_mw(10.5), g.power_mw(11.0)),
            (100_000, 100_000, 200_000, 300_000)
        );
        assert_eq!(gpu("").power_mw(10.05), 100_000);
        assert_eq!(gpu("").power_mw(10.1), 300_000);
    }
}
