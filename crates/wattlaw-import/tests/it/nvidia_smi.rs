//! nvidia-smi's CSV in its variants: header, units, devices, clocks that were set, logs that were cut off.
//!
//! Layout: `nvidia-smi --help-query-gpu`, and the real files that tests/it/readers.rs reads.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;

use wattlaw::base::scope::Scope;
use wattlaw_import::{DataIssue, Format, Options};

use crate::logs::{figures, kinds, read_with, told};

/// One GPU, where no column says which.
fn one_gpu() -> Options {
    Options { gpus_in_turn: Some(1), ..Options::default() }
}

fn read(format: Format, name: &str, text: &str) -> wattlaw::Result<wattlaw_import::Log> {
    read_with(format, one_gpu(), &[(name, text.as_bytes())])
}

#[track_caller]
fn fails(format: Format, name: &str, text: &str) -> String {
    let error = read(format, name, text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

const HEADER: &str = "timestamp, index, name, power.draw [W], power.limit [W]\n";

/// Two GPUs for five seconds: 100 W and 200 W.
fn rows(unit: &str) -> String {
    let mut text = String::new();
    for s in 0..=5 {
        for (gpu, watts) in [(0, 100.0), (1, 200.0)] {
            writeln!(text, "2024/03/01 12:00:0{s}.{gpu}00, {gpu}, NVIDIA A100-SXM4-40GB, {watts:.2}{unit}, 400.00{unit}").unwrap();
        }
    }
    text
}

#[test]
fn units_and_header_are_optional() {
    let expected = [(1500.0, 5.0, Some(2))];
    for text in [
        format!("{HEADER}{}", rows(" W")),
        format!("{HEADER}{}", rows("")),
        format!("\u{feff}{}", format!("{HEADER}{}", rows(" W")).replace('\n', "\r\n")),
        format!("{HEADER}{}", rows(" W")).replace(", ", ","),
        format!("{HEADER}{}", rows("")).replace(", ", ";"),
        format!("{HEADER}{}", rows("")).replace(" [W]", ""),
        format!("{HEADER}{}", rows(" W")).trim_end().to_owned(),
    ] {
        assert_eq!(Format::detect(text.as_bytes()), Some(Format::NvidiaSmi));
        let log = read(Format::NvidiaSmi, "gpu.csv", &text).unwrap();
        assert_eq!(figures(&log), expected, "{text}");
        let run = &log.measured[0];
        assert_eq!(
            (run.gpu.as_deref(), run.power_limit.unwrap().value()),
            (Some("NVIDIA A100-SXM4-40GB"), 400.0)
        );
        assert_eq!((run.scope, run.meter.as_str()), (Scope::Gpu, "nvidia-smi power.draw"));
        assert_eq!(run.start.unwrap().to_string(), "2024-03-01T12:00:00.000");
    }
    // without a header one cell in watts tells the power, and nothing tells two GPUs apart but an index
    let bare = "2024/03/01 12:00:00.000, 100.00 W, 30 %\n2024/03/01 12:00:10.000, 110.00 W, 30 %\n";
    assert_eq!(Format::detect(bare.as_bytes()), Some(Format::NvidiaSmi));
    assert_eq!(
        figures(&read(Format::NvidiaSmi, "gpu.csv", bare).unwrap()),
        [(1050.0, 10.0, Some(1))]
    );
    let named = Options {
        columns: ["timestamp", "index", "name", "power.draw", "power.limit"]
            .map(str::to_owned)
            .into(),
        ..Options::default()
    };
    let body = rows("");
    assert_eq!(
        figures(&read_with(Format::NvidiaSmi, named, &[("gpu.csv", body.as_bytes())]).unwrap()),
        expected
    );
    assert!(
        fails(Format::NvidiaSmi, "gpu.csv", &body)
            .contains("a header is missing; give the column names, such as --columns")
    );
}

#[test]
fn columns_may_stand_in_any_order_and_devices_may_be_chosen() {
    let text = "power.draw [W], uuid, utilization.gpu [%], timestamp\n\
                100.00 W, GPU-a, 1 %, 2024/03/01 12:00:00.000\n50.00 W, GPU-b, 1 %, 2024/03/01 12:00:00.000\n\
                100.00 W, GPU-a, 1 %, 2024/03/01 12:00:02.500\n50.00 W, GPU-b, 1 %, 2024/03/01 12:00:02.500\n";
    let only = |device: &str| {
        let options = Options { devices: vec![device.to_owned()], ..Options::default() };
        read_with(Format::NvidiaSmi, options, &[("gpu.csv", text.as_bytes())])
    };
    assert_eq!(
        figures(&read(Format::NvidiaSmi, "gpu.csv", text).unwrap()),
        [(375.0, 2.5, Some(2))]
    );
    assert_eq!(figures(&only("GPU-b").unwrap()), [(125.0, 2.5, Some(1))]);
    let error = only("GPU-c").unwrap_err().to_string();
    assert_eq!(error, "gpu.csv: unknown device `GPU-c`; accepted: `GPU-a`, `GPU-b`");
}

#[test]
fn daylight_saving_time_is_corrected_and_gaps_are_excluded() {
    let head = "timestamp, power.draw [W]\n";
    let mut text = head.to_owned();
    for (clock, seconds) in [("02:59", 0..60_u32), ("02:00", 0..60)] {
        for s in seconds {
            writeln!(text, "2024/10/27 {clock}:{s:02}.000, 100.00 W").unwrap();
        }
    }
    let log = read(Format::NvidiaSmi, "gpu.csv", &text).unwrap();
    assert_eq!(figures(&log), [(11_900.0, 119.0, Some(1))]);
    assert!(
        log.findings
            .iter()
            .any(|f| f.line == Some(62) && f.text.contains("daylight saving time ended")),
        "{:?}",
        log.findings
    );

    let gap = format!(
        "{head}2024/03/31 01:59:58.000, 100 W\n2024/03/31 01:59:59.000, 100 W\n2024/03/31 03:00:00.000, 100 W\n\
         2024/03/31 03:00:01.000, 100 W\n"
    );
    let log = read(Format::NvidiaSmi, "gpu.csv", &gap).unwrap();
    assert_eq!(figures(&log), [(200.0, 2.0, Some(1))]);
    assert_eq!(
        told(&log, DataIssue::Gap),
        "gpu.csv:4: no sample for 3601 s before this line (daylight saving time may have started); this gap is excluded"
    );

    // a sample each ten minutes goes back by fifty
    let slow = format!(
        "{head}2024/10/27 02:30:00.000, 100 W\n2024/10/27 02:40:00.000, 100 W\n2024/10/27 02:50:00.000, 100 W\n\
         2024/10/27 02:00:00.000, 100 W\n"
    );
    assert_eq!(
        figures(&read(Format::NvidiaSmi, "gpu.csv", &slow).unwrap()),
        [(180_000.0, 1800.0, Some(1))]
    );

    let back = format!("{head}2024/03/31 01:59:58.000, 100 W\n2024/03/31 01:59:46.000, 100 W\n");
    assert_eq!(
        fails(Format::NvidiaSmi, "gpu.csv", &back),
        "gpu.csv:3: the time goes back by 12 s; give concatenated logs as separate files"
    );
}

#[test]
fn missing_values_are_skipped_and_reported() {
    let text = format!(
        "{HEADER}2024/03/01 12:00:00.000, 0, A, 100.00 W, [N/A]\n2024/03/01 12:00:01.000, 0, A, [N/A], [N/A]\n\
                        2024/03/01 12:00:02.000, 0, A, 100.00 W, [N/A]\n2024/03/01 12:00:03.000, 0, A, [Not Supported], [N/A]\n"
    );
    let log = read(Format::NvidiaSmi, "gpu.csv", &text).unwrap();
    assert_eq!(figures(&log), [(200.0, 2.0, Some(1))]);
    assert!(told(&log, DataIssue::MissingValue).ends_with("the sample was skipped (2 times)"));
    let cut = format!("{HEADER}{}2024/03/01 12:00:06.000, 0, NVI", rows(" W"));
    let log = read(Format::NvidiaSmi, "gpu.csv", &cut).unwrap();
    assert_eq!(
        told(&log, DataIssue::Skipped),
        "gpu.csv:14: the last line is incomplete and was skipped"
    );
    let module = "timestamp, power.draw [W], module.power.draw.average [W]\n2024/03/01 12:00:00.0, 1 W, 2 W\n2024/03/01 12:00:01.0, 1 W, 2 W\n";
    assert_eq!(
        kinds(&read(Format::NvidiaSmi, "g.csv", module).unwrap()),
        [DataIssue::LocalTime, DataIssue::Coverage]
    );
    let restarted =
        format!("{HEADER}{}{HEADER}{}", rows(" W"), rows(" W").replace("12:00", "14:00"));
    let log = read(Format::NvidiaSmi, "gpu.csv", &restarted).unwrap();
    assert_eq!(figures(&log), [(3000.0, 10.0, Some(2))]);
    assert!(told(&log, DataIssue::Restart).starts_with("gpu.csv:14: repeated header"));
}

#[test]
fn invalid_logs_are_refused_in_one_sentence() {
    let row = "2024/03/01 12:00:00.000, 0, A, 100.00 W, 400.00 W\n";
    let with = |line: &str| format!("{HEADER}{row}{line}\n{row}");
    for (text, said) in [
        (String::new(), "gpu.csv: the file is empty"),
        (HEADER.to_owned(), "gpu.csv: the log has no two samples of one GPU"),
        (
            "timestamp, index\n".to_owned(),
            "gpu.csv:1: column `power.draw` is missing; log it with --query-gpu=",
        ),
        (
            "index, power.draw [W]\n".to_owned(),
            "gpu.csv:1: column `timestamp` is missing; energy needs times",
        ),
        (
            "timestamp, power.draw [W], power.draw [W]\n".to_owned(),
            "gpu.csv:1: column is `power.draw` twice",
        ),
        (
            with("2024/03/01 12:00:01.000, 0, A, 123,45 W, 400.00 W"),
            "gpu.csv:3: not valid CSV: the row has 6 cells and the header 5; a decimal comma may be the cause",
        ),
        (
            with("2024/03/01 12:00:01.000, 0, A"),
            "gpu.csv:3: not valid CSV: the row has 3 cells and the header 5; the log may be incomplete here",
        ),
        (with("timestamp, power.draw [W]"), "another header starts here"),
        (
            with("2024/03/01 12:00:01.000, 0, A, -5.00 W, 400.00 W"),
            "gpu.csv:3: column `power.draw` is `-5.00 W`, but it must be a number of watts from 0 to 100000",
        ),
        (
            with("2024/03/01 12:00:01.000, 0, A, 1e300 W, 400.00 W"),
            "gpu.csv:3: column `power.draw` is `1e300 W`",
        ),
        (
            with("01.03.2024 12:00, 0, A, 1 W, 400.00 W"),
            "gpu.csv:3: column `timestamp` is `01.03.2024 12:00`, but it must be a time such as",
        ),
    ] {
        let error = fails(Format::NvidiaSmi, "gpu.csv", &text);
        assert!(error.starts_with(said) || error.contains(said), "{error}\nnot: {said}");
    }
    let blind: String = "timestamp, power.draw [W]\n".to_owned()
        + &"2024/03/01 12:00:00.000, 100 W\n".repeat(6)
        + &"2024/03/01 12:00:01.000, 100 W\n".repeat(6);
    assert!(
        fails(Format::NvidiaSmi, "gpu.csv", &blind)
            .contains("--gpus-in-turn is 1, but the lines of one GPU come in bursts")
    );
    // eight GPUs a millisecond apart, each 100 ms
    let mut burst = "timestamp, power.draw [W]\n".to_owned();
    for i in 0..80 {
        writeln!(burst, "2024/03/01 12:00:00.{:03}, 100 W", i / 8 * 100 + i % 8).unwrap();
    }
    assert!(
        fails(Format::NvidiaSmi, "gpu.csv", &burst)
            .contains("--gpus-in-turn is 1, but the lines of one GPU come in bursts")
    );
    let unknown =
        "timestamp, power.draw [W]\n2024/03/01 12:00:00.0, [N/A]\n2024/03/01 12:00:01.0, [N/A]\n";
    assert!(
        fails(Format::NvidiaSmi, "gpu.csv", unknown)
            .contains("the log has no valid power.draw: the driver does not provide it")
    );
    let binary = [HEADER.as_bytes(), b"\xff\xfe\x00, 0\n", row.as_bytes()].concat();
    let error = read_with(Format::NvidiaSmi, Options::default(), &[("gpu.csv", &binary)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("gpu.csv:2: not valid text"), "{error}");
}
