//! The features of a job: the columns of a run table, computed before the run.

use crate::data::dataset::ProxyColumns;
use crate::data::proxy::Proxies;
use crate::job::Job;
use crate::job::parallelism::StrategyKind;
use crate::stats::frame::Row;

/// The columns of one job, under the names that formulas use.
///
/// A law is evaluated on them without building a table. Strategy and family can be replaced by the nearest fitted ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The kind of parallelism that moves the most bytes.
    pub strategy: StrategyKind,
    /// The family.
    pub family: String,
    /// The accelerator's name in the catalogue.
    pub gpu: String,
    log_compute: f64,
    log_memory: f64,
    log_tokens: f64,
    log_micro_steps: f64,
    log_hbm_bandwidth: f64,
    log_layers: f64,
    log_hidden_size: f64,
    log_seq_len: f64,
    log_gpus: f64,
    gpus: f64,
}

impl Features {
    /// Computes the columns of a job with the proxies that a calibration was fitted on.
    pub fn for_job(job: &Job, columns: ProxyColumns) -> Self {
        let proxies = Proxies::for_job(job, columns.proxies);
        let (a, w) = (&job.architecture, &job.workload);
        let gpus = job.parallelism.gpus() as f64;
        Self {
            strategy: job.parallelism.strategy().kind(),
            family: a.family().name().to_owned(),
            gpu: job.system.accelerator.name.clone(),
            log_compute: proxies.compute.ln(),
            log_memory: proxies.memory.ln(),
            log_tokens: job.positions().ln(),
            log_micro_steps: (job.steps() * w.grad_accum as f64).ln(),
            log_hbm_bandwidth: job.system.accelerator.hbm_gb_per_s.ln(),
            log_layers: (a.total_layers() as f64).ln(),
            log_hidden_size: (a.hidden_size as f64).ln(),
            log_seq_len: (w.positions_per_sequence() as f64).ln(),
            log_gpus: gpus.ln(),
            gpus,
        }
    }
}

impl Row for Features {
    fn number(&self, name: &str) -> Option<f64> {
        Some(match name {
            "log_C" => self.log_compute,
            "log_M" => self.log_memory,
            "log_tokens" => self.log_tokens,
            "log_micro_steps" => self.log_micro_steps,
            "log_hbm_bandwidth" => self.log_hbm_bandwidth,
            "log_layers" => self.log_layers,
            "log_hidden_size" => self.log_hidden_size,
            "log_seq_len" => self.log_seq_len,
            "log_gpus" => self.log_gpus,
            "log2_gpus" => self.log_gpus / std::f64::consts::LN_2,
            "gpus" => self.gpus,
            _ => return None,
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        Some(match name {
            "strategy" => self.strategy.name(),
            "family" => &self.family,
            "gpu" => &self.gpu,
            _ => return None,
        })
    }
}
