//! The update of the weights, once a step.

use super::{Ledger, Op, OpKind, Phase};
use crate::base::units::{Bytes, Flops};
use crate::job::Job;
use crate::job::model::Architecture;
use crate::job::parallelism::TensorScope;
use crate::job::workload::{LoraTarget, Offload, Optimizer, StatePrecision};

/// Tensors and elements (320 blocks of 65,536) per launch of a fused multi-tensor kernel.
///
/// Source: PyTorch `aten/src/ATen/native/cuda/MultiTensorApply.cuh`, depth 4.
const TENSORS_PER_LAUNCH: f64 = 36.0;
const ELEMENTS_PER_LAUNCH: f64 = 320.0 * 65_536.0;

/// Writes the optimizer's operation into the ledger.
pub(super) fn count(job: &Job, held: &StageParameters, ledger: &mut Ledger) {
    let (w, p) = (&job.workload, &job.parallelism);
    let trained = trained_parameters(job, ledger.stage, held);
    let updated = if p.data.shards_optimizer() {
        p.shard(trained, trained_experts(job, ledger.stage, held))
    } else {
        trained
    };
    let weight = w.state_precision.bytes();
    // weights in 16 bits are computed with as they are
    let copied = w.state_precision == StatePrecision::Fp32 && w.precision.mixed();
    let copies = if copied { w.precision.bytes() } else { 0.0 };
    // read the gradient; read and write the weight and the states; write the 16-bit copy
    let states = state_bytes(job, held);
    let (extra_numbers, kernels) = w.optimizer.extra_numbers_and_kernels();
    let bytes = (3.0 + extra_numbers) * weight + 2.0 * states + copies;
    let launches = (tensors(&job.architecture) / p.pp as f64 / TENSORS_PER_LAUNCH)
        .max(updated / ELEMENTS_PER_LAUNCH);
    if w.offload != Offload::None {
        ledger.ops.push(Op {
            kind: OpKind::HostUpdate { bytes: Bytes::new(updated * bytes) },
            phase: Phase::Step,
            count: 1.0,
            flops: Flops::ZERO,
            bytes: Bytes::ZERO,
            kernels: 0.0,
        });
        return;
    }
    ledger.ops.push(Op {
        kind: OpKind::Optimizer,
        phase: Phase::Step,
        count: 1.0,
        flops: Flops::ZERO,
        bytes: Bytes::new(updated * bytes),
        kernels: kernels * launches.ceil(),
    });
}

/// Bytes of optimizer state a trained parameter of a stage; the mean of Muon's matrices and of what AdamW updates.
pub(crate) fn state_bytes(job: &Job, held: &StageParameters) -> f64 {
    let w = &job.workload;
    let of = |optimizer: Optimizer| optimizer.state_bytes(w.state_precision);
    match w.optimizer {
        Optimizer::Muon => {
            let matrices = held.projections / held.total();
            matrices * of(Optimizer::Muon) + (1.0 - matrices) * of(Optimizer::AdamW)
        }
        optimizer @ (Optimizer::AdamW
        | Optimizer::PagedAdamW
        | Optimizer::Sgd
        | Optimizer::Adafactor
        | Optimizer::Adam8bit
        | Optimizer::PagedAdam8bit
        | Optimizer::Lion
        | Optimizer::Lamb) => of(optimizer),
    }
}

/// Input and output width of a feed-forward projection, all experts of a rank together; the mean of the layers.
fn ffn_adapter_width(a: &Architecture, ep: u64) -> f64 {
    let of = |inner: u64| (a.hidden_size + inner) as f64;
    let Some(experts) = a.experts else { return of(a.ffn_size) };
    let shared = if experts.shared_ffn_size > 0 { of(experts.shared_ffn_size) } else { 0.0 };
    let sparse = (experts.count / ep) as f64 * of(a.ffn_size) + shared;
    let dense = experts.dense_layers as f64 * of(experts.dense_ffn_size);
    (a.expert_layers() as f64 * sparse + dense) / a.layers as f64
}

/// Outputs of the last feed-forward projections, all experts of a rank together; the mean of the layers.
fn ffn_outputs(a: &Architecture, ep: u64) -> f64 {
    let h = a.hidden_size as f64;
    let Some(experts) = a.experts else { return h };
    let shared = if experts.shared_ffn_size > 0 { 1.0 } else { 0.0 };
    let sparse = (experts.count / ep) as f64 + shared;
    let dense = experts.dense_layers as f64;
    h * (a.expert_layers() as f64 * sparse + dense) / a.layers as f64
}

/// Of [`trained_parameters`], those of routed experts or of adapters on them, which fewer ranks hold with expert parallelism.
pub(crate) fn trained_experts(job: &Job, stage: u64, held: &StageParameters) -> f64 {
    let (a, p) = (&job.architecture, &job.parallelism);
    let (Some(lora), Some(experts)) = (&job.workload.lora, a.experts) else {
        let trained = 1.0 - job.workload.frozen_layers as f64 / a.layers as f64;
        return match job.workload.lora {
            Some(_) => 0.0,
            None => held.experts * trained,
        };
    };
    let adapted = [LoraTarget::Gate, LoraTarget::Up, LoraTarget::Down]
        .into_iter()
        .filter(|target| lora.adapts(*target) && (a.gated_ffn || *target != LoraTarget::Gate))
        .count();
    let trained = p.stage_layers(a, stage) - job.workload.frozen_layers;
    let layers = trained as f64 * a.expert_layers() as f64 / a.layers as f64;
    let of_rank = (experts.count / p.ep) as f64 / p.tp as f64;
    let down = lora.adapts(LoraTarget::Down);
    let (firsts, last) = if down { (adapted - 1, 1) } else { (adapted, 0) };
    // outputs of the first projections have the inner width, those of the last one the hidden size
    let outputs = firsts as u64 * a.ffn_size + last * a.hidden_size;
    let magnitudes = if job.workload.dora { outputs } else { 0 };
    let matrices = adapted as u64 * lora.rank * (a.hidden_size + a.ffn_size);
    layers * of_rank * (matrices + magnitudes) as f64
}

/// Trained parameters of a stage on one tensor-parallel rank, before sharding among data-parallel ranks.
pub(crate) fn trained_parameters(job: &Job, stage: u64, held: &StageParameters) -> f64 {
    match &job.workload.lora {
        None => held.total() - frozen_parameters(job, held),
        Some(lora) => {
            use LoraTarget as T;
            let (a, p) = (&job.architecture, &job.parallelism);
            let (h, q, kv) = (a.hidden_size, a.query_width(), a.kv_width());
            let width = |target| match target {
                T::Query => (h + q) as f64,
                T::Output => (h + a.value_width()) as f64,
                T::Key | T::Value => (h + kv) as f64,
                T::Gate if !a.gated_ffn => 0.0,
                T::Gate | T::Up | T::Down => ffn_adapter_width(a, p.ep),
            };
            // DoRA trains a magnitude an output
            let outputs = |target| match target {
                _ if !job.workload.dora => 0.0,
                T::Query => q as f64,
                T::Key | T::Value => kv as f64,
                T::Output => h as f64,
                T::Gate if !a.gated_ffn => 0.0,
                T::Gate | T::Up => ffn_adapter_width(a, p.ep) - ffn_outputs(a, p.ep),
                T::Down => ffn_outputs(a, p.ep),
            };
            let adapted = |targets: &[LoraTarget]| -> f64 {
                let adapted = targets.iter().filter(|t| lora.adapts(**t));
                adapted.map(|t| lora.rank as f64 * width(*t) + outputs(*t)).sum()
            };
            let decoders = p.stage_layers(a, stage) - job.workload.frozen_layers;
            let layers = (decoders + a.encoder_layers) as f64;
            // cross-attention of an encoder–decoder's decoder has four more projections
            let attentions = if a.encoder_layers > 0 { layers + decoders as f64 } else { layers };
            let tp = p.tp as f64;
            let tp_attention = if p.tensor_scope == TensorScope::Blocks { tp } else { 1.0 };
            attentions * adapted(&[T::Query, T::Key, T::Value, T::Output]) / tp_attention
                + layers * adapted(&[T::Gate, T::Up, T::Down]) / tp
        }
    }
}

/// Parameters of the first layers and the embedding where they are frozen.
pub(crate) fn frozen_parameters(job: &Job, held: &StageParameters) -> f64 {
    let (a, frozen) = (&job.architecture, job.workload.frozen_layers);
    if frozen == 0 {
        return 0.0;
    }
    let of_layer = (held.layers - held.beside_layers) / a.layers as f64;
    let tp =
        if job.parallelism.tensor_scope == TensorScope::Blocks { job.parallelism.tp } else { 1 };
    let all = a.parameters_for(job.workload.task);
    let padding = (a.padded_vocab() - a.vocab_size) * a.embedding_size;
    frozen as f64 * of_layer + (all.embedding + padding) as f64 / tp as f64
}

/// Parameters of a stage on one GPU after tensor parallelism, by part.
pub(crate) struct StageParameters {
    /// Embeddings and output projections.
    pub vocabulary: f64,
    /// Attention and feed-forward projections, with [`Self::beside_layers`].
    pub layers: f64,
    /// Final norms and position biases, which belong to no layer.
    pub beside_layers: f64,
    /// Routed experts of [`Self::layers`], of one expert-parallel rank.
    pub experts: f64,
    /// Projections of [`Self::layers`], which may be stored quantized; their biases, below 0.1 % of them, count too.
    pub projections: f64,
    /// The largest layer, which FSDP gathers whole.
    pub largest_layer: f64,
    /// Its projections.
    pub largest_layer_projections: f64,
}

impl StageParameters {
    pub(crate) const fn total(&self) -> f64 {
        self.vocabulary + self.layers
    }

    /// Bytes of all frozen weights, with quantized projections.
    pub(crate) fn stored_bytes(&self, job: &Job) -> f64 {
        stored_bytes(job, self.total(), self.projections)
    }

    /// Bytes of the weights of the layers as they are stored and gathered, without what belongs to no layer.
    pub(crate) fn layers_bytes(&self, job: &Job) -> f64 {
        stored_bytes(job, self.layers - self.beside_layers, self.projections)
    }

    /// Bytes of the largest layer as it is stored and gathered.
    pub(crate) fn largest_layer_bytes(&self, job: &Job) -> f64 {
        stored_bytes(job, self.largest_layer, self.largest_layer_projections)
    }

    /// Bytes of the routed experts as they are stored and gathered.
    pub(crate) fn experts_bytes(&self, job: &Job) -> f64 {
        stored_bytes(job, self.experts, self.experts)
    }

    /// FSDP's root unit: what no layer holds.
    pub(crate) const fn root(&self) -> f64 {
        self.vocabulary + self.beside_layers
    }
}

/// Bytes of `parameters` of which `projections` may be quantized.
fn stored_bytes(job: &Job, parameters: f64, projections: f64) -> f64 {
    let computing = job.workload.precision.bytes();
    let inner = job.architecture.hidden_size as f64;
    match job.workload.quantization.stored_bytes(inner) {
        None => computing * parameters,
        Some(stored) => computing * (parameters - projections) + stored * projections,
    }
}

/// Counts the parameters of a stage, with a padded vocabulary. Norms and biases are split like their projections; where
/// tensor parallelism replicates them, the error is below 0.1 %.
pub(crate) fn stage_parameters(job: &Job, stage: u64) -> StageParameters {
    let (a, p) = (&job.architecture, &job.parallelism);
    let all = a.parameters_for(job.workload.task);
    let blocks = p.tensor_scope == TensorScope::Blocks;
    let tp = p.tp as f64;
    let tp_attention = if blocks { tp } else { 1.0 };
    // a rank holds whole key and value heads: with fewer heads than ranks, several ranks hold the same head
    let biases = if a.biases.qkv { 1 } else { 0 };
    let key_value = (2 * a.kv_width() * (a.hidden_size + biases)) as f64;
    let share_of_rank = p.kv_heads_of_rank(a) as f64 / a.kv_heads as f64;
    let replicated = key_value * (share_of_rank - 1.0 / tp_attention);
    let norms = all.norm_per_layer as f64 / tp_attention;
    let attention = all.attention_per_layer as f64 / tp_attention + replicated;
    // a rank holds its share of the routed experts
    let experts_of_layer = a.routed_expert_parameters() as f64 / a.layers as f64 / tp;
    let elsewhere = experts_of_layer * (p.ep - 1) as f64 / p.ep as f64;
    let ffn = all.ffn_per_layer as f64 / tp - elsewhere;
    let plain_layers = p.stage_layers(a, stage) + a.encoder_layers;
    // the norm of cross-attention is the third of a decoder layer
    let (cross, cross_norm) = if all.cross_attention_per_layer > 0 {
        let projections = all.cross_attention_per_layer as f64 / tp_attention + replicated;
        (projections, (all.norm_per_layer / 2) as f64 / tp_attention)
    } else {
        (0.0, 0.0)
    };
    let last = stage == p.head_stage(a);
    // position biases and final norms belong to no layer
    let shared = if last { all.beside_layers } else { 0 };
    let beside_layers = shared as f64 / tp_attention;
    let decoders = p.stage_layers(a, stage) as f64;
    let projections = plain_layers as f64 * (attention + ffn) + decoders * cross;
    let layers = projections + plain_layers as f64 * norms + decoders * cross_norm + beside_layers;
    let padding = (a.padded_vocab() - a.vocab_size) * a.embedding_size;
    let embedding = if stage == 0 { all.embedding + padding } else { 0 };
    // a tied output projection on another stage than the embedding is a second copy
    let predicts_words = job.workload.task.predicts_words();
    let copied = last && stage > 0 && a.tied_embeddings && predicts_words;
    let tied_copy = if copied { a.padded_vocab() * a.embedding_size } else { 0 };
    let untied = !a.tied_embeddings && predicts_words;
    let head_padding = if untied { padding } else { 0 };
    let head = if last { all.head + head_padding + tied_copy } else { 0 };
    StageParameters {
        vocabulary: (embedding + head) as f64 / tp_attention,
        layers,
        beside_layers,
        experts: decoders * (experts_of_layer - elsewhere),
        projections,
        largest_layer: attention + norms + ffn + cross + cross_norm,
        largest_layer_projections: attention + ffn + cross,
    }
}

/// Approximate number of trained tensors of a model: weights, biases and norms of each layer.
fn tensors(a: &Architecture) -> f64 {
    let biased = if a.biases.ffn { 2.0 } else { 1.0 };
    let projections = 4.0 + (a.ffn_projections() * a.experts.map_or(1, |e| e.count)) as f64;
    (a.layers + a.encoder_layers) as f64 * (projections * biased + 2.0 * biased) + 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn job(model: &str, workload: &str, parallelism: &str, gpus: u64) -> Job {
        let text = format!(
            "model = {{ {model} }}\n\
             workload = {{ steps = 1, seq_len = 8, micro_batch = 1{workload} }}\n\
             parallelism = {{ {parallelism} }}\n\
             system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus} }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    fn of_first_stage(job: &Job) -> f64 {
        trained_parameters(job, 0, &stage_parameters(job, 0))
    }

    fn experts_of_first_stage(job: &Job) -> f64 {
        trained_experts(job, 0, &stage_parameters(job, 0))
    }

    #[test]
    fn key_heads_below_the_tensor_degree_are_held_twice() {
        // h = 64, 4 heads of 16, 2 key heads on 4 ranks: each holds one whole key and one whole value map of 64 × 16
        let model = "family = 'llama', layers = 1, hidden_size = 64, heads = 4, kv_heads = 2, \
                     ffn_size = 4, vocab_size = 4";
        let held = stage_parameters(&job(model, "", "tp = 4", 4), 0);
        let query_and_output = 2 * 64 * 16;
        let key_and_value = 2 * 64 * 16;
        let feed_forward = 3 * 64;
        let norms = (2 * 64) / 4;
        assert_eq!(
            held.largest_layer,
            f64::from(query_and_output + key_and_value + feed_forward + norms)
        );
        assert_eq!(held.layers, held.largest_layer + 64.0 / 4.0);
    }

    #[test]
    fn adapters_are_beside_every_map_that_bears_the_name() {
        let lora = ", lora = { rank = 2, targets = ['q', 'down'] }";
        let trained =
            |model, parallelism, gpus| of_first_stage(&job(model, lora, parallelism, gpus));
        let llama = "family = 'llama', layers = 3, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4";
        assert_eq!(trained(llama, "", 1), f64::from(3 * 2 * (64 + 64 + 12 + 64)));
        let split_mlp = "tp = 4, tensor_scope = 'mlp'";
        assert_eq!(
            trained(llama, split_mlp, 4),
            f64::from(3 * 2 * (64 + 64)) + 3.0 * 2.0 * 76.0 / 4.0
        );
        // one encoder layer, two decoder layers that attend twice
        let t5 = "family = 't5', layers = 2, encoder_layers = 1, hidden_size = 64, ffn_size = 12";
        assert_eq!(trained(t5, "", 1), f64::from((1 + 2 * 2) * 2 * 128 + 3 * 2 * 76));
        // three layers of two experts of width 12 and a shared one of 8, one layer without experts of width 20
        let mixture = "family = 'mixtral', layers = 4, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4,
            experts = 2, shared_ffn_size = 8, dense_layers = 1, dense_ffn_size = 20";
        let down = 3 * (2 * 76 + 72) + 84;
        assert_eq!(trained(mixture, "", 1), f64::from(2 * (4 * 128 + down)));
    }

    /// Four experts of 3 · 64 · 12 weights in two layers, on two expert-parallel ranks: each holds half of them. Over four
    /// ranks with FSDP a rank updates a quarter of all weights, whether the experts are split or not.
    #[test]
    fn expert_parallel_ranks_hold_their_experts() {
        let model = "family = 'mixtral', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4, experts = 4";
        let whole = job(model, "", "dp = 4", 4);
        let split = job(model, "", "dp = 4, ep = 2", 4);
        let experts = 2.0 * 4.0 * (3.0 * 64.0 * 12.0);
        let [all, half] = [&whole, &split].map(|job| stage_parameters(job, 0));
        assert_eq!((all.experts, half.experts), (experts, experts / 2.0));
        assert_eq!(all.total() - half.total(), experts / 2.0);
        assert_eq!(all.projections - half.projections, experts / 2.0);
        assert_eq!(all.largest_layer - half.largest_layer, experts / 4.0);
        assert_eq!(of_first_stage(&split), half.total());
        let updated = |strategy: &str, ep: u64| {
            let job = job(model, "", &format!("strategy = '{strategy}', ep = {ep}"), 4);
            let ledger = Ledger::for_stage(&job, 0, crate::cost::AttentionFlops::Full);
            let op = ledger.ops.iter().find(|op| op.kind == OpKind::Optimizer).unwrap();
            op.bytes.value() / 30.0
        };
        assert_eq!(updated("fsdp", 1), all.total() / 4.0);
        assert_eq!(updated("fsdp", 2), all.total() / 4.0);
        assert_eq!(updated("ddp", 2), half.total());
        // adapters of rank 2 on the projections down of a rank's two experts of 64 and 12
        let lora = ", lora = { rank = 2, targets = ['down'] }";
        let adapted = job(model, lora, "dp = 4, ep = 2", 4);
        assert_eq!(of_first_stage(&adapted), f64::from(2 * 2 * 2 * 76));
        assert_eq!(experts_of_first_stage(&adapted), of_first_stage(&adapted));
    }

    /// Of three layers of 4 · 64² + 3 · 64 · 12 + 2 · 64 weights the first is frozen with an embedding of 4 · 64: two layers, the
    /// final norm and an output projection stay; adapters of rank 2 on two layers' queries.
    #[test]
    fn frozen_layers_are_not_trained() {
        let model = "family = 'llama', layers = 3, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4";
        let trained = |workload: &str| of_first_stage(&job(model, workload, "", 1));
        let layer = f64::from(4 * 64 * 64 + 3 * 64 * 12 + 2 * 64);
        assert_eq!(trained(", frozen_layers = 1"), 2.0 * layer + f64::from(64 + 4 * 64));
        let lora = ", lora = { rank = 2, targets = ['q'] }, frozen_layers = 1";
        assert_eq!(trained(lora), f64::from(2 * 2 * 128));
    }

    /// PEFT's counts: a magnitude an output beside rank · (in + out) of each adapter; of a key of 2 heads of 16, of an up
    /// projection of 64 to 12, of a down projection of 12 to 64.
    #[test]
    fn magnitudes_are_trained() {
        let trained = |model: &str, targets: &str| {
            let lora = format!(", lora = {{ rank = 2, targets = [{targets}] }}, dora = true");
            let job = job(model, &lora, "", 1);
            of_first_stage(&job)
        };
        let llama = "family = 'llama', layers = 3, hidden_size = 64, heads = 4, kv_heads = 2, ffn_size = 12, vocab_size = 4";
        assert_eq!(trained(llama, "'k'"), f64::from(3 * (2 * (64 + 32) + 32)));
        assert_eq!(trained(llama, "'o'"), f64::from(3 * (2 * 128 + 64)));
        assert_eq!(trained(llama, "'up'"), f64::from(3 * (2 * 76 + 12)));
        assert_eq!(trained(llama, "'down'"), f64::from(3 * (2 * 76 + 64)));
        let mixture = "family = 'mixtral', layers = 2, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 4, experts = 4";
        let both = trained(mixture, "'up', 'down'");
        assert_eq!(both, f64::from(2 * 4 * (2 * 2 * 76 + 12 + 64)));
        let lora = ", lora = { rank = 2, targets = ['up', 'down'] }, dora = true";
        let job = job(mixture, lora, "", 1);
        assert_eq!(experts_of_first_stage(&job), both);
    }

    /// AdamW reads a gradient, reads and writes a weight and two moments, and writes the 16-bit copy of a 32-bit
    /// weight: 4 + 8 + 16 + 2 bytes a parameter, and 2 + 4 + 8 with all of them in bfloat16.
    #[test]
    fn states_in_bfloat16_move_half_the_bytes() {
        let model = "family = 'gpt2', layers = 2, hidden_size = 64";
        let bytes = |workload: &str| {
            let job = job(model, workload, "", 1);
            let ledger = Ledger::for_stage(&job, 0, crate::cost::AttentionFlops::Full);
            let op = ledger.ops.iter().find(|op| op.kind == OpKind::Optimizer).unwrap();
            op.bytes.value() / of_first_stage(&job)
        };
        assert_eq!(bytes(", precision = 'bf16'"), 30.0);
        assert_eq!(bytes(", precision = 'bf16', state_precision = 'bf16'"), 14.0);
        // Lion has one moment; LAMB moves five more numbers
        assert_eq!(bytes(", precision = 'bf16', optimizer = 'lion'"), 22.0);
        assert_eq!(bytes(", precision = 'bf16', optimizer = 'lamb'"), 50.0);
        assert_eq!(bytes(", precision = 'bf16', optimizer = 'paged_adamw_32bit'"), 30.0);
        // quantized moments stay as they are: 2 + 2 · 2 + 2 · (2 + 8 / 2048)
        let quantized = ", precision = 'bf16', state_precision = 'bf16', optimizer = 'adam8bit'";
        assert_eq!(bytes(quantized), 10.0 + 16.0 / 2048.0);
    }

    /// 50,257 rows padded to 128 · 2 · 197 = 50,432 for two ranks, 64 wide, each with half of the embedding and, where
    /// it is untied, of the output projection.
    #[test]
    fn a_padded_vocabulary_is_held_and_trained() {
        let held = |model: &str, workload: &str| {
            let model =
                format!("layers = 1, hidden_size = 64, heads = 4, vocab_size = 50257, {model}");
            let job = job(&model, workload, "tp = 2", 2);
            assert_eq!(job.architecture.vocab_size, 50_257);
            (stage_parameters(&job, 0).vocabulary, job.architecture.parameters().total)
        };
        let megatron = ", framework = 'megatron'";
        for (model, matrices) in [("family = 'llama'", 2.0), ("family = 'gpt2'", 1.0)] {
            let (plain, published) = held(model, "");
            let (padded, same) = held(model, megatron);
            assert_eq!(padded - plain, matrices * 175.0 * 64.0 / 2.0, "{model}");
            // the published model is as it was
            assert_eq!(published, same);
            assert_eq!(held(&format!("{model}, vocab_multiple = 1"), megatron).0, plain);
        }
    }
}
