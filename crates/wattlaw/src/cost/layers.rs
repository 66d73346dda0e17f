//! Forward, recompute and backward work of the stacks, the embedding and the output projections.

use super::{AttentionFlops, Ledger, Op, OpKind, Phase, reference};
use crate::base::units::{Bytes, Flops};
use crate::job::Job;
use crate::job::model::{
    Architecture, Experts, Family, Latent, ModelType, Place, Positions, Relative,
};
use crate::job::parallelism::{ContextExchange, Parallelism, TensorScope};
use crate::job::task::Task;
use crate::job::workload::{AttentionKernel, Checkpointing, Framework, LoraTarget, Workload};

/// Writes the operations of one stage into the ledger.
pub(super) fn count(job: &Job, attention: AttentionFlops, ledger: &mut Ledger) {
    let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
    let stage = ledger.stage;
    let vocabulary = a.padded_vocab() as f64;
    let mut writer = Writer::new(a, w, p, attention, vocabulary, &mut ledger.ops);
    if stage == 0 {
        writer.embedding();
    }
    writer.stacks(p.stage_layers(a, stage));
    if stage == p.head_stage(a) {
        writer.head();
    }
}

/// FLOPs of one optimizer step without recomputation, that in a fused attention kernel included, and without padding of
/// the vocabulary, as if one GPU ran the whole job.
pub(super) fn model_flops_per_step(job: &Job, attention: AttentionFlops) -> Flops {
    let mut ops = Vec::with_capacity(64);
    for stack in job.stacks().iter() {
        let w = Workload {
            checkpointing: Checkpointing::None,
            attention: AttentionKernel::Eager,
            ..stack.workload.clone()
        };
        let (a, single) = (&stack.architecture, Parallelism::SINGLE);
        let vocabulary = a.vocab_size as f64;
        let mut writer = Writer::new(a, &w, &single, attention, vocabulary, &mut ops);
        // the model needs no more of a window's pairs than a fused kernel computes
        writer.skips_pairs = true;
        writer.embedding();
        writer.stacks(a.layers);
        writer.head();
    }
    let w = &job.workload;
    reference::count(w, &mut ops);
    let micro_step: Flops = ops.iter().map(|op| op.flops * op.count).sum();
    micro_step * (w.grad_accum * job.parallelism.dp) as f64
}

/// Whether full checkpointing repeats the last product of each layer, the second projection of the feed-forward block,
/// with the residual addition after it. No backward pass needs their results.
///
/// PyTorch's non-reentrant checkpoint stops when it has what the backward pass needs (`torch.utils.checkpoint`,
/// `early_stop=True`), and XLA drops work without a reader. Megatron-LM's, DeepSpeed's and nanotron's checkpoints run the whole
/// layer again. In a post-norm layer (BERT) a norm follows, in a mixture of experts the routing weights, and beside an
/// adapter of that projection the adapter's second product: each saves a later tensor. `tests/golden/flops.json` has
/// both counts.
pub(super) fn repeats_last_product(a: &Architecture, w: &Workload) -> bool {
    let saved_later = a.family() == Family::Bert
        || a.experts.is_some()
        || w.lora.as_ref().is_some_and(|lora| lora.adapts(LoraTarget::Down));
    match w.framework.framework {
        Framework::Megatron
        | Framework::MegatronDeepspeed
        | Framework::Deepspeed
        | Framework::Nanotron => true,
        Framework::Accelerate
        | Framework::Fsdp2
        | Framework::LlmFoundry
        | Framework::Jax
        | Framework::Pytorch
        | Framework::Unknown => saved_later,
    }
}

/// A stack of equal layers and the sequence it reads.
struct Stack {
    /// Sequences at once.
    batch: f64,
    /// Positions of a sequence.
    seq: f64,
    /// Positions of a document, beyond which attention does not go; a sequence where none are packed.
    document: f64,
    /// Ranks that have equal parts of each sequence.
    cp: f64,
    /// Whether attention is causal.
    causal: bool,
    /// Positions of the encoder's output for cross-attention, if any.
    cross: Option<f64>,
}

impl Stack {
    fn only(a: &Architecture, w: &Workload, cp: f64) -> Self {
        let document = w.attended(w.seq_len) as f64;
        Self { cp, document, causal: a.causal(), ..Self::encoder(w) }
    }

    fn encoder(w: &Workload) -> Self {
        Self {
            batch: w.micro_sequences() as f64,
            seq: w.seq_len as f64,
            document: w.seq_len as f64,
            cp: 1.0,
            causal: false,
            cross: None,
        }
    }

    fn decoder_of_encoder_decoder(w: &Workload) -> Self {
        Self {
            batch: w.micro_sequences() as f64,
            seq: w.decoder_seq_len as f64,
            document: w.decoder_seq_len as f64,
            cp: 1.0,
            causal: true,
            cross: Some(w.seq_len as f64),
        }
    }

    /// Positions of one rank.
    fn tokens(&self) -> f64 {
        self.batch * self.seq / self.cp
    }
}

/// A matrix product of `rows` × `inner` by `inner` × `outer`, as one GPU does it.
#[derive(Clone, Copy)]
struct Product {
    rows: f64,
    inner: f64,
    outer: f64,
    /// Kernels of the forward product; projections computed one by one count as several.
    kernels: f64,
}

impl Product {
    const fn new(rows: f64, inner: f64, outer: f64) -> Self {
        Self { rows, inner, outer, kernels: 1.0 }
    }
}

/// Writes operations, each in all the phases it runs in.
struct Writer<'a> {
    a: &'a Architecture,
    w: &'a Workload,
    attention_flops: AttentionFlops,
    /// Tensor-parallel degree of attention and vocabulary, and of the feed-forward block.
    tp_attention: f64,
    tp_ffn: f64,
    /// Width of the keys on a rank; the values have the same.
    kv_width: f64,
    /// Degree by which sequence parallelism splits the work between tensor-parallel projections.
    tp_between: f64,
    /// Context-parallel degree, and whether its ranks exchange keys and values round a ring.
    cp: f64,
    ring: bool,
    /// Ranks among which experts are split.
    ep: f64,
    /// Bytes of an activation.
    act: f64,
    frozen: bool,
    /// Whether nothing below is trained, so that there is no backward pass.
    forward_only: bool,
    /// Whether attention leaves out the pairs beyond a window, as fused kernels do.
    skips_pairs: bool,
    /// Rows of the output projection.
    vocabulary: f64,
    ops: &'a mut Vec<Op>,
}

impl<'a> Writer<'a> {
    fn new(
        a: &'a Architecture,
        w: &'a Workload,
        p: &Parallelism,
        attention_flops: AttentionFlops,
        vocabulary: f64,
        ops: &'a mut Vec<Op>,
    ) -> Self {
        let tp = p.tp as f64;
        Self {
            a,
            w,
            attention_flops,
            tp_attention: if p.tensor_scope == TensorScope::Blocks { tp } else { 1.0 },
            tp_ffn: tp,
            kv_width: (p.kv_heads_of_rank(a) * a.head_dim) as f64,
            tp_between: if p.sequence_parallel { tp } else { 1.0 },
            cp: p.cp as f64,
            ring: p.context_exchange == ContextExchange::Ring,
            ep: p.ep as f64,
            act: w.precision.bytes(),
            frozen: w.lora.is_some(),
            forward_only: false,
            skips_pairs: w.attention == AttentionKernel::Flash,
            vocabulary,
            ops,
        }
    }

    fn push(
        &mut self,
        kind: OpKind,
        phase: Phase,
        count: f64,
        flops: f64,
        bytes: f64,
        kernels: f64,
    ) {
        if self.forward_only && matches!(phase, Phase::Recompute | Phase::Backward) {
            return;
        }
        self.ops.push(Op {
            kind,
            phase,
            count,
            flops: Flops::new(flops),
            bytes: Bytes::new(bytes),
            kernels,
        });
    }

    /// A matrix product with a trained (or frozen) weight: Y = X·W; dX = dY·Wᵀ; dW = Xᵀ·dY.
    fn product(&mut self, kind: OpKind, count: f64, recompute: bool, product: Product) {
        let Product { rows, inner, outer, kernels } = product;
        let act = self.act;
        let flops = 2.0 * rows * inner * outer;
        let traffic = rows * (inner + outer) * act;
        let weight = inner * outer * act;
        self.push(kind, Phase::Forward, count, flops, traffic + weight, kernels);
        if recompute {
            self.push(kind, Phase::Recompute, count, flops, traffic + weight, kernels);
        }
        if kind.is_projection_of_layer() {
            self.dequantization(count, recompute, inner, inner * outer, kernels);
        }
        if self.frozen {
            self.push(kind, Phase::Backward, count, flops, traffic + weight, kernels);
        } else {
            self.push(
                kind,
                Phase::Backward,
                count,
                2.0 * flops,
                2.0 * (traffic + weight),
                2.0 * kernels,
            );
        }
    }

    /// Quantized weights of `matrices` projections with `inner` inputs are read, and written in the computing precision
    /// for each product: forward, again where it is recomputed, and for the gradient of the input.
    fn dequantization(
        &mut self,
        count: f64,
        recompute: bool,
        inner: f64,
        weights: f64,
        matrices: f64,
    ) {
        let format = self.w.quantization;
        let Some(stored) = format.stored_bytes(inner) else { return };
        let bytes = weights * (stored + self.act);
        let kernels = matrices * format.dequantization_kernels();
        self.push(OpKind::Dequantization, Phase::Forward, count, 0.0, bytes, kernels);
        if recompute {
            self.push(OpKind::Dequantization, Phase::Recompute, count, 0.0, bytes, kernels);
        }
        self.push(OpKind::Dequantization, Phase::Backward, count, 0.0, bytes, kernels);
    }

    /// The two low-rank products of the adapter of `target`, where there is one (Hu et al. 2021); forward and backward
    /// take 6 · rank · (in + out) FLOPs per row.
    fn adapter(&mut self, target: LoraTarget, count: f64, recompute: bool, projection: Product) {
        let Some(rank) = self.w.lora.as_ref().filter(|l| l.adapts(target)).map(|l| l.rank as f64)
        else {
            return;
        };
        let Product { rows, inner, outer, .. } = projection;
        let flops = 2.0 * rows * rank * (inner + outer);
        let bytes = (rows * (inner + 2.0 * rank + outer) + rank * (inner + outer)) * self.act;
        self.push(OpKind::Adapter, Phase::Forward, count, flops, bytes, 2.0);
        if recompute {
            self.push(OpKind::Adapter, Phase::Recompute, count, flops, bytes, 2.0);
        }
        self.push(OpKind::Adapter, Phase::Backward, count, 2.0 * flops, 2.0 * bytes, 4.0);
        if self.w.dora {
            self.magnitude(rank, count, recompute, projection);
        }
    }

    /// DoRA's norm of the adapted weight of a projection, and its magnitude on the output (Liu et al. 2024, arXiv 2402.09353).
    ///
    /// PEFT multiplies both matrices of the adapter with a unit matrix for the weight's update, 2 · rank · in · (in + out) FLOPs,
    /// adds that to the weight and takes the norm, all outside of the backward pass. Four operations and a sum scale the
    /// outputs; their gradients are counted as as many. Source: PEFT 0.21.2 `tuners/lora/dora.py`, without dropout, with which
    /// it computes the base's product again.
    fn magnitude(&mut self, rank: f64, count: f64, recompute: bool, projection: Product) {
        let Product { rows, inner, outer, kernels: matrices } = projection;
        let weight = matrices * inner * outer;
        let flops = 2.0 * matrices * rank * inner * (inner + outer);
        let made = (matrices * inner * (inner + 2.0 * rank) + weight) * self.act;
        let (normed, scaled) = (4.0 * weight * self.act, 12.0 * rows * outer * self.act);
        let phases = if recompute { 2 } else { 1 };
        for phase in [Phase::Forward, Phase::Recompute].into_iter().take(phases) {
            self.push(OpKind::Adapter, phase, count, flops, made, 3.0 * matrices);
            let kernels = 3.0 * matrices + 5.0;
            self.push(OpKind::Magnitude, phase, count, 0.0, normed + scaled, kernels);
            if let Some(stored) = self.w.quantization.stored_bytes(inner) {
                let kernels = matrices * self.w.quantization.dequantization_kernels();
                let bytes = weight * (stored + self.act);
                self.push(OpKind::Dequantization, phase, count, 0.0, bytes, kernels);
            }
        }
        self.push(OpKind::Magnitude, Phase::Backward, count, 0.0, scaled, 5.0);
    }

    /// Element-wise work: `reads + writes` passes over `elements`; the backward pass reads one more tensor.
    fn elementwise(
        &mut self,
        kind: OpKind,
        count: f64,
        recompute: bool,
        elements: f64,
        passes: f64,
    ) {
        let again = if recompute { count } else { 0.0 };
        self.elementwise_again(kind, count, again, elements, passes);
    }

    /// Element-wise work of which `again` of `count` executions are recomputed.
    fn elementwise_again(
        &mut self,
        kind: OpKind,
        count: f64,
        again: f64,
        elements: f64,
        passes: f64,
    ) {
        let bytes = elements * self.act;
        self.push(kind, Phase::Forward, count, 0.0, passes * bytes, 1.0);
        if again > 0.0 {
            self.push(kind, Phase::Recompute, again, 0.0, passes * bytes, 1.0);
        }
        self.push(kind, Phase::Backward, count, 0.0, (passes + 1.0) * bytes, 1.0);
    }

    /// `layers` layers of the stack; for an encoder–decoder these are the decoder's, after the encoder's.
    fn stacks(&mut self, layers: u64) {
        let (a, w) = (self.a, self.w);
        if a.encoder_layers > 0 {
            self.layers(a.encoder_layers as f64, &Stack::encoder(w));
            self.layers(layers as f64, &Stack::decoder_of_encoder_decoder(w));
        } else {
            let stack = Stack::only(a, w, self.cp);
            self.forward_only = w.frozen_layers > 0;
            self.layers(w.frozen_layers as f64, &stack);
            self.forward_only = false;
            self.layers((layers - w.frozen_layers) as f64, &stack);
        }
    }

    fn layers(&mut self, count: f64, stack: &Stack) {
        if count == 0.0 {
            return;
        }
        let full = self.w.checkpointing == Checkpointing::Full;
        let (h, tokens) = (self.a.hidden_size as f64, stack.tokens());
        let between = tokens * h / self.tp_between;
        let attentions = if stack.cross.is_some() { 2.0 } else { 1.0 };

        let norms = self.a.norms_per_layer as f64 + attentions - 1.0;
        self.elementwise(OpKind::Norm, count * norms, full, between, 2.0);
        self.self_attention(count, full, stack);
        if let Some(context) = stack.cross {
            self.cross_attention(count, full, stack, context);
        }
        self.ffn(count, full, tokens);
        // the last residual of a layer follows its last product
        let again = match (full, repeats_last_product(self.a, self.w)) {
            (true, true) => count * (1.0 + attentions),
            (true, false) => count * attentions,
            (false, _) => 0.0,
        };
        self.elementwise_again(OpKind::Residual, count * (1.0 + attentions), again, between, 3.0);
    }

    fn self_attention(&mut self, count: f64, full: bool, stack: &Stack) {
        let tp = self.tp_attention;
        let (h, tokens) = (self.a.hidden_size as f64, stack.tokens());
        let (q, kv) = (self.a.query_width() as f64 / tp, self.kv_width);
        match self.a.latent {
            Some(latent) => self.latent_projections(count, full, tokens, latent),
            None => {
                let fused = matches!(self.a.kernels(), ModelType::Gpt2 | ModelType::GptNeox);
                let qkv = Product {
                    kernels: if fused { 1.0 } else { 3.0 },
                    ..Product::new(tokens, h, q + 2.0 * kv)
                };
                self.product(OpKind::QueryKeyValue, count, full, qkv);
            }
        }
        // projections fused into one product have separate adapters
        for (target, width) in
            [(LoraTarget::Query, q), (LoraTarget::Key, kv), (LoraTarget::Value, kv)]
        {
            self.adapter(target, count, full, Product::new(tokens, h, width));
        }
        if self.a.qk_norm {
            self.elementwise(OpKind::Norm, count, full, tokens * (q + kv), 2.0);
        }
        if self.a.positions == Positions::Rotary {
            self.elementwise(OpKind::Rotary, count, full, tokens * (q + kv), 2.0);
        }
        self.relative_attention(count, full, tokens);
        if self.a.tiles().is_some() {
            // windows are cut out of the image and put back, and shifted before and after in half of the layers (Liu et al.
            // 2021, section 3.2)
            self.elementwise(OpKind::WindowPartition, 3.0 * count, full, tokens * h, 2.0);
        }
        let (all, windowed) = (self.a.layers as f64, self.windowed_layers(stack));
        if windowed < all {
            let whole = count * (all - windowed) / all;
            self.attention_core(whole, full, stack, stack.seq, stack.causal, None);
        }
        if windowed > 0.0 {
            let size = self.a.window.map(|w| w.size as f64);
            self.attention_core(count * windowed / all, full, stack, stack.seq, stack.causal, size);
        }
        let out = Product::new(tokens, self.a.value_width() as f64 / tp, h);
        self.product(OpKind::AttentionOutput, count, full, out);
        self.adapter(LoraTarget::Output, count, full, out);
    }

    /// Queries against the keys of distances, and keys against their queries (He et al. 2021, DeBERTa, equation 4). The
    /// embeddings of both directions go through the attention's own projections.
    fn relative_attention(&mut self, count: f64, full: bool, tokens: f64) {
        let distances = 2.0 * self.a.positions.buckets() as f64;
        if self.a.model_type.features().relative != Relative::Embedding || distances == 0.0 {
            return;
        }
        let tp = self.tp_attention;
        let (h, q) = (self.a.hidden_size as f64, self.a.query_width() as f64 / tp);
        let projected = Product { kernels: 2.0, ..Product::new(distances, h, q + self.kv_width) };
        self.product(OpKind::QueryKeyValue, count, full, projected);
        let kind = OpKind::AttentionCore { causal: false };
        let flops = 2.0 * 2.0 * tokens * distances * q;
        // scores of distances are written, then gathered into those of positions
        let scores = 2.0 * tokens * distances * (self.a.heads as f64 / tp);
        let bytes = (2.0 * (tokens + distances) * q + 2.0 * scores) * self.act;
        self.push(kind, Phase::Forward, count, flops, bytes, 4.0);
        if full || self.w.checkpointing == Checkpointing::Selective {
            self.push(kind, Phase::Recompute, count, flops, bytes, 4.0);
        }
        self.push(kind, Phase::Backward, count, 2.0 * flops, 2.0 * bytes, 8.0);
    }

    /// Layers whose window is shorter than a document; windows that divide an image are those of every kernel.
    fn windowed_layers(&self, stack: &Stack) -> f64 {
        match self.a.window {
            Some(_) if self.a.tiles().is_some() => self.a.layers as f64,
            Some(window) if self.skips_pairs && (window.size as f64) < stack.document => {
                window.layers as f64
            }
            _ => 0.0,
        }
    }

    /// Down to the latents and up again to all heads (DeepSeek-V2, arXiv:2405.04434, section 2.1). The products down are
    /// not split among tensor-parallel ranks.
    fn latent_projections(&mut self, count: f64, full: bool, tokens: f64, latent: Latent) {
        let tp = self.tp_attention;
        let (h, q) = (self.a.hidden_size as f64, self.a.query_width() as f64 / tp);
        let kind = OpKind::QueryKeyValue;
        match latent.query_rank.map(|rank| rank as f64) {
            Some(rank) => {
                self.product(kind, count, full, Product::new(tokens, h, rank));
                self.product(kind, count, full, Product::new(tokens, rank, q));
            }
            None => self.product(kind, count, full, Product::new(tokens, h, q)),
        }
        let rank = latent.kv_rank as f64;
        let joint = rank + latent.rope_head_dim as f64;
        self.product(kind, count, full, Product::new(tokens, h, joint));
        let of_head = self.a.head_dim - latent.rope_head_dim + latent.value_head_dim;
        let up = (self.a.heads * of_head) as f64 / tp;
        self.product(kind, count, full, Product::new(tokens, rank, up));
    }

    fn cross_attention(&mut self, count: f64, full: bool, stack: &Stack, context: f64) {
        let tp = self.tp_attention;
        let (h, q) = (self.a.hidden_size as f64, self.a.query_width() as f64 / tp);
        let kv = self.kv_width;
        let query = Product::new(stack.tokens(), h, q);
        self.product(OpKind::CrossQuery, count, full, query);
        self.adapter(LoraTarget::Query, count, full, query);
        let rows = stack.batch * context;
        let key_value = Product { kernels: 2.0, ..Product::new(rows, h, 2.0 * kv) };
        self.product(OpKind::CrossKeyValue, count, full, key_value);
        for target in [LoraTarget::Key, LoraTarget::Value] {
            self.adapter(target, count, full, Product::new(rows, h, kv));
        }
        self.attention_core(count, full, stack, context, false, None);
        let out = Product::new(stack.tokens(), q, h);
        self.product(OpKind::CrossOutput, count, full, out);
        self.adapter(LoraTarget::Output, count, full, out);
    }

    /// Scores, softmax and context: 4 · b · s · s' · width FLOPs forward. The backward pass has the gradients of both
    /// products, twice that; flash attention computes the scores again, 2.5 times that (Dao et al. 2022, algorithm 4;
    /// PyTorch's
    /// `FlopCounterMode` counts it so in `sdpa_backward_flop`). A query within a window of `window` positions has no more
    /// pairs than those.
    ///
    /// Packed documents count with their mean length, all of them equal; a mixture of lengths has more pairs.
    ///
    /// Context-parallel ranks have equal parts of the queries, and of the pairs. In a ring each block of keys and values has
    /// kernels of its own, and its output is merged with that of those before: two read, one written (TransformerEngine,
    /// `attention/dot_product_attention/context_parallel.py`, `flash_attn_fwd_out_correction`).
    fn attention_core(
        &mut self,
        count: f64,
        full: bool,
        stack: &Stack,
        context: f64,
        causal: bool,
        window: Option<f64>,
    ) {
        let tp = self.tp_attention;
        let (q, kv) = (self.a.query_width() as f64 / tp, self.kv_width);
        let values = self.a.value_width() as f64 / tp;
        let counts_half = causal && self.attention_flops == AttentionFlops::Causal;
        // of documents in a sequence each position sees its own alone; cross-attention sees all of the encoder
        let seen = if stack.cross.is_some() { context } else { stack.document };
        let pairs = stack.tokens() * seen;
        // the first queries of a causal window see fewer positions than it has
        let counted = match window {
            Some(window) if counts_half => {
                stack.tokens() * window * (1.0 - 0.5 * window / stack.document)
            }
            Some(window) => stack.tokens() * window,
            None if counts_half => 0.5 * pairs,
            None => pairs,
        };
        let flops = 2.0 * counted * (q + values);
        let blocks = if self.ring { stack.cp } else { 1.0 };
        let merged = (blocks - 1.0) * 3.0 * stack.tokens() * values;
        let ends =
            (2.0 * stack.tokens() * q + 2.0 * stack.batch * context * kv + merged) * self.act;
        let (backward, bytes, kernels) = match self.w.attention {
            AttentionKernel::Flash => (2.5, ends, blocks),
            // scores are written, read and written by softmax, and read by the second product
            AttentionKernel::Eager => {
                let computed = self.a.tiles().map_or(pairs, |tile| stack.tokens() * tile as f64);
                let scores = 4.0 * computed * (self.a.heads as f64 / tp) * self.act;
                (2.0, ends + scores, 4.0 * blocks)
            }
        };
        let recompute = full || self.w.checkpointing == Checkpointing::Selective;
        let kind = OpKind::AttentionCore { causal };
        self.push(kind, Phase::Forward, count, flops, bytes, kernels);
        if recompute {
            self.push(kind, Phase::Recompute, count, flops, bytes, kernels);
        }
        self.push(kind, Phase::Backward, count, backward * flops, 2.0 * bytes, 2.0 * kernels);
    }

    /// Feed-forward blocks of `count` layers: of a mixture, those with experts and those without.
    fn ffn(&mut self, count: f64, full: bool, tokens: f64) {
        let Some(experts) = self.a.experts else {
            self.block(count, full, tokens, self.a.ffn_size, None);
            return;
        };
        // each stage of a pipeline is given its share of both kinds
        let (all, dense) = (self.a.layers as f64, experts.dense_layers as f64);
        if dense < all {
            let sparse = count * (all - dense) / all;
            if experts.shared_ffn_size > 0 {
                self.block(sparse, full, tokens, experts.shared_ffn_size, None);
            }
            self.block(sparse, full, tokens, self.a.ffn_size, Some(experts));
        }
        if dense > 0.0 {
            self.block(count * dense / all, full, tokens, experts.dense_ffn_size, None);
        }
    }

    /// A feed-forward block, or the routed experts in its place.
    fn block(&mut self, count: f64, full: bool, tokens: f64, inner: u64, experts: Option<Experts>) {
        let h = self.a.hidden_size as f64;
        let f = inner as f64 / self.tp_ffn;
        let (visits, weights) = match experts {
            Some(experts) => {
                self.product(
                    OpKind::Router,
                    count,
                    full,
                    Product::new(tokens, h, experts.count as f64),
                );
                // tokens come from all ranks, as many as go to them where the router is balanced
                (experts.top_k as f64, experts.count as f64 / self.ep)
            }
            None => (1.0, 1.0),
        };
        let rows = tokens * visits;
        let first: &[LoraTarget] =
            if self.a.gated_ffn { &[LoraTarget::Gate, LoraTarget::Up] } else { &[LoraTarget::Up] };
        let projections = first.len() as f64;
        let up =
            Product { kernels: projections * weights, ..Product::new(rows, h, projections * f) };
        self.product(
            if self.a.gated_ffn { OpKind::FfnGateAndUp } else { OpKind::FfnUp },
            count,
            full,
            up,
        );
        for target in first {
            let adapted = Product { kernels: weights, ..Product::new(rows, h, f) };
            self.adapter(*target, count, full, adapted);
        }
        self.elementwise(OpKind::FfnActivation, count, full, rows * f, projections + 1.0);
        let down = Product { kernels: weights, ..Product::new(rows, f, h) };
        let repeated = full && repeats_last_product(self.a, self.w);
        self.product(OpKind::FfnDown, count, repeated, down);
        self.adapter(LoraTarget::Down, count, full, down);
        if weights > 1.0 {
            // all experts' weights are read; the product above counted those of one
            let idle = (weights - 1.0) * (projections + 1.0) * h * f * self.act;
            // the products' kernels are those of all experts
            self.dequantization(count, full, h, idle / self.act, 0.0);
            self.push(OpKind::ExpertWeights, Phase::Forward, count, 0.0, idle, 0.0);
            // a repeated forward pass multiplies with all experts again, the last product included
            if full {
                self.push(OpKind::ExpertWeights, Phase::Recompute, count, 0.0, idle, 0.0);
            }
            // for the gradients of the inputs and, where they are trained, of the weights
            let backward = if self.frozen { idle } else { 2.0 * idle };
            self.push(OpKind::ExpertWeights, Phase::Backward, count, 0.0, backward, 0.0);
        }
    }

    fn embedding(&mut self) {
        self.forward_only = self.w.frozen_layers > 0;
        self.embed();
        self.forward_only = false;
    }

    fn embed(&mut self) {
        let tokens = self.w.micro_positions() as f64 / self.cp;
        let h = self.a.hidden_size as f64;
        if !self.a.place.embeds() {
            // four patches of half the width beside each other, normed and projected
            self.elementwise(OpKind::Embedding, 1.0, false, tokens * 2.0 * h, 2.0);
            self.elementwise(OpKind::Embedding, 1.0, false, tokens * 2.0 * h, 2.0);
            self.product(OpKind::PatchProjection, 1.0, false, Product::new(tokens, 2.0 * h, h));
            return;
        }
        if let Some(image) = self.a.image {
            let rows = self.w.micro_sequences() as f64 * image.patches() as f64;
            self.first_projection(rows, (image.channels * image.patch * image.patch) as f64, h);
        }
        if let Some(bins) = self.a.mel_bins {
            // two convolutions over three frames; the second halves the frames (Radford et al. 2022, section 2.2)
            let rows = self.w.micro_sequences() as f64 * self.w.seq_len as f64;
            self.first_projection(2.0 * rows, 3.0 * bins as f64, h);
            self.product(OpKind::PatchProjection, 1.0, false, Product::new(rows, 3.0 * h, h));
        }
        self.elementwise(OpKind::Embedding, 1.0, false, tokens * h / self.tp_between, 2.0);
        let narrow = self.a.embedding_size as f64;
        if narrow != h && self.a.image.is_none() {
            self.product(OpKind::EmbeddingProjection, 1.0, false, Product::new(tokens, narrow, h));
        }
    }

    /// A projection of pixels or spectra. They need no gradient, so the backward pass has only the weight's product.
    fn first_projection(&mut self, rows: f64, inner: f64, h: f64) {
        let flops = 2.0 * rows * inner * h;
        let bytes = (rows * (inner + h) + inner * h) * self.act;
        self.push(OpKind::PatchProjection, Phase::Forward, 1.0, flops, bytes, 1.0);
        if !self.frozen {
            self.push(OpKind::PatchProjection, Phase::Backward, 1.0, flops, bytes, 1.0);
        }
    }

    fn head(&mut self) {
        let tp = self.tp_attention;
        let h = self.a.hidden_size as f64;
        let sequences = self.w.micro_sequences() as f64;
        let length =
            if self.a.family() == Family::T5 { self.w.decoder_seq_len } else { self.w.seq_len };
        let tokens = sequences * length as f64 / self.cp;
        if self.a.final_norm {
            self.elementwise(OpKind::FinalNorm, 1.0, false, tokens * h / self.tp_between, 2.0);
        }
        if !self.a.place.has_head() {
            return;
        }
        let narrow = self.a.embedding_size as f64;
        match self.w.task {
            Task::Contrastive => self.contrast(sequences, tokens),
            Task::MaskedLm => {
                self.product(
                    OpKind::MaskedLmTransform,
                    1.0,
                    false,
                    Product::new(tokens, h, narrow),
                );
                self.logits(tokens, narrow, tp);
            }
            Task::CausalLm => {
                if narrow != h {
                    self.product(
                        OpKind::OutputProjection,
                        1.0,
                        false,
                        Product::new(tokens, h, narrow),
                    );
                }
                self.logits(tokens, narrow, tp);
            }
            Task::Classification { labels } => {
                let labels = labels as f64;
                match self.a.family() {
                    Family::Bert => {
                        self.product(OpKind::Pooler, 1.0, false, Product::new(sequences, h, h));
                        self.product(
                            OpKind::Classifier,
                            1.0,
                            false,
                            Product::new(sequences, h, labels),
                        );
                    }
                    Family::Vit => {
                        let inputs = h * self.a.model_type.features().classifier_widths as f64;
                        let classifier = Product::new(sequences, inputs, labels);
                        self.product(OpKind::Classifier, 1.0, false, classifier);
                    }
                    // transformers' decoder classifiers score every token
                    _ => self.product(
                        OpKind::Classifier,
                        1.0,
                        false,
                        Product::new(tokens, h, labels),
                    ),
                }
            }
        }
    }

    /// An encoder's output in the space where images and texts are compared, and, after that of the texts, the products of all
    /// texts of a rank's micro-batch with all of its images (transformers, `modeling_clip.py` and `modeling_siglip.py`).
    fn contrast(&mut self, sequences: f64, tokens: f64) {
        let Place::Encoder { joint_size, .. } = self.a.place else { return };
        let (h, joint) = (self.a.hidden_size as f64, joint_size as f64);
        let images = self.a.image.is_some();
        let projects =
            self.a.model_type.features().text_encoder.is_some_and(|t| t.joint_size.is_some());
        if images && !projects {
            let f = self.a.ffn_size as f64;
            let kind = OpKind::Pooler;
            self.product(kind, 1.0, false, Product::new(sequences, h, h));
            self.product(kind, 1.0, false, Product::new(tokens, h, 2.0 * h));
            // one query an image, whose scores and values are products of two tensors with gradients
            self.both_inputs(kind, 2.0 * 2.0 * tokens * h, 2.0 * tokens * h * self.act, 2.0);
            self.product(kind, 1.0, false, Product::new(sequences, h, h));
            self.product(kind, 1.0, false, Product::new(sequences, h, f));
            self.product(kind, 1.0, false, Product::new(sequences, f, h));
        } else {
            self.product(OpKind::OutputProjection, 1.0, false, Product::new(sequences, h, joint));
        }
        if !images {
            let flops = 2.0 * sequences * sequences * joint;
            let bytes = (2.0 * sequences * joint + sequences * sequences) * self.act;
            self.both_inputs(OpKind::Classifier, flops, bytes, 1.0);
        }
    }

    /// Products of two tensors that both have gradients.
    fn both_inputs(&mut self, kind: OpKind, flops: f64, bytes: f64, kernels: f64) {
        self.push(kind, Phase::Forward, 1.0, flops, bytes, kernels);
        self.push(kind, Phase::Backward, 1.0, 2.0 * flops, 2.0 * bytes, 2.0 * kernels);
    }

    /// The output projection to the vocabulary, and the loss with a 32-bit softmax.
    fn logits(&mut self, tokens: f64, inner: f64, tp: f64) {
        let v = self.vocabulary / tp;
        // the embedding's own matrix is frozen with it
        let frozen = self.frozen;
        self.frozen |= self.w.frozen_layers > 0 && self.a.tied_embeddings;
        self.product(OpKind::Logits, 1.0, false, Product::new(tokens, inner, v));
        self.frozen = frozen;
        let elements = tokens * v;
        self.push(OpKind::Loss, Phase::Forward, 1.0, 0.0, elements * (self.act + 2.0 * 4.0), 2.0);
        self.push(OpKind::Loss, Phase::Backward, 1.0, 0.0, elements * (4.0 + self.act), 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn job(model: &str, workload: &str) -> Job {
        let text = format!(
            "model = {{ {model}, layers = 3, hidden_size = 64, heads = 4, ffn_size = 12, vocab_size = 16 }}
             workload = {{ steps = 1, seq_len = 8, micro_batch = 2, {workload} }}
             system = {{ gpu = 'a100-sxm4-80gb' }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    fn flops(cost: &Cost, keep: impl Fn(&Op) -> bool) -> f64 {
        cost.stages[0].per_step(keep).flops.value()
    }

    /// Two products of 2 sequences × 8 × 8 × 64, 2 FLOPs each, in 3 layers: 98,304 forward. Backward has four such
    /// products; flash attention has the scores' once more (PyTorch, `sdpa_backward_flop`).
    #[test]
    fn flash_attention_computes_the_scores_again() {
        let forward = 3.0 * 2.0 * 2.0 * (2.0 * 8.0 * 8.0 * 64.0);
        let mut model_flops = Vec::new();
        for (kernel, backward) in [("eager", 2.0), ("flash", 2.5)] {
            let job = job("family = 'llama'", &format!("attention = '{kernel}'"));
            let cost = Cost::count(&job, AttentionFlops::Full);
            let core = OpKind::AttentionCore { causal: true };
            let of = |phase| flops(&cost, |op| op.kind == core && op.phase == phase);
            assert_eq!(of(Phase::Forward), forward);
            assert_eq!(of(Phase::Backward), backward * forward);
            model_flops.push(cost.model_flops_per_step);
        }
        assert_eq!(model_flops[0], model_flops[1]);
    }

    /// Two sequences of 8 positions, width 64, a window of 2 in one of 3 layers: two layers have 8 · 8 pairs, one 8 · 2,
    /// or 2 · (8 − 1) where only the pairs of a causal mask count. Eager attention computes all.
    #[test]
    fn a_window_leaves_out_pairs() {
        let model = "family = 'mistral', window = 2, window_layers = 1";
        let core = OpKind::AttentionCore { causal: true };
        let counted = |kernel: &str, attention| {
            let cost = Cost::count(&job(model, &format!("attention = '{kernel}'")), attention);
            flops(&cost, |op| op.kind == core && op.phase == Phase::Forward)
        };
        let of_pairs = |pairs: f64| 2.0 * pairs * 4.0 * 64.0;
        assert_eq!(counted("flash", AttentionFlops::Full), of_pairs(2.0 * 64.0 + 16.0));
        assert_eq!(counted("flash", AttentionFlops::Causal), of_pairs(2.0 * 32.0 + 14.0));
        assert_eq!(counted("eager", AttentionFlops::Full), of_pairs(3.0 * 64.0));
    }

    /// Four ranks have each a quarter of the work of sequences of 8, whatever the kernel, the window and the convention; model
    /// FLOPs stay those of one. In a ring four kernels compute the attention, and three merges read two parts of the output
    /// and write one: 2 · 2 positions, width 64, 2 B.
    #[test]
    fn context_parallel_ranks_share_the_positions() {
        for (model, kernel) in [
            ("family = 'llama'", "flash"),
            ("family = 'mistral', window = 2, window_layers = 1", "flash"),
            ("family = 'llama'", "eager"),
        ] {
            for convention in [AttentionFlops::Full, AttentionFlops::Causal] {
                let alone = job(model, &format!("precision = 'bf16', attention = '{kernel}'"));
                let mut split = alone.clone();
                (split.parallelism.cp, split.system.gpus) = (4, 4);
                let [one, quarter] = [&alone, &split].map(|job| Cost::count(job, convention));
                assert_eq!(flops(&quarter, |_| true), flops(&one, |_| true) / 4.0, "{model}");
                assert_eq!(quarter.model_flops_per_step, one.model_flops_per_step);
                assert_eq!(quarter.hardware_per_step.flops, one.hardware_per_step.flops);
            }
        }
        let mut ring = job("family = 'llama'", "precision = 'bf16'");
        ring.parallelism.cp = 4;
        let mut gathered = ring.clone();
        gathered.parallelism.context_exchange = ContextExchange::AllGather;
        let [ring, gathered] = [ring, gathered].map(|job| {
            let core = |op: &Op| {
                op.kind == OpKind::AttentionCore { causal: true } && op.phase == Phase::Forward
            };
            Cost::count(&job, AttentionFlops::Full).stages[0].per_step(core)
        });
        assert_eq!((ring.kernels, gathered.kernels), (3.0 * 4.0, 3.0));
        let merged = 3.0 * 3.0 * (3.0 * 4.0 * 64.0 * 2.0);
        assert_eq!(ring.bytes.value() - gathered.bytes.value(), merged);
    }

    /// Two sequences of 8 positions, each of four documents of 2: 16 · 2 pairs a layer in place of 16 · 8, and half of them with
    /// a causal mask. A window of 4 leaves out none of them. All other work stays.
    #[test]
    fn attention_stays_within_packed_documents() {
        let core = OpKind::AttentionCore { causal: true };
        for model in ["family = 'llama'", "family = 'mistral', window = 4"] {
            for (convention, share) in [(AttentionFlops::Full, 1.0), (AttentionFlops::Causal, 0.5)]
            {
                let cost = Cost::count(&job(model, "document_len = 2"), convention);
                let forward = flops(&cost, |op| op.kind == core && op.phase == Phase::Forward);
                assert_eq!(forward, share * 3.0 * 2.0 * (16.0 * 2.0) * 2.0 * 64.0, "{model}");
            }
        }
        let others = |workload: &str| {
            let cost = Cost::count(&job("family = 'llama'", workload), AttentionFlops::Full);
            flops(&cost, |op| op.kind != core)
        };
        assert_eq!(others("document_len = 2"), others("attention = 'flash'"));
    }

    /// One of three layers is frozen, and the embedding: forward passes stay, and the backward pass is that of two layers and the
    /// head. A tied output projection has its input's gradient alone.
    #[test]
    fn frozen_layers_have_no_backward_pass() {
        let of = |model: &str, workload: &str, layers: u64, phase| {
            let mut job = job(model, &format!("attention = 'eager', {workload}"));
            job.architecture.layers = layers;
            let cost = Cost::count(&job, AttentionFlops::Full);
            flops(&cost, |op| op.phase == phase)
        };
        let (llama, frozen, full) = (
            "family = 'llama'",
            "frozen_layers = 1, checkpointing = 'full'",
            "checkpointing = 'full'",
        );
        assert_eq!(of(llama, frozen, 3, Phase::Forward), of(llama, full, 3, Phase::Forward));
        for phase in [Phase::Recompute, Phase::Backward] {
            assert_eq!(of(llama, frozen, 3, phase), of(llama, full, 2, phase));
        }
        // 2 · 8 positions, width 64, 16 words
        let logits = 2.0 * 16.0 * 64.0 * 16.0;
        let tied = "family = 'gpt2'";
        let backward = of(tied, full, 2, Phase::Backward);
        assert_eq!(of(tied, frozen, 3, Phase::Backward), backward - logits);
    }

    /// Adapters of rank 2 on queries, 64 to 64: of three layers. The update of a weight takes 2 · 2 · 64 · 128 FLOPs with a unit
    /// matrix in each forward pass, whatever the batch; the backward pass has no more than LoRA's.
    #[test]
    fn magnitudes_norm_the_adapted_weights() {
        let lora = "precision = 'bf16', lora = { rank = 2, targets = ['q'] }";
        let of = |workload: &str, phase, kind| {
            let cost = Cost::count(&job("family = 'llama'", workload), AttentionFlops::Full);
            let totals = cost.stages[0].per_step(|op| op.kind == kind && op.phase == phase);
            (totals.flops.value(), totals.bytes.value())
        };
        let dora = format!("{lora}, dora = true");
        let update = 3.0 * (2.0 * 2.0 * 64.0 * 128.0);
        let [(plain, _), (with, _)] =
            [lora, &dora].map(|of_| of(of_, Phase::Forward, OpKind::Adapter));
        assert_eq!(with - plain, update);
        let [plain, with] = [lora, &dora].map(|of_| of(of_, Phase::Backward, OpKind::Adapter));
        assert_eq!(with, plain);
        let elements = 3.0 * (4.0 * 64.0 * 64.0 + 12.0 * 16.0 * 64.0);
        assert_eq!(of(&dora, Phase::Forward, OpKind::Magnitude), (0.0, 2.0 * elements));
        assert_eq!(of(lora, Phase::Forward, OpKind::Magnitude), (0.0, 0.0));
    }

    /// A layer of width 64 has projections of 64 × 64 (query, output), 64 × 32 (key, value) and 64 × 12 (gate, up, down):
    /// 14,592 weights. Each is read in 0.5 + (1 + 4 / 256) / 64 bytes and written in 2, in the forward pass, in its
    /// repetition and for the gradient of its input; seven matrices take three kernels each.
    #[test]
    fn quantized_weights_are_expanded_for_every_product() {
        let model = "family = 'llama', kv_heads = 2";
        let expanded = |workload: &str, phase| {
            let cost = Cost::count(&job(model, workload), AttentionFlops::Full);
            let totals = cost.stages[0]
                .per_step(|op| op.kind == OpKind::Dequantization && op.phase == phase);
            (totals.bytes.value(), totals.kernels)
        };
        let lora = "precision = 'bf16', framework = 'megatron', lora = { rank = 2 }";
        assert_eq!(expanded(lora, Phase::Forward), (0.0, 0.0));
        let full = format!("{lora}, checkpointing = 'full', quantization = 'nf4'");
        let weight = 2.0 + 0.5 + (1.0 + 4.0 / 256.0) / 64.0;
        for phase in [Phase::Forward, Phase::Recompute, Phase::Backward] {
            assert_eq!(expanded(&full, phase), (3.0 * 14_592.0 * weight, 3.0 * 7.0 * 3.0));
        }
        let kept = format!("{lora}, quantization = 'fp8'");
        assert_eq!(expanded(&kept, Phase::Recompute), (0.0, 0.0));
        assert_eq!(expanded(&kept, Phase::Backward), (3.0 * 14_592.0 * 3.0, 3.0 * 7.0));
    }

    /// Of four experts of 3 · 64 · 12 weights, those of three are read beside the products, in bf16: once a pass where they
    /// are frozen, twice in the backward pass where they are trained, and once more where the forward pass is repeated
    /// (transformers' `MixtralExperts.forward` and Megatron-LM's `GroupedMLP` multiply with each expert's weights in every
    /// pass).
    #[test]
    fn experts_are_read_in_every_pass() {
        let read = |workload: &str, phase| {
            let model = "family = 'mixtral', experts = 4, top_k = 2";
            let cost = Cost::count(&job(model, workload), AttentionFlops::Full);
            let experts = |op: &Op| op.kind == OpKind::ExpertWeights && op.phase == phase;
            cost.stages[0].per_step(experts).bytes.value()
        };
        let idle = 3.0 * (3.0 * 3.0 * 64.0 * 12.0) * 2.0;
        let (full, lora) = ("precision = 'bf16'", "precision = 'bf16', lora = { rank = 2 }");
        assert_eq!([full, lora].map(|of| read(of, Phase::Forward)), [idle, idle]);
        assert_eq!([full, lora].map(|of| read(of, Phase::Backward)), [2.0 * idle, idle]);
        assert_eq!([full, lora].map(|of| read(of, Phase::Recompute)), [0.0, 0.0]);
        for of in [full, lora] {
            let again = format!("{of}, checkpointing = 'full'");
            assert_eq!(read(&again, Phase::Recompute), idle);
        }
    }

    /// Width 64, feed-forward of 12, two sequences of 8: a llama's layer has 2 · 16 · (4 · 64² + 3 · 64 · 12) FLOPs in linear layers
    /// and 2 · 16 · 2 · 8 · 64 in attention, three layers of them and a head of 2 · 16 · 64 · 16; the backward pass has twice as
    /// many of all.
    #[test]
    fn linear_layers_alone_are_in_8_bits() {
        let workload = "precision = 'bf16', attention = 'eager'";
        let share = |model: &str| {
            Cost::count(&job(model, workload), AttentionFlops::Full).share_in_8_bits()
        };
        let linear = 3.0 * 32.0 * (4.0 * 64.0 * 64.0 + 3.0 * 64.0 * 12.0);
        let others = 3.0 * 32.0 * 2.0 * 8.0 * 64.0 + 32.0 * 64.0 * 16.0;
        approx::assert_relative_eq!(share("family = 'llama'"), linear / (linear + others));
        // the routers of four experts are in 16 bits
        let linear = 3.0 * 32.0 * (4.0 * 64.0 * 64.0 + 2.0 * 3.0 * 64.0 * 12.0);
        let others = others + 3.0 * 32.0 * 64.0 * 4.0;
        let mixture = "family = 'mixtral', experts = 4, top_k = 2";
        approx::assert_relative_eq!(share(mixture), linear / (linear + others));
    }

    #[test]
    fn attention_says_whether_it_is_causal() {
        let masks = |model: &str| -> Vec<bool> {
            let cost = Cost::count(&job(model, "precision = 'bf16'"), AttentionFlops::Full);
            let forward = cost.stages[0].ops.iter().filter(|op| op.phase == Phase::Forward);
            let masks = forward.map(|op| match op.kind {
                OpKind::AttentionCore { causal } => Some(causal),
                _ => None,
            });
            masks.flatten().collect()
        };
        assert_eq!(masks("family = 'gpt2'"), [true]);
        assert_eq!(masks("family = 'bert'"), [false]);
        // encoder; decoder on itself; decoder on the encoder
        assert_eq!(masks("family = 't5'"), [false, true, false]);
    }

    /// 2 · 8 positions, width 64: logits of 16 words take 2 · 16 · 64 · 16 FLOPs forward, of 128 words eight times
    /// that.
    #[test]
    fn a_padded_vocabulary_is_multiplied_and_is_no_model_work() {
        let count =
            |workload: &str| Cost::count(&job("family = 'gpt2'", workload), AttentionFlops::Full);
        let logits =
            |cost: &Cost| flops(cost, |op| op.kind == OpKind::Logits && op.phase == Phase::Forward);
        let plain = count("attention = 'eager'");
        let padded = count("attention = 'eager', framework = 'megatron'");
        assert_eq!(logits(&plain), 2.0 * 16.0 * 64.0 * 16.0);
        assert_eq!(logits(&padded), 8.0 * logits(&plain));
        assert_eq!(padded.model_flops_per_step, plain.model_flops_per_step);
    }
}
