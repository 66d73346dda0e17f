//! The study's settings: the runs and terms of a scaling law.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::job::parallelism::StrategyKind;
use crate::stats::formula::Formula;
use crate::stats::frame::Frame;

/// A setting of the study (arXiv 2606.23546).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// BERT models under every strategy.
    Bert,
    /// GPT models.
    Gpt,
    /// Both families, without sharding and with FSDP.
    Pooled,
}

impl Setting {
    /// All settings, in the study's order.
    pub const ALL: [Self; 3] = [Self::Bert, Self::Gpt, Self::Pooled];

    /// Its name: `bert`, `gpt`, `pooled`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Gpt => "gpt",
            Self::Pooled => "pooled",
        }
    }

    /// Whether a run of this family and strategy belongs to it.
    pub fn keeps(self, family: &str, strategy: StrategyKind) -> bool {
        match self {
            Self::Bert => family == "bert",
            Self::Gpt => family == "gpt",
            Self::Pooled => {
                ["bert", "gpt"].contains(&family)
                    && matches!(strategy, StrategyKind::Baseline | StrategyKind::Fsdp)
            }
        }
    }

    /// The positions of the rows of `frame` that belong to it, by columns `family` and `strategy`; an unknown strategy
    /// belongs to no setting.
    ///
    /// # Errors
    /// When the frame lacks one of the two columns, or no row belongs.
    pub fn rows(self, frame: &Frame) -> Result<Vec<usize>> {
        let labels = frame.label("family")?.iter().zip(frame.label("strategy")?);
        let rows: Vec<usize> = labels
            .enumerate()
            .filter(|(_, (family, strategy))| {
                strategy.parse().is_ok_and(|kind| self.keeps(family, kind))
            })
            .map(|(i, _)| i)
            .collect();
        if rows.is_empty() {
            return Err(Error::Data(format!("no row belongs to the setting `{self}`")));
        }
        Ok(rows)
    }

    /// The terms of the study's energy law: strategy, the family where both occur, and the three
    /// proxies.
    ///
    /// # Errors
    /// Never in practice: the text is the study's own.
    pub fn formula(self) -> Result<Formula> {
        match self {
            Self::Bert | Self::Gpt => "strategy + log_C + log_M + log_eta".parse(),
            Self::Pooled => "strategy + family + log_C + log_M + log_eta".parse(),
        }
    }

    /// The terms of the study's law of efficiency before the run: the configuration only, no measured value.
    ///
    /// # Errors
    /// Never in practice: the text is the study's own.
    pub(crate) fn efficiency_formula(self) -> Result<Formula> {
        match self {
            Self::Bert | Self::Gpt => "strategy + log_C + log_M + gpus".parse(),
            Self::Pooled => "strategy + family + log_C + log_M + gpus".parse(),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Setting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|setting| setting.name() == text);
        found.ok_or_else(|| Error::unknown("setting", text, Self::ALL.map(Self::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused() {
        for setting in Setting::ALL {
            assert_eq!(setting.name().parse::<Setting>().unwrap(), setting);
            assert_eq!(serde_json::to_string(&setting).unwrap(), format!("\"{setting}\""));
            assert!(setting.formula().unwrap().contains(&["log_eta"]));
            assert!(!setting.efficiency_formula().unwrap().contains(&["log_eta"]));
        }
        assert!("llama".parse::<Setting>().is_err());
    }

    #[test]
    fn pooled_leaves_tensor_parallel_runs_out() {
        let frame = Frame::new(3)
            .with_label("family", vec!["bert", "bert", "gpt"])
            .unwrap()
            .with_label("strategy", vec!["tp", "fsdp", "single"])
            .unwrap();
        assert_eq!(Setting::Pooled.rows(&frame).unwrap(), [1, 2]);
        assert_eq!(Setting::Bert.rows(&frame).unwrap(), [0, 1]);
        assert_eq!(
            Setting::Gpt.rows(&frame.select(&[0]).unwrap()).unwrap_err().to_string(),
            "no row belongs to the setting `gpt`"
        );
    }
}
