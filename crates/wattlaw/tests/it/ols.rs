//! Least squares against statsmodels, scikit-learn and NIST's certified values.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use nalgebra::DMatrix;
use serde::Deserialize;
use std::collections::BTreeMap;

use wattlaw::law::efficiency::BeforeRunLaw;
use wattlaw::law::scaling::{Inference as ReportedBy, ScalingLaw};
use wattlaw::stats::design::Encoding;
use wattlaw::stats::frame::Frame;
use wattlaw::stats::inference::Reference;
use wattlaw::stats::ols::{Covariance, Ols};

/// Relative tolerance. Estimates and standard errors agree to 1e-11 or better; p-values only to
/// 1e-10, the accuracy of the error function that is used; NIST's Longley, with a condition number
/// of 5e9, to 1e-10.
const CLOSE: f64 = 1e-9;

#[derive(Deserialize)]
struct Golden {
    data: BTreeMap<String, Table>,
    cases: Vec<Case>,
    before_run: Vec<BeforeRun>,
    distributions: Distributions,
}

#[derive(Deserialize)]
struct Table {
    numbers: BTreeMap<String, Vec<f64>>,
    labels: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Case {
    data: String,
    formula: String,
    names: Vec<String>,
    estimates: Vec<f64>,
    fitted: Vec<f64>,
    residuals: Vec<f64>,
    leverage: Vec<f64>,
    r2: f64,
    adjusted_r2: f64,
    rmse: f64,
    sigma2: f64,
    clusters: usize,
    cr2: BiasReduced,
    covariances: BTreeMap<String, Inference>,
    collinearity: Numeric,
}

#[derive(Deserialize)]
struct Inference {
    standard_errors: Vec<f64>,
    p_values: Vec<f64>,
    covariance: Vec<Vec<f64>>,
    low: Vec<f64>,
    high: Vec<f64>,
    low_80: Vec<f64>,
    high_80: Vec<f64>,
}

#[derive(Deserialize)]
struct Numeric {
    terms: Vec<String>,
    vif: Vec<f64>,
    condition_number: f64,
}

#[derive(Deserialize)]
struct BiasReduced {
    standard_errors: Vec<f64>,
    degrees: Vec<f64>,
}

#[derive(Deserialize)]
struct BeforeRun {
    data: String,
    train: Vec<usize>,
    test: Vec<usize>,
    log_eta: Vec<f64>,
    predictions: Vec<f64>,
}

#[derive(Deserialize)]
struct Distributions {
    statistics: Vec<f64>,
    levels: Vec<f64>,
    normal: Distribution,
    students_t: Vec<Distribution>,
}

#[derive(Deserialize)]
struct Distribution {
    degrees: Option<f64>,
    p_values: Vec<f64>,
    half_widths: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/ols.json")).unwrap()
}

impl Table {
    fn frame(&self) -> Frame {
        let mut frame = Frame::new(self.labels["gpu"].len());
        for (name, values) in &self.numbers {
            frame = frame.with_number(name, values.clone()).unwrap();
        }
        for (name, values) in &self.labels {
            frame = frame.with_label(name, values.clone()).unwrap();
        }
        frame
    }
}

/// Asserts that two series agree to `tolerance` of `scale`, or of the expected value itself.
#[track_caller]
fn close_on(found: &[f64], expected: &[f64], scale: f64, tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let allowed = tolerance * e.abs().max(scale);
        assert!((f - e).abs() <= allowed, "{what}[{i}]: {f:e}, expected {e:e}");
    }
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], what: &str) {
    close_on(found, expected, 0.0, CLOSE, what);
}

#[test]
fn estimates_and_covariances_are_those_of_statsmodels() {
    let golden = golden();
    for case in &golden.cases {
        let what = format!("{} on {}", case.formula, case.data);
        let frame = golden.data[&case.data].frame();
        let encoding = Encoding::learn(&case.formula.parse().unwrap(), &frame).unwrap();
        let names: Vec<String> = encoding.names().map(str::to_owned).collect();
        assert_eq!(names, case.names, "{what}");
        let y = frame.number("log_energy_kwh").unwrap();
        let fit = Ols::fit(&encoding.matrix(&frame).unwrap(), y, &names).unwrap();
        close(fit.estimates(), &case.estimates, &what);
        close(&fit.fitted()[..5], &case.fitted, &what);
        // Residuals and R² are differences of numbers near 10 and 1: they keep those digits.
        close_on(&fit.residuals()[..5], &case.residuals, 1.0, 1e-12, &what);
        close(&fit.leverage()[..5], &case.leverage, &what);
        close_on(&[fit.r2(), fit.adjusted_r2()], &[case.r2, case.adjusted_r2], 1.0, 1e-12, &what);
        close(&[fit.rmse(), fit.sigma2()], &[case.rmse, case.sigma2], &what);
        let clusters = fit.clusters(&frame.groups("config_family").unwrap()).unwrap();
        for kind in [
            Covariance::Classical,
            Covariance::Hc0,
            Covariance::Hc1,
            Covariance::Hc2,
            Covariance::Hc3,
            Covariance::Cluster(&clusters),
        ] {
            let what = format!("{what}, {}", kind.name());
            let expected = &case.covariances[kind.name()];
            close(&fit.standard_errors(kind).unwrap(), &expected.standard_errors, &what);
            let covariance = fit.covariance(kind).unwrap();
            for (row, expected) in covariance.row_iter().zip(&expected.covariance) {
                let row: Vec<f64> = row.iter().copied().collect();
                close_on(&row, expected, covariance.amax(), CLOSE, &what);
            }
            let inferred = fit.infer(kind, 0.95).unwrap();
            let column = |value: fn(&wattlaw::stats::inference::Estimate) -> f64| {
                inferred.iter().map(value).collect::<Vec<f64>>()
            };
            // Below the smallest normal double both sides have fewer digits.
            close_on(&column(|e| e.p_value), &expected.p_values, 1e-290, CLOSE, &what);
            close(&column(|e| e.low), &expected.low, &what);
            close(&column(|e| e.high), &expected.high, &what);
            let narrow = fit.infer(kind, 0.8).unwrap();
            let low: Vec<f64> = narrow.iter().map(|e| e.low).collect();
            let high: Vec<f64> = narrow.iter().map(|e| e.high).collect();
            close(&low, &expected.low_80, &what);
            close(&high, &expected.high_80, &what);
        }
        let cluster = Covariance::Cluster(&clusters);
        let normal = fit.infer_with(cluster, &vec![Reference::Normal; names.len()], 0.95).unwrap();
        let p_values: Vec<f64> = normal.iter().map(|e| e.p_value).collect();
        close_on(&p_values, &case.covariances["cluster-normal"].p_values, 1e-290, CLOSE, &what);
        let cr2 = Covariance::Cr2(&clusters);
        let degrees: Vec<f64> = fit.references(cr2).into_iter().map(degrees_of_freedom).collect();
        // the dense matrices of the script lose some digits
        close_on(&fit.standard_errors(cr2).unwrap(), &case.cr2.standard_errors, 0.0, 1e-7, &what);
        close_on(&degrees, &case.cr2.degrees, 0.0, 1e-7, &what);
    }
}

fn degrees_of_freedom(reference: Reference) -> f64 {
    match reference {
        Reference::StudentsT { degrees } => degrees,
        Reference::Normal => f64::INFINITY,
    }
}

#[test]
fn distributions_are_those_of_scipy() {
    let Distributions { statistics, levels, normal, students_t } = golden().distributions;
    for expected in students_t.iter().chain([&normal]) {
        let reference = match expected.degrees {
            Some(degrees) => Reference::StudentsT { degrees },
            None => Reference::Normal,
        };
        let p_values: Vec<f64> = statistics.iter().map(|z| reference.two_sided_p(*z)).collect();
        let half_widths: Vec<f64> =
            levels.iter().map(|level| reference.half_width(*level).unwrap()).collect();
        close(&p_values, &expected.p_values, &format!("p-values of {reference:?}"));
        close(&half_widths, &expected.half_widths, &format!("half-widths of {reference:?}"));
    }
}

#[test]
fn a_scaling_fit_tabulates_the_same_numbers() {
    let golden = golden();
    for case in golden.cases.iter().filter(|case| case.r2 > 1e-10) {
        let frame = golden.data[&case.data].frame();
        let law = ScalingLaw::new(case.formula.parse().unwrap(), "log_energy_kwh");
        let fit =
            law.fit_reporting(&frame, Some("config_family"), Some(ReportedBy::Cluster)).unwrap();
        assert_eq!(fit.clusters, Some(case.clusters));
        let table = &fit.coefficients;
        let column = |value: &dyn Fn(&wattlaw::law::scaling::Coefficient) -> f64| {
            table.iter().map(value).collect::<Vec<f64>>()
        };
        let errors = |kind: &str| &case.covariances[kind].standard_errors;
        close(&column(&|c| c.se_classical), errors("classical"), "classical");
        close(&column(&|c| c.se_hc0), errors("hc0"), "hc0");
        close(&column(&|c| c.se_hc1), errors("hc1"), "hc1");
        close(&column(&|c| c.se_hc2.unwrap()), errors("hc2"), "hc2");
        close(&column(&|c| c.se_hc3.unwrap()), errors("hc3"), "hc3");
        close(&column(&|c| c.se_cluster.unwrap()), errors("cluster"), "cluster");
        close_on(&column(&|c| c.se_cr2.unwrap()), &case.cr2.standard_errors, 0.0, 1e-7, "cr2");
        close(&column(&|c| c.low), &case.covariances["cluster"].low, "low");
        let terms: Vec<&String> = fit.vif.iter().map(|v| &v.term).collect();
        assert_eq!(terms, case.collinearity.terms.iter().collect::<Vec<_>>());
        let factors: Vec<f64> = fit.vif.iter().map(|v| v.factor).collect();
        close(&factors, &case.collinearity.vif, "variance inflation");
        close(&[fit.condition_number], &[case.collinearity.condition_number], "condition");
    }
}

/// The second table has a fold that lacks a strategy which its held-out rows have.
#[test]
fn the_law_before_the_run_is_that_of_scikit_learn() {
    let golden = golden();
    for case in &golden.before_run {
        let frame = golden.data[&case.data].frame();
        let (train, test) = (frame.select(&case.train).unwrap(), frame.select(&case.test).unwrap());
        let law = BeforeRunLaw {
            law: ScalingLaw::new(
                "strategy + log_C + log_M + log_eta".parse().unwrap(),
                "log_energy_kwh",
            ),
            efficiency: "strategy + log_C + log_M + gpus".parse().unwrap(),
            groups: "config_family".to_owned(),
        };
        let fit = law.fit(&train).unwrap();
        let eta: Vec<f64> =
            test.iter().map(|row| fit.predict_log_eta(&row).unwrap().unwrap()).collect();
        close_on(&eta, &case.log_eta, 1.0, CLOSE, "log_eta");
        close(&fit.predict(&test).unwrap(), &case.predictions, &case.data);
    }
}

/// Longley (1967): certified to 15 digits, higher level of difficulty (condition number 5e9).
/// Source: NIST Statistical Reference Datasets,
/// <https://www.itl.nist.gov/div898/strd/lls/data/LINKS/DATA/Longley.dat>.
#[test]
fn longley_is_reproduced() {
    #[rustfmt::skip]
    let rows: [[f64; 7]; 16] = [
        [60323.0,  83.0, 234289.0, 2356.0, 1590.0, 107608.0, 1947.0],
        [61122.0,  88.5, 259426.0, 2325.0, 1456.0, 108632.0, 1948.0],
        [60171.0,  88.2, 258054.0, 3682.0, 1616.0, 109773.0, 1949.0],
        [61187.0,  89.5, 284599.0, 3351.0, 1650.0, 110929.0, 1950.0],
        [63221.0,  96.2, 328975.0, 2099.0, 3099.0, 112075.0, 1951.0],
        [63639.0,  98.1, 346999.0, 1932.0, 3594.0, 113270.0, 1952.0],
        [64989.0,  99.0, 365385.0, 1870.0, 3547.0, 115094.0, 1953.0],
        [63761.0, 100.0, 363112.0, 3578.0, 3350.0, 116219.0, 1954.0],
        [66019.0, 101.2, 397469.0, 2904.0, 3048.0, 117388.0, 1955.0],
        [67857.0, 104.6, 419180.0, 2822.0, 2857.0, 118734.0, 1956.0],
        [68169.0, 108.4, 442769.0, 2936.0, 2798.0, 120445.0, 1957.0],
        [66513.0, 110.8, 444546.0, 4681.0, 2637.0, 121950.0, 1958.0],
        [68655.0, 112.6, 482704.0, 3813.0, 2552.0, 123366.0, 1959.0],
        [69564.0, 114.2, 502601.0, 3931.0, 2514.0, 125368.0, 1960.0],
        [69331.0, 115.7, 518173.0, 4806.0, 2572.0, 127852.0, 1961.0],
        [70551.0, 116.9, 554894.0, 4007.0, 2827.0, 130081.0, 1962.0],
    ];
    let certified = [
        (-3482258.63459582, 890420.383607373),
        (15.0618722713733, 84.9149257747669),
        (-0.358191792925910e-01, 0.334910077722432e-01),
        (-2.02022980381683, 0.488399681651699),
        (-1.03322686717359, 0.214274163161675),
        (-0.511041056535807e-01, 0.226073200069370),
        (1829.15146461355, 455.478499142212),
    ];
    let y: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let x = DMatrix::from_fn(16, 7, |i, j| if j == 0 { 1.0 } else { rows[i][j] });
    let names: Vec<String> = (0..7).map(|j| format!("B{j}")).collect();
    let fit = Ols::fit(&x, &y, &names).unwrap();
    let (estimates, errors): (Vec<f64>, Vec<f64>) = certified.into_iter().unzip();
    close(fit.estimates(), &estimates, "estimates");
    close(&fit.standard_errors(Covariance::Classical).unwrap(), &errors, "standard errors");
    close(&[fit.r2()], &[0.995479004577296], "R²");
    close(&[fit.sigma2().sqrt()], &[304.854073561965], "residual standard deviation");
}

/// Norris: certified to 15 digits, lower level of difficulty. Source: NIST Statistical Reference
/// Datasets, <https://www.itl.nist.gov/div898/strd/lls/data/LINKS/DATA/Norris.dat>.
#[test]
fn norris_is_reproduced() {
    let data = [
        (0.1, 0.2),
        (338.8, 337.4),
        (118.1, 118.2),
        (888.0, 884.6),
        (9.2, 10.1),
        (228.1, 226.5),
        (668.5, 666.3),
        (998.5, 996.3),
        (449.1, 448.6),
        (778.9, 777.0),
        (559.2, 558.2),
        (0.3, 0.4),
        (0.1, 0.6),
        (778.1, 775.5),
        (668.8, 666.9),
        (339.3, 338.0),
        (448.9, 447.5),
        (10.8, 11.6),
        (557.7, 556.0),
        (228.3, 228.1),
        (998.0, 995.8),
        (888.8, 887.6),
        (119.6, 120.2),
        (0.3, 0.3),
        (0.6, 0.3),
        (557.6, 556.8),
        (339.3, 339.1),
        (888.0, 887.2),
        (998.5, 999.0),
        (778.9, 779.0),
        (10.2, 11.1),
        (117.6, 118.3),
        (228.9, 229.2),
        (668.4, 669.1),
        (449.2, 448.9),
        (0.2, 0.5),
    ];
    // NIST lists y before x.
    let y: Vec<f64> = data.iter().map(|(y, _)| *y).collect();
    let x = DMatrix::from_fn(36, 2, |i, j| if j == 0 { 1.0 } else { data[i].1 });
    let fit = Ols::fit(&x, &y, &["B0".to_owned(), "B1".to_owned()]).unwrap();
    close(fit.estimates(), &[-0.262323073774029, 1.00211681802045], "estimates");
    close(
        &fit.standard_errors(Covariance::Classical).unwrap(),
        &[0.232818234301152, 0.429796848199937e-03],
        "standard errors",
    );
    close(&[fit.r2()], &[0.999993745883712], "R²");
    close(&[fit.sigma2().sqrt()], &[0.884796396144373], "residual standard deviation");
}
