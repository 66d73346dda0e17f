//! Exact parameter counts, by part.

use serde::Serialize;

use super::types::{Narrow, QkNorm};
use super::{Architecture, Experts, Family, Norm, Place, Relative};
use crate::job::task::Task;

/// Parameters of a model by part; each is a count of scalars.
///
/// Attention, feed-forward and norm parts are per layer, so that sharding and pipelining can place them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Parameters {
    /// Token, position and segment embeddings, patch projection, class token, embedding norm.
    pub embedding: u64,
    /// Self-attention of one layer (and cross-attention of one decoder layer), with biases.
    pub attention_per_layer: u64,
    /// Cross-attention of one decoder layer of an encoder–decoder.
    pub cross_attention_per_layer: u64,
    /// Feed-forward block of one layer, all experts and their router included.
    pub ffn_per_layer: u64,
    /// Norms of one layer (of an encoder layer where decoder layers have one more).
    pub norm_per_layer: u64,
    /// All layers of all stacks, with relative position biases and final norms.
    pub layers: u64,
    /// Relative position biases and final norms; `layers` includes them, no single layer does.
    pub beside_layers: u64,
    /// Output projections: an untied language-model head, pooler, classifier, masked-LM transform.
    pub head: u64,
    /// Everything.
    pub total: u64,
}

impl Parameters {
    /// The parameters with those of another stack of the model; the parts of a layer stay those of the first stack's.
    const fn with_stack(self, other: Self) -> Self {
        Self {
            embedding: self.embedding + other.embedding,
            layers: self.layers + other.layers,
            beside_layers: self.beside_layers + other.beside_layers,
            head: self.head + other.head,
            total: self.total + other.total,
            ..self
        }
    }
}

impl Architecture {
    /// Parameters of the published model, as its model card counts them: with the language-model head of
    /// decoders (once where tied), with the pooler of BERT, with the classifier of ViT, without a task head.
    ///
    /// Source: the layers' definitions in Hugging Face transformers; checked against `tests/golden/parameters.json`.
    pub fn parameters(&self) -> Parameters {
        let pooler = if self.pooler { self.square_with_bias() } else { 0 };
        let own = self
            .with_head(pooler + self.classifier(self.classes) + self.untied_head() + self.joint());
        self.other_stacks.iter().map(Self::parameters).fold(own, Parameters::with_stack)
    }

    /// Parameters of the model that is trained for `task`.
    ///
    /// Masked LM replaces BERT's pooler by a transform, a norm and an output bias; classification adds a dense
    /// layer (BERT) and a classifier; a causal LM is the published decoder.
    pub fn parameters_for(&self, task: Task) -> Parameters {
        let head = match (task, self.family()) {
            (Task::MaskedLm, _) => {
                let untied =
                    if self.tied_embeddings { 0 } else { self.vocab_size * self.embedding_size };
                let e = self.embedding_size;
                let bias = if self.model_type.features().transform_bias { e } else { 0 };
                self.hidden_size * e + bias + self.norm_parameters(e) + self.vocab_size + untied
            }
            (Task::CausalLm, _) => self.untied_head(),
            (Task::Classification { labels }, Family::Bert) => {
                self.square_with_bias() + labels * (self.hidden_size + 1)
            }
            (Task::Classification { labels }, Family::Vit) => self.classifier(labels),
            // transformers' decoder classifiers are one projection without bias
            (Task::Classification { labels }, _) => labels * self.hidden_size,
            (Task::Contrastive, _) => self.joint(),
        };
        let others = self.other_stacks.iter().map(|stack| stack.parameters_for(task));
        others.fold(self.with_head(head), Parameters::with_stack)
    }

    /// Active parameters per token: all except those of experts that the token does not visit.
    pub fn active_parameters(&self, task: Task) -> u64 {
        let all = self.parameters_for(task).total;
        match self.experts {
            Some(experts) => {
                let idle = (experts.count - experts.top_k) * self.expert_parameters();
                all - idle * (self.total_layers() - experts.dense_layers)
            }
            None => all,
        }
    }

    fn with_head(&self, head: u64) -> Parameters {
        let embedding = self.embedding_parameters();
        let attention = self.attention_parameters();
        let cross = if self.encoder_layers > 0 { attention } else { 0 };
        let norm = self.norms_per_layer * self.norm_parameters(self.hidden_size)
            + if self.layer_scale { 2 * self.hidden_size } else { 0 };
        let all_layers = self.layers + self.encoder_layers;
        let distinct = self.distinct_layers.unwrap_or(all_layers);
        let ffn = self.ffn_of_distinct_layers();
        let [attention_per_layer, ffn_per_layer] = self.attention_and_ffn_per_layer();
        let norm_per_layer = self.mean_of_layers(norm);
        let exact = distinct * (attention + norm) + ffn;
        let rounded = all_layers * (attention_per_layer + ffn_per_layer + norm_per_layer);
        let beside_layers = self.beside_layers() + (exact - rounded);
        let cross_and_its_norm =
            if cross > 0 { cross + self.norm_parameters(self.hidden_size) } else { 0 };
        let layers = rounded + self.layers * cross_and_its_norm + beside_layers;
        Parameters {
            embedding,
            attention_per_layer,
            cross_attention_per_layer: cross,
            ffn_per_layer,
            norm_per_layer,
            layers,
            beside_layers,
            head,
            total: embedding + layers + head,
        }
    }

    /// Parameters of the self-attention and of the feed-forward block of one layer, as [`Parameters`] has them: layers of two
    /// kinds, and layers that share weights, have the mean each.
    pub(crate) fn attention_and_ffn_per_layer(&self) -> [u64; 2] {
        let ffn = self.ffn_of_distinct_layers() / (self.layers + self.encoder_layers);
        [self.mean_of_layers(self.attention_parameters()), ffn]
    }

    /// The mean over all layers of what each layer with weights of its own has.
    fn mean_of_layers(&self, of_layer: u64) -> u64 {
        match self.distinct_layers {
            Some(distinct) => of_layer * distinct / (self.layers + self.encoder_layers),
            None => of_layer,
        }
    }

    /// Relative position biases, final norms, and what else belongs to the stacks and to no layer.
    fn beside_layers(&self) -> u64 {
        let features = self.model_type.features();
        let (h, buckets) = (self.hidden_size, self.positions.buckets());
        let relative = match features.relative {
            Relative::StackBias => buckets * self.heads * self.encoder_and_decoder(),
            Relative::Embedding if buckets > 0 => 2 * buckets * h + self.norm_parameters(h),
            Relative::Embedding | Relative::LayerBias | Relative::No => 0,
        };
        let norm = self.norm_parameters(h);
        let final_norms = if self.final_norm { self.encoder_and_decoder() * norm } else { 0 };
        let contacts = if features.contact_head { self.layers * self.heads + 1 } else { 0 };
        let missing = if features.first_norm { 0 } else { norm };
        // a description may leave out the final norm of a type whose first layer lacks one
        (relative + final_norms + contacts).saturating_sub(missing)
    }

    const fn encoder_and_decoder(&self) -> u64 {
        if self.encoder_layers > 0 { 2 } else { 1 }
    }

    const fn square_with_bias(&self) -> u64 {
        self.hidden_size * self.hidden_size + self.hidden_size
    }

    const fn classifier(&self, labels: u64) -> u64 {
        if !self.place.has_head() {
            return 0;
        }
        labels * (self.model_type.features().classifier_widths * self.hidden_size + 1)
    }

    /// What brings an encoder's output into the space where images and texts are compared; the scale of their products, and
    /// its bias, count with the images.
    fn joint(&self) -> u64 {
        let Place::Encoder { joint_size, .. } = self.place else { return 0 };
        let h = self.hidden_size;
        let projects =
            self.model_type.features().text_encoder.is_some_and(|t| t.joint_size.is_some());
        match (projects, self.image.is_some()) {
            (true, true) => h * joint_size + 1,
            (true, false) => h * joint_size,
            // a learned query, its attention over the patches, a norm and a feed-forward block
            (false, true) => {
                h + 4 * self.square_with_bias()
                    + self.norm_parameters(h)
                    + self.block_parameters(self.ffn_size)
                    + 2
            }
            (false, false) => h * joint_size + joint_size,
        }
    }

    const fn untied_head(&self) -> u64 {
        if matches!(self.family(), Family::Bert | Family::Vit) {
            return 0;
        }
        let bias = if self.model_type.features().head_bias { self.vocab_size } else { 0 };
        bias + if self.tied_embeddings { 0 } else { self.vocab_size * self.embedding_size }
    }

    const fn norm_parameters(&self, width: u64) -> u64 {
        match self.norm {
            Norm::LayerNorm => 2 * width,
            Norm::LayerNormWithoutBias | Norm::RmsNorm => width,
        }
    }

    fn embedding_parameters(&self) -> u64 {
        let features = self.model_type.features();
        let (h, e) = (self.hidden_size, self.embedding_size);
        let narrow = e != h;
        // all embeddings have the width of the words, or the words alone are narrow
        let width = if features.narrow == Narrow::All { e } else { h };
        let rows = self.positions.rows();
        let encoder =
            if self.encoder_layers > 0 { self.encoder_positions.unwrap_or(rows) } else { 0 };
        let norm = if self.embedding_norm { self.norm_parameters(width) } else { 0 };
        let projections = match features.narrow {
            Narrow::Words if narrow => 2 * e * h,
            Narrow::All if narrow || self.distinct_layers.is_some() => e * h + h,
            _ => 0,
        };
        let patches = match self.image {
            Some(image) => {
                let tokens = features.image_tokens + u64::from(features.mask_token);
                let bias = if features.patch_bias { h } else { 0 };
                image.channels * image.patch * image.patch * h + bias + tokens * h
            }
            None => 0,
        };
        // four patches of half the width, their norm, and the projection to this width
        let merged = if self.place.embeds() { 0 } else { 2 * h * h + self.norm_parameters(2 * h) };
        let spectra = self.mel_bins.map_or(0, |bins| 3 * h * (bins + h) + 2 * h);
        self.vocab_size * e
            + projections
            + (rows + encoder + self.token_types) * width
            + patches
            + merged
            + spectra
            + norm * self.encoder_and_decoder()
    }

    fn attention_parameters(&self) -> u64 {
        let features = self.model_type.features();
        let (h, q, kv) = (self.hidden_size, self.query_width(), self.kv_width());
        let output = if self.biases.attention_output { h } else { 0 };
        if let Some(latent) = self.latent {
            let joint = latent.kv_rank + latent.rope_head_dim;
            let unrotated = self.head_dim - latent.rope_head_dim;
            let queries = match latent.query_rank {
                Some(rank) => h * rank + rank + rank * q + if self.biases.qkv { rank } else { 0 },
                None => h * q,
            };
            let joint_bias = if self.biases.qkv { joint } else { 0 };
            let keys_and_values = self.heads * (unrotated + latent.value_head_dim);
            return queries
                + h * joint
                + joint_bias
                + latent.kv_rank
                + latent.kv_rank * keys_and_values
                + self.value_width() * h
                + output;
        }
        let key = if features.key_bias { kv } else { 0 };
        let biases = if self.biases.qkv { q + kv + key } else { 0 };
        let norms = match features.qk_norm {
            _ if !self.qk_norm => 0,
            QkNorm::Weightless => 0,
            QkNorm::Head => 2 * self.head_dim,
            QkNorm::HeadWithBias => 4 * self.head_dim,
            QkNorm::Width => q + kv,
        };
        let sinks = if features.sinks { self.heads } else { 0 };
        let relative = match features.relative {
            Relative::LayerBias => self.positions.buckets() * self.heads,
            Relative::No | Relative::StackBias | Relative::Embedding => 0,
        };
        h * (q + 2 * kv) + q * h + biases + output + norms + sinks + relative
    }

    /// A feed-forward block of an inner width, or an expert.
    fn block_parameters(&self, inner: u64) -> u64 {
        let biases = if self.biases.ffn {
            inner * (self.ffn_projections() - 1) + self.hidden_size
        } else {
            0
        };
        self.ffn_projections() * self.hidden_size * inner + biases
    }

    fn expert_parameters(&self) -> u64 {
        self.block_parameters(self.ffn_size)
    }

    /// Parameters of the routed experts of all layers together, without routers and shared experts.
    pub(crate) fn routed_expert_parameters(&self) -> u64 {
        let count = self.experts.map_or(0, |experts| experts.count);
        self.expert_layers() * count * self.expert_parameters()
    }

    /// Feed-forward blocks of the layers with weights of their own.
    fn ffn_of_distinct_layers(&self) -> u64 {
        match self.distinct_layers {
            Some(distinct) => {
                self.ffn_of_all_layers() * distinct / (self.layers + self.encoder_layers)
            }
            None => self.ffn_of_all_layers(),
        }
    }

    fn ffn_of_all_layers(&self) -> u64 {
        let Some(experts) = self.experts else {
            return (self.layers + self.encoder_layers) * self.expert_parameters();
        };
        let Experts { count, shared_ffn_size, dense_layers, dense_ffn_size, .. } = experts;
        let shared = if shared_ffn_size > 0 { self.block_parameters(shared_ffn_size) } else { 0 };
        let bias = if self.model_type.features().router_bias { count } else { 0 };
        let router = count * self.hidden_size + bias;
        self.expert_layers() * (count * self.expert_parameters() + router + shared)
            + dense_layers * self.block_parameters(dense_ffn_size)
    }
}
