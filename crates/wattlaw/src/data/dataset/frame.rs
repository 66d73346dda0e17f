//! From runs to the columns that formulas name.

use std::collections::BTreeMap;

use super::Dataset;
use serde::{Deserialize, Serialize};

use crate::base::error::Result;
use crate::base::words::words;
use crate::data::measurement::Measurement;
use crate::data::proxy;
use crate::data::proxy::{Proxies, ProxySet};
use crate::job::catalog::Catalog;
use crate::stats::frame::Frame;

/// The definition of η in the column `log_eta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Efficiency {
    /// By duration, as in the study.
    #[default]
    Duration,
    /// By throughput, on equal work.
    Throughput,
}

words!(Efficiency, "efficiency": Duration = "duration", Throughput = "throughput");

/// The definition of the proxy columns of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyColumns {
    /// C and M.
    pub proxies: ProxySet,
    /// η.
    pub efficiency: Efficiency,
}

impl Dataset {
    /// The columns of all runs, in the table's order.
    ///
    /// Numbers: `row` (position in the dataset, from 0), `log_C`, `log_M`, `log_eta`, `log_energy_kwh`,
    /// `log_duration_s`, `log_power_w`, `log_tokens`, `log_micro_steps`, `log_hbm_bandwidth` (GB/s, from the
    /// catalogue), `log_layers`, `log_hidden_size`, `log_seq_len`, `log_gpus`, `log2_gpus`, `gpus`, `dp`, `tp`, `pp`,
    /// `layers`, `hidden_size`; NaN where a run lacks their inputs. Labels: `run_id`, `config_family`,
    /// `workload_family`, the same groups with keys that sort like the study's (`study_family`, `study_workload`),
    /// `architecture`, `family`, `gpu`, `strategy`, `gpu_count`, `model`, `precision`. The accelerator has the
    /// catalogue's name where the catalogue knows it.
    ///
    /// # Errors
    /// Those of [`Measurement::resolve`] and the catalogue, when the ledger's proxies are requested.
    pub fn frame(&self, columns: ProxyColumns, catalog: &Catalog) -> Result<Frame> {
        let baselines = self.baselines();
        let number = |of: &dyn Fn(&Measurement) -> Option<f64>| -> Vec<f64> {
            self.runs.iter().map(|r| of(r).unwrap_or(f64::NAN)).collect()
        };
        let log = |of: &dyn Fn(&Measurement) -> Option<f64>| number(&|r| of(r).map(f64::ln));
        let label = |of: &dyn Fn(&Measurement) -> String| -> Vec<String> {
            self.runs.iter().map(of).collect()
        };
        let proxies: Vec<Option<Proxies>> = match columns.proxies {
            ProxySet::Study => self.runs.iter().map(Proxies::for_measurement).collect(),
            ProxySet::Ledger => self
                .runs
                .iter()
                .map(|r| Ok(Some(Proxies::for_job(&r.resolve(catalog)?, ProxySet::Ledger))))
                .collect::<Result<_>>()?,
        };
        let proxy = |of: fn(&Proxies) -> f64| -> Vec<f64> {
            proxies.iter().map(|p| p.as_ref().map_or(f64::NAN, |p| of(p).ln())).collect()
        };
        Frame::new(self.runs.len())
            .with_number("log_C", proxy(|p| p.compute))?
            .with_number("log_M", proxy(|p| p.memory))?
            .with_number("log_eta", log(&|r| efficiency(r, &baselines, columns.efficiency)))?
            .with_number("log_energy_kwh", log(&|r| r.energy_kwh))?
            .with_number("log_duration_s", log(&|r| Some(r.duration?.value())))?
            .with_number("log_power_w", log(&|r| Some((r.energy? / r.duration?).value())))?
            .with_number("log_tokens", log(&Measurement::positions))?
            .with_number("log_micro_steps", log(&Measurement::micro_steps))?
            .with_number(
                "log_hbm_bandwidth",
                log(&|r| Some(catalog.accelerator(r.gpu()).ok()?.hbm_gb_per_s)),
            )?
            .with_number("log_layers", log(&|r| Some(r.total_layers() as f64)))?
            .with_number("log_hidden_size", log(&|r| Some(r.hidden_size() as f64)))?
            .with_number("log_seq_len", log(&Measurement::positions_per_sequence))?
            .with_number("log_gpus", log(&|r| Some(r.gpus() as f64)))?
            .with_number("log2_gpus", number(&|r| Some((r.gpus() as f64).log2())))?
            .with_number("gpus", number(&|r| Some(r.gpus() as f64)))?
            .with_number("dp", number(&|r| r.job().parallelism.dp.map(|n| n as f64)))?
            .with_number("tp", number(&|r| r.job().parallelism.tp.map(|n| n as f64)))?
            .with_number("pp", number(&|r| r.job().parallelism.pp.map(|n| n as f64)))?
            .with_number("layers", number(&|r| Some(r.layers() as f64)))?
            .with_number("hidden_size", number(&|r| Some(r.hidden_size() as f64)))?
            .with_label("run_id", label(&|r| r.run_id.clone()))?
            .with_label("config_family", label(&Measurement::config_family))?
            .with_label("workload_family", label(&Measurement::workload_family))?
            .with_label("study_family", label(&|r| format!("{},{}", r.gpu(), r.study_workload())))?
            .with_label("study_workload", label(&Measurement::study_workload))?
            .with_label("architecture", label(&Measurement::architecture))?
            .with_label("family", label(&|r| r.family().to_owned()))?
            .with_label("gpu", label(&|r| accelerator_name(r.gpu(), catalog)))?
            .with_label("strategy", label(&|r| r.strategy_kind().to_string()))?
            .with_label(
                "gpu_family",
                label(&|r| format!("{}|{}", accelerator_name(r.gpu(), catalog), r.family())),
            )?
            .with_label("gpu_count", label(&|r| r.gpus().to_string()))?
            .with_label("model", label(&|r| r.model().unwrap_or_default().to_owned()))?
            .with_label(
                "precision",
                label(&|r| r.job().workload.precision.map(|p| p.to_string()).unwrap_or_default()),
            )
    }

    /// The single-GPU baselines.
    pub(crate) fn baselines(&self) -> Baselines<'_> {
        let alone = || self.runs.iter().filter(|r| r.is_baseline());
        Baselines {
            by_family: alone().map(|r| (r.config_family(), r)).collect(),
            by_duration: alone()
                .filter_map(|r| Some(((r.gpu(), r.duration?.value().to_bits()), r)))
                .collect(),
        }
    }
}

fn accelerator_name(printed: &str, catalog: &Catalog) -> String {
    catalog.accelerator(printed).map_or_else(|_| printed.to_owned(), |a| a.name.clone())
}

/// Single-GPU baselines, indexed by what other runs state of them.
pub(crate) struct Baselines<'a> {
    by_family: BTreeMap<String, &'a Measurement>,
    /// By accelerator and the bits of the duration, since a table may identify a baseline by its duration.
    by_duration: BTreeMap<(&'a str, u64), &'a Measurement>,
}

impl Baselines<'_> {
    /// The single-GPU baseline of `run`.
    pub(crate) fn for_run(&self, run: &Measurement) -> Option<&Measurement> {
        let stated = run
            .baseline_duration
            .and_then(|d| self.by_duration.get(&(run.gpu(), d.value().to_bits())));
        stated.or_else(|| self.by_family.get(&run.config_family())).copied()
    }
}

/// η of a run: from the baseline time in its table, or else from the single-GPU run of its family.
fn efficiency(run: &Measurement, baselines: &Baselines<'_>, kind: Efficiency) -> Option<f64> {
    let duration = run.duration?.value();
    let baseline = baselines.for_run(run);
    match kind {
        Efficiency::Duration => {
            let time = run.baseline_duration.or_else(|| baseline?.duration)?;
            Some(proxy::efficiency_by_duration(time.value(), duration, run.gpus()))
        }
        Efficiency::Throughput => {
            let baseline = baseline?;
            let reference = (baseline.tokens?, baseline.duration?.value());
            Some(proxy::efficiency_by_throughput(reference, (run.tokens?, duration), run.gpus()))
        }
    }
}
