//! The study's scaling law: ordinary least squares on centred logarithms and strategy indicators.
//!
//! ln E = β₀ + α_C ln C + α_M ln M + α_η ln η + indicators + ε (arXiv 2606.23546), or any other
//! formula and response of a frame.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::words::words;
use crate::law::linear::{LinearPredictor, Uncertainty};
use crate::law::setting::Setting;
use crate::stats::cluster::{Clusters, FEW};
use crate::stats::collinearity::Collinearity;
use crate::stats::design::{Encoding, response, varying};
use crate::stats::formula::Formula;
use crate::stats::frame::Frame;
use crate::stats::inference::Reference;
use crate::stats::ols::{Covariance, Ols};

/// The confidence level of the intervals in a [`ScalingFit`].
const LEVEL: f64 = 0.95;

/// The covariance for p-values and intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inference {
    /// Equal variances.
    Classical,
    /// White's.
    Hc0,
    /// White's with n / (n − k).
    Hc1,
    /// By 1 − leverage.
    Hc2,
    /// By (1 − leverage)².
    Hc3,
    /// Errors related within clusters, by Student's t with one degree of freedom less than clusters.
    Cluster,
    /// Errors related within clusters, by the normal distribution as in the study (arXiv 2606.23546): too narrow where
    /// clusters are few.
    ClusterNormal,
    /// Errors related within clusters, without the bias of few or unequal ones, by Student's t with Satterthwaite's
    /// degrees of freedom (Bell and McCaffrey 2002).
    Cr2,
}

words!(Inference, "covariance": Classical = "classical" | "ols", Hc0 = "hc0", Hc1 = "hc1", Hc2 = "hc2",
    Hc3 = "hc3", Cluster = "cluster", ClusterNormal = "cluster-normal", Cr2 = "cr2");

/// A law to be fitted: which column, on which terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingLaw {
    /// The right-hand side.
    pub formula: Formula,
    /// The response column: `log_energy_kwh` or `log_duration_s` in the study.
    pub response: String,
}

/// A fitted law with its coefficient table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingFit {
    /// One line a column, in the order of the design matrix.
    pub coefficients: Vec<Coefficient>,
    /// The covariance of p-values and intervals: by default `cr2` with clusters; without, `hc3`, or `classical` where a
    /// row of leverage one excludes `hc3`.
    pub covariance: String,
    /// Training rows.
    pub n: usize,
    /// Clusters among them, where a clustering column was given.
    pub clusters: Option<usize>,
    /// R² in training.
    pub r2: f64,
    /// The same, adjusted for the number of columns.
    pub adjusted_r2: f64,
    /// √(Σe² / n) in training, in the response's unit.
    pub rmse: f64,
    /// Variance inflation of each purely numeric column on the other numeric ones.
    pub vif: Vec<VarianceInflation>,
    /// Condition number of the standardised numeric columns.
    pub condition_number: f64,
    /// Why errors by cluster may be too small, if they may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The predictor.
    pub predictor: LinearPredictor,
}

/// One line of a coefficient table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficient {
    /// The column: `Intercept`, `strategy[fsdp]`, `log_C`.
    pub term: String,
    /// The estimate; on a logarithm it is an elasticity.
    pub estimate: f64,
    /// Classical standard error.
    pub se_classical: f64,
    /// White's standard error.
    pub se_hc0: f64,
    /// White's with n / (n − k).
    pub se_hc1: f64,
    /// By 1 − leverage; absent when a row has leverage one.
    pub se_hc2: Option<f64>,
    /// By (1 − leverage)²; absent when a row has leverage one.
    pub se_hc3: Option<f64>,
    /// Cluster-robust standard error, where a clustering column was given.
    pub se_cluster: Option<f64>,
    /// Cluster-robust standard error without the bias of few or unequal clusters, where a clustering column was given.
    #[serde(default)]
    pub se_cr2: Option<f64>,
    /// The distribution of p-value and interval; files of version 0.1.0 lack it, and theirs is the normal one.
    #[serde(default)]
    pub distribution: Reference,
    /// Two-sided p-value by the fit's covariance and the distribution.
    pub p_value: f64,
    /// Lower end of the 95 % interval by the fit's covariance and the distribution.
    pub low: f64,
    /// Upper end of the 95 % interval by the fit's covariance and the distribution.
    pub high: f64,
}

/// How much the variance of one estimate is inflated by the other numeric columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VarianceInflation {
    /// The numeric column.
    pub term: String,
    /// 1 / (1 − R²) of it on the other numeric columns and an intercept.
    pub factor: f64,
}

impl ScalingLaw {
    /// A law of `response` on `formula`.
    pub fn new(formula: Formula, response: impl Into<String>) -> Self {
        Self { formula, response: response.into() }
    }

    /// The law of a setting without the variables that have a single value in `frame`, and a note on each of them.
    ///
    /// # Errors
    /// When the frame lacks a column of the setting's formula.
    pub fn for_setting(
        setting: Setting,
        response: &str,
        frame: &Frame,
    ) -> Result<(Self, Vec<String>)> {
        let (formula, notes) = varying(&setting.formula()?, frame)?;
        Ok((Self::new(formula, response), notes))
    }

    /// Fits the estimates only, for loops with many fits.
    ///
    /// # Errors
    /// When a column is unknown, constant, not finite or determined by others, or there are fewer
    /// rows than columns.
    pub fn fit_estimates(&self, frame: &Frame) -> Result<LinearPredictor> {
        LinearPredictor::fit(&self.formula, &self.response, frame)
    }

    /// Fits estimates with every covariance; `clusters` names the column of labels whose groups
    /// have related errors. P-values and intervals are by `cr2` with it, else by `hc3`.
    ///
    /// # Errors
    /// When a column is unknown, constant, not finite or determined by others, there are not more
    /// rows than columns, or all rows are in one cluster.
    pub fn fit(&self, frame: &Frame, clusters: Option<&str>) -> Result<ScalingFit> {
        self.fit_reporting(frame, clusters, None)
    }

    /// As [`fit`](Self::fit), with p-values and intervals from the named covariance, or from the default one.
    ///
    /// # Errors
    /// As for [`fit`](Self::fit); and when `cluster` is named without a clustering column, or `hc2` or `hc3` where a
    /// row has leverage one.
    pub fn fit_reporting(
        &self,
        frame: &Frame,
        clusters: Option<&str>,
        inference: Option<Inference>,
    ) -> Result<ScalingFit> {
        let encoding = Encoding::learn(&self.formula, frame)?;
        let x = encoding.matrix(frame)?;
        let y = response(frame, &self.response)?;
        let names: Vec<String> = encoding.names().map(str::to_owned).collect();
        let ols = Ols::fit(&x, y, &names)?;
        if !ols.r2().is_finite() {
            return Err(Error::Data(format!(
                "column `{}` has the same value in every row, so there is nothing to fit",
                self.response
            )));
        }
        let groups = clusters.map(|name| frame.groups(name)).transpose()?;
        let by_group = groups.map(|groups| ols.clusters(&groups)).transpose()?;
        let cluster = by_group.as_ref().map(Covariance::Cluster);
        let cr2 = by_group.as_ref().map(Covariance::Cr2);
        let without_groups = || {
            Error::missing(
                "the clustering column",
                "a cluster-robust covariance needs groups of related rows",
            )
        };
        let standard_errors = |kind| ols.standard_errors(kind);
        // HC2 and HC3 fail only where a row has leverage one.
        let hc2 = standard_errors(Covariance::Hc2).ok();
        let hc3 = standard_errors(Covariance::Hc3).ok();
        let robust = if hc3.is_some() { Covariance::Hc3 } else { Covariance::Classical };
        let reported = match inference {
            None => cr2.unwrap_or(robust),
            Some(Inference::Classical) => Covariance::Classical,
            Some(Inference::Hc0) => Covariance::Hc0,
            Some(Inference::Hc1) => Covariance::Hc1,
            Some(Inference::Hc2) => Covariance::Hc2,
            Some(Inference::Hc3) => Covariance::Hc3,
            Some(Inference::Cluster | Inference::ClusterNormal) => {
                cluster.ok_or_else(without_groups)?
            }
            Some(Inference::Cr2) => cr2.ok_or_else(without_groups)?,
        };
        let classical = standard_errors(Covariance::Classical)?;
        let hc0 = standard_errors(Covariance::Hc0)?;
        let hc1 = standard_errors(Covariance::Hc1)?;
        let by_cluster = cluster.map(standard_errors).transpose()?;
        let bias_reduced = cr2.map(standard_errors).transpose()?;
        let inferred = match inference {
            Some(Inference::ClusterNormal) => {
                ols.infer_with(reported, &vec![Reference::Normal; names.len()], LEVEL)?
            }
            _ => ols.infer(reported, LEVEL)?,
        };
        let at = |errors: &Option<Vec<f64>>, j: usize| errors.as_ref().map(|e| e[j]);
        let coefficients = inferred.into_iter().enumerate().map(|(j, line)| Coefficient {
            term: line.term,
            estimate: line.estimate,
            se_classical: classical[j],
            se_hc0: hc0[j],
            se_hc1: hc1[j],
            se_hc2: at(&hc2, j),
            se_hc3: at(&hc3, j),
            se_cluster: at(&by_cluster, j),
            se_cr2: at(&bias_reduced, j),
            distribution: line.reference,
            p_value: line.p_value,
            low: line.low,
            high: line.high,
        });
        let notes = match (reported, clusters) {
            (Covariance::Cluster(of_rows) | Covariance::Cr2(of_rows), Some(by)) => {
                cluster_notes(by, of_rows.count(), &names, &ols.of_one_cluster(of_rows))
            }
            _ => Vec::new(),
        };
        let covariance = ols.covariance(reported)?;
        let uncertainty = Uncertainty {
            kind: reported.name().to_owned(),
            covariance: covariance.row_iter().map(|r| r.iter().copied().collect()).collect(),
            residual_variance: ols.sigma2(),
        };
        let numeric = encoding.numeric_columns();
        let collinearity = Collinearity::new(&x.select_columns(&numeric));
        let inflation = numeric.iter().zip(&collinearity.variance_inflation);
        Ok(ScalingFit {
            coefficients: coefficients.collect(),
            covariance: reported.name().to_owned(),
            n: ols.rows(),
            clusters: by_group.as_ref().map(Clusters::count),
            r2: ols.r2(),
            adjusted_r2: ols.adjusted_r2(),
            rmse: ols.rmse(),
            vif: inflation
                .map(|(j, factor)| VarianceInflation { term: names[*j].clone(), factor: *factor })
                .collect(),
            condition_number: collinearity.condition_number,
            notes,
            predictor: LinearPredictor::new(
                &self.response,
                encoding,
                ols.estimates().to_vec(),
                Some(uncertainty),
            )?,
        })
    }
}

impl ScalingFit {
    /// The line of the coefficient table called `term`, if there is one.
    pub fn coefficient(&self, term: &str) -> Option<&Coefficient> {
        self.coefficients.iter().find(|c| c.term == term)
    }
}

/// Why errors by cluster may be too small: few clusters, or estimates that one of them alone determines.
fn cluster_notes(by: &str, count: usize, names: &[String], alone: &[bool]) -> Vec<String> {
    let mut notes = Vec::new();
    if count < FEW {
        notes.push(format!(
            "p-values and intervals rest on {count} groups of `{by}`; below {FEW} they are unreliable where a group \
             differs much from the others in size or columns"
        ));
    }
    let terms: Vec<String> = names
        .iter()
        .zip(alone)
        .filter(|(_, alone)| **alone)
        .map(|(n, _)| format!("`{n}`"))
        .collect();
    if !terms.is_empty() {
        notes.push(format!(
            "one group of `{by}` alone determines {}, wholly or in part; the error misses what differs between groups",
            terms.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::new(7)
            .with_number("log_C", vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
            .unwrap()
            .with_number("log_M", vec![2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 7.0])
            .unwrap()
            .with_number("log_eta", vec![0.0; 7])
            .unwrap()
            .with_label("strategy", vec!["baseline"; 7])
            .unwrap()
            .with_label("family", vec!["gpt"; 7])
            .unwrap()
            .with_label("config_family", vec!["a", "a", "b", "b", "c", "c", "d"])
            .unwrap()
            .with_number("log_energy_kwh", vec![1.1, 1.8, 3.3, 3.9, 5.2, 5.8, 8.1])
            .unwrap()
    }

    #[test]
    fn a_setting_drops_what_does_not_vary_and_says_so() {
        let (law, notes) =
            ScalingLaw::for_setting(Setting::Pooled, "log_energy_kwh", &frame()).unwrap();
        assert_eq!(law.formula.to_string(), "log_C + log_M");
        assert_eq!(notes.len(), 3);
        assert!(notes[0].starts_with("`strategy` is `baseline` in every row"));
    }

    #[test]
    fn a_fit_is_read_back_whole_and_predicts_the_same_bits() {
        let law = ScalingLaw::new("log_C + log_M".parse().unwrap(), "log_energy_kwh");
        let fit = law.fit(&frame(), Some("config_family")).unwrap();
        let read: ScalingFit = serde_json::from_str(&serde_json::to_string(&fit).unwrap()).unwrap();
        assert_eq!(read, fit);
        assert_eq!(fit.clusters, Some(4));
        assert_eq!(fit.covariance, "cr2");
        assert!(
            fit.notes[0].starts_with("p-values and intervals rest on 4 groups of `config_family`")
        );
        assert_eq!(
            read.predictor.predict(&frame()).unwrap(),
            law.fit_estimates(&frame()).unwrap().predict(&frame()).unwrap()
        );
    }

    /// 3.182 is the 97.5 % quantile of Student's t with three degrees of freedom, by scipy.
    #[test]
    fn the_distribution_follows_the_covariance() {
        let law = ScalingLaw::new("log_C".parse().unwrap(), "log_energy_kwh");
        let slope = |inference| {
            let fit = law.fit_reporting(&frame(), Some("config_family"), Some(inference)).unwrap();
            fit.coefficient("log_C").unwrap().clone()
        };
        let half_widths = |c: &Coefficient| (c.high - c.estimate) / c.se_cluster.unwrap();
        let t = slope(Inference::Cluster);
        assert_eq!(t.distribution, Reference::StudentsT { degrees: 3.0 });
        approx::assert_relative_eq!(half_widths(&t), 3.182_446_305_284_263, max_relative = 1e-10);
        let study = slope(Inference::ClusterNormal);
        assert_eq!(study.distribution, Reference::Normal);
        approx::assert_relative_eq!(
            half_widths(&study),
            1.959_963_984_540_054,
            max_relative = 1e-10
        );
        assert!(law.fit_reporting(&frame(), None, Some(Inference::Cr2)).is_err());
    }

    #[test]
    fn a_file_of_0_1_0_has_no_distributions_and_they_are_normal() {
        let law = ScalingLaw::new("log_C".parse().unwrap(), "log_energy_kwh");
        let fit =
            law.fit_reporting(&frame(), Some("config_family"), Some(Inference::ClusterNormal));
        let fit = ScalingFit { notes: Vec::new(), ..fit.unwrap() };
        let mut file = serde_json::to_value(&fit).unwrap();
        for line in file["coefficients"].as_array_mut().unwrap() {
            let line = line.as_object_mut().unwrap();
            assert!(line.remove("distribution").is_some() && line.remove("se_cr2").is_some());
        }
        let read: ScalingFit = serde_json::from_value(file).unwrap();
        assert_eq!(read.coefficients[0].distribution, Reference::Normal);
        assert_eq!(read.coefficients[0].se_cr2, None);
    }

    #[test]
    fn without_clusters_inference_is_by_hc3() {
        let law = ScalingLaw::new("log_C".parse().unwrap(), "log_energy_kwh");
        let fit = law.fit(&frame(), None).unwrap();
        assert_eq!(fit.covariance, "hc3");
        let slope = fit.coefficient("log_C").unwrap();
        let half_width = 1.959_963_984_540_054 * slope.se_hc3.unwrap();
        approx::assert_relative_eq!(slope.high, slope.estimate + half_width, max_relative = 1e-12);
        assert_eq!(slope.se_cluster, None);
    }

    #[test]
    fn a_constant_response_is_refused() {
        let law = ScalingLaw::new("log_C".parse().unwrap(), "log_eta");
        let error = law.fit(&frame(), None).unwrap_err().to_string();
        assert!(error.starts_with("column `log_eta` has the same value in every row"), "{error}");
    }
}
