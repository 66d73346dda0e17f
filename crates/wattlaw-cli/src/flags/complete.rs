//! Whether every run of a table has what a law needs, said by file, line and column before anything is fitted.

use wattlaw::Error;
use wattlaw::data::dataset::Dataset;
use wattlaw::data::measurement::Measurement;
use wattlaw::stats::formula::Formula;
use wattlaw::stats::frame::Frame;

use crate::failure::{Done, Failure};

/// Checks that a column named on the command line exists.
///
/// # Errors
/// Wrong usage, with every name that is known.
pub fn known(name: &str, flag: &str, frame: &Frame) -> Done {
    if frame.has_number(name) || frame.has_label(name) {
        return Ok(());
    }
    let names: Vec<&str> = frame.names().collect();
    Err(Failure::Usage(format!("{flag}: unknown column `{name}`; there are {}", names.join(", "))))
}

/// Checks that the terms of a law are columns.
///
/// # Errors
/// As [`known`].
pub fn known_terms(formula: &Formula, frame: &Frame) -> Done {
    formula.variables().into_iter().try_for_each(|name| known(name, "--terms", frame))
}

/// Checks that every run has the response and the numbers of a law, and that the response is not the same throughout.
///
/// # Errors
/// One sentence with the first run that lacks something.
pub fn every_run(data: &Dataset, frame: &Frame, formula: &Formula, response: &str) -> Done {
    let values = frame.number(response)?;
    if values.iter().all(|x| !x.is_finite()) {
        let other = if response == "log_energy_kwh" { "duration" } else { "energy" };
        return Err(Failure::Failed(format!(
            "{}: {}; --target {other} fits the other",
            data.name,
            why(response, None)
        )));
    }
    for name in formula.variables().into_iter().chain([response]) {
        if !frame.has_number(name) {
            continue;
        }
        let lacking = frame.number(name)?.iter().position(|x| !x.is_finite());
        if let Some(run) = lacking.and_then(|row| data.runs.get(row)) {
            let said = why(name, Some(run));
            return Err(Failure::Failed(format!("{}:{}: {said}", data.name, run.line)));
        }
    }
    if values.len() > 1 && values.iter().all(|x| x.to_bits() == values[0].to_bits()) {
        return Err(Error::Data(format!(
            "{}: column `{response}` has the same value in every row, so there is nothing to fit",
            data.name
        ))
        .into());
    }
    Ok(())
}

/// What a run lacks where this column is not a number.
fn why(column: &str, run: Option<&Measurement>) -> String {
    let absent = |names: &str| format!("{names} is missing, and the law needs it in every run");
    match (column, run) {
        ("log_energy_kwh", _) => absent("energy_j or energy_kwh"),
        ("log_duration_s", _) => absent("duration_s"),
        ("log_eta", Some(run)) if run.duration.is_none() => absent("duration_s"),
        ("log_eta", Some(_)) => {
            "no single-GPU run of the same configuration is in the table, so log_eta is unknown; add that run, or \
             leave log_eta out with --terms"
                .to_owned()
        }
        ("log_C" | "log_tokens", _) => absent("tokens"),
        ("log_M", _) => absent("micro_batch or seq_len"),
        ("log_micro_steps", _) => absent("tokens, micro_batch or seq_len"),
        ("log_seq_len", _) => absent("seq_len"),
        ("log_hbm_bandwidth", Some(run)) => {
            format!("no catalogue has the GPU `{}`; add it with --catalog", run.gpu())
        }
        (other, _) => format!("`{other}` is no finite number, and the law needs it in every run"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattlaw::data::dataset::ProxyColumns;
    use wattlaw::job::catalog::Catalog;

    const HEADER: &str =
        "family,gpu,gpus,layers,hidden_size,seq_len,micro_batch,tokens,energy_j,duration_s\n";

    fn said(rows: &str) -> String {
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
    fn the_run_that_lacks_something_is_named() {
        let whole = "bert,t4,1,2,64,8,4,1000,5,10\n";
        assert_eq!(said(&format!("{whole}bert,t4,2,2,64,8,4,1000,6,6\n")), "Ok(())");
        assert_eq!(
            said(&format!("{whole}bert,t4,2,2,64,8,4,1000,,6\n")),
            "runs.csv:3: energy_j or energy_kwh is missing, and the law needs it in every run"
        );
        assert!(
            said(&format!("{whole}bert,t4,2,2,64,8,4,,6,6\n")).starts_with("runs.csv:3: tokens is")
        );
        assert!(
            said(&format!("{whole}bert,t4,2,2,64,8,4,9,6,\n")).contains("duration_s is missing")
        );
        assert!(
            said(&format!("{whole}bert,t4,2,3,64,8,4,1000,6,6\n"))
                .starts_with("runs.csv:3: no single-GPU run of the same configuration")
        );
        assert_eq!(
            said("bert,t4,1,2,64,8,4,1000,,10\n"),
            "runs.csv: energy_j or energy_kwh is missing, and the law needs it in every run; --target duration fits \
             the other"
        );
        assert!(
            said(&format!("{whole}bert,t4,2,2,64,8,4,1000,5,6\n")).contains("nothing to explain")
        );
    }
}
