//! The tutorial, from the design of a sweep to a prediction that is compared with a run, with PyTorch on this machine.
//!
//! `WATTLAW_TORCH` names the folder of programs of a Python environment that has the trainer (`./test --torch` makes one); without it
//! nothing is run, and a line says so. It takes several minutes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use crate::running::page::{check, execute, stage};
use crate::running::root;
use serde_json::Value;

/// Far above what a law of the jobs is off by, and far below what one of other jobs would be: other programs may run meanwhile.
/// `docs/project/accuracy.md` has the figure itself.
const MOST_OFF: f64 = 0.4;

fn json(command: &str, place: &Path) -> Value {
    let ran = execute(command, place);
    assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn the_whole_circle() {
    if std::env::var_os("WATTLAW_TORCH").is_none() {
        println!("skipped: the tutorial needs PyTorch; `./test --torch` installs it and runs this");
        return;
    }
    let (_folder, place) = stage();
    let checked = check(&root().join("docs/tutorials/laptop-sweep.md"), &place);
    assert!(checked.wrong.is_empty(), "\n{}", checked.wrong.join("\n\n"));
    assert!(checked.executed >= 9, "only {} commands were executed", checked.executed);

    let status = json("wattlaw sweep status runs --format json", &place);
    assert_eq!((&status["done"], &status["usage"]["energy_assumed"]), (&15.into(), &true.into()));

    let catalog = "--catalog examples/tutorial/cpu.toml";
    let held_out = "--target duration --hold-out workload --scheme leave-one-out --format json";
    let judged =
        json(&format!("wattlaw validate runs {catalog} --law roofline {held_out}"), &place);
    let off = judged["median_ape"]["median"].as_f64().unwrap();
    println!("time of jobs held out: median error {:.1} %", off * 100.0);
    assert!(off < MOST_OFF, "{judged}");

    let predict = format!(
        "wattlaw predict examples/tutorial/job.toml {catalog} --calibration mine.json --format json"
    );
    let predicted = json(&predict, &place);
    let predicted = predicted["duration_s"]["estimate"].as_f64().unwrap();
    let table = std::fs::read_to_string(place.join("unseen.csv")).unwrap();
    let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (header, row) = (rows.next().unwrap(), rows.next().unwrap());
    let cell = |name: &str| row[header.iter().position(|h| *h == name).unwrap()];
    let measured: f64 = cell("duration_s").parse().unwrap();
    println!(
        "the job that was not in the sweep: predicted {predicted:.2} s, measured {measured:.2} s"
    );
    assert!(
        (predicted / measured).ln().abs() < 2.0_f64.ln(),
        "{predicted} s, and it took {measured} s"
    );
    // sixty steps of 64 tokens, eight sequences and two processes; warm-up is outside
    assert_eq!(cell("tokens_done").parse::<f64>().unwrap(), 60.0 * 64.0 * 8.0 * 2.0);
    assert_eq!(cell("meter"), "cpu:assumed");
}
