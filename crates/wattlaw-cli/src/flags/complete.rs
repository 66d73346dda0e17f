//! Checks that every run of a table has the columns that a law needs. Errors name file, line and column.

use wattlaw::Error;
use wattlaw::data::dataset::Dataset;
use wattlaw::data::measurement::Measurement;
use wattlaw::stats::formula::Formula;
use wattlaw::stats::frame::Frame;

use crate::failure::{Done, Failure};

/// Checks that a column named on the command line exists.
///
/// # Errors
/// A usage error that lists the known columns.
pub fn known(name: &str, flag: &str, frame: &Frame) -> Done {
    if frame.has_number(name) || frame.has_label(name) {
        return Ok(());
    }
    let names: Vec<&str> = frame.names().collect();
    Err(Failure::Usage(format!(
        "{flag}: unknown column `{name}`; known columns: {}",
        names.join(", ")
    )))
}

/// Checks that the terms of a law are columns.
///
/// # Errors
/// As [`known`].
pub fn known_terms(formula: &Formula, frame: &Frame) -> Done {
    formula.variables().into_iter().try_for_each(|name| known(name, "--terms", frame))
}

/// Checks that every run has the response and the variables of a law, and that the response is not constant.
///
/// # Errors
/// The first run with a missing value, or a constant response.
pub fn every_run(data: &Dataset, frame: &Frame, formula: &Formula, response: &str) -> Done {
    let values = frame.number(response)?;
    if values.iter().all(|x| !x.is_finite()) {
        let other = if response == "log_energy_kwh" { "duration" } else { "energy" };
        return Err(Failure::Failed(format!(
            "{}: {}; use --target {other} instead",
            data.name,
            missing(response, None)
        )));
    }
    for name in formula.variables().into_iter().chain([response]) {
        if !frame.has_number(name) {
            continue;
        }
        let lacking = frame.number(name)?.iter().position(|x| !x.is_finite());
        if let Some(run) = lacking.and_then(|row| data.runs.get(row)) {
            let reason = missing(name, Some(run));
            return Err(Failure::Failed(format!("{}:{}: {reason}", data.name, run.line)));
        }
    }
    if values.len() > 1 && values.iter().all(|x| x.to_bits() == values[0].to_bits()) {
        return Err(Error::Data(format!(
            "{}: column `{response}` is the same in every row, so no law can be fitted",
            data.name
        ))
        .into());
    }
    Ok(())
}

/// The reason why a column of a run has no number.
fn missing(column: &str, run: Option<&Measurement>) -> String {
    let absent = |names: &str| format!("{names} is missing; the law needs it in every run");
    match (column, run) {
        ("log_energy_kwh", _) => absent("energy_j or energy_kwh"),
        ("log_duration_s", _) => absent("duration_s"),
        ("log_eta", Some(run)) if run.duration.is_none() => absent("duration_s"),
        ("log_eta", Some(_)) => {
            "the table has no single-GPU run of the same configuration, so log_eta is unknown; add that run, or \
             remove log_eta with --terms"
                .to_owned()
        }
        ("log_C" | "log_tokens", _) => absent("tokens"),
        ("log_M", _) => absent("micro_batch or seq_len"),
        ("log_micro_steps", _) => absent("tokens, micro_batch or seq_len"),
        ("log_seq_len", _) => absent("seq_len"),
        ("log_hbm_bandwidth", Some(run)) => {
            format!("the GPU `{}` is not in the catalogue; add it with --catalog", run.gpu())
        }
        (other, _) => format!("`{other}` is not a finite number; the law needs it in every run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::data::dataset::ProxyColumns;
    use wattlaw::job::catalog::Catalog;

    const HEADER: &str =
        "family,gpu,gpus,layers,hidden_size,seq_len,micro_batch,tokens,energy_j,duration_s\n";

    fn message(rows: &str) -> String {
        let text = format!("{HEADER}{rows}");
        let data = Dataset::from_csv(text.as_bytes(), "runs.csv", None).unwrap();
        let frame = data.frame(ProxyColumns::default(), &Catalog::built_in().unwrap()).unwrap();
        let formula = "log_C + log_M + log_eta".parse().unwrap();
        match every_run(&data, &frame, &formula, "log_energy_kwh") {
            Err(Failure::Failed(text)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_run_with_a_missing_value_is_named() {
        let whole = "bert,t4,1,2,64,8,4,1000,5,10\n";
        assert_eq!(message(&format!("{whole}bert,t4,2,2,64,8,4,1000,6,6\n")), "Ok(())");
        assert_eq!(
            message(&format!("{whole}bert,t4,2,2,64,8,4,1000,,6\n")),
            "runs.csv:3: energy_j or energy_kwh is missing; the law needs it in every run"
        );
        assert!(
            message(&format!("{whole}bert,t4,2,2,64,8,4,,6,6\n"))
                .starts_with("runs.csv:3: tokens is")
        );
        assert!(
            message(&format!("{whole}bert,t4,2,2,64,8,4,9,6,\n")).contains("duration_s is missing")
        );
        assert!(
            message(&format!("{whole}bert,t4,2,3,64,8,4,1000,6,6\n")).starts_with(
                "runs.csv:3: the table has no single-GPU run of the same configuration"
            )
        );
        assert_eq!(
            message("bert,t4,1,2,64,8,4,1000,,10\n"),
            "runs.csv: energy_j or energy_kwh is missing; the law needs it in every run; use --target duration instead"
        );
        assert!(
            message(&format!("{whole}bert,t4,2,2,64,8,4,1000,5,6\n"))
                .contains("no law can be fitted")
        );
    }
}
