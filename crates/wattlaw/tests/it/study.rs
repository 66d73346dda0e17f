//! The study's published tables (arXiv 2606.23546) from its measured runs.
//!
//! The runs are not part of the project; where they are absent the test says so and passes.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use wattlaw::law::efficiency::BeforeRunLaw;
use wattlaw::law::scaling::{Inference, ScalingFit, ScalingLaw};
use wattlaw::law::setting::Setting;
use wattlaw::stats::frame::Frame;

/// Relative tolerance. Estimates and standard errors agree to 1e-11 or better; p-values only to
/// 1e-10, the accuracy of the error function that is used.
const CLOSE: f64 = 1e-9;

const MEASURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/multi_gpu_2026");

#[derive(Deserialize)]
struct Run {
    gpu: String,
    family: String,
    strategy: String,
    gpus: f64,
    layers: f64,
    hidden_size: f64,
    tokens: f64,
    duration_s: f64,
    energy_kwh: f64,
    baseline_duration_s: f64,
    memory_proxy: f64,
}

#[derive(Deserialize)]
struct Reference {
    definitions: Definitions,
    settings: BTreeMap<String, Table>,
    per_gpu: BTreeMap<String, Table>,
    leave_one_gpu_out: Vec<HeldOut>,
}

#[derive(Deserialize)]
struct Definitions {
    family_key: String,
}

#[derive(Deserialize)]
struct Table {
    n: usize,
    clusters: usize,
    r2: f64,
    coefficients: Vec<Line>,
    vif: Option<BTreeMap<String, f64>>,
    standardized_condition_number: Option<f64>,
}

#[derive(Deserialize)]
struct Line {
    term: String,
    estimate: f64,
    se_ols: f64,
    se_hc3: f64,
    se_cluster: f64,
    p_cluster: f64,
}

#[derive(Deserialize)]
struct HeldOut {
    setting: Setting,
    held_out: String,
    n_train: usize,
    n_test: usize,
    r2: f64,
    rmse: f64,
}

/// The reference and the runs, or nothing where they are absent.
fn study() -> Option<(Reference, Frame)> {
    if !Path::new(MEASURED).exists() {
        println!("skipped: the study's measured runs are not at {MEASURED}");
        return None;
    }
    let text = std::fs::read_to_string(format!("{MEASURED}/reference.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    let mut reader = csv::Reader::from_path(format!("{MEASURED}/runs.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let runs: Vec<Run> =
        records.iter().map(|record| record.deserialize(Some(&header)).unwrap()).collect();
    let key: Vec<usize> = reference
        .definitions
        .family_key
        .split(',')
        .map(|name| header.iter().position(|h| h == name).unwrap())
        .collect();
    let config = |record: &csv::StringRecord| {
        key.iter().map(|column| &record[*column]).collect::<Vec<&str>>().join("|")
    };
    let number = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let label = |value: &dyn Fn(&Run) -> String| runs.iter().map(value).collect::<Vec<String>>();
    let frame = Frame::new(runs.len())
        .with_number(
            "log_C",
            number(&|r| (20.0 * r.layers * r.hidden_size.powi(2) * r.tokens).ln()),
        )
        .and_then(|f| f.with_number("log_M", number(&|r| r.memory_proxy.ln())))
        .and_then(|f| {
            let eta = |r: &Run| (r.baseline_duration_s / (r.duration_s * r.gpus)).ln();
            f.with_number("log_eta", number(&eta))
        })
        .and_then(|f| f.with_number("gpus", number(&|r| r.gpus)))
        .and_then(|f| f.with_number("log_energy_kwh", number(&|r| r.energy_kwh.ln())))
        .and_then(|f| f.with_number("log_duration_s", number(&|r| r.duration_s.ln())))
        .and_then(|f| f.with_label("gpu", label(&|r| r.gpu.clone())))
        .and_then(|f| f.with_label("family", label(&|r| r.family.clone())))
        .and_then(|f| f.with_label("strategy", label(&|r| r.strategy.clone())))
        .and_then(|f| f.with_label("config_family", records.iter().map(config).collect()))
        .unwrap();
    Some((reference, frame))
}

fn of_setting(frame: &Frame, setting: Setting) -> Frame {
    frame.select(&setting.rows(frame).unwrap()).unwrap()
}

/// The rows on a GPU model, and the others.
fn split_by_gpu(frame: &Frame, gpu: &str) -> (Frame, Frame) {
    let models = frame.label("gpu").unwrap();
    let (on, off): (Vec<usize>, Vec<usize>) = (0..frame.rows()).partition(|i| models[*i] == gpu);
    (frame.select(&on).unwrap(), frame.select(&off).unwrap())
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(error <= CLOSE * expected.abs(), "{what}: {found:e}, expected {expected:e}");
}

#[track_caller]
fn is_table(fit: &ScalingFit, table: &Table, what: &str) {
    assert_eq!((fit.n, fit.clusters), (table.n, Some(table.clusters)), "{what}");
    close(fit.r2, table.r2, what);
    let found: Vec<&str> = fit.coefficients.iter().map(|c| c.term.as_str()).collect();
    let expected: Vec<&str> = table.coefficients.iter().map(|c| c.term.as_str()).collect();
    assert_eq!(found, expected, "{what}");
    for (line, expected) in fit.coefficients.iter().zip(&table.coefficients) {
        let what = format!("{what}, {}", line.term);
        close(line.estimate, expected.estimate, &what);
        close(line.se_classical, expected.se_ols, &what);
        close(line.se_hc3.unwrap(), expected.se_hc3, &what);
        close(line.se_cluster.unwrap(), expected.se_cluster, &what);
        // Zero stands for what a double cannot hold, here below 1e-308.
        close(line.p_value, expected.p_cluster, &what);
    }
    if let Some(vif) = &table.vif {
        assert_eq!(fit.vif.len(), vif.len());
        for inflation in &fit.vif {
            close(inflation.factor, vif[&inflation.term], &format!("{what}, {}", inflation.term));
        }
    }
    if let Some(condition_number) = table.standardized_condition_number {
        close(fit.condition_number, condition_number, what);
    }
}

/// The study's p-values are cluster-robust by the normal distribution.
fn as_in_the_study(law: &ScalingLaw, rows: &Frame) -> ScalingFit {
    law.fit_reporting(rows, Some("config_family"), Some(Inference::ClusterNormal)).unwrap()
}

#[test]
fn the_settings_are_reproduced() {
    let Some((reference, frame)) = study() else { return };
    assert_eq!(reference.settings.len(), Setting::ALL.len());
    for (name, table) in &reference.settings {
        let rows = of_setting(&frame, name.parse().unwrap());
        let law =
            ScalingLaw::new(name.parse::<Setting>().unwrap().formula().unwrap(), "log_energy_kwh");
        is_table(&as_in_the_study(&law, &rows), table, name);
    }
}

/// The reference has no family indicator on a single GPU model, not even on the 2080 Ti, where
/// both families ran.
#[test]
fn the_tables_of_single_gpu_models_are_reproduced() {
    let Some((reference, frame)) = study() else { return };
    assert_eq!(reference.per_gpu.len(), 7);
    for (name, table) in &reference.per_gpu {
        let (setting, gpu) = name.split_once(" | ").unwrap();
        let setting: Setting = setting.parse().unwrap();
        let (rows, _) = split_by_gpu(&of_setting(&frame, setting), gpu);
        let (mut law, notes) = ScalingLaw::for_setting(setting, "log_energy_kwh", &rows).unwrap();
        let one_family = setting == Setting::Pooled && !gpu.contains("2080");
        assert_eq!(notes.len(), usize::from(one_family), "{name}");
        law.formula = law.formula.without(&["family"]);
        is_table(&as_in_the_study(&law, &rows), table, name);
    }
}

#[test]
fn a_held_out_gpu_model_is_predicted_as_in_the_reference() {
    let Some((reference, frame)) = study() else { return };
    for case in &reference.leave_one_gpu_out {
        let what = format!("{} without {}", case.setting, case.held_out);
        let (test, train) = split_by_gpu(&of_setting(&frame, case.setting), &case.held_out);
        assert_eq!((train.rows(), test.rows()), (case.n_train, case.n_test), "{what}");
        let law = ScalingLaw::for_setting(case.setting, "log_energy_kwh", &train).unwrap().0;
        let predicted = law.fit_estimates(&train).unwrap().predict(&test).unwrap();
        let observed = test.number("log_energy_kwh").unwrap();
        let (r2, rmse) = r2_and_rmse(observed, &predicted);
        close(r2, case.r2, &what);
        close(rmse, case.rmse, &what);
    }
}

/// R² in training, on cross-fitted and on predicted ln η, as scikit-learn 1.9 gives it with
/// `GroupKFold(5)`, `OneHotEncoder` and `LinearRegression`.
#[test]
fn the_law_before_the_run_is_that_of_scikit_learn() {
    let Some((_, frame)) = study() else { return };
    for (setting, response, cross_fitted, predicted) in [
        (Setting::Bert, "log_energy_kwh", 0.8962571388657993, 0.897523205378043),
        (Setting::Bert, "log_duration_s", 0.8758374037090821, 0.8751210005156969),
        (Setting::Gpt, "log_energy_kwh", 0.8389929892719589, 0.8391253365579521),
        (Setting::Gpt, "log_duration_s", 0.5451147206431697, 0.5441636096687277),
        (Setting::Pooled, "log_energy_kwh", 0.8394011425930328, 0.839587072154895),
        (Setting::Pooled, "log_duration_s", 0.5988976408085196, 0.5981178078517684),
    ] {
        let what = format!("{setting} {response}");
        let rows = of_setting(&frame, setting);
        let law = BeforeRunLaw::for_setting(setting, response).unwrap();
        let (fit, table) = law.fit_with_table(&rows, Some("config_family")).unwrap();
        assert!(fit.notes.is_empty(), "{:?}", fit.notes);
        close(table.r2, cross_fitted, &what);
        let observed = rows.number(response).unwrap();
        close(r2_and_rmse(observed, &fit.predict(&rows).unwrap()).0, predicted, &what);
    }
}

fn r2_and_rmse(observed: &[f64], predicted: &[f64]) -> (f64, f64) {
    let n = observed.len() as f64;
    let mean = observed.iter().sum::<f64>() / n;
    let residual: f64 = observed.iter().zip(predicted).map(|(o, p)| (o - p).powi(2)).sum();
    let total: f64 = observed.iter().map(|o| (o - mean).powi(2)).sum();
    (1.0 - residual / total, (residual / n).sqrt())
}
