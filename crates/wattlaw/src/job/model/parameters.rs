//! Exact parameter counts, by part.

use serde::Serialize;

use super::{Architecture, Family, Norm, Positions};
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

impl Architecture {
    /// Parameters of the published model, as its model card counts them: with the language-model head of
    /// decoders (once where tied), with the pooler of BERT, with the classifier of ViT, without a task head.
    ///
    /// Source: the layers' definitions in Hugging Face transformers; checked against `tests/golden/parameters.json`.
    pub fn parameters(&self) -> Parameters {
        let pooler = if self.pooler { self.square_with_bias() } else { 0 };
        let classifier = self.classes * (self.hidden_size + 1);
        self.with_head(pooler + classifier + self.untied_head())
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
                self.square_with_bias() + 2 * self.hidden_size + self.vocab_size + untied
            }
            (Task::CausalLm, _) => self.untied_head(),
            (Task::Classification { labels }, Family::Bert) => {
                self.square_with_bias() + labels * (self.hidden_size + 1)
            }
            (Task::Classification { labels }, Family::Vit) => labels * (self.hidden_size + 1),
            // transformers' decoder classifiers are one projection without bias
            (Task::Classification { labels }, _) => labels * self.hidden_size,
        };
        self.with_head(head)
    }

    /// Active parameters per token: all except those of experts that the token does not visit.
    pub fn active_parameters(&self, task: Task) -> u64 {
        let all = self.parameters_for(task).total;
        match self.experts {
            Some(experts) => {
                let idle = (experts.count - experts.top_k) * self.expert_parameters();
                all - idle * self.total_layers()
            }
            None => all,
        }
    }

    fn with_head(&self, head: u64) -> Parameters {
        let embedding = self.embedding_parameters();
        let attention = self.attention_parameters();
        let cross = if self.encoder_layers > 0 { attention } else { 0 };
        let ffn = self.ffn_parameters();
        let norm = 2 * self.norm_parameters();
        let relative = match self.positions {
            Positions::Relative { buckets } => buckets * self.heads * self.stacks(),
            _ => 0,
        };
        let final_norms = if self.final_norm { self.stacks() * self.norm_parameters() } else { 0 };
        let cross_and_its_norm = if cross > 0 { cross + self.norm_parameters() } else { 0 };
        let layers = self.total_layers() * (attention + ffn + norm)
            + self.layers * cross_and_its_norm
            + relative
            + final_norms;
        Parameters {
            embedding,
            attention_per_layer: attention,
            cross_attention_per_layer: cross,
            ffn_per_layer: ffn,
            norm_per_layer: norm,
            layers,
            beside_layers: relative + final_norms,
            head,
            total: embedding + layers + head,
        }
    }

    const fn stacks(&self) -> u64 {
        if self.encoder_layers > 0 { 2 } else { 1 }
    }

    const fn square_with_bias(&self) -> u64 {
        self.hidden_size * self.hidden_size + self.hidden_size
    }

    const fn untied_head(&self) -> u64 {
        if self.tied_embeddings || matches!(self.family(), Family::Bert | Family::Vit) {
            0
        } else {
            self.vocab_size * self.embedding_size
        }
    }

    const fn norm_parameters(&self) -> u64 {
        match self.norm {
            Norm::LayerNorm => 2 * self.hidden_size,
            Norm::RmsNorm => self.hidden_size,
        }
    }

    fn embedding_parameters(&self) -> u64 {
        let h = self.hidden_size;
        let positions = match self.positions {
            Positions::Learned { rows } => rows * h,
            _ => 0,
        };
        let norm = if self.embedding_norm { self.norm_parameters() } else { 0 };
        // OPT-350M projects a narrower embedding in and out, without bias
        let projections = if self.embedding_size == h { 0 } else { 2 * self.embedding_size * h };
        let patches = match self.image {
            Some(image) => image.channels * image.patch * image.patch * h + h + h,
            None => 0,
        };
        self.vocab_size * self.embedding_size
            + projections
            + positions
            + self.token_types * h
            + patches
            + norm
    }

    fn attention_parameters(&self) -> u64 {
        let (h, q, kv) = (self.hidden_size, self.query_width(), self.kv_width());
        let biases = if self.biases.qkv { q + 2 * kv } else { 0 }
            + if self.biases.attention_output { h } else { 0 };
        h * (q + 2 * kv) + q * h + biases
    }

    fn expert_parameters(&self) -> u64 {
        let biases = if self.biases.ffn {
            self.ffn_size * (self.ffn_projections() - 1) + self.hidden_size
        } else {
            0
        };
        self.ffn_projections() * self.hidden_size * self.ffn_size + biases
    }

    fn ffn_parameters(&self) -> u64 {
        match self.experts {
            Some(experts) => {
                experts.count * self.expert_parameters() + experts.count * self.hidden_size
            }
            None => self.expert_parameters(),
        }
    }
}
