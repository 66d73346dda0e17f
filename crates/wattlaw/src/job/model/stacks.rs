//! Models of several stacks with a width each: the stages of an image encoder, or an encoder of images beside one of texts.
//!
//! A stack is a shape of its own; the first one is the model's, and holds the others.

use serde::Serialize;

use super::spec::count;
use super::types::{TextEncoder, Windowed};
use super::{Architecture, Image, ModelSpec, Positions, Window};
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

/// The most stages of an encoder: each has twice the width of the one before.
const MAX_STAGES: usize = 8;

impl ModelSpec {
    /// Layers of the first stack of a type.
    pub(super) fn layers_of_first_stack(&self, staged: bool) -> Result<Option<u64>> {
        let Some(stages) = self.stage_layers.as_deref().filter(|_| staged) else {
            return match (&self.stage_layers, staged) {
                (None, true) => Err(Error::missing(
                    "stage_layers",
                    "give the layers of each stage, such as 2,2,6,2",
                )),
                (Some(stages), false) => Err(Error::invalid(
                    "stage_layers",
                    list(stages),
                    "only model type `swin` has it",
                )),
                _ => Ok(self.layers),
            };
        };
        let wrong = |expected: &str| Err(Error::invalid("stage_layers", list(stages), expected));
        if stages.is_empty() || stages.len() > MAX_STAGES {
            return wrong("it must be from 1 to 8 numbers, such as 2,2,6,2");
        }
        if stages.iter().any(|n| !(1..=10_000).contains(n)) {
            return wrong("each must be a whole number from 1 to 10000");
        }
        let sum: u64 = stages.iter().sum();
        match self.layers {
            Some(layers) if layers != sum => wrong(&format!("they must make the {layers} layers")),
            _ => Ok(stages.first().copied()),
        }
    }

    /// Buckets of the relative bias of windows of `size` positions: the distances along both sides.
    pub(super) fn buckets_of_windows(&self, windowed: Windowed) -> Option<u64> {
        let side = self.window.filter(|_| windowed == Windowed::Tiles)?.isqrt();
        let distances = side.saturating_mul(2).saturating_sub(1);
        Some(distances.saturating_mul(distances))
    }
}

/// Gives an image encoder its further stages: half the side of the image in patches, twice the width, heads and inner width each.
pub(super) fn stages(
    mut first: Architecture,
    spec: &ModelSpec,
    image: Image,
) -> Result<Architecture> {
    let layers = spec.stage_layers.as_deref().unwrap_or_default();
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

/// Gives an image encoder the encoder of texts beside it.
pub(super) fn encoders(
    mut images: Architecture,
    spec: &ModelSpec,
    text: TextEncoder,
) -> Result<Architecture> {
    let hidden_size =
        count("text_hidden_size", spec.text_hidden_size, Some(text.hidden_size), 1 << 20)?;
    let heads = count("text_heads", spec.text_heads, Some(text.heads), 1 << 16)?;
    if !hidden_size.is_multiple_of(heads) {
        return Err(Error::invalid(
            "text_heads",
            heads,
            format!("it must divide text_hidden_size {hidden_size}"),
        ));
    }
    let joint_size = count(
        "joint_size",
        spec.joint_size,
        Some(text.joint_size.unwrap_or(images.hidden_size)),
        1 << 20,
    )?;
    if text.joint_size.is_none() && joint_size != images.hidden_size {
        return Err(Error::invalid(
            "joint_size",
            joint_size,
            format!("pooled images have the width {} of their encoder", images.hidden_size),
        ));
    }
    let positions = count("max_positions", spec.max_positions, Some(text.positions), 1 << 20)?;
    let place = |positions| Place::Encoder { positions, joint_size };
    let texts = Architecture {
        layers: count("text_layers", spec.text_layers, Some(text.layers), 10_000)?,
        hidden_size,
        embedding_size: hidden_size,
        heads,
        kv_heads: heads,
        head_dim: hidden_size / heads,
        ffn_size: count("text_ffn_size", spec.text_ffn_size, Some(4 * hidden_size), 1 << 24)?,
        vocab_size: count("vocab_size", spec.vocab_size, Some(text.vocab_size), 1 << 28)?,
        positions: Positions::Learned { rows: positions },
        max_positions: Some(positions),
        embedding_norm: false,
        image: None,
        place: place(positions),
        ..images.clone()
    };
    images.max_positions = None;
    images.place = place(images.image_positions().unwrap_or(0));
    images.other_stacks = vec![texts];
    Ok(images)
}

/// Refuses what only models of two encoders have.
pub(super) fn no_text_encoder(spec: &ModelSpec) -> Result<()> {
    let fields = [
        ("text_layers", spec.text_layers),
        ("text_hidden_size", spec.text_hidden_size),
        ("text_heads", spec.text_heads),
        ("text_ffn_size", spec.text_ffn_size),
        ("joint_size", spec.joint_size),
    ];
    match fields.into_iter().find_map(|(field, given)| Some((field, given?))) {
        Some((field, n)) => {
            Err(Error::invalid(field, n, "only model types `clip` and `siglip` have it"))
        }
        None => Ok(()),
    }
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
