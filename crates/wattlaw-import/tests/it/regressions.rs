//! Logs that were once read wrongly, or refused though they hold a measurement.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;

use approx::assert_relative_eq;
use wattlaw_import::{DataIssue, Format, Options};

use crate::logs::{fails, figures, kinds, read, read_with, told};

fn mllog(ms: u64, key: &str, value: &str) -> String {
    format!(":::MLLOG {{\"time_ms\": {ms}, \"key\": \"{key}\", \"value\": {value}}}\n")
}

const T: u64 = 1_700_000_000_000;

/// Of node and result, 100 W for ten seconds, and a stop at `stop`.
fn node(stop: u64) -> String {
    let mut text = mllog(T, "power_measurement_start", "null");
    for s in 1..=10 {
        text += &mllog(T + 1000 * s, "power_reading", "{\"value\": 100.0}");
    }
    text + &mllog(stop, "power_measurement_stop", "null")
}

/// 140 of 150 folders of MLPerf Training 4.0.
#[test]
fn an_mlperf_stop_with_the_time_of_the_start_is_no_end() {
    let log = read(Format::Mlperf, "node_0.txt", &node(T)).unwrap();
    assert_eq!(figures(&log), [(1000.0, 10.0, None)]);
    assert!(
        log.findings
            .iter()
            .any(|f| f.text.contains("power_measurement_stop is not after the start"))
    );
    // a stop of the run before, in a file that was appended to, neither
    let log = read(
        Format::Mlperf,
        "node_0.txt",
        &(mllog(T - 5, "power_measurement_stop", "null") + &node(T + 5000)),
    )
    .unwrap();
    assert_eq!(figures(&log), [(500.0, 5.0, None)]);
}

/// Dell's results of MLPerf Training 4.1 have readings of switches, which `_compute_power_sw` does not count.
#[test]
fn readings_of_mlperf_switches_are_not_counted() {
    let node = node(T + 10_000);
    let readings = node.replace("100.0", "30.0");
    let estimate = mllog(T, "interconnect_power_est", "{\"value\": 7.0}")
        + &mllog(T, "conversion_eff", "{\"value\": 0.5}");
    let both = readings.clone() + &estimate;
    let files = |switch: &str| {
        let files = [
            ("power/result_0/node_0.txt", node.as_bytes()),
            ("power/result_0/sw_0.txt", switch.as_bytes()),
        ];
        read_with(Format::Mlperf, Options::default(), &files).unwrap()
    };
    let log = files(&readings);
    assert_eq!(figures(&log), [(1000.0, 10.0, None)]);
    assert!(told(&log, DataIssue::Coverage).contains("the rules count no readings of a switch"));
    // the estimate counts, by the efficiency stated before it
    assert_eq!(figures(&files(&both)), [(1070.0, 10.0, None)]);
}

const HEAD: &str = "task_name,timestamp,project_name,run_id,duration,cpu_power,gpu_power,ram_power,energy_consumed,codecarbon_version\n";

/// As CodeCarbon 3.3.2 writes them (three times `start_task`, two seconds, `stop_task`): the row of the run has the energy of all tasks and the time of the last.
#[test]
fn codecarbons_tasks_are_parts_of_their_run() {
    let row = |task: &str, second: u32, kwh: f64| {
        format!("{task},2026-11-30T05:36:{second:02},p,r,2.0,5,0,20,{kwh},3.3.2\n")
    };
    let kwh = 50.0 / 3.6e6;
    let tasks =
        HEAD.to_owned() + &row("load", 6, kwh) + &row("train", 8, kwh) + &row("eval", 10, kwh);
    let whole =
        (HEAD.to_owned() + &row("", 10, 3.0 * kwh)).replace("task_name,", "").replace("\n,", "\n");
    for files in [
        [("emissions.csv", whole.as_bytes()), ("emissions_e_r.csv", tasks.as_bytes())],
        [("emissions_e_r.csv", tasks.as_bytes()), ("emissions.csv", whole.as_bytes())],
    ] {
        let log = read_with(Format::Codecarbon, Options::default(), &files).unwrap();
        let run = log.measured.iter().find(|m| m.run_id == "r").unwrap();
        assert_relative_eq!(run.energy.unwrap().value(), 150.0, max_relative = 1e-12);
        assert_eq!(run.duration.unwrap().value(), 6.0);
        assert!(log.measured.iter().filter(|m| m.inside.as_deref() == Some("r")).count() == 3);
        let all = wattlaw_import::join(&log.measured).unwrap();
        assert_relative_eq!(all.energy.unwrap().value(), 150.0, max_relative = 1e-12);
    }
    // alone, the row's powers show that its time is too short
    let alone = read(Format::Codecarbon, "emissions.csv", &whole).unwrap();
    assert!(told(&alone, DataIssue::Mismatch).contains("also give the file of the tasks"));
}

/// The totals of a run grow while `start_task` sets the clock to zero: the rows were added up, to twice the energy.
#[test]
fn codecarbons_clock_that_a_task_set_to_zero_is_no_restart() {
    let head = HEAD.replace("task_name,", "");
    let row = |second: u32, seconds: f64, joules: f64| {
        format!("2026-11-30T05:36:{second:02},p,r,{seconds},5,0,20,{},3.3.2\n", joules / 3.6e6)
    };
    let log = read(
        Format::Codecarbon,
        "emissions.csv",
        &(head + &row(6, 3.0, 75.0) + &row(9, 2.0, 150.0)),
    )
    .unwrap();
    let (joules, seconds, _) = figures(&log)[0];
    assert_relative_eq!(joules, 150.0, max_relative = 1e-12);
    assert_eq!(seconds, 6.0);
    assert_eq!(kinds(&log), [DataIssue::CumulativeRows, DataIssue::Mismatch]);
}

#[test]
fn an_empty_cell_costs_a_row() {
    let text = "duration,energy_consumed,run_id\n60,0.1,a\n,0.2,a\n90,ERR!,a\n120,0.3,a\n";
    let log = read(Format::Codecarbon, "e.csv", text).unwrap();
    assert_relative_eq!(figures(&log)[0].0, 0.3 * 3.6e6, max_relative = 1e-12);
    let said = told(&log, DataIssue::MissingValue);
    assert_eq!(said, "e.csv:3: column `duration` has no value; the row was skipped (2 times)");
    let text = "window_name,elapsed_time,gpu0_energy\na,10,1000\nb,10,\n";
    assert_eq!(figures(&read(Format::Zeus, "z.csv", text).unwrap()), [(1000.0, 10.0, Some(1))]);
    let text = "timestamp, index, power.draw [W]\n2024/03/01 12:00:00.0, 0, 100 W\n2024/03/01 12:00:01.0, 0, ERR!\n\
                [N/A], 0, 100 W\n2024/03/01 12:00:02.0, 0, 100 W\n";
    let log = read(Format::NvidiaSmi, "gpu.csv", text).unwrap();
    assert_eq!(figures(&log), [(200.0, 2.0, Some(1))]);
}

#[test]
fn carbontrackers_log_of_errors_is_skipped() {
    let log = "2026-03-01 11:00:00 - carbontracker version 1.2.5\n\
               2026-03-01 11:00:00 - The following components were found: GPU with device(s) NVIDIA A40.\n\
               2026-03-01 11:02:00 - Epoch 1:\n2026-03-01 11:02:00 - Duration: 0:01:00.00\n\
               2026-03-01 11:02:00 - Average power usage (W) for gpu: [100.0]\n";
    let errors = "2026-03-01 11:00:00 - MainThread - CRITICAL - No CPU power could be read\n";
    let name = "7.ab_2026-03-01T110000Z_carbontracker_err.log";
    let files =
        [("7.ab_2026-03-01T110000Z_carbontracker.log", log.as_bytes()), (name, errors.as_bytes())];
    let read = read_with(Format::Carbontracker, Options::default(), &files).unwrap();
    assert_eq!(figures(&read), [(6000.0, 60.0, Some(1))]);
    assert!(told(&read, DataIssue::Skipped).contains("log of errors"));
    assert!(
        fails(Format::Carbontracker, name, errors).ends_with("give the run's …_carbontracker.log")
    );
}

/// Eight GPUs of 650 W, a line each 125 ms: no burst tells them apart from one GPU.
#[test]
fn nvidia_smi_without_a_column_of_gpus_is_never_one_gpu() {
    let mut text = "timestamp, power.draw [W]\n".to_owned();
    for i in 0..80 {
        let (s, ms) = (i / 8, i % 8 * 125);
        writeln!(text, "2024/03/01 12:00:{s:02}.{ms:03}, 650.00 W").unwrap();
    }
    let error = fails(Format::NvidiaSmi, "gpu.csv", &text);
    assert_eq!(
        error,
        "gpu.csv: column `index` or `uuid` is missing; nothing says which GPU a line is of; state how many take turns, such as \
         --gpus-in-turn 8, or 1"
    );
    let turns = |gpus| {
        let options = Options { gpus_in_turn: Some(gpus), ..Options::default() };
        read_with(Format::NvidiaSmi, options, &[("gpu.csv", text.as_bytes())]).unwrap()
    };
    let log = turns(8);
    assert_eq!(figures(&log), [(5200.0 * 9.0, 9.0, Some(8))]);
    assert_eq!(kinds(&log), [DataIssue::LocalTime]);
    assert!(told(&turns(7), DataIssue::Assumed).contains("the last turn of 7 GPUs is incomplete"));
    // a serial number that the board has not tells no GPUs apart
    let serial = text
        .replace("timestamp,", "timestamp, gpu_serial,")
        .replace("0, 650", "0, [N/A], 650")
        .replace("5, 650", "5, [N/A], 650");
    assert!(
        fails(Format::NvidiaSmi, "gpu.csv", &serial)
            .starts_with("gpu.csv:2: the value of column `gpu_serial` is missing")
    );
}

#[test]
fn serial_numbers_and_bus_addresses_tell_gpus_apart() {
    for column in ["serial", "gpu_serial", "pci.bus_id", "gpu_bus_id", "uuid", "gpu_uuid", "index"]
    {
        let text = format!(
            "timestamp, {column}, power.draw [W]\n2024/03/01 12:00:00.0, A, 100 W\n2024/03/01 12:00:00.0, B, 200 W\n\
             2024/03/01 12:00:01.0, A, 100 W\n2024/03/01 12:00:01.0, B, 200 W\n"
        );
        let log = read(Format::NvidiaSmi, "gpu.csv", &text).unwrap();
        assert_eq!(figures(&log), [(300.0, 1.0, Some(2))], "{column}");
    }
}

/// `nvidia-smi dmon -s p`, `-o DT` and `--format csv` (`nvidia-smi dmon -h`).
#[test]
fn dmons_table_is_read() {
    let plain = "# gpu    pwr  gtemp  mtemp\n# Idx      W      C      C\n    0    100     40      -\n    1    200     41      -\n    \
                 0    100     40      -\n    1      -     41      -\n# gpu    pwr  gtemp  mtemp\n# Idx      W      C      C\n    \
                 0    100     40      -\n    1    200     41      -\n";
    assert_eq!(Format::detect(plain.as_bytes()), Some(Format::NvidiaSmi));
    let options = || Options { interval_s: Some(2.0), ..Options::default() };
    let with =
        |text: &str| read_with(Format::NvidiaSmi, options(), &[("dmon.log", text.as_bytes())]);
    let log = with(plain).unwrap();
    assert_eq!(figures(&log), [(400.0 + 800.0, 4.0, Some(2))]);
    assert!(told(&log, DataIssue::MissingValue).starts_with("dmon.log:6: pwr is missing"));
    assert_eq!(figures(&with(&plain.replace("    ", " , ")).unwrap()), figures(&log));
    let cut = plain.to_owned() + "    0";
    assert!(told(&with(&cut).unwrap(), DataIssue::Skipped).contains("the last line is incomplete"));
    assert!(fails(Format::NvidiaSmi, "dmon.log", plain).contains("--interval 1s"));
    let dated = "#Date       Time        gpu    pwr\n#YYYYMMDD   HH:MM:SS    Idx      W\n 20240301   12:00:00      0    100\n \
                 20240301   12:00:03      0    110\n";
    let log = read(Format::NvidiaSmi, "dmon.log", dated).unwrap();
    assert_eq!(figures(&log), [(315.0, 3.0, Some(1))]);
    assert!(
        with("# gpu sm\n# Idx %\n0 1\n")
            .unwrap_err()
            .to_string()
            .contains("column `pwr` is missing")
    );
}
