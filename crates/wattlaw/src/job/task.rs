//! The training task.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// The training task; it determines the output projections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Task {
    /// Predict masked tokens (BERT).
    MaskedLm,
    /// Predict the next token (decoders, and the decoder of an encoder–decoder).
    CausalLm,
    /// Classify a sequence or an image.
    Classification {
        /// Number of labels.
        labels: u64,
    },
    /// Tell the text of each image from the others of the batch (CLIP).
    Contrastive,
}

impl Task {
    /// The name used in files, flags and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaskedLm => "masked-lm",
            Self::CausalLm => "causal-lm",
            Self::Classification { .. } => "classification",
            Self::Contrastive => "contrastive",
        }
    }

    /// Whether the model predicts words, with a product with the vocabulary.
    pub const fn predicts_words(self) -> bool {
        match self {
            Self::MaskedLm | Self::CausalLm => true,
            Self::Classification { .. } | Self::Contrastive => false,
        }
    }

    /// Reads a task's name; `labels` is the number of labels of a classification.
    ///
    /// # Errors
    /// [`Error::Unknown`] for another name.
    pub fn parse(name: &str, labels: u64) -> Result<Self> {
        match name.trim().to_lowercase().replace('_', "-").as_str() {
            "masked-lm" | "mlm" => Ok(Self::MaskedLm),
            "causal-lm" | "clm" | "seq2seq-lm" => Ok(Self::CausalLm),
            "classification" => Ok(Self::Classification { labels }),
            "contrastive" => Ok(Self::Contrastive),
            _ => Err(Error::unknown(
                "task",
                name,
                ["masked-lm", "causal-lm", "classification", "contrastive"],
            )),
        }
    }
}
