//! Fits a calibration on a dataset.

use super::{Calibration, Fitted, Laws, SCHEMA, ScalingLaws, Source, range};
use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::data::dataset::{Dataset, ProxyColumns};
use crate::job::catalog::Catalog;
use crate::law::efficiency::{BeforeRunLaw, measurable};
use crate::law::roofline::{MAX_POINTS, Observation, RooflineFit, observations, source_name};
use crate::law::scaling::ScalingLaw;
use crate::law::setting::Setting;
use crate::stats::conformal::Conformal;
use crate::stats::formula::Formula;
use crate::stats::frame::Frame;
use crate::stats::split::group_k_fold;

/// Number of folds for residuals of held-out runs.
const FOLDS: usize = 5;

/// Options of a fit.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOptions {
    /// Its name.
    pub name: String,
    /// The study's setting: it selects the runs and the terms.
    pub setting: Option<Setting>,
    /// Terms of the laws, in place of the setting's.
    pub formula: Option<Formula>,
    /// The definition of the proxy columns.
    pub columns: ProxyColumns,
    /// The label whose groups are held out whole for the intervals and cluster the errors.
    pub hold_out: String,
    /// Publication or owner of the data.
    pub source: Option<String>,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            name: "calibration".to_owned(),
            setting: None,
            formula: None,
            columns: ProxyColumns::default(),
            hold_out: "config_family".to_owned(),
            source: None,
        }
    }
}

impl FitOptions {
    /// The runs that the setting keeps.
    fn kept(&self, data: &Dataset) -> Result<Dataset> {
        let data = match self.setting {
            Some(setting) => data.filter(|r| setting.keeps(r.family(), r.strategy_kind())),
            None => data.clone(),
        };
        if data.runs.is_empty() {
            return Err(Error::Data(format!(
                "{} has no runs of setting `{}`",
                data.name,
                self.setting.map_or("any", Setting::name)
            )));
        }
        Ok(data)
    }
}

/// The default terms of a law: the study's, with the family. A single family is left out.
///
/// # Errors
/// None: the text is a constant.
pub fn default_formula(setting: Option<Setting>) -> Result<Formula> {
    setting.unwrap_or(Setting::Pooled).formula()
}

impl Calibration {
    /// Fits laws of energy and time on the runs of a dataset that the setting keeps.
    ///
    /// The law is fitted on all runs. Intervals come from the residual of each run under a law fitted without its group
    /// (split-conformal over five folds of whole groups, also called cross-conformal: Vovk 2015), with equal weight for
    /// each group.
    ///
    /// # Errors
    /// [`Error::Data`] for mixed scopes, a dataset without energies and times, fewer than two groups, or columns that
    /// are constant, collinear or missing.
    pub fn fit(data: &Dataset, options: &FitOptions, catalog: &Catalog) -> Result<Self> {
        let data = options.kept(data)?;
        let scope = data.scope()?;
        let frame = data.frame(options.columns, catalog)?;
        let formula = match &options.formula {
            Some(formula) => formula.clone(),
            None => default_formula(options.setting)?,
        };
        let mut notes = data.notes.clone();
        let (formula, note) = measurable(formula, &frame)?;
        notes.extend(note);
        let energy = fit_response("log_energy_kwh", &formula, options, &frame, &mut notes)?;
        let duration = fit_response("log_duration_s", &formula, options, &frame, &mut notes)?;
        if energy.is_none() && duration.is_none() {
            return Err(Error::Data(format!(
                "{} has neither energies nor durations to fit",
                data.name
            )));
        }
        let power_residuals = match (&energy, &duration) {
            (Some((_, energy)), Some((_, duration))) => {
                let both: Vec<f64> = energy.iter().zip(duration).map(|(e, d)| e - d).collect();
                Some(conformal(&both, &options.hold_out, &frame)?)
            }
            _ => None,
        };
        let after_run = match (&energy, formula.variables().contains(&"log_eta")) {
            (Some(_), true) => {
                let (terms, _) = crate::stats::design::varying(&formula, &frame)?;
                let law = ScalingLaw::new(terms, "log_energy_kwh");
                Some(law.fit(&frame, Some("config_family"))?)
            }
            _ => None,
        };
        let laws = ScalingLaws {
            setting: options.setting,
            columns: options.columns,
            energy: energy.map(|(fitted, _)| fitted),
            duration: duration.map(|(fitted, _)| fitted),
            power_residuals,
            after_run,
        };
        Self::new(&data, options, &frame, scope, notes, Laws::Scaling(Box::new(laws)))
    }

    /// Fits the roofline law on the runs of a dataset that the setting keeps, from the prior alone; with a discrepancy of
    /// at most `points` inducing points.
    ///
    /// # Errors
    /// [`Error::Data`] for runs that cannot be counted or have no durations.
    pub fn fit_roofline(
        data: &Dataset,
        options: &FitOptions,
        catalog: &Catalog,
        points: Option<usize>,
    ) -> Result<Self> {
        let data = options.kept(data)?;
        let frame = data.frame(options.columns, catalog)?;
        let runs = observations(&data, catalog).into_iter().collect::<Result<Vec<_>>>()?;
        let law = RooflineFit::fit(&runs.iter().collect::<Vec<_>>(), points)?;
        let law = Laws::Roofline(Box::new(law));
        let fitted = Self::new(&data, options, &frame, Scope::Gpu, data.notes.clone(), law)?;
        Ok(Self { range: range::without_length(fitted.range.clone()), ..fitted })
    }

    /// Fits the roofline law on several sources at once, from the prior alone. Jobs are new to all of them: none belongs to
    /// a source.
    ///
    /// # Errors
    /// [`Error::Data`] without any source, and for runs that cannot be counted.
    pub fn fit_sources(name: &str, sources: &[Dataset], catalog: &Catalog) -> Result<Self> {
        let mut runs = Vec::new();
        let mut range = Vec::new();
        for data in sources {
            for run in &data.runs {
                runs.push(Observation::new(run, &data.name, catalog)?);
            }
            let frame = data.frame(ProxyColumns::default(), catalog)?;
            range = range::joined(&range, &range::from_dataset(data, frame.label("gpu")?));
        }
        let law = RooflineFit::fit(&runs.iter().collect::<Vec<_>>(), Some(MAX_POINTS))?;
        let digests: Vec<&str> = sources.iter().map(|data| data.digest.as_str()).collect();
        Ok(Self {
            schema: SCHEMA.to_owned(),
            name: name.to_owned(),
            made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
            scope: Scope::Gpu,
            data: Source {
                name: format!("{} sources", sources.len()),
                sha256: crate::data::dataset::digest(digests.join("\n").as_bytes()),
                rows: runs.len(),
                groups: sources.len(),
                source: None,
                energies_assumed: 0,
            },
            held_out_by: "source".to_owned(),
            range: range::without_length(range),
            notes: sources
                .iter()
                .map(|data| format!("{}: {} runs", data.name, data.runs.len()))
                .collect(),
            law: Laws::Roofline(Box::new(law)),
        })
    }

    fn new(
        data: &Dataset,
        options: &FitOptions,
        frame: &Frame,
        scope: Scope,
        notes: Vec<String>,
        law: Laws,
    ) -> Result<Self> {
        Ok(Self {
            schema: SCHEMA.to_owned(),
            name: options.name.clone(),
            made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
            scope,
            data: Source {
                name: data.name.clone(),
                sha256: data.digest.clone(),
                rows: data.runs.len(),
                groups: frame.levels(&options.hold_out)?.len(),
                source: options.source.clone(),
                energies_assumed: data.energies_assumed(),
            },
            held_out_by: options.hold_out.clone(),
            range: range::from_dataset(data, frame.label("gpu")?),
            notes,
            law,
        })
    }
}

/// Fits the law of one response; returns it with the signed residuals of all rows in order, or nothing where no run has
/// the response.
fn fit_response(
    response: &str,
    formula: &Formula,
    options: &FitOptions,
    frame: &Frame,
    notes: &mut Vec<String>,
) -> Result<Option<(Fitted, Vec<f64>)>> {
    if frame.number(response)?.iter().all(|x| x.is_nan()) {
        return Ok(None);
    }
    let law = BeforeRunLaw::from_terms(
        options.setting.unwrap_or(Setting::Pooled),
        formula.clone(),
        response,
    )?;
    let fit = law.fit(frame)?;
    for note in &fit.notes {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let residuals = residuals_held_out(&law, &options.hold_out, frame)?;
    let conformal = conformal(&residuals, &options.hold_out, frame)?;
    if let Some(note) = assumed(&conformal, &options.hold_out)
        && !notes.contains(&note)
    {
        notes.push(note);
    }
    Ok(Some((Fitted { law: fit, residuals: conformal }, residuals)))
}

/// The finite residuals, one a row of the frame, by the groups that were held out.
fn conformal(residuals: &[f64], hold_out: &str, frame: &Frame) -> Result<Conformal> {
    let groups = frame.groups(hold_out)?;
    let rows = groups.into_iter().zip(residuals.iter().copied());
    Conformal::from_groups(rows.filter(|(_, residual)| residual.is_finite()))
}

/// A note where 95 % intervals need an assumption.
fn assumed(conformal: &Conformal, hold_out: &str) -> Option<String> {
    const LEVEL: f64 = 0.95;
    (!conformal.is_distribution_free(LEVEL)).then(|| {
        format!(
            "95 % intervals assume normal errors: they rest on {} groups of `{hold_out}`, and 19 would need no assumption",
            conformal.groups()
        )
    })
}

/// Residual of each row under a law fitted without its group; NaN where that law cannot predict the row, because its
/// strategy, family or accelerator is in no other group.
fn residuals_held_out(law: &BeforeRunLaw, hold_out: &str, frame: &Frame) -> Result<Vec<f64>> {
    let groups = frame.groups(hold_out)?;
    let distinct = frame.levels(hold_out)?.len();
    if distinct < 2 {
        return Err(Error::Data(format!(
            "all {} runs have the same `{hold_out}`; intervals need at least two groups, to hold one out",
            frame.rows()
        )));
    }
    let truth = frame.number(&law.law.response)?;
    let mut residuals = vec![f64::NAN; frame.rows()];
    for test in group_k_fold(&groups, distinct.min(FOLDS)) {
        let train: Vec<usize> = (0..frame.rows()).filter(|i| !test.contains(i)).collect();
        // a fold that leaves too few rows to fit gives no residuals
        let Ok(fit) = law.fit(&frame.select(&train)?) else { continue };
        for row in test {
            if let Ok(predicted) = fit.predict_row(&frame.row(row)?) {
                residuals[row] = truth[row] - predicted;
            }
        }
    }
    if residuals.iter().all(|r| r.is_nan()) {
        return Err(Error::Data(format!(
            "no law could be fitted with whole groups of `{hold_out}` held out; more runs are needed than the {}",
            frame.rows()
        )));
    }
    Ok(residuals)
}

impl Calibration {
    /// Adds the runs of a dataset to a roofline calibration, as data beside those it was fitted on: it answers every job as
    /// before, and jobs like the runs better.
    ///
    /// # Errors
    /// [`Error::Data`] where the calibration has no roofline law, the cost of a run cannot be counted, or a run has no
    /// duration.
    pub fn adjusted(&self, data: &Dataset, catalog: &Catalog, name: &str) -> Result<Self> {
        let law = self.roofline("be adapted to runs")?;
        let frame = data.frame(ProxyColumns::default(), catalog)?;
        let runs = observations(data, catalog).into_iter().collect::<Result<Vec<_>>>()?;
        let updated = law.updated(
            &runs.iter().collect::<Vec<_>>(),
            &source_name(&data.name),
            Some(MAX_POINTS),
        )?;
        let own = range::from_dataset(data, frame.label("gpu")?);
        Ok(Self {
            name: name.to_owned(),
            made_by: format!("wattlaw {}", env!("CARGO_PKG_VERSION")),
            data: Source {
                name: data.name.clone(),
                sha256: data.digest.clone(),
                rows: self.data.rows + data.runs.len(),
                groups: frame.levels("config_family")?.len(),
                source: None,
                energies_assumed: data.energies_assumed() + self.data.energies_assumed,
            },
            range: range::without_length(range::joined(&self.range, &own)),
            notes: vec![format!("added to {}, fitted on {} runs", self.name, self.data.rows)],
            law: Laws::Roofline(Box::new(updated)),
            ..self.clone()
        })
    }
}
