//! Energy at each scope, from the energy of the accelerators and the duration.
//!
//! Accelerators, then the rest of the node, then power supplies, then the building:
//!
//! | scope | energy |
//! |---|---|
//! | `gpu` | E |
//! | `devices` | E + s · H · T |
//! | `codecarbon` | E + nodes · C · T |
//! | `node_dc` | E + H · T |
//! | `node_ac` | (E + H · T) / η |
//! | `facility` | (E + H · T) / η · PUE |
//!
//! with H the power of all hosts, s the share of CPU packages and memory in it, C the power of CodeCarbon's model and η
//! the efficiency of power supplies ([`crate::job::host`]).

use serde::Serialize;

use super::Interval;
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::job::host::{Assumed, CODECARBON_W, DEVICES_SHARE, PUE_LOG_SD, SUPPLY_EFFICIENCY};
use crate::job::system::System;
use crate::stats::inference::Reference;

/// A quantity of a run as a sum of the accelerators' energy and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    /// Of a joule of the accelerators.
    pub energy: f64,
    /// Of a second.
    pub time: f64,
}

impl Weights {
    /// The quantity of a run of `time_s` seconds and `energy_j` joules of the accelerators.
    pub(crate) fn value(self, time_s: f64, energy_j: f64) -> f64 {
        self.energy * energy_j + self.time * time_s
    }

    /// Factors of ln time and ln power in the quantity's logarithm (delta method).
    pub(crate) fn log_slopes(self, time_s: f64, energy_j: f64) -> [f64; 2] {
        [1.0, self.energy * energy_j / self.value(time_s, energy_j)]
    }

    pub(crate) fn scaled(self, factor: f64) -> Self {
        Self { energy: self.energy * factor, time: self.time * factor }
    }
}

/// The energy at a scope as a sum of the accelerators' energy and the time, by the table above; E has a weight without unit,
/// T one in watts.
///
/// # Errors
/// As [`EnergyByScope::at`].
pub(crate) fn share_of_scope(system: &System, scope: Scope) -> Result<Weights> {
    let nodes = system.nodes() as f64;
    let host = nodes * system.node_host_power().value;
    let supply = SUPPLY_EFFICIENCY.value;
    let of = |energy: f64, time: f64| Ok(Weights { energy, time });
    match scope {
        Scope::Gpu => of(1.0, 0.0),
        Scope::Devices => of(1.0, DEVICES_SHARE.value * host),
        Scope::Codecarbon => of(1.0, CODECARBON_W.value * nodes),
        Scope::NodeDc => of(1.0, host),
        Scope::NodeAc => of(1.0 / supply, host / supply),
        Scope::Facility => match system.pue {
            Some(pue) => of(pue / supply, pue * host / supply),
            None => Err(no_pue()),
        },
        Scope::Unstated => Err(unstated(scope)),
    }
}

fn no_pue() -> Error {
    Error::missing("pue", "energy of the facility is energy of the nodes times a PUE, 1 or more")
}

fn unstated(scope: Scope) -> Error {
    Error::invalid(
        "scope",
        scope,
        "an answer needs a stated one: gpu, devices, codecarbon, node_dc, node_ac or facility",
    )
}

/// A positive quantity whose logarithm is normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    /// Mean of its natural logarithm.
    pub log: f64,
    /// Standard deviation of its natural logarithm; may be infinite.
    pub log_sd: f64,
}

/// What energies at all scopes follow from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuEnergy {
    /// Energy of all accelerators of the job, in joules.
    pub energy: LogNormal,
    /// Duration of what the energy covers, in seconds.
    pub duration: LogNormal,
    /// Correlation of the two logarithms, from −1 to 1; where it is absent, duration and mean power are independent.
    pub correlation: Option<f64>,
}

/// Energy at each scope in joules; null in JSON where a scope cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyByScope {
    /// The accelerators.
    pub gpu: Interval,
    /// Accelerators, CPU packages and memory by their counters.
    pub devices: Interval,
    /// Accelerators, and CPUs and memory by CodeCarbon's model.
    pub codecarbon: Interval,
    /// Nodes behind their power supplies.
    pub node_dc: Interval,
    /// Nodes at the plug.
    pub node_ac: Interval,
    /// Nodes, cooling and distribution; absent without a PUE.
    pub facility: Option<Interval>,
}

impl GpuEnergy {
    /// Energy at each scope on a system, with intervals at `level`.
    ///
    /// The logarithm of a sum has the variance of its linear approximation (delta method): with w the share of the host in
    /// the sum, (1−w)² var ln E + w² (var ln T + var ln H) + 2 w (1−w) cov(ln E, ln T). Factors add their variances.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the level is not between 0 and 1, or a correlation not between −1 and 1.
    pub fn by_scope(&self, system: &System, level: f64) -> Result<EnergyByScope> {
        let of = ScopedEnergy::new(*self, system, Reference::Normal.half_width(level)?)?;
        Ok(EnergyByScope {
            gpu: of.at(Scope::Gpu)?,
            devices: of.at(Scope::Devices)?,
            codecarbon: of.at(Scope::Codecarbon)?,
            node_dc: of.at(Scope::NodeDc)?,
            node_ac: of.at(Scope::NodeAc)?,
            facility: system.pue.map(|_| of.at(Scope::Facility)).transpose()?,
        })
    }

    /// The energy with that of a power in watts on each of `nodes`, over the whole duration.
    fn with_power(&self, power: LogNormal, nodes: f64) -> LogNormal {
        let Self { energy, duration, .. } = *self;
        let added = power.times(duration).log + nodes.ln();
        // ln(e^a + e^b) without overflow
        let (larger, smaller) = (energy.log.max(added), energy.log.min(added));
        let log = larger + (smaller - larger).exp().ln_1p();
        let share = (added - log).exp();
        let covariance = match self.correlation {
            Some(correlation) => correlation * energy.log_sd * duration.log_sd,
            // energy is power times duration; a covariance above the product of both is impossible
            None => duration.log_sd * duration.log_sd.min(energy.log_sd),
        };
        let variance = (1.0 - share).powi(2) * energy.log_sd.powi(2)
            + share.powi(2) * (duration.log_sd.powi(2) + power.log_sd.powi(2))
            + 2.0 * share * (1.0 - share) * covariance;
        LogNormal { log, log_sd: variance.sqrt() }
    }
}

/// Energy at any scope, which is computed when it is asked for: most answers state one scope.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScopedEnergy {
    of: GpuEnergy,
    /// Power of a node besides its accelerators.
    host: LogNormal,
    nodes: f64,
    pue: Option<f64>,
    /// Half-width of an interval in standard deviations.
    quantile: f64,
}

impl ScopedEnergy {
    /// The energies of [`GpuEnergy::by_scope`]; `quantile` is the half-width of their intervals in standard deviations.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a correlation is not between −1 and 1.
    pub(super) fn new(of: GpuEnergy, system: &System, quantile: f64) -> Result<Self> {
        if let Some(correlation) = of.correlation
            && !(-1.0..=1.0).contains(&correlation)
        {
            return Err(Error::invalid("correlation", correlation, "it must lie between -1 and 1"));
        }
        Ok(Self {
            of,
            host: system.node_host_power().into(),
            nodes: system.nodes() as f64,
            pue: system.pue,
            quantile,
        })
    }

    /// Whether the system states what its building needs.
    pub(super) const fn has_facility(&self) -> bool {
        self.pue.is_some()
    }

    /// The energy at a scope, in joules.
    ///
    /// # Errors
    /// As [`EnergyByScope::at`].
    pub(super) fn at(&self, scope: Scope) -> Result<Interval> {
        let node_dc = || self.of.with_power(self.host, self.nodes);
        let node_ac = || node_dc().over(SUPPLY_EFFICIENCY.into());
        let found = match scope {
            Scope::Gpu => self.of.energy,
            Scope::Devices => self.of.with_power(self.host.times(DEVICES_SHARE.into()), self.nodes),
            Scope::Codecarbon => self.of.with_power(CODECARBON_W.into(), self.nodes),
            Scope::NodeDc => node_dc(),
            Scope::NodeAc => node_ac(),
            Scope::Facility => {
                let pue = self.pue.ok_or_else(no_pue)?;
                node_ac().times(LogNormal { log: pue.ln(), log_sd: PUE_LOG_SD })
            }
            Scope::Unstated => return Err(unstated(scope)),
        };
        Ok(Interval::from_log(found.log, scaled(found.log_sd, self.quantile)))
    }
}

impl LogNormal {
    /// The product with an independent quantity.
    fn times(self, other: Self) -> Self {
        Self { log: self.log + other.log, log_sd: self.log_sd.hypot(other.log_sd) }
    }

    /// The quotient by an independent quantity.
    fn over(self, other: Self) -> Self {
        Self { log: self.log - other.log, log_sd: self.log_sd.hypot(other.log_sd) }
    }
}

impl From<Assumed> for LogNormal {
    fn from(assumed: Assumed) -> Self {
        Self { log: assumed.value.ln(), log_sd: assumed.log_sd }
    }
}

/// A half-width; infinite where the deviation is not known.
fn scaled(log_sd: f64, quantile: f64) -> f64 {
    if log_sd.is_nan() { f64::INFINITY } else { log_sd * quantile }
}

impl EnergyByScope {
    /// The energy at a scope, in joules.
    ///
    /// # Errors
    /// [`Error::Missing`] for the facility where the system has no PUE; [`Error::Invalid`] for [`Scope::Unstated`].
    pub fn at(&self, scope: Scope) -> Result<Interval> {
        match scope {
            Scope::Gpu => Ok(self.gpu),
            Scope::Devices => Ok(self.devices),
            Scope::Codecarbon => Ok(self.codecarbon),
            Scope::NodeDc => Ok(self.node_dc),
            Scope::NodeAc => Ok(self.node_ac),
            Scope::Facility => self.facility.ok_or_else(no_pue),
            Scope::Unstated => Err(unstated(scope)),
        }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::job::catalog::Catalog;
    use crate::job::host::HOST_SHARE;
    use crate::job::system::SystemSpec;

    fn system(gpu: &str, gpus: u64, spec: SystemSpec) -> System {
        let catalog = Catalog::built_in().unwrap();
        spec.resolve(catalog.accelerator(gpu).unwrap(), gpus).unwrap()
    }

    fn known(joules: f64, seconds: f64) -> GpuEnergy {
        let exact = |value: f64| LogNormal { log: value.ln(), log_sd: 0.0 };
        GpuEnergy { energy: exact(joules), duration: exact(seconds), correlation: None }
    }

    /// Two nodes of eight H100 at 600 W each for 100 s: 960 kJ. Host 0.38 · 5,600 = 2,128 W a node: 425.6 kJ.
    #[test]
    fn each_scope_by_hand() {
        let spec = SystemSpec { pue: Some(1.25), ..Default::default() };
        let of = known(960e3, 100.0).by_scope(&system("h100-sxm5-80gb", 16, spec), 0.95).unwrap();
        assert_relative_eq!(of.gpu.estimate, 960e3, max_relative = 1e-12);
        assert_relative_eq!(of.gpu.upper, 960e3, max_relative = 1e-12);
        assert_relative_eq!(of.devices.estimate, 960e3 + 0.21 * 425.6e3, max_relative = 1e-12);
        assert_relative_eq!(of.codecarbon.estimate, 960e3 + 2.0 * 4100.0, max_relative = 1e-12);
        assert_relative_eq!(of.node_dc.estimate, 1385.6e3, max_relative = 1e-12);
        assert_relative_eq!(of.node_ac.estimate, 1385.6e3 / 0.96, max_relative = 1e-12);
        let facility = of.facility.unwrap();
        assert_relative_eq!(facility.estimate, 1385.6e3 / 0.96 * 1.25, max_relative = 1e-12);
        // w = 425.6 / 1385.6 = 0.30716, so the host's 0.2 gives 0.061432
        let sd = 0.061_432;
        assert_relative_eq!(
            (of.node_dc.upper / of.node_dc.estimate).ln(),
            1.959_964 * sd,
            max_relative = 1e-4
        );
        assert_relative_eq!(
            (facility.upper / facility.estimate).ln(),
            1.959_964 * (sd * sd + 0.015 * 0.015 + 0.03 * 0.03_f64).sqrt(),
            max_relative = 1e-4
        );
    }

    /// The weights of a search and the intervals of an answer are of one table.
    #[test]
    fn weights_give_the_energy_of_each_scope() {
        let spec = SystemSpec { pue: Some(1.25), ..Default::default() };
        let system = system("h100-sxm5-80gb", 16, spec);
        let of = known(960e3, 100.0).by_scope(&system, 0.95).unwrap();
        for scope in [
            Scope::Gpu,
            Scope::Devices,
            Scope::Codecarbon,
            Scope::NodeDc,
            Scope::NodeAc,
            Scope::Facility,
        ] {
            let weights = share_of_scope(&system, scope).unwrap();
            let estimate = of.at(scope).unwrap().estimate;
            assert_relative_eq!(weights.value(100.0, 960e3), estimate, max_relative = 1e-12);
        }
        assert!(share_of_scope(&system, Scope::Unstated).is_err());
    }

    #[test]
    fn a_stated_host_power_is_used_a_node() {
        let spec = SystemSpec { host_power_w: Some(1000.0), ..Default::default() };
        let of = known(960e3, 100.0).by_scope(&system("h100-sxm5-80gb", 16, spec), 0.95).unwrap();
        assert_relative_eq!(of.node_dc.estimate, 1160e3, max_relative = 1e-12);
        assert_relative_eq!(of.devices.estimate, 960e3 + 0.21 * 200e3, max_relative = 1e-12);
        // CodeCarbon's model does not know it
        assert_relative_eq!(of.codecarbon.estimate, 968.2e3, max_relative = 1e-12);
    }

    /// Energy and host of 2,128 J each in 1 s: w = 1/2. With ln P of sd 0.3 and ln T of 0.4, ln E has 0.5 and the
    /// covariance is 0.16.
    #[test]
    fn energy_and_duration_vary_together() {
        let gpu = GpuEnergy {
            energy: LogNormal { log: 2128_f64.ln(), log_sd: 0.5 },
            duration: LogNormal { log: 0.0, log_sd: 0.4 },
            correlation: None,
        };
        let node = system("h100-sxm5-80gb", 8, SystemSpec::default());
        let width = |gpu: GpuEnergy| {
            let of = gpu.by_scope(&node, 0.95).unwrap();
            (of.node_dc.upper / of.node_dc.estimate).ln() / 1.959_963_984_540_054
        };
        let variance = |covariance: f64| 0.25 * (0.25 + 0.16 + 0.04 + 2.0 * covariance);
        assert_relative_eq!(width(gpu), variance(0.16).sqrt(), max_relative = 1e-9);
        let uncorrelated = GpuEnergy { correlation: Some(0.0), ..gpu };
        assert_relative_eq!(width(uncorrelated), variance(0.0).sqrt(), max_relative = 1e-9);
        let wrong = GpuEnergy { correlation: Some(1.5), ..gpu };
        assert!(wrong.by_scope(&node, 0.95).is_err());
        assert!(gpu.by_scope(&node, 1.0).is_err());
    }

    #[test]
    fn an_unbounded_energy_stays_unbounded() {
        let gpu = known(960e3, 100.0);
        let energy = LogNormal { log_sd: f64::INFINITY, ..gpu.energy };
        let duration = LogNormal { log_sd: f64::INFINITY, ..gpu.duration };
        let node = system("h100-sxm5-80gb", 8, SystemSpec::default());
        for gpu in [GpuEnergy { energy, ..gpu }, GpuEnergy { energy, duration, ..gpu }] {
            let of = gpu.by_scope(&node, 0.95).unwrap();
            for interval in [of.gpu, of.devices, of.codecarbon, of.node_dc, of.node_ac] {
                assert_eq!((interval.lower, interval.upper), (0.0, f64::INFINITY));
            }
        }
    }

    /// The assumption is less certain for nodes unlike those that were metered.
    #[test]
    fn a_small_node_has_a_wider_host_power() {
        let sd = |gpu, gpus| system(gpu, gpus, SystemSpec::default()).node_host_power().log_sd;
        assert_relative_eq!(sd("h100-sxm5-80gb", 8), HOST_SHARE.log_sd, max_relative = 1e-12);
        // ln(5,600 / 70) = 4.382
        assert_relative_eq!(sd("t4", 1), 0.2_f64.hypot(0.25 * 4.382_027), max_relative = 1e-6);
        let stated = SystemSpec { host_power_w: Some(150.0), ..Default::default() };
        assert_eq!(system("t4", 1, stated).node_host_power().log_sd, 0.1);
    }

    #[test]
    fn every_scope_is_answered_or_refused_in_a_sentence() {
        let node = |spec| known(960e3, 100.0).by_scope(&system("t4", 1, spec), 0.95).unwrap();
        let of = node(SystemSpec { pue: Some(1.0), ..Default::default() });
        let in_order = [Scope::Gpu, Scope::Devices, Scope::NodeDc, Scope::NodeAc, Scope::Facility];
        let energies: Vec<f64> = in_order.iter().map(|s| of.at(*s).unwrap().estimate).collect();
        assert!(energies.is_sorted(), "{energies:?}");
        assert_eq!(of.at(Scope::Codecarbon).unwrap(), of.codecarbon);
        let without = node(SystemSpec::default());
        assert_eq!(
            without.at(Scope::Facility).unwrap_err().to_string(),
            "pue is missing; energy of the facility is energy of the nodes times a PUE, 1 or more"
        );
        assert_eq!(
            without.at(Scope::Unstated).unwrap_err().to_string(),
            "scope is unstated, but an answer needs a stated one: gpu, devices, codecarbon, node_dc, node_ac or facility"
        );
        let json = serde_json::to_value(without).unwrap();
        assert!(json["facility"].is_null());
        assert_eq!(json["node_dc"]["estimate"], without.node_dc.estimate);
    }
}
