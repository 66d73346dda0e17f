//! What files are written for: a framework's configuration, or a way to start processes on nodes.

use wattlaw::base::words::words;
use wattlaw::job::workload::Framework;

/// A tool that starts a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Launcher {
    /// PyTorch's torchrun, run once on each node.
    Torchrun,
    /// Hugging Face accelerate, with arguments of transformers and TRL.
    Accelerate,
    /// DeepSpeed's JSON, for a program that trains with its engine.
    DeepSpeed,
    /// Megatron-LM.
    Megatron,
    /// torchtitan 0.2, the last that is configured in TOML.
    Torchtitan,
    /// nanotron.
    Nanotron,
    /// Axolotl.
    Axolotl,
    /// A batch script of SLURM.
    Slurm,
    /// A task of SkyPilot.
    SkyPilot,
    /// A TrainJob of Kubeflow Trainer v2.
    Kubeflow,
}

words!(Launcher, "launcher": Torchrun = "torchrun", Accelerate = "accelerate", DeepSpeed = "deepspeed",
    Megatron = "megatron" | "megatron-lm", Torchtitan = "torchtitan", Nanotron = "nanotron", Axolotl = "axolotl",
    Slurm = "slurm" | "sbatch", SkyPilot = "skypilot" | "sky", Kubeflow = "kubeflow");

impl Launcher {
    /// Every launcher.
    pub const ALL: [Self; 10] = [
        Self::Torchrun,
        Self::Accelerate,
        Self::DeepSpeed,
        Self::Megatron,
        Self::Torchtitan,
        Self::Nanotron,
        Self::Axolotl,
        Self::Slurm,
        Self::SkyPilot,
        Self::Kubeflow,
    ];

    /// Its name as its users write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Torchrun => "torchrun",
            Self::Accelerate => "accelerate",
            Self::DeepSpeed => "DeepSpeed",
            Self::Megatron => "Megatron-LM",
            Self::Torchtitan => "torchtitan",
            Self::Nanotron => "nanotron",
            Self::Axolotl => "Axolotl",
            Self::Slurm => "SLURM",
            Self::SkyPilot => "SkyPilot",
            Self::Kubeflow => "Kubeflow Trainer",
        }
    }

    /// The framework that its configuration is for; `None` where it starts any program. A job whose framework is unknown takes it.
    pub const fn framework(self) -> Option<Framework> {
        match self {
            Self::Accelerate | Self::Axolotl => Some(Framework::Accelerate),
            Self::DeepSpeed => Some(Framework::Deepspeed),
            Self::Megatron => Some(Framework::Megatron),
            Self::Torchtitan => Some(Framework::Fsdp2),
            Self::Nanotron => Some(Framework::Nanotron),
            Self::Torchrun | Self::Slurm | Self::SkyPilot | Self::Kubeflow => None,
        }
    }

    /// Whether its files train a job of a framework; accelerate runs DeepSpeed's engine too.
    pub(crate) fn trains(self, framework: Framework) -> bool {
        self.framework() == Some(framework)
            || (self == Self::Accelerate && framework == Framework::Deepspeed)
    }
}
