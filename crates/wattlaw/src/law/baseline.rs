//! Baselines without fitted parameters, to compare laws with.
//!
//! The other baseline, thermal design power times the time predicted by a law, is
//! [`Response::RatedEnergy`](crate::law::roofline::Response::RatedEnergy) of the roofline law.

use crate::base::error::{Error, Result};
use crate::base::units::JOULES_PER_KWH;
use crate::data::dataset::Dataset;
use crate::job::Job;
use crate::job::catalog::Catalog;
use crate::law::{FittedLaw, Law};
use crate::stats::frame::Frame;

/// Model FLOPs utilisation (MFU): assumed share of the peak.
///
/// Assumed: Chowdhery et al. 2022 (PaLM, arXiv 2204.02311, table 3) list 21 % (GPT-3), 30 % (Megatron-Turing NLG), 33 %
/// (Gopher) and 46 % (PaLM).
pub const MFU: f64 = 0.4;

/// Seconds of 6·N·D FLOPs at [`MFU`] of all accelerators' peak in the job's precision: N parameters that a token
/// visits, D tokens of the run (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
pub fn duration_s(job: &Job) -> f64 {
    let peak = job.system.accelerator.peak(job.workload.precision).map_or(f64::NAN, |p| p.value());
    let parameters = job.architecture.active_parameters(job.workload.task) as f64;
    6.0 * parameters * job.tokens() / (job.system.gpus as f64 * peak * MFU)
}

/// Thermal design power of all accelerators, in watts.
pub(crate) fn rated_power_w(job: &Job) -> f64 {
    job.system.gpus as f64 * job.system.tdp.value()
}

/// 6·N·D FLOPs at a fixed MFU: time from FLOPs, and energy as thermal design power times that time.
#[derive(Debug, Clone)]
pub(crate) struct FixedMfu {
    /// ln(duration / s) and ln(energy / kWh) of each run; absent where its job is unknown.
    estimates: Vec<Option<(f64, f64)>>,
    energy: bool,
}

impl FixedMfu {
    /// The baseline for every run of a dataset: of energy, or else of duration.
    pub fn new(data: &Dataset, catalog: &Catalog, energy: bool) -> Self {
        let estimate = |job: &Job| {
            let seconds = duration_s(job);
            (seconds.ln(), (seconds * rated_power_w(job) / JOULES_PER_KWH).ln())
        };
        let estimates =
            data.runs.iter().map(|run| run.resolve(catalog).ok().as_ref().map(estimate)).collect();
        Self { estimates, energy }
    }
}

impl Law for FixedMfu {
    fn name(&self) -> String {
        let of = if self.energy { "TDP for " } else { "" };
        format!("{of}6·N·D at {:.0} % of peak", MFU * 100.0)
    }

    fn response(&self, rows: &Frame) -> Result<Vec<f64>> {
        let column = if self.energy { "log_energy_kwh" } else { "log_duration_s" };
        rows.number(column).map(<[f64]>::to_vec)
    }

    fn fit(&self, _: &Frame) -> Result<Box<dyn FittedLaw>> {
        Ok(Box::new(self.clone()))
    }
}

impl FittedLaw for FixedMfu {
    fn predict(&self, rows: &Frame) -> Result<Vec<f64>> {
        let estimate = |row: &usize| {
            let (duration, energy) =
                self.estimates.get(*row).copied().flatten().ok_or_else(|| {
                    Error::Data(format!("the job of run {row} (from 0) is unknown"))
                })?;
            Ok(if self.energy { energy } else { duration })
        };
        rows.origins().iter().map(estimate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::ProxyColumns;

    #[test]
    fn six_nd_on_two_a100_by_hand() {
        let text = "family,gpu,gpus,strategy,layers,hidden_size,heads,vocab_size,seq_len,micro_batch,tokens,\
                    precision,energy_kwh,duration_s\n\
                    gpt,a100-sxm4-40gb,2,ddp,12,768,12,50257,1024,4,1e9,fp16,1,1\n";
        let catalog = Catalog::built_in().unwrap();
        let data = Dataset::from_csv(text.as_bytes(), "one.csv", None).unwrap();
        let frame = data.frame(ProxyColumns::default(), &catalog).unwrap();
        let of = |energy| {
            let law = FixedMfu::new(&data, &catalog, energy);
            let fitted = law.fit(&frame).unwrap();
            (law.name(), fitted.predict(&frame).unwrap()[0].exp())
        };
        // GPT-2 small has 124,439,808 parameters; 6 · 124,439,808 · 1e9 FLOPs at 2 · 312e12 · 0.4 a second
        let seconds = 6.0 * 124_439_808.0 * 1e9 / (2.0 * 312e12 * 0.4);
        let (name, found) = of(false);
        assert_eq!(name, "6·N·D at 40 % of peak");
        approx::assert_relative_eq!(found, seconds, max_relative = 1e-3);
        // an A100 SXM 40 GB has 400 W
        let (name, found) = of(true);
        assert_eq!(name, "TDP for 6·N·D at 40 % of peak");
        approx::assert_relative_eq!(found, seconds * 800.0 / 3.6e6, max_relative = 1e-3);
    }

    #[test]
    fn a_run_without_a_job_is_named() {
        let text = "family,gpu,gpus,layers,hidden_size,energy_kwh,duration_s\ngpt,t4,1,2,64,1,1\n";
        let catalog = Catalog::built_in().unwrap();
        let data = Dataset::from_csv(text.as_bytes(), "one.csv", None).unwrap();
        let frame = data.frame(ProxyColumns::default(), &catalog).unwrap();
        let error = FixedMfu::new(&data, &catalog, true).predict(&frame).unwrap_err();
        assert_eq!(error.to_string(), "the job of run 0 (from 0) is unknown");
    }
}
