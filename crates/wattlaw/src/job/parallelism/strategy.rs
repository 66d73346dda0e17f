//! The strategy of a job: one definition for jobs, run tables, records, calibrations, audits and messages.

use std::fmt;
use std::str::FromStr;

use super::{DataParallel, TensorScope};
use crate::base::error::{Error, Result};
use crate::base::words::{as_text, words};

/// What data-parallel ranks shard, and whether there is tensor, context and pipeline parallelism.
///
/// Its name joins the parts with `+`: `single`, `fsdp`, `tp`, `zero1+tp-mlp`, `ddp+tp+cp+pp`. Degrees are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strategy {
    /// What data-parallel ranks shard; [`DataParallel::Single`] without data parallelism.
    pub data: DataParallel,
    /// What tensor parallelism splits, where there is any.
    pub tensor: Option<TensorScope>,
    /// Whether sequences are split among ranks.
    pub context: bool,
    /// Whether there are pipeline stages.
    pub pipeline: bool,
}

/// The kind of parallelism with the most communication; laws and intervals group runs by it.
///
/// Tensor parallelism moves activations in every layer, sharded data parallelism the parameters in every micro-step,
/// DDP the gradients once a step, and a pipeline activations at its stage boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StrategyKind {
    /// One GPU.
    Baseline,
    /// Data parallelism with gradients all-reduced.
    Ddp,
    /// Data parallelism with optimizer states sharded.
    Zero1,
    /// Data parallelism with optimizer states and gradients sharded.
    Zero2,
    /// Data parallelism with optimizer states, gradients and parameters sharded.
    Fsdp,
    /// FSDP inside groups, gradients all-reduced between them.
    Hsdp,
    /// Tensor parallelism, alone or with others.
    Tensor,
    /// A pipeline, alone or with DDP.
    Pipeline,
}

words!(StrategyKind, "strategy": Baseline = "baseline" | "single", Ddp = "ddp", Zero1 = "zero1",
    Zero2 = "zero2", Fsdp = "fsdp", Hsdp = "hsdp", Tensor = "tp", Pipeline = "pp");

impl StrategyKind {
    /// Substitutes for this kind where a law has no runs of it, the nearest first.
    ///
    /// All sharded kinds move at least the gradients and the updated parameters, so FSDP, with the most traffic,
    /// substitutes each of them, and is preferred to DDP for any job on several GPUs.
    pub const fn substitutes(self) -> &'static [Self] {
        use StrategyKind::{Baseline, Ddp, Fsdp, Hsdp, Pipeline, Tensor, Zero1, Zero2};
        match self {
            Baseline => &[Fsdp],
            Zero1 => &[Fsdp, Zero2, Hsdp, Ddp, Tensor, Baseline],
            Zero2 => &[Fsdp, Zero1, Hsdp, Ddp, Tensor, Baseline],
            Fsdp => &[Hsdp, Zero2, Zero1, Ddp, Tensor, Baseline],
            Hsdp => &[Fsdp, Zero2, Zero1, Ddp, Tensor, Baseline],
            Ddp => &[Fsdp, Tensor, Baseline],
            Tensor => &[Fsdp, Ddp, Baseline],
            Pipeline => &[Fsdp, Ddp, Tensor, Baseline],
        }
    }

    /// Whether data-parallel ranks shard something: ZeRO of any stage, FSDP or HSDP.
    pub(crate) const fn is_sharded(self) -> bool {
        matches!(self, Self::Zero1 | Self::Zero2 | Self::Fsdp | Self::Hsdp)
    }
}

impl Strategy {
    /// One GPU.
    pub const SINGLE: Self = Self::data(DataParallel::Single);

    /// Data parallelism alone.
    pub const fn data(data: DataParallel) -> Self {
        Self { data, tensor: None, context: false, pipeline: false }
    }

    /// The kind with the most communication; context parallelism, which adds to any of them, changes none.
    pub const fn kind(self) -> StrategyKind {
        match (self.tensor, self.data, self.pipeline) {
            (Some(_), _, _) => StrategyKind::Tensor,
            (None, DataParallel::Zero1, _) => StrategyKind::Zero1,
            (None, DataParallel::Zero2, _) => StrategyKind::Zero2,
            (None, DataParallel::Fsdp, _) => StrategyKind::Fsdp,
            (None, DataParallel::Hsdp, _) => StrategyKind::Hsdp,
            (None, DataParallel::Single | DataParallel::Ddp, true) => StrategyKind::Pipeline,
            (None, DataParallel::Ddp, false) => StrategyKind::Ddp,
            (None, DataParallel::Single, false) => StrategyKind::Baseline,
        }
    }

    /// The accepted names, for messages; parts may be joined with `+`.
    pub const NAMES: [&'static str; 10] =
        ["single", "ddp", "zero1", "zero2", "fsdp", "hsdp", "tp", "tp-mlp", "cp", "pp"];
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensor = self.tensor.map(|scope| match scope {
            TensorScope::Blocks => "tp",
            TensorScope::Mlp => "tp-mlp",
        });
        let data = (self.data != DataParallel::Single).then(|| self.data.name());
        let context = self.context.then_some("cp");
        let pipeline = self.pipeline.then_some("pp");
        let parts: Vec<&str> =
            data.into_iter().chain(tensor).chain(context).chain(pipeline).collect();
        f.write_str(if parts.is_empty() { "single" } else { "" })?;
        f.write_str(&parts.join("+"))
    }
}

impl FromStr for Strategy {
    type Err = Error;

    /// Reads a name, or several joined with `+`, in any case and order.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::unknown("strategy", text, Self::NAMES);
        let name = text.trim().to_lowercase().replace('_', "-");
        if matches!(name.as_str(), "deepspeed" | "zero") {
            return Err(Error::invalid(
                "strategy",
                format!("`{text}`"),
                "a stage is needed: zero1, zero2 or zero3 (with --framework deepspeed)",
            ));
        }
        let mut strategy = Self::SINGLE;
        let parts: Vec<&str> = match name.as_str() {
            // tables of step times use this name for any mixture of tensor and pipeline parallelism
            "3d" => vec!["ddp", "tp", "pp"],
            other => other.split('+').map(str::trim).collect(),
        };
        for part in &parts {
            match *part {
                "tp" | "tensor" if strategy.tensor.is_none() => {
                    strategy.tensor = Some(TensorScope::Blocks);
                }
                "tp-mlp" if strategy.tensor.is_none() => strategy.tensor = Some(TensorScope::Mlp),
                "cp" | "context" if !strategy.context => strategy.context = true,
                "pp" | "pipeline" if !strategy.pipeline => strategy.pipeline = true,
                other if strategy.data == DataParallel::Single => {
                    strategy.data = other.parse().map_err(|_| unknown())?;
                    if strategy.data == DataParallel::Single && parts.len() > 1 {
                        return Err(unknown());
                    }
                }
                _ => return Err(unknown()),
            }
        }
        Ok(strategy)
    }
}

as_text!(Strategy);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_is_read_back_from_its_name() {
        let kinds = ["single", "ddp", "zero1", "zero2", "fsdp", "hsdp"];
        for data in kinds {
            for tensor in [None, Some(TensorScope::Blocks), Some(TensorScope::Mlp)] {
                for (context, pipeline) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    let data = data.parse().unwrap();
                    let strategy = Strategy { data, tensor, context, pipeline };
                    let name = strategy.to_string();
                    assert_eq!(name.parse::<Strategy>().unwrap(), strategy, "{name}");
                }
            }
        }
        let read = |name: &str| name.parse::<Strategy>().unwrap().to_string();
        assert_eq!(read("ZeRO-3"), "fsdp");
        assert_eq!(read("TP_MLP + zero_1"), "zero1+tp-mlp");
        assert_eq!(read("FSDP2"), "fsdp");
        assert_eq!(read("3d"), "ddp+tp+pp");
        assert_eq!(read("none"), "single");
        assert_eq!(read("pp + cp + tp"), "tp+cp+pp");
    }

    #[test]
    fn unknown_strategies_are_refused() {
        let error = "DeepSpeed".parse::<Strategy>().unwrap_err().to_string();
        assert!(error.starts_with("strategy is `DeepSpeed`, but a stage is needed"), "{error}");
        for text in ["", "tp+tp-mlp", "fsdp+ddp", "single+tp", "pp+pp", "cp+cp", "4d"] {
            let error = text.parse::<Strategy>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown strategy `{text}`")), "{error}");
        }
    }

    #[test]
    fn a_kind_is_not_its_own_substitute_and_sharded_kinds_use_fsdp() {
        let all = [
            StrategyKind::Baseline,
            StrategyKind::Ddp,
            StrategyKind::Zero1,
            StrategyKind::Zero2,
            StrategyKind::Fsdp,
            StrategyKind::Hsdp,
            StrategyKind::Tensor,
            StrategyKind::Pipeline,
        ];
        for kind in all {
            assert!(!kind.substitutes().contains(&kind), "{kind}");
            assert_eq!(kind.name().parse::<StrategyKind>().unwrap(), kind);
            if kind.is_sharded() && kind != StrategyKind::Fsdp {
                assert_eq!(kind.substitutes()[0], StrategyKind::Fsdp);
            }
        }
    }
}
