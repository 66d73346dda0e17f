//! The sweeps of the study as spaces.

use super::Space;
use wattlaw::base::error::Result;
use wattlaw::base::words::words;

/// A sweep of the study (arXiv 2606.23546).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// BERT models without sharding, with FSDP and with tensor parallelism.
    StudyBert,
    /// GPT models without sharding and with FSDP.
    StudyGpt,
}

words!(Preset, "preset": StudyBert = "study-bert", StudyGpt = "study-gpt");

impl Preset {
    /// The space file; its comments cite the source of the values.
    pub const fn text(self) -> &'static str {
        match self {
            Self::StudyBert => include_str!("../../presets/study-bert.toml"),
            Self::StudyGpt => include_str!("../../presets/study-gpt.toml"),
        }
    }

    /// The space.
    ///
    /// # Errors
    /// None: the files are embedded.
    pub fn space(self) -> Result<Space> {
        Space::from_toml(self.text())
    }
}
