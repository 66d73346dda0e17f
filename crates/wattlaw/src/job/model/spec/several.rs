//! What a description says of a model of several stacks.

use super::{ModelSpec, count};
use crate::base::error::{Error, Result};
use crate::job::model::stacks::Texts;
use crate::job::model::types::{TextEncoder, Windowed};

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

    /// Sizes of the text encoder beside an image encoder of width `images`.
    pub(super) fn texts(&self, text: TextEncoder, images: u64) -> Result<Texts> {
        let hidden_size =
            count("text_hidden_size", self.text_hidden_size, Some(text.hidden_size), 1 << 20)?;
        let heads = count("text_heads", self.text_heads, Some(text.heads), 1 << 16)?;
        if !hidden_size.is_multiple_of(heads) {
            return Err(Error::invalid(
                "text_heads",
                heads,
                format!("it must divide text_hidden_size {hidden_size}"),
            ));
        }
        let joint = text.joint_size.unwrap_or(images);
        let joint_size = count("joint_size", self.joint_size, Some(joint), 1 << 20)?;
        if text.joint_size.is_none() && joint_size != images {
            return Err(Error::invalid(
                "joint_size",
                joint_size,
                format!("pooled images have the width {images} of their encoder"),
            ));
        }
        Ok(Texts {
            layers: count("text_layers", self.text_layers, Some(text.layers), 10_000)?,
            hidden_size,
            heads,
            ffn_size: count("text_ffn_size", self.text_ffn_size, Some(4 * hidden_size), 1 << 24)?,
            vocab_size: count("vocab_size", self.vocab_size, Some(text.vocab_size), 1 << 28)?,
            positions: count("max_positions", self.max_positions, Some(text.positions), 1 << 20)?,
            joint_size,
        })
    }

    /// Refuses what only models of two encoders have.
    pub(super) fn check_no_texts(&self) -> Result<()> {
        let fields = [
            ("text_layers", self.text_layers),
            ("text_hidden_size", self.text_hidden_size),
            ("text_heads", self.text_heads),
            ("text_ffn_size", self.text_ffn_size),
            ("joint_size", self.joint_size),
        ];
        match fields.into_iter().find_map(|(field, given)| Some((field, given?))) {
            Some((field, n)) => {
                Err(Error::invalid(field, n, "only model types `clip` and `siglip` have it"))
            }
            None => Ok(()),
        }
    }
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(change: impl FnOnce(&mut ModelSpec)) -> String {
        let mut spec = ModelSpec {
            family: Some("swin".into()),
            hidden_size: Some(96),
            heads: Some(3),
            patch_size: Some(4),
            stage_layers: Some(vec![2, 2, 6, 2]),
            ..ModelSpec::default()
        };
        assert_eq!(spec.resolve().unwrap().total_layers(), 12);
        change(&mut spec);
        spec.resolve().unwrap_err().to_string()
    }

    #[test]
    fn stages_are_checked_and_errors_name_the_field() {
        assert_eq!(
            complaint(|s| s.stage_layers = None),
            "stage_layers is missing; give the layers of each stage, such as 2,2,6,2"
        );
        assert_eq!(
            complaint(|s| s.layers = Some(10)),
            "stage_layers is 2,2,6,2, but they must make the 10 layers"
        );
        assert!(complaint(|s| s.stage_layers = Some(vec![2, 0])).contains("from 1 to 10000"));
        assert!(complaint(|s| s.stage_layers = Some(vec![1; 9])).contains("from 1 to 8 numbers"));
        assert_eq!(
            complaint(|s| s.family = Some("vit".into())),
            "stage_layers is 2,2,6,2, but only model type `swin` has it"
        );
        assert_eq!(
            complaint(|s| s.window = Some(50)),
            "window is 50, but it must be a square number, such as 49 of 7 × 7"
        );
        assert!(complaint(|s| s.image_size = Some(256)).starts_with("image_size is 256"));
        assert!(complaint(|s| s.window_layers = Some(3)).contains("all 12 layers have windows"));
        assert_eq!(
            complaint(|s| s.joint_size = Some(64)),
            "joint_size is 64, but only model types `clip` and `siglip` have it"
        );
    }

    #[test]
    fn encoders_are_checked_and_errors_name_the_field() {
        let with = |family: &str, change: fn(&mut ModelSpec)| {
            let mut spec = ModelSpec {
                family: Some(family.into()),
                layers: Some(2),
                hidden_size: Some(128),
                ..ModelSpec::default()
            };
            change(&mut spec);
            spec.resolve().map(|a| a.other_stacks.len()).map_err(|e| e.to_string())
        };
        assert_eq!(with("clip", |_| {}), Ok(1));
        assert_eq!(
            with("clip", |s| s.text_heads = Some(7)).unwrap_err(),
            "text_heads is 7, but it must divide text_hidden_size 512"
        );
        assert_eq!(
            with("siglip", |s| s.joint_size = Some(64)).unwrap_err(),
            "joint_size is 64, but pooled images have the width 128 of their encoder"
        );
    }
}
