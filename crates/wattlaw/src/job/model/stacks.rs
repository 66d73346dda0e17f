//! Models of several stacks with a width each: the stages of an image encoder, or an encoder of images beside one of texts.
//!
//! A stack is a shape of its own; the first one is the model's, and holds the others.

use serde::Serialize;

use super::{Architecture, Image, Positions, Window};
use crate::base::error::{Error, Result};

/// What comes before and after a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Place {
    /// The model's only one: an embedding comes before it, the task's head after.
    Only,
    /// A stage of an image encoder. Four patches of the stage before are merged into one of twice the width (Liu et al. 2021,
    /// Swin Transformer, section 3.1).
    Stage {
        /// Patches of an image in the stage.
        positions: u64,
        /// Whether it is the first one, which embeds the image's patches and merges none.
        first: bool,
        /// Whether it is the last one, which the task's head follows.
        last: bool,
    },
    /// An encoder of images or of their texts, whose outputs meet in a space of one width (Radford et al. 2021, CLIP).
    Encoder {
        /// Positions of a sequence.
        positions: u64,
        /// Width of the space.
        joint_size: u64,
    },
}

impl Place {
    /// Whether the stack has an embedding of its own.
    pub(crate) const fn embeds(self) -> bool {
        !matches!(self, Self::Stage { first: false, .. })
    }

    /// Whether a head follows the stack.
    pub(crate) const fn has_head(self) -> bool {
        !matches!(self, Self::Stage { last: false, .. })
    }

    /// Positions of a sequence, where the model fixes them.
    pub(crate) const fn positions(self) -> Option<u64> {
        match self {
            Self::Only => None,
            Self::Stage { positions, .. } | Self::Encoder { positions, .. } => Some(positions),
        }
    }
}

/// Gives an image encoder of `layers` layers a stage its further stages: half the side of the image in patches, twice the width, heads and inner width each.
pub(super) fn stages(
    mut first: Architecture,
    layers: &[u64],
    image: Image,
) -> Result<Architecture> {
    let most = layers.len().saturating_sub(1);
    let side = image.size / image.patch;
    let window = first.window.map_or(1, |window| window.size);
    let tile = window.isqrt();
    let whole = image.size.is_multiple_of(image.patch)
        && (0..=most).all(|at| side.is_multiple_of(1 << at) && (side >> at).is_multiple_of(tile));
    if tile * tile != window {
        return Err(Error::invalid(
            "window",
            window,
            "it must be a square number, such as 49 of 7 × 7",
        ));
    }
    if !whole {
        let expected = format!(
            "the sides of all {} stages in patches, the first one of {side}, must be multiples of the window's {tile}",
            most + 1
        );
        return Err(Error::invalid("image_size", image.size, expected));
    }
    let place = |at: usize| Place::Stage {
        positions: (side >> at) * (side >> at),
        first: at == 0,
        last: at == most,
    };
    let further = |(at, layers): (usize, &u64)| {
        let wider = 1 << at;
        Architecture {
            name: name(&first, *layers, first.hidden_size * wider),
            layers: *layers,
            hidden_size: first.hidden_size * wider,
            embedding_size: first.hidden_size * wider,
            heads: first.heads * wider,
            kv_heads: first.kv_heads * wider,
            ffn_size: first.ffn_size * wider,
            window: Some(Window { size: window, layers: *layers }),
            embedding_norm: false,
            final_norm: first.final_norm && at == most,
            image: None,
            place: place(at),
            ..first.clone()
        }
    };
    let others: Vec<Architecture> = layers.iter().enumerate().skip(1).map(further).collect();
    first.place = place(0);
    first.window = Some(Window { size: window, layers: first.layers });
    first.final_norm &= most == 0;
    first.other_stacks = others;
    Ok(first)
}

/// Sizes of the encoder of texts beside one of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts {
    pub layers: u64,
    pub hidden_size: u64,
    pub heads: u64,
    pub ffn_size: u64,
    pub vocab_size: u64,
    pub positions: u64,
    pub joint_size: u64,
}

/// Gives an image encoder the encoder of texts beside it.
pub(super) fn encoders(mut images: Architecture, texts: Texts) -> Architecture {
    let Texts { layers, hidden_size, heads, ffn_size, vocab_size, positions, joint_size } = texts;
    let place = |positions| Place::Encoder { positions, joint_size };
    let of_texts = Architecture {
        name: name(&images, layers, hidden_size),
        layers,
        hidden_size,
        embedding_size: hidden_size,
        heads,
        kv_heads: heads,
        head_dim: hidden_size / heads,
        ffn_size,
        vocab_size,
        positions: Positions::Learned { rows: positions },
        max_positions: Some(positions),
        embedding_norm: false,
        image: None,
        place: place(positions),
        ..images.clone()
    };
    images.max_positions = None;
    images.place = place(images.image_positions().unwrap_or(0));
    images.other_stacks = vec![of_texts];
    images
}

/// The name of a stack that is not the first, made from its shape: the model's own is the first one's.
fn name(first: &Architecture, layers: u64, hidden_size: u64) -> String {
    format!("{}-{layers}x{hidden_size}", first.model_type)
}
