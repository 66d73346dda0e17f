//! Tensors of one layer that are saved for the backward pass.

use super::Recipe;
use crate::job::Job;
use crate::job::model::{Architecture, Family, ModelType, Norm};
use crate::job::parallelism::{Parallelism, TensorScope};
use crate::job::workload::{AttentionKernel, LoraTarget, Precision, Workload};

/// Bytes that a layer saves for the backward pass, on one GPU for one micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sums {
    /// All tensors.
    pub all: f64,
    /// The attention core's, which selective checkpointing recomputes.
    pub core: f64,
}

/// A stack of equal layers.
#[derive(Clone, Copy)]
pub(super) enum Stack {
    /// The layers of an encoder-only or decoder-only model, or the encoder of an encoder–decoder.
    Main,
    /// The decoder of an encoder–decoder, which attends to the encoder too.
    Decoder,
}

/// Degree that splits attention and vocabulary.
pub(super) fn attention_degree(p: &Parallelism) -> f64 {
    if p.tensor_scope == TensorScope::Blocks { p.tp as f64 } else { 1.0 }
}

/// Computes the saved activations of a job's layers.
pub(super) struct LayerActivations<'a> {
    a: &'a Architecture,
    w: &'a Workload,
    /// Context-parallel ranks.
    cp: f64,
    /// Bytes per number of a product's inputs and outputs.
    pub act: f64,
    /// Bytes per number of a linear layer's saved input.
    linear: f64,
    /// Bytes per number of the residual stream and the norms.
    pub residual: f64,
    /// Whether each product casts its own input, so that projections of one input save several copies.
    copies: bool,
    fused: bool,
    /// Whether the family uses dropout.
    dropout: bool,
    tp_attention: f64,
    tp_ffn: f64,
    /// Degree that splits tensors between tensor-parallel projections: the tensor-parallel degree with sequence
    /// parallelism, else 1.
    pub between: f64,
    /// Degree that splits the saved inputs of tensor-parallel projections.
    pub inputs: f64,
    sums: Sums,
}

impl<'a> LayerActivations<'a> {
    pub(super) fn new(job: &'a Job, recipe: &Recipe) -> Self {
        let (a, w, p) = (&job.architecture, &job.workload, &job.parallelism);
        let act = w.precision.bytes();
        let copies = recipe.autocasts(job);
        let between = if p.sequence_parallel { p.tp as f64 } else { 1.0 };
        Self {
            a,
            w,
            cp: p.cp as f64,
            act,
            linear: if w.precision == Precision::Fp8 && recipe.saves_8_bits { 1.0 } else { act },
            // autocast keeps the embedding and the norms in 32 bits, so sums with them are in 32 bits too
            residual: if copies { 4.0 } else { act },
            copies,
            fused: recipe.fused,
            dropout: true,
            tp_attention: attention_degree(p),
            tp_ffn: p.tp as f64,
            between,
            inputs: if recipe.gathers_again { between } else { 1.0 },
            sums: Sums::default(),
        }
    }

    fn keep(&mut self, bytes: f64) {
        self.sums.all += bytes;
    }

    fn keep_core(&mut self, bytes: f64) {
        self.keep(bytes);
        self.sums.core += bytes;
    }

    /// Bytes a position of the input that projections `targets` save, of width `width`, in `copies` copies.
    ///
    /// A frozen projection saves none; an adapter on it saves a cast of the input and its own inner activation.
    fn projected(&self, targets: &[LoraTarget], width: f64, copies: f64) -> f64 {
        let Some(lora) = &self.w.lora else { return width * copies * self.linear };
        let adapters = targets.iter().filter(|target| lora.adapts(**target)).count() as f64;
        adapters * (width + lora.rank as f64) * self.act
    }

    /// Bytes a position of what DoRA's magnitude of each adapted projection saves: the outputs of the base and of the adapter, of
    /// width `outer`.
    fn magnitudes(&self, targets: &[LoraTarget], outer: f64) -> f64 {
        let Some(lora) = self.w.lora.as_ref().filter(|_| self.w.dora) else { return 0.0 };
        let adapted = targets.iter().filter(|target| lora.adapts(**target)).count() as f64;
        2.0 * adapted * outer * self.act
    }

    /// Positions of one rank and micro-batch in a stack.
    fn tokens(&self, stack: Stack) -> f64 {
        self.w.micro_sequences() as f64 * self.context(stack) / self.cp
    }

    /// Positions that a stack's self-attention sees.
    fn context(&self, stack: Stack) -> f64 {
        match stack {
            Stack::Main => self.w.seq_len as f64,
            Stack::Decoder => self.w.decoder_seq_len as f64,
        }
    }

    /// Positions that a query of a stack's self-attention is scored with.
    fn scored(&self, stack: Stack) -> f64 {
        self.a.tiles().map_or_else(|| self.context(stack), |tile| tile as f64)
    }

    /// Bytes of a layer's input.
    pub(super) fn input(&self, stack: Stack) -> f64 {
        self.tokens(stack) * self.a.hidden_size as f64 * self.residual / self.between
    }

    /// Whether the family applies dropout to hidden states; defaults of Hugging Face transformers.
    pub(super) fn hidden_dropout(&self) -> bool {
        let family = matches!(self.a.family(), Family::Bert | Family::T5)
            || matches!(self.a.kernels(), ModelType::Gpt2 | ModelType::Opt);
        self.dropout && family
    }

    /// Whether the family applies dropout to attention probabilities.
    fn attention_dropout(&self) -> bool {
        self.hidden_dropout() && self.a.kernels() != ModelType::Opt
    }

    /// Bytes of gradients of activations while the backward pass is in one layer, beside all that the layer saved.
    ///
    /// In the feed-forward block: the gradient of the residual stream, its cast under autocast, and gradients of the
    /// inner width. In eager attention, when the feed-forward block's tensors and the copy of the probabilities are
    /// freed: two gradients of the scores.
    pub(super) fn backward(&self, stack: Stack) -> f64 {
        let tokens = self.tokens(stack);
        let cast = if self.copies { self.act } else { 0.0 };
        let residual = tokens * self.a.hidden_size as f64 * (self.residual + cast) / self.between;
        let visits = self.a.experts.map_or(1.0, |experts| experts.top_k as f64);
        let inner = tokens * visits * self.a.ffn_size as f64 / self.tp_ffn;
        let attention = match self.w.attention {
            AttentionKernel::Flash => 0.0,
            AttentionKernel::Eager => {
                let scores = tokens * self.a.heads as f64 / self.tp_attention * self.scored(stack);
                let probability = self.probability_bytes();
                let freed = if probability > self.act { self.act } else { 0.0 };
                // until its end a layer's forward pass holds what dropout makes of the probabilities in 32 bits, and
                // sums of the residual stream
                let drops = self.copies && self.attention_dropout();
                let dropped = if drops && self.a.kernels() != ModelType::Gpt2 {
                    4.0 * scores + 2.0 * tokens * self.a.hidden_size as f64 * self.residual
                } else {
                    0.0
                };
                dropped.max(scores * (2.0 * probability - freed) - inner * self.ffn_bytes())
            }
        };
        residual + attention.max(inner * self.ffn_gradient_bytes())
    }

    /// Bytes that checkpointing by operation keeps: the layer's input, the fused attention's output, and the outputs of
    /// the first, third, … matrix product, in the order in which a layer computes them.
    pub(super) fn kept_per_operation(&self, stack: Stack) -> f64 {
        let tokens = self.tokens(stack);
        let h = self.a.hidden_size as f64;
        let (q, kv) = (self.a.query_width() as f64, self.a.kv_width() as f64);
        let f = self.a.ffn_size as f64 / self.tp_ffn;
        let visits = self.a.experts.map_or(1.0, |experts| experts.top_k as f64);
        let core = match self.w.attention {
            AttentionKernel::Flash => q * self.act + 4.0 * self.a.heads as f64,
            AttentionKernel::Eager => 0.0,
        };
        // query and value; the gate and the projection back, or without a gate the inner projection. A split projection
        // back has the whole width before ranks are summed; scattered sums are kept too.
        let back = if self.a.gated_ffn { h } else { 0.0 };
        let scattered = if self.between > 1.0 { 2.0 * h / self.between } else { 0.0 };
        let products = (q + kv) / self.tp_attention + visits * f + back + scattered;
        self.input(stack) + tokens * (core / self.tp_attention + products * self.act)
    }

    /// What one layer saves.
    pub(super) fn layer(mut self, stack: Stack) -> Sums {
        let tokens = self.tokens(stack);
        let h = self.a.hidden_size as f64;
        let cross = matches!(stack, Stack::Decoder);
        let blocks = if cross { 3.0 } else { 2.0 };
        let norms = blocks - 2.0 + self.a.norms_per_layer as f64;

        // GPT-NeoX's attention and feed-forward blocks are parallel, so both norms have the same input
        let inputs = if self.a.kernels() == ModelType::GptNeox { 1.0 } else { norms };
        let (wide, statistics) = self.norm();
        // norm inputs
        self.keep(tokens * h * inputs * wide / self.between);
        // norm statistics
        self.keep(tokens * norms * statistics / self.between);
        self.self_attention(tokens, stack);
        if cross {
            self.cross_attention(tokens);
        }
        if self.hidden_dropout() {
            // dropout masks
            self.keep(tokens * h * blocks / self.between);
        }
        self.ffn(tokens);
        self.sums
    }

    /// Bytes saved by a norm per channel and per position.
    ///
    /// A layer norm saves its input, mean and deviation. A fused RMS norm saves input and scale; unfused it saves the
    /// input in 32 bits, the scale and the scaled input, and T5's also the unconverted input.
    pub(super) fn norm(&self) -> (f64, f64) {
        match self.a.norm {
            Norm::LayerNorm | Norm::LayerNormWithoutBias => (self.residual, 8.0),
            // a frozen scale does not save what it multiplies
            Norm::RmsNorm if self.w.lora.is_some() => (4.0, 4.0),
            Norm::RmsNorm if self.fused => (self.residual, 4.0),
            Norm::RmsNorm if self.a.family() == Family::T5 => (8.0, 4.0),
            Norm::RmsNorm => (4.0 + self.residual, 4.0),
        }
    }

    fn self_attention(&mut self, tokens: f64, stack: Stack) {
        use LoraTarget::{Key, Query, Value};
        let (h, tp) = (self.a.hidden_size as f64, self.tp_attention);
        let (q, kv) = (self.a.query_width() as f64 / tp, self.a.kv_width() as f64 / tp);
        let one_map = matches!(self.a.kernels(), ModelType::Gpt2 | ModelType::GptNeox);
        let copies = if self.copies && !one_map { 3.0 } else { 1.0 };
        let act = self.act;
        let inputs = self.projected(&[Query, Key, Value], h, copies);
        // input of query, key, value
        self.keep(tokens * inputs / self.inputs);
        // eager grouped-query attention repeats keys and values for each query head
        let kept = if self.w.attention == AttentionKernel::Eager { q } else { kv };
        // query, key, value
        self.keep(tokens * (q + 2.0 * kept) * act);
        // a fused kernel saves views of the one projection's output; eager products copy what they save
        let flash = self.w.attention == AttentionKernel::Flash;
        if self.a.kernels() == ModelType::GptNeox && !self.fused && flash {
            // rotated query and key
            self.keep(tokens * 2.0 * q * act);
            // context before its projection
            self.keep(tokens * q * act);
        }
        self.core(tokens, self.scored(stack));
        self.attended(tokens, q);
        // outputs that magnitudes scale
        let scaled = self.magnitudes(&[Query], q)
            + self.magnitudes(&[Key, Value], kv)
            + self.magnitudes(&[LoraTarget::Output], h);
        self.keep(tokens * scaled);
    }

    fn cross_attention(&mut self, tokens: f64) {
        let (h, tp) = (self.a.hidden_size as f64, self.tp_attention);
        let (q, kv) = (self.a.query_width() as f64 / tp, self.a.kv_width() as f64 / tp);
        let encoded = self.tokens(Stack::Main);
        let act = self.act;
        // input of cross query
        self.keep(tokens * h * act / self.inputs);
        if self.copies {
            // input of cross key, value
            self.keep(encoded * h * 2.0 * act / self.inputs);
        }
        // cross query, key, value
        self.keep((tokens * q + encoded * 2.0 * kv) * act);
        self.core(tokens, self.w.seq_len as f64);
        self.attended(tokens, q);
    }

    /// The attention's output of width `q`: saved by a fused kernel, and by the projection after it.
    fn attended(&mut self, tokens: f64, q: f64) {
        let saved = if self.w.attention == AttentionKernel::Flash { q * self.act } else { 0.0 };
        let projected = self.projected(&[LoraTarget::Output], q, 1.0);
        // a projection in the same precision saves the same tensor
        let shared = self.w.lora.is_none() && self.linear == self.act;
        let both = if shared { projected } else { saved + projected };
        // context
        self.keep(tokens * both);
    }

    /// The attention core, per query position and head: fused, the softmax scale; otherwise the probabilities, the
    /// dropout mask, and the input of the product with the values.
    fn core(&mut self, tokens: f64, context: f64) {
        let rows = tokens * self.a.heads as f64 / self.tp_attention;
        if self.w.attention == AttentionKernel::Flash {
            // softmax scale
            self.keep_core(rows * 4.0);
            return;
        }
        let act = self.act;
        let probabilities = self.probability_bytes();
        // attention probabilities
        self.keep_core(rows * context * probabilities);
        if self.attention_dropout() {
            // attention dropout mask
            self.keep_core(rows * context);
        }
        if self.attention_dropout() || probabilities > act {
            // probabilities for the values
            self.keep_core(rows * context * act);
        }
    }

    /// Bytes of an eager attention's probability: autocast computes a softmax in 32 bits; Llama, OPT, GPT-NeoX and ViT
    /// always do.
    fn probability_bytes(&self) -> f64 {
        let asks = self.a.family() == Family::Llama
            || matches!(self.a.kernels(), ModelType::Opt | ModelType::GptNeox | ModelType::Vit);
        if self.copies || (asks && !self.fused) { 4.0 } else { self.act }
    }

    fn ffn(&mut self, tokens: f64) {
        use LoraTarget::{Down, Gate, Up};
        let (h, act) = (self.a.hidden_size as f64, self.act);
        let f = self.a.ffn_size as f64 / self.tp_ffn;
        let rows = match self.a.experts {
            Some(experts) => {
                let visits = experts.top_k as f64;
                // input of router
                self.keep(tokens * h * act / self.inputs);
                // routing
                self.keep(tokens * (4.0 * experts.count as f64 + 40.0 * visits + 4.0));
                // expert inputs and outputs
                self.keep(tokens * visits * h * (self.linear + act));
                // the experts that every token visits, in widths of one that it chooses
                let shared = experts.shared_ffn_size as f64 / self.a.ffn_size as f64;
                tokens * (visits + shared)
            }
            None => {
                let copies =
                    if self.copies && self.a.family() == Family::Llama { 2.0 } else { 1.0 };
                let input = self.projected(&[Gate, Up], h, copies);
                // input of ffn
                self.keep(tokens * input / self.inputs);
                tokens
            }
        };
        // the last of the inner tensors is the input of the projection back
        let inner = f * (self.ffn_bytes() - act) + self.projected(&[Down], f, 1.0);
        // ffn inner
        self.keep(rows * inner);
        let gates: &[LoraTarget] = if self.a.gated_ffn { &[Gate, Up] } else { &[Up] };
        // outputs that magnitudes scale
        self.keep(rows * (self.magnitudes(gates, f) + self.magnitudes(&[Down], h)));
        if self.a.family() == Family::T5 && self.dropout {
            // ffn dropout mask
            self.keep(rows * f);
        }
    }

    /// Bytes of a number of the inner width in all tensors saved by a feed-forward block.
    ///
    /// Under autocast GPT-2's tanh GELU has its power in 32 bits, and what is computed from it: the power's input, the
    /// hyperbolic tangent and one more than it, beside half of the input and the input of the projection back.
    fn ffn_bytes(&self) -> f64 {
        if self.copies && self.a.kernels() == ModelType::Gpt2 {
            return 3.0 * 4.0 + 2.0 * self.act;
        }
        self.ffn_tensors() * self.act
    }

    /// Bytes of a number of the inner width in gradients at once, less the projection's input that is freed by then.
    ///
    /// A product of two tensors has three gradients, its own and two; an activation function has two. Under autocast
    /// those of GPT-2's GELU are in 32 bits.
    fn ffn_gradient_bytes(&self) -> f64 {
        let gpt2 = self.a.kernels() == ModelType::Gpt2 && !self.fused;
        // in the forward pass, for an adapter of the projection back: its frozen input and a copy in 32 bits
        let adapted = self.w.lora.as_ref().is_some_and(|lora| lora.adapts(LoraTarget::Down));
        match (gpt2, self.copies) {
            (true, true) => 3.0 * 4.0 - self.act,
            _ if adapted => self.act + 4.0,
            _ if gpt2 || self.a.gated_ffn => 2.0 * self.act,
            _ => self.act,
        }
    }

    /// Number of tensors of the inner width saved by a feed-forward block, the last projection's input included.
    ///
    /// Gated: gate, its activation, the other projection's output, their product. GELU: input and output; GPT-2's
    /// unfused tanh GELU has three intermediate tensors more. ReLU saves only its output, the next projection's input.
    fn ffn_tensors(&self) -> f64 {
        let t5 = self.a.family() == Family::T5;
        match self.a.kernels() {
            _ if self.a.gated_ffn && t5 && !self.fused => 7.0,
            _ if self.a.gated_ffn => 4.0,
            ModelType::Gpt2 if !self.fused => 5.0,
            ModelType::Opt => 1.0,
            // T5's ReLU and the dropout after it
            _ if t5 && !self.dropout && !self.copies => 1.0,
            _ => 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::amount::Count;
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;
    use crate::job::model::ModelSpec;
    use crate::job::workload::WorkloadSpec;
    use serde_json::Value;

    fn job(case: &Value, shape: &Value) -> Job {
        let family = case["family"].as_str().unwrap();
        let number = |key: &str| shape[key].as_u64();
        let image = family == "vit";
        let model = ModelSpec {
            family: Some(family.into()),
            layers: Some(2),
            hidden_size: number("hidden_size"),
            heads: number("heads"),
            kv_heads: case["kv_heads"].as_u64(),
            ffn_size: case["ffn_size"].as_u64(),
            vocab_size: number("vocab_size"),
            image_size: number("image_size").filter(|_| image),
            patch_size: number("patch_size").filter(|_| image),
            ..Default::default()
        };
        let full = case["precision"] == "fp32";
        let eager = case["attention"] == "eager";
        let workload = WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: number("seq_len").filter(|_| !image),
            decoder_seq_len: number("decoder_seq_len").filter(|_| family == "t5"),
            micro_batch: number("batch"),
            precision: Some(if full { Precision::Fp32 } else { Precision::Bf16 }),
            attention: Some(if eager { AttentionKernel::Eager } else { AttentionKernel::Flash }),
            ..Default::default()
        };
        let mut spec = JobSpec { model, workload, ..JobSpec::default() };
        spec.system.gpu = Some("a100-sxm4-80gb".into());
        spec.resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    #[test]
    fn a_layer_keeps_what_pytorch_saves() {
        let text = include_str!("../../tests/golden/saved_tensors.json");
        let golden: Value = serde_json::from_str(text).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 35, "only {} cases", cases.len());
        for case in cases {
            let job = job(case, &golden["shape"]);
            // half-precision weights are computed with as they are; others are cast
            let half = case["precision"] == "bf16";
            let recipe = if half { Recipe::DEEPSPEED } else { Recipe::PYTORCH };
            let layer = |stack| -> f64 {
                let mut keeping = LayerActivations::new(&job, &recipe);
                keeping.dropout = case["dropout"] == true;
                keeping.layer(stack).all
            };
            let decoder =
                if job.architecture.encoder_layers > 0 { layer(Stack::Decoder) } else { 0.0 };
            let counted = layer(Stack::Main) + decoder;
            let saved = case["bytes_per_layer"].as_f64().unwrap();
            // a mixture saves a few numbers an expert besides
            let rest = if job.architecture.experts.is_some() { 32.0 } else { 0.0 };
            assert_eq!(counted + rest, saved, "{case}");
        }
    }
}
