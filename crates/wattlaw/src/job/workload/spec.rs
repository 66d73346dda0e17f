//! A workload description from files and flags, and its conversion to a checked workload.

use serde::{Deserialize, Serialize};

use super::{
    Amount, AttentionKernel, Checkpointing, Lora, LoraTarget, Offload, Optimizer, Precision,
    Quantization, Stack, StatePrecision, TrainingObjective, Workload,
};
use crate::base::amount::Count;
use crate::base::error::{Error, Result};
use crate::base::words::overlay;
use crate::job::model::Family;
use crate::job::task::Task;

/// A workload as a job file or flags describe it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Tokens to train on, as `10M`; one of tokens, steps, or epochs with examples.
    pub tokens: Option<Count>,
    /// Optimizer steps.
    pub steps: Option<Count>,
    /// Passes over the data.
    pub epochs: Option<f64>,
    /// Examples in the data.
    pub examples: Option<Count>,
    /// Tokens in a sequence.
    pub seq_len: Option<u64>,
    /// Tokens in a target sequence (encoder–decoder); a quarter of `seq_len` when absent.
    pub decoder_seq_len: Option<u64>,
    /// Share of padding, 0 to below 1.
    pub padding_share: Option<f64>,
    /// Mean length of packed documents, where attention stays within each; attention spans the sequence when absent.
    pub document_len: Option<u64>,
    /// Sequences per micro-batch of a data-parallel rank.
    pub micro_batch: Option<u64>,
    /// Micro-batches an optimizer step; 1 when absent.
    pub grad_accum: Option<u64>,
    /// Sequences of an optimizer step over all data-parallel ranks; `micro_batch` × `grad_accum` × dp when absent.
    pub global_batch: Option<u64>,
    /// Number format; bf16 where the GPU has it, else fp16.
    pub precision: Option<Precision>,
    /// Update rule; AdamW when absent.
    pub optimizer: Option<Optimizer>,
    /// Recomputation; none when absent.
    pub checkpointing: Option<Checkpointing>,
    /// Attention kernel; flash when absent.
    pub attention: Option<AttentionKernel>,
    /// `masked-lm`, `causal-lm`, `classification` or `contrastive`; the family's own when absent.
    pub task: Option<String>,
    /// Labels of a classification; two when absent.
    pub labels: Option<u64>,
    /// Adapters.
    pub lora: Option<Lora>,
    /// Whether adapted weights have trained magnitudes (DoRA); no when absent.
    pub dora: Option<bool>,
    /// Format of the weights that are updated and of the optimizer's states; fp32 when absent.
    pub state_precision: Option<StatePrecision>,
    /// Format of the frozen projections below adapters; none when absent.
    pub quantization: Option<Quantization>,
    /// First layers that, like the embedding, are not trained; none when absent.
    pub frozen_layers: Option<u64>,
    /// What the training makes the model do: `likelihood` when absent, or `dpo`.
    pub objective: Option<TrainingObjective>,
    /// What is kept in the memory of the host: `none` when absent, `optimizer` or `parameters`.
    pub offload: Option<Offload>,
    /// The software stack, and the program within it, such as `accelerate` or `megatron/nemo-2024`; unknown when
    /// absent.
    pub framework: Option<Stack>,
}

impl WorkloadSpec {
    /// The description with absent fields taken from `base`.
    ///
    /// An amount here (tokens, steps or epochs) replaces the base's amount in any form, and a size of the batch here one of
    /// the base's where all three are stated.
    #[must_use]
    pub fn with_fallback(self, mut base: Self) -> Self {
        if self.tokens.is_some() || self.steps.is_some() || self.epochs.is_some() {
            (base.tokens, base.steps, base.epochs) = (None, None, None);
            if self.epochs.is_none() {
                base.examples = None;
            }
        }
        self.without_overridden_batch(&mut base);
        overlay!(WorkloadSpec, self over base: tokens, steps, epochs, examples, seq_len, decoder_seq_len,
            padding_share, document_len, micro_batch, grad_accum, global_batch, precision, optimizer, checkpointing, attention, task,
            labels, lora, dora, state_precision, quantization, frozen_layers, objective, offload, framework)
    }

    /// Checks the description against the architecture it trains and fills in defaults; `precision` is the default
    /// precision. A global batch is not read here, since what follows from it depends on the parallelism:
    /// [`JobSpec::resolve`](crate::job::JobSpec::resolve) reads it.
    ///
    /// # Errors
    /// [`Error::Missing`] without an amount, a sequence length or a micro-batch; [`Error::Invalid`] where a number is
    /// zero, not finite or absurd, amounts contradict each other, or the task does not suit the family.
    pub fn resolve(
        &self,
        architecture: &crate::job::model::Architecture,
        precision: Precision,
    ) -> Result<Workload> {
        let family = architecture.family();
        let seq_len = match (architecture.image_positions(), self.seq_len) {
            (Some(positions), None) => {
                positive("patches of the image", Some(positions), None, MAX_POSITIONS)?
            }
            (Some(positions), Some(n)) if n != positions => {
                let patches = architecture.image.map_or(0, |image| image.patches());
                let tokens = match positions - patches {
                    1 => "a class token".to_owned(),
                    tokens => format!("{tokens} class tokens"),
                };
                return Err(Error::invalid(
                    "seq_len",
                    n,
                    format!("this image has {patches} patches and {tokens}; leave it out"),
                ));
            }
            (_, given) => positive("seq_len", given, None, MAX_POSITIONS)?,
        };
        let decoder_seq_len = if family == Family::T5 {
            let quarter = (seq_len / 4).max(1);
            positive("decoder_seq_len", self.decoder_seq_len, Some(quarter), MAX_POSITIONS)?
        } else if let Some(n) = self.decoder_seq_len {
            return Err(Error::invalid(
                "decoder_seq_len",
                n,
                "only an encoder–decoder (t5) has target sequences",
            ));
        } else {
            0
        };
        let padding_share = self.padding_share.unwrap_or(0.0);
        if !(0.0..1.0).contains(&padding_share) {
            return Err(Error::invalid(
                "padding_share",
                padding_share,
                "it must be from 0 to below 1",
            ));
        }
        let precision = self.precision.unwrap_or(precision);
        Ok(Workload {
            amount: self.amount()?,
            seq_len,
            decoder_seq_len,
            padding_share,
            document_len: self.document_len(architecture, seq_len)?,
            micro_batch: positive("micro_batch", self.micro_batch, None, MAX_SEQUENCES)?,
            grad_accum: positive("grad_accum", self.grad_accum, Some(1), MAX_SEQUENCES)?,
            precision,
            optimizer: self.optimizer()?,
            checkpointing: self.checkpointing.unwrap_or(Checkpointing::None),
            attention: self.attention.unwrap_or(AttentionKernel::Flash),
            task: self.task(architecture)?,
            lora: self.lora(architecture)?,
            dora: self.dora()?,
            state_precision: self.state_precision(precision)?,
            quantization: self.quantization()?,
            frozen_layers: self.frozen_layers(architecture)?,
            objective: self.objective(architecture)?,
            offload: self.offload()?,
            framework: self.framework.clone().unwrap_or(Stack::UNKNOWN),
        })
    }

    /// Weights in bfloat16 without a 32-bit copy are multiplied as they are, or cast to 8 bits.
    fn state_precision(&self, precision: Precision) -> Result<StatePrecision> {
        let states = self.state_precision.unwrap_or(StatePrecision::Fp32);
        let kept = matches!(precision, Precision::Bf16 | Precision::Fp8);
        if states == StatePrecision::Bf16 && !kept {
            return Err(Error::invalid(
                "state_precision",
                states,
                format!(
                    "weights in bf16 are multiplied in bf16 or fp8, and precision is {precision}"
                ),
            ));
        }
        Ok(states)
    }

    /// Muon updates whole matrices; adapters are trained by others.
    fn optimizer(&self) -> Result<Optimizer> {
        let optimizer = self.optimizer.unwrap_or(Optimizer::AdamW);
        if optimizer == Optimizer::Muon && self.lora.is_some() {
            return Err(Error::invalid(
                "optimizer",
                optimizer,
                "adapters are not orthogonalized; use adamw with lora_rank",
            ));
        }
        Ok(optimizer)
    }

    /// Only frozen weights are stored quantized, and only adapters leave weights frozen.
    fn quantization(&self) -> Result<Quantization> {
        let format = self.quantization.unwrap_or(Quantization::None);
        if format != Quantization::None && self.lora.is_none() {
            return Err(Error::invalid(
                "quantization",
                format,
                "only frozen weights are quantized; train adapters on them with lora_rank, or use none",
            ));
        }
        Ok(format)
    }

    /// Documents are kept apart by a fused kernel that is given their ends (FlashAttention, `flash_attn_varlen_func`).
    fn document_len(
        &self,
        architecture: &crate::job::model::Architecture,
        seq_len: u64,
    ) -> Result<Option<u64>> {
        let Some(length) = self.document_len else { return Ok(None) };
        let wrong = |expected: &str| Err(Error::invalid("document_len", length, expected));
        if architecture.encoder_layers > 0 || architecture.image.is_some() {
            return wrong("documents are packed into sequences of a decoder or an encoder alone");
        }
        if self.attention == Some(AttentionKernel::Eager) {
            return wrong("eager attention spans the whole sequence; use flash");
        }
        if !(1..=seq_len).contains(&length) {
            return wrong(&format!("it must be from 1 to seq_len {seq_len}"));
        }
        Ok(Some(length))
    }

    /// Layers of one stack with weights of their own; the last one is trained.
    fn frozen_layers(&self, architecture: &crate::job::model::Architecture) -> Result<u64> {
        let frozen = self.frozen_layers.unwrap_or(0);
        let wrong = |expected: &str| Err(Error::invalid("frozen_layers", frozen, expected));
        if frozen == 0 {
            return Ok(0);
        }
        if architecture.encoder_layers > 0
            || architecture.distinct_layers.is_some()
            || !architecture.other_stacks.is_empty()
        {
            return wrong(
                "layers of several stacks, or that share weights, are frozen in no modelled way",
            );
        }
        if frozen >= architecture.layers {
            return wrong(&format!("it must be below the {} layers", architecture.layers));
        }
        Ok(frozen)
    }

    /// Only adapted weights are normed.
    fn dora(&self) -> Result<bool> {
        let on = self.dora.unwrap_or(false);
        if on && self.lora.is_none() {
            return Err(Error::invalid(
                "dora",
                on,
                "only adapted weights have magnitudes; give lora_rank",
            ));
        }
        Ok(on)
    }

    /// Preferences are of texts that one decoder continues.
    fn objective(
        &self,
        architecture: &crate::job::model::Architecture,
    ) -> Result<TrainingObjective> {
        let objective = self.objective.unwrap_or(TrainingObjective::Likelihood);
        let decodes =
            self.task(architecture)? == Task::CausalLm && architecture.encoder_layers == 0;
        if objective == TrainingObjective::Dpo && !decodes {
            return Err(Error::invalid(
                "objective",
                objective,
                "preferences are counted for decoders with task causal-lm",
            ));
        }
        Ok(objective)
    }

    /// The host updates element by element.
    fn offload(&self) -> Result<Offload> {
        let offload = self.offload.unwrap_or(Offload::None);
        if offload != Offload::None && self.optimizer()? == Optimizer::Muon {
            return Err(Error::invalid(
                "offload",
                offload,
                "muon's products are not counted on the host; use none or another optimizer",
            ));
        }
        Ok(offload)
    }

    /// The amount of training, which no other field of the workload depends on.
    ///
    /// # Errors
    /// [`Error::Missing`] without one; [`Error::Invalid`] for one that is zero, absurd or given twice.
    pub fn amount(&self) -> Result<Amount> {
        let forms = "give one of tokens, steps, or epochs with examples";
        for (field, given) in
            [("tokens", self.tokens), ("steps", self.steps), ("examples", self.examples)]
        {
            if given.is_some_and(|n| n.get() == 0) {
                return Err(Error::invalid(field, 0, "it must be a whole number from 1"));
            }
        }
        match (self.tokens, self.steps, self.epochs, self.examples) {
            (Some(tokens), None, None, None) => Ok(Amount::Tokens(tokens.get())),
            (None, Some(steps), None, None) => Ok(Amount::Steps(steps.get())),
            (None, None, Some(epochs), Some(examples)) => {
                if !(1e-9..=1e9).contains(&epochs) {
                    return Err(Error::invalid(
                        "epochs",
                        epochs,
                        "it must be a number from 1e-9 to 1e9",
                    ));
                }
                Ok(Amount::Epochs { epochs, examples: examples.get() })
            }
            (None, None, None, None) => Err(Error::missing("the amount of training", forms)),
            (None, None, Some(_), None) => {
                Err(Error::missing("examples", "epochs are counted over examples"))
            }
            (None, None, None, Some(_)) => {
                Err(Error::missing("epochs", "examples need a number of passes"))
            }
            _ => Err(Error::invalid("the amount of training", "given twice", forms)),
        }
    }

    fn task(&self, architecture: &crate::job::model::Architecture) -> Result<Task> {
        let family = architecture.family();
        let labels = positive(
            "labels",
            self.labels,
            Some(if architecture.classes > 0 { architecture.classes } else { 2 }),
            1 << 24,
        )?;
        let task = match &self.task {
            Some(name) => Task::parse(name, labels)?,
            None => architecture.default_task(),
        };
        let suits = match task {
            Task::MaskedLm => family == Family::Bert,
            Task::CausalLm => matches!(family, Family::Gpt | Family::Llama | Family::T5),
            Task::Classification { .. } => {
                family != Family::T5 && architecture.text_encoder().is_none()
            }
            Task::Contrastive => architecture.text_encoder().is_some(),
        };
        if suits {
            Ok(task)
        } else {
            Err(Error::invalid(
                "task",
                task.name(),
                format!("a {family} model is trained for {}", architecture.default_task().name()),
            ))
        }
    }

    fn lora(&self, architecture: &crate::job::model::Architecture) -> Result<Option<Lora>> {
        if let Some(lora) = &self.lora {
            positive("lora rank", Some(lora.rank), None, 1 << 16)?;
            let only_gates = !lora.targets.is_empty()
                && lora.targets.iter().all(|target| *target == LoraTarget::Gate);
            if only_gates && !architecture.gated_ffn {
                return Err(Error::invalid(
                    "lora targets",
                    "the gate alone",
                    "this model's feed-forward blocks have no gate; adapt up, down or another projection",
                ));
            }
        }
        Ok(self.lora.clone().map(Lora::with_default_targets))
    }
}

/// Sixteen million positions and as many sequences: above any real training, and their product does not overflow.
const MAX_POSITIONS: u64 = 1 << 24;
const MAX_SEQUENCES: u64 = 1 << 24;

fn positive(field: &str, given: Option<u64>, default: Option<u64>, most: u64) -> Result<u64> {
    crate::job::model::count(field, given, default, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::model::ModelSpec;

    fn bert() -> crate::job::model::Architecture {
        ModelSpec {
            family: Some("bert".into()),
            layers: Some(2),
            hidden_size: Some(128),
            ..Default::default()
        }
        .resolve()
        .unwrap()
    }

    fn spec() -> WorkloadSpec {
        WorkloadSpec {
            tokens: Some(Count::new(8192)),
            seq_len: Some(128),
            micro_batch: Some(8),
            grad_accum: Some(2),
            ..Default::default()
        }
    }

    #[test]
    fn steps_follow_from_tokens_and_ranks() {
        let workload = spec().resolve(&bert(), Precision::Bf16).unwrap();
        assert_eq!(workload.steps(1), 4.0);
        assert_eq!(workload.steps(4), 1.0);
        assert_eq!(workload.tokens(4), 8192.0);
    }

    #[test]
    fn padding_is_computed_but_not_counted_as_data() {
        let padded = WorkloadSpec { padding_share: Some(0.5), ..spec() };
        let workload = padded.resolve(&bert(), Precision::Bf16).unwrap();
        assert_eq!(workload.positions(1), 16384.0);
        assert_eq!(workload.tokens(1), 8192.0);
        assert_eq!(workload.steps(1), 8.0);
    }

    #[test]
    fn epochs_count_whole_sequences() {
        let spec = WorkloadSpec {
            tokens: None,
            epochs: Some(3.0),
            examples: Some(Count::new(1000)),
            ..spec()
        };
        let workload = spec.resolve(&bert(), Precision::Bf16).unwrap();
        assert_eq!(workload.tokens(2), 384_000.0);
    }

    #[test]
    fn contradictions_are_refused() {
        let fails =
            |spec: WorkloadSpec| spec.resolve(&bert(), Precision::Bf16).unwrap_err().to_string();
        assert!(
            fails(WorkloadSpec { steps: Some(Count::new(5)), ..spec() }).contains("given twice")
        );
        assert!(fails(WorkloadSpec { tokens: None, ..spec() }).contains("give one of tokens"));
        assert!(
            fails(WorkloadSpec { padding_share: Some(f64::NAN), ..spec() })
                .contains("from 0 to below 1")
        );
        assert!(
            fails(WorkloadSpec { task: Some("causal-lm".into()), ..spec() }).contains("masked-lm")
        );
        assert!(
            fails(WorkloadSpec { micro_batch: Some(0), ..spec() }).starts_with("micro_batch is 0")
        );
        assert!(
            fails(WorkloadSpec { tokens: Some(Count::new(0)), ..spec() })
                .starts_with("tokens is 0")
        );
        let bf16 = Some(StatePrecision::Bf16);
        let half = Some(Precision::Fp16);
        assert_eq!(
            fails(WorkloadSpec { state_precision: bf16, precision: half, ..spec() }),
            "state_precision is bf16, but weights in bf16 are multiplied in bf16 or fp8, and precision is fp16"
        );
        assert_eq!(
            fails(WorkloadSpec { quantization: Some(Quantization::Nf4), ..spec() }),
            "quantization is nf4, but only frozen weights are quantized; train adapters on them with lora_rank, or use none"
        );
        let gate = Lora { rank: 4, targets: vec![LoraTarget::Gate] };
        assert!(fails(WorkloadSpec { lora: Some(gate), ..spec() }).contains("the gate alone"));
    }
}
