//! The software stack that trains: a framework, and the program within it where one is named.

use std::fmt;
use std::str::FromStr;

use crate::base::error::{Error, Result};
use crate::base::words::{as_text, words};

/// The training framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Framework {
    /// Hugging Face Accelerate and what is built on it: the Trainer of Transformers, TRL, fms-hf-tuning.
    Accelerate,
    /// PyTorch's own fully sharded data parallelism, as torchtitan uses it.
    Fsdp2,
    /// MosaicML's llm-foundry and Composer.
    LlmFoundry,
    /// Megatron-LM, Megatron-Core and NeMo.
    Megatron,
    /// Megatron-DeepSpeed: Megatron's layers on DeepSpeed's engine.
    MegatronDeepspeed,
    /// DeepSpeed.
    Deepspeed,
    /// nanotron.
    Nanotron,
    /// JAX: MaxText, PaXML.
    Jax,
    /// A training loop in plain PyTorch.
    Pytorch,
    /// Not stated.
    Unknown,
}

words!(Framework, "framework": Accelerate = "accelerate" | "transformers" | "trl" | "hf" | "huggingface",
    Fsdp2 = "fsdp2" | "torchtitan" | "pytorch-fsdp", LlmFoundry = "llm-foundry" | "composer",
    Megatron = "megatron" | "megatron-lm" | "nemo", MegatronDeepspeed = "megatron-deepspeed",
    Deepspeed = "deepspeed", Nanotron = "nanotron", Jax = "jax" | "maxtext" | "paxml",
    Pytorch = "pytorch" | "torch", Unknown = "unknown");

impl Framework {
    /// All frameworks, in the order of the list of names.
    pub const ALL: [Self; 10] = [
        Self::Accelerate,
        Self::Fsdp2,
        Self::LlmFoundry,
        Self::Megatron,
        Self::MegatronDeepspeed,
        Self::Deepspeed,
        Self::Nanotron,
        Self::Jax,
        Self::Pytorch,
        Self::Unknown,
    ];

    /// The multiple to which a framework pads the vocabulary for `tp` tensor-parallel ranks, where the user sets none.
    ///
    /// Megatron-LM, NeMo and Megatron-DeepSpeed: `--make-vocab-size-divisible-by`, 128, times the tensor-parallel size;
    /// nanotron the same with 1 (`_vocab_size_with_padding`). The others train the vocabulary as it is.
    pub(crate) const fn vocab_multiple(self, tp: u64) -> u64 {
        match self {
            Self::Megatron | Self::MegatronDeepspeed => 128 * tp,
            Self::Nanotron => tp,
            Self::Accelerate
            | Self::Fsdp2
            | Self::LlmFoundry
            | Self::Deepspeed
            | Self::Jax
            | Self::Pytorch
            | Self::Unknown => 1,
        }
    }
}

/// The program within a framework: 1 to 40 of the characters `a`–`z`, `0`–`9`, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Program(Box<str>);

impl Program {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Program {
    type Err = Error;

    /// Reads a name; capitals are made small.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().to_lowercase();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if (1..=40).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(Error::invalid(
                "the program of `framework`",
                format!("`{text}`"),
                "it must be 1 to 40 letters, digits, `.`, `_` or `-`",
            ))
        }
    }
}

/// A software stack, written `accelerate`, or `megatron/nemo-2024` where the program is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stack {
    /// The framework.
    pub framework: Framework,
    /// The program within it, where one is named; runs of one program are more alike than runs of one framework.
    pub program: Option<Program>,
}

impl Stack {
    /// The stack of a job that names none.
    pub const UNKNOWN: Self = Self::of(Framework::Unknown);

    /// A framework without a program.
    pub const fn of(framework: Framework) -> Self {
        Self { framework, program: None }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Some(program) => write!(f, "{}/{program}", self.framework),
            None => write!(f, "{}", self.framework),
        }
    }
}

impl FromStr for Stack {
    type Err = Error;

    /// Reads a framework, or a framework and a program joined with `/`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            None => text.parse().map(Self::of),
            Some((framework, program)) => {
                let framework = framework.parse()?;
                if framework == Framework::Unknown {
                    return Err(Error::invalid(
                        "framework",
                        format!("`{text}`"),
                        "a program needs a framework that is known",
                    ));
                }
                Ok(Self { framework, program: Some(program.parse()?) })
            }
        }
    }
}

as_text!(Stack);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_read_back_from_its_text() {
        for (text, written) in [
            ("accelerate", "accelerate"),
            ("TRL", "accelerate"),
            ("torchtitan", "fsdp2"),
            ("Megatron_LM", "megatron"),
            ("megatron_deepspeed/2021", "megatron-deepspeed/2021"),
            ("megatron/NeMo-2024", "megatron/nemo-2024"),
            ("NeMo/24.11", "megatron/24.11"),
            ("unknown", "unknown"),
        ] {
            let stack: Stack = text.parse().unwrap();
            assert_eq!(stack.to_string(), written, "{text}");
            assert_eq!(written.parse::<Stack>().unwrap(), stack);
        }
        let stack: Stack = "pytorch/deeplearningexamples".parse().unwrap();
        assert_eq!(stack.framework, Framework::Pytorch);
        assert_eq!(stack.program.unwrap().as_str(), "deeplearningexamples");
    }

    #[test]
    fn what_is_no_stack_is_refused() {
        let fails = |text: &str| text.parse::<Stack>().unwrap_err().to_string();
        let unknown = fails("megatorn");
        assert!(
            unknown.starts_with("unknown framework `megatorn`; accepted: `accelerate`, `fsdp2`"),
            "{unknown}"
        );
        assert!(fails("keras/x").starts_with("unknown framework `keras`"));
        let program = "it must be 1 to 40 letters, digits, `.`, `_` or `-`";
        for text in ["jax/", "jax/a b", "jax/a/b", "jax/é"] {
            assert!(fails(text).ends_with(program), "{text}");
        }
        assert!(fails(&format!("jax/{}", "x".repeat(41))).ends_with(program));
        assert!(fails("unknown/x").ends_with("a program needs a framework that is known"));
    }
}
