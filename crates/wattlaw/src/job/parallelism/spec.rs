//! A parallelism description from files and flags, and its check against the GPU count.

use serde::{Deserialize, Serialize};

use super::{
    ContextExchange, DataParallel, Parallelism, Partition, Schedule, Strategy, TensorScope,
};
use crate::base::error::{Error, Result};
use crate::base::words::overlay;
use crate::job::model::{Architecture, count};
use crate::job::workload::{Framework, Workload};

/// Parallelism as a job file or flags describe it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParallelismSpec {
    /// `single`, `ddp`, `zero1`, `zero2`, `fsdp`, `hsdp`, `tp` (all GPUs tensor-parallel), `tp-mlp`, `cp`, `pp`, or
    /// several joined with `+`.
    pub strategy: Option<Strategy>,
    /// Data-parallel ranks; GPUs / (tp · cp · pp) when absent.
    pub dp: Option<u64>,
    /// Tensor-parallel ranks.
    pub tp: Option<u64>,
    /// Pipeline stages.
    pub pp: Option<u64>,
    /// What tensor parallelism splits.
    pub tensor_scope: Option<TensorScope>,
    /// Whether tensor parallelism splits the sequence between its projections; the framework's default when absent.
    pub sequence_parallel: Option<bool>,
    /// Ranks that share one set of shards (HSDP); the GPUs of one node when absent.
    pub shard_group: Option<u64>,
    /// Pipeline schedule.
    pub schedule: Option<Schedule>,
    /// Model chunks a pipeline stage holds (interleaved); two when absent.
    pub virtual_stages: Option<u64>,
    /// `even` or `cost`: how pipeline stages divide the layers; the framework's default when absent.
    pub partition: Option<Partition>,
    /// Context-parallel ranks; 1 when absent.
    pub cp: Option<u64>,
    /// How they exchange keys and values; the framework's default when absent.
    pub context_exchange: Option<ContextExchange>,
    /// Ranks, of the data- and context-parallel ones, among which experts are split; 1 when absent.
    pub ep: Option<u64>,
}

/// Ranks of each kind of parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Degrees {
    /// Data-parallel ranks.
    pub dp: u64,
    /// Tensor-parallel ranks.
    pub tp: u64,
    /// Pipeline stages.
    pub pp: u64,
    /// Context-parallel ranks.
    pub cp: u64,
}

impl ParallelismSpec {
    /// The description with absent fields taken from `base`.
    #[must_use]
    pub fn with_fallback(self, base: Self) -> Self {
        overlay!(ParallelismSpec, self over base: strategy, dp, tp, pp, tensor_scope, sequence_parallel,
            shard_group, schedule, virtual_stages, partition, cp, context_exchange, ep)
    }

    /// GPU count implied by the stated degrees.
    pub fn implied_gpus(&self) -> u64 {
        [self.dp, self.tp, self.pp, self.cp].into_iter().flatten().fold(1, u64::saturating_mul)
    }

    /// The strategy of the description on `gpus` accelerators, as far as it is stated.
    pub(crate) fn named_strategy(&self, gpus: u64) -> Strategy {
        if gpus == 1 {
            return Strategy::SINGLE;
        }
        let named = self.strategy.unwrap_or(Strategy::SINGLE);
        let tensor = match self.tp {
            Some(tp) => tp > 1,
            None => named.tensor.is_some(),
        };
        let pipeline = self.pp.map_or(named.pipeline, |pp| pp > 1);
        let context = self.cp.map_or(named.context, |cp| cp > 1);
        let others_take_all = match (self.dp, self.tp, self.pp) {
            // context-parallel ranks sum gradients as data-parallel ones do
            _ if context => false,
            (Some(dp), _, _) => dp == 1,
            // without data parallelism the strategy takes all GPUs if its degree is absent
            (None, None, None) => named.data == DataParallel::Single && (tensor || pipeline),
            (None, tp, pp) => tp.unwrap_or(1).saturating_mul(pp.unwrap_or(1)) >= gpus,
        };
        let data = match named.data {
            DataParallel::Single if others_take_all => DataParallel::Single,
            DataParallel::Single => DataParallel::Ddp,
            _ if !context && (self.dp == Some(1) || (others_take_all && self.dp.is_none())) => {
                DataParallel::Single
            }
            data => data,
        };
        Strategy {
            data,
            tensor: tensor
                .then(|| self.tensor_scope.or(named.tensor).unwrap_or(TensorScope::Blocks)),
            context,
            pipeline,
        }
    }

    /// Checks the degrees against the GPU count and fills in absent degrees.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an unknown strategy; [`Error::Invalid`] where degrees do not multiply to `gpus`, or
    /// heads, widths, layers or sequences do not divide.
    pub fn resolve(
        &self,
        gpus: u64,
        gpus_per_node: u64,
        architecture: &Architecture,
        workload: &Workload,
    ) -> Result<Parallelism> {
        self.check_named(gpus)?;
        let tensor = self.strategy.and_then(|named| named.tensor);
        let Degrees { dp, tp, pp, cp } = self.degrees(gpus)?;
        let data = match self.strategy {
            _ if dp * cp == 1 => DataParallel::Single,
            Some(Strategy::SINGLE) => {
                return Err(Error::invalid(
                    "strategy",
                    "single",
                    format!("{gpus} GPUs need one of {}", Strategy::NAMES[1..].join(", ")),
                ));
            }
            None | Some(Strategy { data: DataParallel::Single, .. }) => DataParallel::Ddp,
            Some(Strategy { data, .. }) => data,
        };
        let framework = workload.framework.framework;
        // a default never makes a job impossible that is possible without it
        let by_default = splits_sequence(framework) && workload.seq_len.is_multiple_of(tp * cp);
        let schedule = self.schedule.unwrap_or(Schedule::OneForwardOneBackward);
        let partition = match schedule {
            Schedule::Interleaved => Partition::Even,
            _ => Partition::of_framework(framework),
        };
        let parallelism = Parallelism {
            dp,
            tp,
            pp,
            cp,
            context_exchange: self.context_exchange(cp, framework)?,
            ep: count("ep", self.ep, Some(1), 1 << 16)?,
            data,
            shard_group: self.shard_group(data, dp * cp, tp, gpus_per_node)?,
            tensor_scope: self.tensor_scope.or(tensor).unwrap_or(TensorScope::Blocks),
            sequence_parallel: self.sequence_parallel.unwrap_or(by_default) && tp > 1,
            schedule,
            virtual_stages: 1,
            partition: self.partition.unwrap_or(partition),
        };
        let parallelism = self.interleave(parallelism, architecture, workload)?;
        parallelism.check(architecture, workload)?;
        Ok(parallelism)
    }

    /// The degrees on `gpus` accelerators.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they do not multiply to `gpus`.
    pub(crate) fn degrees(&self, gpus: u64) -> Result<Degrees> {
        let alone = self.strategy.filter(|named| named.data == DataParallel::Single);
        let given_dp = self.dp.unwrap_or(1).max(1);
        let cp = count("cp", self.cp, Some(1), 1 << 16)?;
        let given = given_dp.saturating_mul(cp);
        let pp_default = match alone {
            Some(Strategy { tensor: None, pipeline: true, .. }) => {
                (gpus / self.tp.unwrap_or(1).max(1) / given).max(1)
            }
            _ => 1,
        };
        let pp = count("pp", self.pp, Some(pp_default), 1 << 16)?;
        let tp_default = match alone {
            Some(Strategy { tensor: Some(_), .. }) => (gpus / pp / given).max(1),
            _ => 1,
        };
        let tp = count("tp", self.tp, Some(tp_default), 1 << 16)?;
        let dp = count("dp", self.dp, Some((gpus / (tp * cp * pp)).max(1)), 1 << 24)?;
        let product = [dp, tp, cp, pp].into_iter().map(u128::from).product::<u128>();
        if product != u128::from(gpus) {
            let (names, degrees) = match cp {
                1 => ("dp × tp × pp", format!("{dp} × {tp} × {pp}")),
                cp => ("dp × tp × cp × pp", format!("{dp} × {tp} × {cp} × {pp}")),
            };
            return Err(Error::invalid(
                names,
                format!("{degrees} = {product}"),
                format!("it must be the GPU count {gpus}"),
            ));
        }
        Ok(Degrees { dp, tp, pp, cp })
    }

    /// Refuses a multi-GPU strategy on one GPU, and a combination without the degrees it needs.
    fn check_named(&self, gpus: u64) -> Result<()> {
        let Some(named) = self.strategy else { return Ok(()) };
        let one_gpu = gpus == 1
            && [self.tp, self.pp, self.cp].into_iter().all(|degree| degree.unwrap_or(1) == 1);
        if one_gpu && named != Strategy::SINGLE {
            return Err(Error::invalid(
                "strategy",
                format!("`{named}` on 1 GPU"),
                "it needs more GPUs (--gpus), or strategy `single`",
            ));
        }
        let has_data = named.data != DataParallel::Single;
        let open = [
            ("tp", named.tensor.is_some() && has_data && self.tp.is_none()),
            ("cp", named.context && self.cp.is_none()),
            ("pp", named.pipeline && (has_data || named.tensor.is_some()) && self.pp.is_none()),
        ];
        match open.iter().find(|(_, is_open)| *is_open) {
            Some((degree, _)) => {
                Err(Error::missing(*degree, format!("strategy `{named}` needs its degree")))
            }
            None => Ok(()),
        }
    }

    /// The ranks, of `replicas` that hold the same weights, that share one set of shards.
    fn shard_group(
        &self,
        data: DataParallel,
        replicas: u64,
        tp: u64,
        gpus_per_node: u64,
    ) -> Result<u64> {
        match (data, self.shard_group) {
            (DataParallel::Hsdp, given) => {
                let node = (gpus_per_node / tp).clamp(1, replicas);
                let group = count("shard_group", given, Some(node), 1 << 24)?;
                if !replicas.is_multiple_of(group) {
                    let of = if self.cp.unwrap_or(1) > 1 { "dp × cp =" } else { "dp" };
                    return Err(Error::invalid(
                        "shard_group",
                        group,
                        format!("it must divide {of} {replicas}"),
                    ));
                }
                Ok(group)
            }
            (_, Some(group)) => {
                Err(Error::invalid("shard_group", group, "only strategy `hsdp` has shard groups"))
            }
            (data, None) if data.shards_optimizer() => Ok(replicas),
            _ => Ok(1),
        }
    }

    /// How `cp` ranks exchange keys and values.
    fn context_exchange(&self, cp: u64, framework: Framework) -> Result<ContextExchange> {
        match (cp, self.context_exchange) {
            (1, Some(ContextExchange::AllGather)) => Err(Error::invalid(
                "context_exchange",
                ContextExchange::AllGather,
                "one context-parallel rank has nothing to gather; give cp",
            )),
            (1, _) => Ok(ContextExchange::Ring),
            (_, given) => Ok(given.unwrap_or(ContextExchange::of_framework(framework))),
        }
    }

    fn interleave(
        &self,
        parallelism: Parallelism,
        architecture: &Architecture,
        workload: &Workload,
    ) -> Result<Parallelism> {
        if parallelism.schedule != Schedule::Interleaved {
            return match self.virtual_stages {
                Some(v) if v > 1 => Err(Error::invalid(
                    "virtual_stages",
                    v,
                    "only schedule `interleaved` has several chunks a stage",
                )),
                _ => Ok(parallelism),
            };
        }
        if parallelism.partition == Partition::ByCost {
            return Err(Error::invalid(
                "partition",
                Partition::ByCost,
                "an interleaved pipeline has equal chunks; use `even`",
            ));
        }
        let chunks = count("virtual_stages", self.virtual_stages, Some(2), 1 << 16)?;
        let stages = parallelism.pp * chunks;
        if !architecture.layers.is_multiple_of(stages) {
            return Err(Error::invalid(
                "virtual_stages",
                chunks,
                format!(
                    "pp × virtual_stages = {stages} must divide the {} layers",
                    architecture.layers
                ),
            ));
        }
        if !workload.grad_accum.is_multiple_of(parallelism.pp) {
            return Err(Error::invalid(
                "grad_accum",
                workload.grad_accum,
                format!("an interleaved pipeline needs a multiple of pp {}", parallelism.pp),
            ));
        }
        Ok(Parallelism { virtual_stages: chunks, ..parallelism })
    }
}

/// Whether tensor parallelism splits the sequence between its projections, where the user does not say.
///
/// nanotron does (`tp_mode: REDUCE_SCATTER` in its examples and its benchmark); Megatron-LM's `--sequence-parallel` is off
/// by default, and the others have no such default.
const fn splits_sequence(framework: Framework) -> bool {
    matches!(framework, Framework::Nanotron)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::amount::Count;
    use crate::job::model::ModelSpec;
    use crate::job::parallelism::StrategyKind;
    use crate::job::workload::{Precision, WorkloadSpec};

    fn resolve(spec: &ParallelismSpec, gpus: u64) -> Result<Parallelism> {
        let architecture = ModelSpec {
            family: Some("gpt2".into()),
            layers: Some(12),
            hidden_size: Some(768),
            ..Default::default()
        }
        .resolve()?;
        let workload = WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: Some(128),
            micro_batch: Some(1),
            grad_accum: Some(8),
            ..Default::default()
        }
        .resolve(&architecture, Precision::Bf16)?;
        spec.resolve(gpus, 8, &architecture, &workload)
    }

    fn strategy(name: &str) -> ParallelismSpec {
        ParallelismSpec { strategy: Some(name.parse().unwrap()), ..Default::default() }
    }

    #[test]
    fn the_data_degree_follows_from_the_others() {
        let p =
            resolve(&ParallelismSpec { tp: Some(2), pp: Some(2), ..strategy("fsdp") }, 16).unwrap();
        assert_eq!((p.dp, p.tp, p.pp, p.data, p.shard_group), (4, 2, 2, DataParallel::Fsdp, 4));
        let p = resolve(&strategy("tp"), 4).unwrap();
        assert_eq!((p.dp, p.tp, p.strategy().to_string().as_str()), (1, 4, "tp"));
        assert_eq!(resolve(&ParallelismSpec::default(), 1).unwrap(), Parallelism::SINGLE);
        let p = resolve(&strategy("pp"), 4).unwrap();
        assert_eq!((p.dp, p.pp, p.strategy().kind()), (1, 4, StrategyKind::Pipeline));
        let p = resolve(&ParallelismSpec { tp: Some(2), ..strategy("zero1+tp") }, 8).unwrap();
        assert_eq!(
            (p.dp, p.data, p.strategy().kind()),
            (4, DataParallel::Zero1, StrategyKind::Tensor)
        );
        let p = resolve(&strategy("hsdp"), 16).unwrap();
        assert_eq!((p.dp, p.shard_group), (16, 8));
        // ranks of one sequence hold the same weights as those of others
        let p = resolve(&ParallelismSpec { cp: Some(4), ..strategy("fsdp") }, 8).unwrap();
        assert_eq!((p.dp, p.cp, p.shard_group), (2, 4, 8));
        assert_eq!(p.strategy().to_string(), "fsdp+cp");
        let p = resolve(&ParallelismSpec { cp: Some(4), ..Default::default() }, 4).unwrap();
        assert_eq!((p.dp, p.data, p.gpus()), (1, DataParallel::Ddp, 4));
    }

    #[test]
    fn impossible_splits_are_refused_with_the_reason() {
        let fails = |spec: ParallelismSpec, gpus| resolve(&spec, gpus).unwrap_err().to_string();
        assert_eq!(
            fails(ParallelismSpec { dp: Some(2), tp: Some(2), ..Default::default() }, 8),
            "dp × tp × pp is 2 × 2 × 1 = 4, but it must be the GPU count 8"
        );
        assert_eq!(fails(strategy("tp"), 8), "tp is 8, but it must divide the 12 heads");
        assert!(fails(strategy("fsdp"), 1).contains("on 1 GPU"));
        assert!(fails(strategy("tp-mlp"), 1).contains("on 1 GPU"));
        assert!(fails(strategy("single"), 4).contains("4 GPUs need one of"));
        assert!(fails(strategy("fsdp+tp"), 4).starts_with("tp is missing"));
        assert_eq!(
            fails(ParallelismSpec { dp: Some(2), cp: Some(3), ..Default::default() }, 8),
            "dp × tp × cp × pp is 2 × 1 × 3 × 1 = 6, but it must be the GPU count 8"
        );
        assert_eq!(
            fails(ParallelismSpec { cp: Some(3), ..strategy("fsdp") }, 3),
            "cp is 3, but 2 × cp = 6 must divide seq_len 128"
        );
        assert!(fails(strategy("fsdp+cp"), 4).starts_with("cp is missing"));
        assert!(
            fails(ParallelismSpec { pp: Some(16), ..Default::default() }, 16)
                .contains("each stage needs a layer")
        );
        let interleaved = ParallelismSpec {
            pp: Some(8),
            schedule: Some(Schedule::Interleaved),
            ..Default::default()
        };
        assert!(fails(interleaved, 8).contains("must divide the 12 layers"));
    }

    #[test]
    fn experts_are_split_among_ranks_that_hold_equal_weights() {
        let mixture = ModelSpec {
            family: Some("mixtral".into()),
            layers: Some(2),
            hidden_size: Some(128),
            heads: Some(4),
            experts: Some(8),
            ..Default::default()
        }
        .resolve()
        .unwrap();
        let workload = WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: Some(128),
            micro_batch: Some(1),
            ..Default::default()
        }
        .resolve(&mixture, Precision::Bf16)
        .unwrap();
        let split = |spec: ParallelismSpec| spec.resolve(16, 8, &mixture, &workload);
        let fails = |spec: ParallelismSpec| split(spec).unwrap_err().to_string();
        let of = |ep| ParallelismSpec { ep: Some(ep), ..Default::default() };
        assert_eq!(split(ParallelismSpec { cp: Some(2), ..of(8) }).unwrap().ep, 8);
        assert_eq!(fails(of(16)), "ep is 16, but it must divide the 8 experts of a layer");
        assert_eq!(
            fails(ParallelismSpec { tp: Some(4), ..of(8) }),
            "ep is 8, but it must divide dp × cp = 4"
        );
        assert_eq!(
            fails(ParallelismSpec { shard_group: Some(4), ep: Some(8), ..strategy("hsdp") }),
            "ep is 8, but it must divide the 4 ranks of a shard group"
        );
        assert_eq!(
            resolve(&of(2), 4).unwrap_err().to_string(),
            "ep is 2, but the model has no experts; use 1"
        );
    }

    #[test]
    fn stages_share_layers_evenly_and_lose_none() {
        let p = resolve(&ParallelismSpec { pp: Some(5), ..Default::default() }, 5).unwrap();
        let gpt = ModelSpec {
            family: Some("gpt2".into()),
            layers: Some(12),
            hidden_size: Some(768),
            ..Default::default()
        };
        let gpt = gpt.resolve().unwrap();
        let layers: Vec<u64> = (0..5).map(|s| p.stage_layers(&gpt, s)).collect();
        assert_eq!(layers, [3, 3, 2, 2, 2]);
        assert_eq!(p.head_stage(&gpt), 4);
        assert_eq!(p.bubble(8), 0.5);
    }

    #[test]
    fn a_partition_by_cost_has_fewer_layers_on_the_output_stage() {
        // 16 layers of 2²⁶ and an output projection of four times that: 20 units
        let llama = ModelSpec {
            family: Some("llama".into()),
            layers: Some(16),
            hidden_size: Some(2048),
            heads: Some(32),
            ffn_size: Some(8192),
            vocab_size: Some(131_072),
            ..Default::default()
        };
        let llama = llama.resolve().unwrap();
        let cut = |pp| {
            let p = Parallelism { pp, partition: Partition::ByCost, ..Parallelism::SINGLE };
            let layers: Vec<u64> = (0..pp).map(|s| p.stage_layers(&llama, s)).collect();
            (layers, p.head_stage(&llama))
        };
        assert_eq!(cut(1), (vec![16], 0));
        assert_eq!(cut(2), (vec![10, 6], 1));
        assert_eq!(cut(4), (vec![5, 5, 5, 1], 3));
        assert_eq!(cut(8), (vec![3, 2, 3, 2, 3, 2, 1, 0], 6));
        // more stages than blocks: a stage begins with each of the first layers
        let ends: Vec<u64> = [vec![1; 16], vec![0; 4]].concat();
        assert_eq!(cut(20), (ends, 16));
    }
}
