//! Logs of other tools: real files against figures of pandas and numpy (`golden/logs.py`), and each format's layout.
//!
//! Layouts of formats of which no real file is at hand are written as the tools' own writers write them, named at each.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use crate::logs;

use std::collections::BTreeMap;

use approx::assert_relative_eq;
use serde::Deserialize;
use wattlaw::base::scope::Scope;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::{Component, Instrument};
use wattlaw_import::{DataIssue, Format, Options};

use crate::logs::{fails, figures, kinds, read, read_with, told};

#[derive(Deserialize)]
struct Golden {
    runs: BTreeMap<String, Vec<Figures>>,
}

#[derive(Deserialize)]
struct Figures {
    energy_j: f64,
    gpu_energy_j: Option<f64>,
    duration_s: f64,
}

/// A real log, or `None` with a line that says so where it is absent.
fn real(path: &str) -> Option<Vec<u8>> {
    let file = format!("{}/../../../shared/data/logs/{path}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(file).ok();
    if bytes.is_none() {
        println!("skipped: the log {path} is not beside the project");
    }
    bytes
}

/// To 1e-9: sums of some thousand terms in another order.
#[test]
fn real_logs_come_to_what_pandas_and_numpy_say() {
    let path = format!("{}/tests/golden/logs.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(golden.runs.len(), 8);
    for (path, runs) in &golden.runs {
        let Some(bytes) = real(path) else { continue };
        let format = Format::detect(&bytes).unwrap();
        assert_eq!(format.name(), path.split('/').next().unwrap().replace('_', "-"));
        let options = Options { gpus_in_turn: Some(1), ..Options::default() };
        let log = read_with(format, options, &[(path, &bytes)]).unwrap();
        assert_eq!(log.measured.len(), runs.len(), "{path}");
        for (measured, golden) in log.measured.iter().zip(runs) {
            assert_relative_eq!(
                measured.energy.unwrap().value(),
                golden.energy_j,
                max_relative = 1e-9
            );
            assert_relative_eq!(
                measured.duration.unwrap().value(),
                golden.duration_s,
                max_relative = 1e-9
            );
            if let Some(gpu) = golden.gpu_energy_j {
                assert_relative_eq!(
                    measured.gpu_energy().unwrap().value(),
                    gpu,
                    max_relative = 1e-12
                );
            }
        }
    }
}

#[test]
fn tucanos_restart_is_joined_and_its_power_is_questioned() {
    let path = "codecarbon/tucano_160m_2.7.1.csv";
    let Some(bytes) = real(path) else { return };
    let log = read_with(Format::Codecarbon, Options::default(), &[(path, &bytes)]).unwrap();
    assert!(
        told(&log, DataIssue::Restart).contains("2 run_ids of project Tucano: one after another")
    );
    let cumulative = log.findings.iter().find(|f| f.kind == DataIssue::CumulativeRows).unwrap();
    assert!(cumulative.text.contains("the last one is used"), "{}", cumulative.text);
    let share = log.findings.iter().find(|f| f.kind == DataIssue::Modelled).unwrap();
    assert!(share.text.contains("28 % of the energy is memory"), "{}", share.text);

    let whole = wattlaw_import::join(&log.measured).unwrap();
    // one after the other on the same four GPUs, so that time adds up and GPUs do not
    assert_eq!(whole.gpus, Some(4));
    assert_relative_eq!(
        whole.energy.unwrap().kwh(),
        110.469_064_604_563_24 + 7.302_258_461_667_415,
        max_relative = 1e-12
    );
    assert_relative_eq!(
        whole.duration.unwrap().value(),
        160_071.137_159_491_9,
        max_relative = 1e-9
    );

    let doubts = wattlaw_import::check(&log.measured, &Catalog::built_in().unwrap());
    assert_eq!(doubts.len(), 2);
    assert!(
        doubts[0].text.contains("mean power of 453 W per GPU, above the TDP of 400 W"),
        "{}",
        doubts[0].text
    );
    assert_eq!(log.measured[0].start.unwrap().to_string(), "2024-09-11T20:38:17.913");
}

const JOB: &str = "[model]\nname = 'bert-base-uncased'\n[workload]\ntokens = '10M'\nseq_len = 128\nmicro_batch = 32\n\
                   [parallelism]\nstrategy = 'ddp'\n[system]\n";

#[test]
fn a_measurement_and_a_job_are_a_run() {
    let catalog = Catalog::built_in().unwrap();
    let spec = |system: &str| JobSpec::from_toml(&format!("{JOB}{system}")).unwrap();
    let text = "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n1.7e9,train,100.0,20000.0,21000.0\n";
    let measured = &read(Format::Zeus, "w.csv", text).unwrap().measured[0];
    let run = wattlaw_import::run(measured, &spec("gpu = 'a100'\ngpus = 2\n"), &catalog).unwrap();
    assert_eq!((run.run_id.as_str(), run.gpus(), run.scope), ("train", 2, Scope::Gpu));
    assert_eq!((run.energy.unwrap().value(), run.duration.unwrap().value()), (41_000.0, 100.0));
    assert_eq!((run.tokens, run.meter.as_deref()), (Some(1e7), Some("zeus")));

    let refused = |system: &str| {
        wattlaw_import::run(measured, &spec(system), &catalog).unwrap_err().to_string()
    };
    assert_eq!(
        refused("gpu = 'a100'\ngpus = 4\n"),
        "w.csv:2: gpus is 4, but the log covers 2; give the logs of all nodes and use --join"
    );
    assert!(refused("gpus = 2\n").contains("w.csv:2: gpu is missing"));
    let three = "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy,gpu2_energy\n1.7e9,train,1.0,9.0,9.0,9.0\n";
    let three = &read(Format::Zeus, "w.csv", three).unwrap().measured[0];
    let error = wattlaw_import::run(three, &spec("gpu = 'a100'\ngpus = 2\n"), &catalog)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("the log covers 3; select those of the job with --devices"), "{error}");
    // what the job leaves open is the log's
    let open = wattlaw_import::run(measured, &spec("gpu = 'a100'\n"), &catalog).unwrap();
    assert_eq!((open.gpus(), open.strategy_kind().name()), (2, "ddp"));
    let idle =
        "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n1.7e9,train,100.0,0.0,0.0\n";
    let idle = &read(Format::Zeus, "w.csv", idle).unwrap().measured[0];
    let error = wattlaw_import::run(idle, &spec("gpu = 'a100'\ngpus = 2\n"), &catalog)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the energy of the GPUs is zero"), "{error}");
}

/// `EmissionsData` of each release (codecarbon/output_methods/emissions_data.py), cut to what tells schemas apart.
#[test]
fn codecarbon_schemas_differ_in_columns_and_mean_the_same() {
    let schemas = [
        "timestamp,experiment_id,project_name,duration,emissions,energy_consumed,country_name\n\
         2020-07-23T09:26:40,a,p,40,0.1,0.5,USA\n",
        "timestamp,project_name,run_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,cpu_energy,\
         gpu_energy,ram_energy,energy_consumed,os,gpu_count,gpu_model\n\
         2021-07-23T09:26:40,p,a,40,0.1,0.01,1,9,1,0.1,0.35,0.05,0.5,Linux,2,2 x Tesla T4\n",
        "\u{feff}gpu_model,energy_consumed,\"duration\",run_id,pue,water_consumed,something_new\r\n\
         \"1 x Tesla T4\",1.0,40,a,2.0,0,x\r\n",
        "run_id;energy_consumed;duration\na;0.5;40\n",
    ];
    for text in schemas {
        assert_eq!(Format::detect(text.as_bytes()), Some(Format::Codecarbon), "{text}");
        let log = read(Format::Codecarbon, "emissions.csv", text).unwrap();
        let run = &log.measured[0];
        assert_eq!(
            (run.energy.unwrap().value(), run.duration.unwrap().value()),
            (1.8e6, 40.0),
            "{text}"
        );
        assert_eq!((run.run_id.as_str(), run.scope), ("a", Scope::Codecarbon));
    }
    let pue = read(Format::Codecarbon, "emissions.csv", schemas[2]).unwrap();
    assert_eq!(
        told(&pue, DataIssue::PueIncluded),
        "emissions.csv:2: the energy includes a PUE of 2; it was divided by the PUE"
    );
    assert_eq!(
        (pue.measured[0].pue, pue.measured[0].gpu.as_deref()),
        (Some(2.0), Some("Tesla T4"))
    );
    let parts = read(Format::Codecarbon, "emissions.csv", schemas[1]).unwrap();
    assert_eq!(
        (parts.measured[0].gpus, parts.measured[0].start.unwrap().to_string().as_str()),
        (Some(2), "2021-07-23T09:26:00.000")
    );
    let alone = parts.measured[0].clone().with_gpu_energy().unwrap();
    assert_relative_eq!(alone.energy.unwrap().value(), 0.35 * 3.6e6);
}

#[test]
fn codecarbons_data_issues_are_reported() {
    let head = "timestamp,project_name,run_id,duration,energy_consumed,cpu_energy,gpu_energy,ram_energy,gpu_count,gpu_model,tracking_mode\n";
    let read = |rows: &str| read(Format::Codecarbon, "e.csv", &format!("{head}{rows}")).unwrap();
    // a counter that is not there
    let zero = read("2024-01-01T00:01:00,p,a,60,0.2,0.1,0,0.1,1,1 x Tesla P100,process\n");
    assert_eq!(kinds(&zero), [DataIssue::ZeroCounter, DataIssue::Modelled, DataIssue::Coverage]);
    // totals that fall back within one run: both parts count
    let anew = read(
        "2024-01-01T00:01:00,p,a,60,0.2,0.1,0.1,0,1,x,machine\n2024-01-01T00:02:00,p,a,120,0.4,0.2,0.2,0,1,x,machine\n\
         2024-01-01T00:05:00,p,a,30,0.1,0.05,0.05,0,1,x,machine\n",
    );
    assert_eq!(figures(&anew).len(), 1);
    assert_relative_eq!(figures(&anew)[0].0, 0.5 * 3.6e6, max_relative = 1e-12);
    assert_relative_eq!(figures(&anew)[0].1, 150.0);
    assert!(
        told(&anew, DataIssue::Restart).starts_with("e.csv:4: the totals of run a decrease here")
    );
    // a tracker on each of two ranks of one node
    let ranks = read(
        "2024-01-01T00:01:00,p,a,60,0.2,0.1,0.10,0,8,8 x NVIDIA A100-SXM4-80GB,machine\n\
         2024-01-01T00:01:01,p,b,60,0.2,0.1,0.101,0,8,8 x NVIDIA A100-SXM4-80GB,machine\n",
    );
    assert!(told(&ranks, DataIssue::DoubleCounted).contains("every rank has a tracker"));
    // two nodes of one training run: not the same energy
    let nodes = read(
        "2024-01-01T01:01:00,p,a,3660,0.2,0.1,0.10,0,8,8 x NVIDIA A100-SXM4-80GB,machine\n\
         2024-01-01T01:01:01,p,b,3660,0.3,0.1,0.2,0,8,8 x NVIDIA A100-SXM4-80GB,machine\n",
    );
    assert!(told(&nodes, DataIssue::PerNode).contains("each CodeCarbon run covers one node"));
    assert_eq!(wattlaw_import::join(&nodes.measured).unwrap().gpus, Some(16));
    // a file that was set aside holds the beginning of a run
    let (old, new) = (
        "run_id,duration,energy_consumed\na,60,0.1\n",
        "run_id,duration,energy_consumed\na,90,0.2\n",
    );
    for files in [
        [("old.csv", old.as_bytes()), ("new.csv", new.as_bytes())],
        [("new.csv", new.as_bytes()), ("old.csv", old.as_bytes())],
    ] {
        let log = read_with(Format::Codecarbon, Options::default(), &files).unwrap();
        assert_eq!(figures(&log), [(0.2 * 3.6e6, 90.0, None)]);
        assert!(told(&log, DataIssue::DoubleCounted).contains("is also in another file"));
    }
    // two rows in one line
    let appended = logs::read(
        Format::Codecarbon,
        "e.csv",
        "duration,energy_consumed,,\n60,0.2,2024-01-01,p\n",
    )
    .unwrap();
    assert!(
        told(&appended, DataIssue::Skipped)
            .starts_with("e.csv:2: cells after the last column were skipped")
    );
}

/// The log of `ZeusMonitor` (zeus/monitor/energy.py), GPUs 0 and 2 of a machine.
#[test]
fn zeus_windows_of_one_name_are_added_and_nested_ones_are_reported() {
    let text = "start_time,window_name,elapsed_time,gpu0_energy,gpu2_energy\n\
                1700000000.5,step,3.0,300.0,310.0\n1700000004.0,step,3.0,290.0,300.0\n1700000000.0,epoch,10.0,1000.0,1010.0\n";
    let log = read(Format::Zeus, "z.csv", text).unwrap();
    assert_eq!(figures(&log), [(1200.0, 6.0, Some(2)), (2010.0, 10.0, Some(2))]);
    assert!(log.findings.iter().any(|f| f.kind == DataIssue::DoubleCounted
        && f.text.contains("windows step are inside windows epoch")));
    assert_eq!(log.measured[1].start.unwrap().to_string(), "2023-11-14T22:13:20.000Z");
    assert_eq!(
        (log.measured[0].inside.as_deref(), &log.measured[1].inside),
        (Some("epoch"), &None)
    );
    assert_eq!(wattlaw_import::join(&log.measured).unwrap().energy.unwrap().value(), 2010.0);
    let options = Options { devices: vec!["2".into()], ..Options::default() };
    let one = read_with(Format::Zeus, options, &[("z.csv", text.as_bytes())]).unwrap();
    assert_eq!(figures(&one)[0], (610.0, 6.0, Some(1)));
    let short = read(
        Format::Zeus,
        "z.csv",
        "window_name,elapsed_time,gpu0_energy\na,0.05,0.0\nb,0.5,100\n",
    )
    .unwrap();
    assert_eq!(kinds(&short), [DataIssue::ZeroCounter, DataIssue::ShortWindow]);
}

/// zeus/optimizer/power_limit.py writes the profile; the trace is that of the NSDI'23 artefact (trace/power_trace.csv).
#[test]
fn zeus_profiles_and_traces_are_read() {
    let profile = r#"{"measurements":[{"power_limit":300,"energy":2924.46,"time":10.55},{"power_limit":100,"energy":4516.5,"time":45.1}]}"#;
    assert_eq!(Format::detect(profile.as_bytes()), Some(Format::Zeus));
    let log = read(Format::Zeus, "p.json", profile).unwrap();
    assert_eq!(figures(&log), [(2924.46, 10.55, None), (4516.5, 45.1, None)]);
    assert_eq!(log.measured[1].power_limit.unwrap().value(), 100.0);
    let trace = "dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power\nsst2,bert,16,adamw,250,100.5,200\n";
    let log = read(Format::Zeus, "t.csv", trace).unwrap();
    assert_eq!(figures(&log), [(20_100.0, 100.5, Some(1))]);
    assert_eq!(log.measured[0].run_id, "sst2/bert/16/adamw/250");
    let epochs = "dataset,network,batch_size,optimizer,learning_rate,run,target_metric,target_epoch\na,b,1,c,0.1,1,0.8,3\n";
    assert!(fails(Format::Zeus, "t.csv", epochs).contains("give the table with time_per_epoch"));
}

/// Megatron-LM's `training_log` and the end of `train` (megatron/training/training.py).
#[test]
fn megatrons_lines_are_means_over_iterations_of_one_gpu() {
    let line = |n: u64, joules: f64| {
        format!(
            " [2026-02-06 20:55:{:02}.918469] iteration {n:8}/   50000 | consumed samples: {:12} | elapsed time per iteration \
             (ms): 2000.0 | throughput per GPU (TFLOP/s/GPU): 478.0 | energy per GPU (J/iter/GPU): {joules:.1} | power per \
             GPU (W/GPU): 647.8 | learning rate: 9.568256E-08 | global batch size:    32 | lm loss: 2.401035E+00 |\n",
            n % 60,
            n * 32,
        )
    };
    let body = format!("{}{}{}", line(10, 1000.0), line(20, 1100.0), line(30, 900.0));
    let whole = format!(
        "using world size: 8, data-parallel size: 8, tensor: 1\n{body}Total training energy (GPU): 0.25 MJ\n"
    );
    assert_eq!(Format::detect(whole.as_bytes()), Some(Format::Megatron));
    let log = read(Format::Megatron, "slurm-1.out", &whole).unwrap();
    // 10 iterations a line, 8 GPUs
    assert_eq!(figures(&log), [(240_000.0, 60.0, Some(8))]);
    let run = &log.measured[0];
    assert_eq!((run.steps, run.samples, run.scope), (Some(30.0), Some(960.0), Scope::Gpu));
    assert!(
        told(&log, DataIssue::Mismatch).contains("0.2400 MJ; the total at the end is 0.2500 MJ")
    );
    let each = read(Format::Megatron, "slurm-1.out", &body).unwrap();
    assert_eq!(figures(&each), [(30_000.0, 60.0, None)]);
    assert!(
        each.measured[0].per_gpu
            && told(&each, DataIssue::AveragedOverGpus).contains("that of one GPU")
    );
    // the job says how many there were, and how long a sequence is
    let spec = JobSpec::from_toml(&format!("{JOB}gpu = 'h100'\ngpus = 8\n")).unwrap();
    let job = wattlaw_import::run(&each.measured[0], &spec, &Catalog::built_in().unwrap()).unwrap();
    assert_eq!((job.energy.unwrap().value(), job.tokens), (240_000.0, Some(960.0 * 128.0)));
    // from a checkpoint, ten iterations back
    let again = format!("{whole}{}{}", line(30, 900.0), line(25, 800.0));
    let log = read(Format::Megatron, "slurm-1.out", &again).unwrap();
    assert!(told(&log, DataIssue::DoubleCounted).contains("repeated iteration"));
    assert!(
        told(&log, DataIssue::Restart)
            .starts_with("slurm-1.out:7: training resumed from an earlier checkpoint")
    );
    assert_eq!(figures(&log)[0].0, 240_000.0 + 10.0 * 800.0 * 8.0);
    let without = whole
        .replace("energy per GPU (J/iter/GPU)", "energy")
        .replace("Total training energy (GPU): 0.25 MJ", "");
    // without --log-energy the time of the iterations is left
    let timed = &read(Format::Megatron, "x.out", &without).unwrap().measured[0];
    assert_eq!((timed.energy, timed.meter.as_str()), (None, "megatron"));
    assert_eq!(
        (timed.duration.unwrap().value(), timed.steps, timed.samples),
        (60.0, Some(30.0), Some(960.0))
    );
}

/// What `_compute_power_node` and `_compute_power_sw` of mlcommons/logging (result_summarizer) give by hand.
#[test]
fn mlperfs_energy_is_the_official_one() {
    let event = |ms: u64, key: &str, value: &str| {
        format!(
            ":::MLLOG {{\"namespace\": \"\", \"time_ms\": {ms}, \"event_type\": \"POINT_IN_TIME\", \"key\": \"{key}\", \"value\": {value}, \"metadata\": {{}}}}\n"
        )
    };
    let t = 1_700_000_000_000_u64;
    let node = |watts: [f64; 3], eff: f64| {
        let readings: String = watts
            .iter()
            .zip([1000, 3000, 4000])
            .map(|(w, ms)| event(t + ms, "power_reading", &format!("{{\"value\": {w}}}")))
            .collect();
        format!(
            "{}{}{readings}{}{}",
            event(t, "power_measurement_start", "null"),
            event(t, "conversion_eff", &format!("{{\"value\": {eff}}}")),
            event(t + 5000, "power_measurement_stop", "null"),
            event(t + 6000, "power_reading", "{\"value\": 99999}"),
        )
    };
    let stop = event(t + 4500, "run_stop", "{}")
        .replace("metadata\": {}", "metadata\": {\"samples_count\": 3072}");
    let result = event(t + 500, "run_start", "null") + &stop;
    let (a, b) = (node([6000.0, 7000.0, 8000.0], 0.95), node([5000.0, 5000.0, 5000.0], 0.95));
    let sw = event(t, "interconnect_power_est", "{\"value\": 200}");
    let files: [(&str, &[u8]); 4] = [
        ("r/power/result_0/node_0.txt", a.as_bytes()),
        ("r/power/result_0/node_1.txt", b.as_bytes()),
        ("r/power/result_0/sw_0.txt", sw.as_bytes()),
        ("r/result_0.txt", result.as_bytes()),
    ];
    for (_, bytes) in &files {
        assert_eq!(Format::detect(bytes), Some(Format::Mlperf));
    }
    let log = read_with(Format::Mlperf, Options::default(), &files).unwrap();
    // each reading stands for the time since the one before; scaled from 5 s of measurement to 4 s of run
    let first = 0.95 * (6000.0 + 7000.0 * 2.0 + 8000.0) * 4.0 / 5.0;
    let second = 0.95 * (5000.0 * 4.0) * 4.0 / 5.0;
    let [(joules, seconds, _)] = figures(&log)[..] else { unreachable!("one run") };
    assert_relative_eq!(joules, first + second + 200.0 * 4.0, max_relative = 1e-12);
    assert_eq!(
        (seconds, log.measured[0].scope, log.measured[0].run_id.as_str()),
        (4.0, Scope::NodeDc, "result_0")
    );
    assert_eq!(kinds(&log), [DataIssue::Modelled, DataIssue::Coverage]);
    assert_eq!(log.measured[0].samples, Some(3072.0));
    let alone = read_with(Format::Mlperf, Options::default(), &files[..1]).unwrap();
    assert_relative_eq!(figures(&alone)[0].0, first * 5.0 / 4.0, max_relative = 1e-12);
    let unstarted = a.replace("power_measurement_start", "something_else");
    let error = fails(Format::Mlperf, "node_0.txt", &unstarted);
    assert_eq!(
        error,
        "node_0.txt: power_measurement_start is missing; the energy is summed from there"
    );
}

/// Text of NVIDIA/dcgm-exporter with the names of its default-counters.csv, and those of DCGM 4.6.
#[test]
fn dcgm_counts_between_scrapes_under_both_generations_of_names() {
    let old = |mj: u64, w: f64, ms: &str| {
        format!(
            "# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).\n# TYPE DCGM_FI_DEV_POWER_USAGE gauge\n\
             DCGM_FI_DEV_POWER_USAGE{{gpu=\"0\",UUID=\"GPU-a\",device=\"nvidia0\",modelName=\"NVIDIA A100-SXM4-40GB\",Hostname=\"n\\\"1,x\"}} {w}{ms}\n\
             DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu=\"0\",UUID=\"GPU-a\",device=\"nvidia0\",modelName=\"NVIDIA A100-SXM4-40GB\",Hostname=\"n\\\"1,x\"}} {mj}{ms}\n\
             DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu=\"1\",UUID=\"GPU-b\",Hostname=\"n1\"}} 9223372036854775794{ms}\n"
        )
    };
    let stamped =
        old(319_159_391, 250.0, " 1700000000000") + &old(322_159_391, 350.0, " 1700000010000");
    assert_eq!(Format::detect(stamped.as_bytes()), Some(Format::Dcgm));
    let log = read(Format::Dcgm, "m.prom", &stamped).unwrap();
    assert_eq!(figures(&log), [(3000.0, 10.0, Some(1))]);
    let run = &log.measured[0];
    assert_eq!(
        (run.gpu.as_deref(), run.instrument),
        (Some("NVIDIA A100-SXM4-40GB"), Some(Instrument::Counter))
    );
    assert_eq!(kinds(&log), [DataIssue::MissingValue]);

    let new = |mj: u64| {
        format!(
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu=\"0\",UUID=\"GPU-a\",hostname=\"n1\"}} {mj}\nDCGM_FI_DEV_BOARD_POWER_WATTS{{gpu=\"0\",UUID=\"GPU-a\",hostname=\"n1\"}} 300\n"
        )
    };
    let (before, after) = (new(1_000_000), new(4_000_000));
    let files: [(&str, &[u8]); 2] = [("a.prom", before.as_bytes()), ("b.prom", after.as_bytes())];
    let options = Options { interval_s: Some(10.0), ..Options::default() };
    assert_eq!(
        figures(&read_with(Format::Dcgm, options, &files).unwrap()),
        [(3000.0, 10.0, Some(1))]
    );
    let timeless = read_with(Format::Dcgm, Options::default(), &files).unwrap();
    assert_eq!(figures(&timeless), [(3000.0, -1.0, Some(1))]);
    assert!(told(&timeless, DataIssue::Assumed).contains("no timestamps"));
    assert!(fails(Format::Dcgm, "a.prom", &before).contains("the file has one scrape"));
    // power alone is integrated
    let power = stamped.lines().filter(|l| !l.contains("ENERGY")).collect::<Vec<_>>().join("\n");
    let power = power.replace("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS");
    assert_eq!(figures(&read(Format::Dcgm, "m.prom", &power).unwrap()), [(3000.0, 10.0, Some(1))]);
    // a driver that was loaded again
    let reset = stamped.clone()
        + &old(5_000, 300.0, " 1700000020000")
        + &old(1_005_000, 300.0, " 1700000030000");
    let log = read(Format::Dcgm, "m.prom", &reset).unwrap();
    assert_eq!(figures(&log), [(4000.0, 30.0, Some(1))]);
    assert!(told(&log, DataIssue::Restart).contains("the driver was reloaded"));
}

/// carbontracker 1.1.6 as in its own tests/test_parser.py, and 2.4.7 by loggerutil.py and tracker.py.
#[test]
fn carbontracker_averages_are_multiplied_back_and_pue_is_divided_out() {
    let log = |version: &str, gpu: &str, powers: &str| {
        format!(
            "2022-11-14 15:42:43 - carbontracker version {version}\n\
             2022-11-14 15:42:43 - Only predicted and actual consumptions are multiplied by a PUE coefficient of 1.5 (x).\n\
             2022-11-14 15:42:43 - The following components were found: GPU with device(s) {gpu}. CPU with device(s) cpu:0.\n\
             2022-11-14 15:43:37 - Epoch 1:\n2022-11-14 15:43:37 - Duration: 0:01:40.00\n\
             2022-11-14 15:43:37 - Average power usage (W) for gpu: {powers}\n\
             2022-11-14 15:43:37 - Average power usage (W) for cpu: [50.0]\n\
             2022-11-14 15:43:39 - Epoch 2:\n2022-11-14 15:43:39 - Duration: 0:00:01.00\n\
             2022-11-14 15:43:39 - Average power usage (W) for gpu: None\n\
             2022-11-14 15:43:39 - Average power usage (W) for cpu: None\n"
        )
    };
    let name = "1.abc_2022-11-14T154243Z_carbontracker.log";
    let two = "NVIDIA A40, NVIDIA A40";
    let old = log("1.1.6", two, "[100.0\n 120.0]");
    assert_eq!(Format::detect(old.as_bytes()), Some(Format::Carbontracker));
    let found = read(Format::Carbontracker, name, &old).unwrap();
    assert_eq!(figures(&found), [(27_000.0, 100.0, Some(2))]);
    assert_eq!(kinds(&found), [DataIssue::Skipped]);
    assert_eq!(
        (found.measured[0].scope, found.measured[0].gpu.as_deref()),
        (Scope::Devices, Some("NVIDIA A40"))
    );
    assert_eq!(found.measured[0].gpu_energy().unwrap().value(), 22_000.0);
    let mean = read(Format::Carbontracker, name, &log("2.4.7", two, "110.0")).unwrap();
    assert_eq!(figures(&mean), [(27_000.0, 100.0, Some(2))]);
    assert!(
        told(&mean, DataIssue::AveragedOverGpus).contains("averages over the 2 devices of gpu")
    );
    let single = read(Format::Carbontracker, name, &log("2.4.7", "NVIDIA A40", "110.0")).unwrap();
    assert_eq!(figures(&single), [(16_000.0, 100.0, Some(1))]);
    assert!(single.findings.iter().all(|f| f.kind != DataIssue::AveragedOverGpus));

    let output = "2022-11-14 15:44:48 - CarbonTracker: \nActual consumption for 1 epoch(s):\n\tTime:\t0:01:40\n\tEnergy:\t0.011250 kWh\n\
                  \tCO2eq:\t0.960490 g\n2022-11-14 15:44:48 - CarbonTracker: \nPredicted consumption for 4 epoch(s):\n\
                  \tTime:\t0:06:40\n\tEnergy:\t0.045000 kWh\n\tCO2eq:\t1.429803 g\n";
    let name_out = "1.abc_2022-11-14T154243Z_carbontracker_output.log";
    let alone = read(Format::Carbontracker, name_out, output).unwrap();
    assert_relative_eq!(figures(&alone)[0].0, 40_500.0);
    assert!(told(&alone, DataIssue::PueIncluded).contains("this log does not state"));
    // with the header of the other log its PUE is known; with the epochs they count
    let header =
        old.lines().take(3).collect::<Vec<_>>().join("\n") + "\n2022-11-14 15:43:37 - Epoch 1:\n";
    for (std, joules) in [(header, 27_000.0), (old.clone(), 27_000.0)] {
        let files: [(&str, &[u8]); 2] = [(name_out, output.as_bytes()), (name, std.as_bytes())];
        let both = read_with(Format::Carbontracker, Options::default(), &files).unwrap();
        assert_eq!(both.measured.len(), 1);
        assert_relative_eq!(figures(&both)[0].0, joules, max_relative = 1e-12);
    }
}

/// plugins/csv/README.md and src/output.rs of Alumet; metrics of its NVML and RAPL plugins.
#[test]
fn alumets_differences_are_added_up_once() {
    let mut text = "metric;timestamp;value;resource_kind;resource_id;consumer_kind;consumer_id;domain;__late_attributes\n".to_owned();
    for s in 0..4 {
        text += &format!(
            "nvml_energy_consumption_mJ;2025-01-01T12:00:0{s}.000000000Z;200000;gpu;00000000:01:00.0;local_machine;;;\n\
             rapl_consumed_energy_J;2025-01-01T12:00:0{s}.000000000Z;50.5;cpu_package;0;local_machine;;package;\n\
             rapl_consumed_energy_J;2025-01-01T12:00:0{s}.000000000Z;30;cpu_package;0;local_machine;;pp0;\n\
             rapl_consumed_energy_J;2025-01-01T12:00:0{s}.000000000Z;10;dram;0;local_machine;;;domain=dram\n\
             rapl_consumed_energy_J;2025-01-01T12:00:0{s}.000000000Z;50.5;local_machine;;local_machine;;package_total;\n\
             attributed_energy_J;2025-01-01T12:00:0{s}.000000000Z;7;local_machine;;process;15;;\n"
        );
    }
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::Alumet));
    let log = read(Format::Alumet, "alumet.csv", &text).unwrap();
    // three differences lie within the three seconds; the first reaches back before them
    assert_eq!(figures(&log), [(3.0 * (200.0 + 50.5 + 10.0), 3.0, Some(1))]);
    assert_eq!(log.measured[0].scope, Scope::Devices);
    assert_eq!(log.measured[0].gpu_energy().unwrap().value(), 600.0);
    assert_eq!(kinds(&log), [DataIssue::DoubleCounted, DataIssue::Skipped]);
    let commas = text.replace(';', ",");
    assert_eq!(figures(&read(Format::Alumet, "alumet.csv", &commas).unwrap()), figures(&log));
}

/// perun/io/pandas.py: `exportCSV`; NVML's power in mW, RAPL's counter in µJ (backend/nvml.py, powercap_rapl.py).
#[test]
fn peruns_sensors_are_integrated_by_run() {
    let mut text =
        ",run id,hostname,device_group,sensor,unit,magnitude,timestep,value\n".to_owned();
    for (i, run) in [0, 0, 0, 1, 1].iter().enumerate() {
        let t = [0.0, 1.0, 2.0, 0.0, 4.0][i];
        text += &format!("{i},{run},n1,GPU,CUDA:0_POWER,W,0.001,{t},{}\n", 200_000 + 10_000 * i);
        text += &format!(
            "{i},{run},n1,CPU,cpu_0_package-0,J,1e-06,{t},{}\n",
            5_000_000 + 1_000_000 * i
        );
        text += &format!("{i},{run},n1,GPU,CUDA:0_MEM,B,1.0,{t},123\n");
    }
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::Perun));
    let log = read(Format::Perun, "app.csv", &text).unwrap();
    let runs = figures(&log);
    assert_relative_eq!(runs[0].0, 420.0 + 2.0, max_relative = 1e-12);
    assert_relative_eq!(runs[1].0, 940.0 + 1.0, max_relative = 1e-12);
    assert_eq!((runs[0].1, runs[1].1, runs[0].2), (2.0, 4.0, Some(1)));
    assert_eq!((log.measured[1].run_id.as_str(), log.measured[0].scope), ("app/1", Scope::Devices));
}

/// tdurieux/EnergiBridge: src/main.rs (`print_header`, sorted columns), src/gpu/nvidia.rs (NVML's mW).
#[test]
fn energibridges_columns_have_units_of_their_own() {
    let text = "Delta,Time,CPU_FREQUENCY_0,CPU_USAGE_0,DRAM_ENERGY (J),GPU0_POWER,GPU0_TEMPERATURE,PACKAGE_ENERGY (J),SYSTEM_POWER (Watts)\n\
                0,1697704464000,0,1,10.0,200000,50,1000.5,400\n200,1697704465000,0,1,12.0,220000,50,1050.5,410\n\
                200,1697704466000,0,1,14.5,240000,50,1099.5,420\n";
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::Energibridge));
    let log = read(Format::Energibridge, "e.csv", text).unwrap();
    assert_eq!(figures(&log), [(4.5 + 440.0 + 99.0, 2.0, Some(1))]);
    assert_eq!(log.measured[0].gpu_energy().unwrap().value(), 440.0);
    assert_eq!(kinds(&log), [DataIssue::Coverage]);
    let mac =
        "Delta,Time,SYSTEM_POWER (Watts),USED_SWAP\n0,1697704464000,10,0\n104,1697704465000,12,0\n";
    let log = read(Format::Energibridge, "e.csv", mac).unwrap();
    assert_eq!((figures(&log)[0].0, log.measured[0].scope), (11.0, Scope::Unstated));
}

/// jpwr/ctxmgr.py and clitool.py: pandas writes an unnamed index; sums and counters are in Wh.
#[test]
fn jpwrs_tables_are_views_of_one_run() {
    let power = ",timestamps,pynvml:0,gh:Module Power Socket 0\n0,1720624000.0,100.0,300.0\n1,1720624001.0,110.0,310.0\n2,1720624002.0,120.0,320.0\n";
    let sum = ",0\npynvml:0,0.06388888888888888\ngh:Module Power Socket 0,0.175\n";
    let counter = |wh: f64| format!(",pynvml:0\n0,{wh}\n");
    for text in [power, sum, &counter(0.06)] {
        assert_eq!(Format::detect(text.as_bytes()), Some(Format::Jpwr), "{text}");
    }
    let read = |files: &[(&str, &str)]| {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, t)| (*n, t.as_bytes())).collect();
        read_with(Format::Jpwr, Options::default(), &files).unwrap()
    };
    let alone = read(&[("m/power.csv", power)]);
    assert_eq!(figures(&alone), [(220.0, 2.0, Some(1))]);
    assert_eq!(
        (kinds(&alone), alone.measured[0].run_id.as_str()),
        (vec![DataIssue::Coverage], "m")
    );
    assert!(
        alone.measured[0]
            .parts
            .iter()
            .any(|p| p.component == Component::Module && p.energy.value() == 620.0)
    );
    let summed = read(&[("m/energy.csv", sum)]);
    assert_relative_eq!(figures(&summed)[0].0, 230.0, max_relative = 1e-12);
    let counted = counter(0.06);
    let all = read(&[
        ("m/power.csv", power),
        ("m/energy.csv", sum),
        ("m/energy_from_counter.csv", &counted),
    ]);
    let [(joules, seconds, gpus)] = figures(&all)[..] else { unreachable!("one run") };
    assert_relative_eq!(joules, 216.0, max_relative = 1e-12);
    assert_eq!((seconds, gpus, all.measured[0].meter.as_str()), (2.0, Some(1), "jpwr counter"));
    let zero = read(&[("power.n1.7.csv", power), ("energy_from_counter.n1.7.csv", &counter(0.0))]);
    assert_eq!((figures(&zero)[0].0, zero.measured[0].run_id.as_str()), (220.0, "n1.7"));
    assert!(kinds(&zero).contains(&DataIssue::ZeroCounter));
}

/// eco2ai/emission_track.py: `_construct_attributes_dict`; new epochs begin with a consumption of zero.
#[test]
fn eco2ais_epochs_are_added_up() {
    let text = "id,project_name,experiment_description,epoch,start_time,duration(s),power_consumption(kWh),CO2_emissions(kg),CPU_name,GPU_name,OS,region/country,cost\n\
                7b,p,d,\"epoch: 0, loss: 0.1\",2024-01-01 10:00:00,100.5,0.02,0.01,\"Intel/1 device(s), TDP:95\",NVIDIA A40 2 device(s),Linux,DE,N/A\n\
                7b,p,d,\"epoch: 1, loss: 0.05\",2024-01-01 10:01:41,99.5,0.03,0.01,\"Intel/1 device(s), TDP:95\",NVIDIA A40 2 device(s),Linux,DE,N/A\n\
                8c,p,d,N/A,2024-01-01 11:00:00,10,0.001,0.01,Intel,No GPU,Linux,DE,N/A\n";
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::Eco2ai));
    let log = read(Format::Eco2ai, "emission.csv", text).unwrap();
    let runs = figures(&log);
    assert_relative_eq!(runs[0].0, 0.05 * 3.6e6, max_relative = 1e-12);
    assert_eq!((runs[0].1, runs[0].2, runs[1].2), (200.0, Some(2), None));
    assert_eq!(
        (log.measured[0].gpu.as_deref(), log.measured[0].scope),
        (Some("NVIDIA A40"), Scope::Unstated)
    );
    assert_eq!(kinds(&log), [DataIssue::CumulativeRows, DataIssue::Modelled]);
    let older = text.replace("(kWh)", "(kWTh)");
    assert_eq!(figures(&read(Format::Eco2ai, "emission.csv", &older).unwrap()), runs);
}

#[test]
fn any_table_is_read_by_a_map() {
    let map = wattlaw::data::dataset::ColumnMap::from_toml(
        "[columns]\nenergy_kwh = 'kWh used'\nduration_s = 'secs'\n[constants]\nscope = 'node_ac'\ngpus = 4\nmeter = 'wall meter'\n",
    )
    .unwrap();
    let options = || Options { map: Some(map.clone()), ..Options::default() };
    let read = |text: &str| read_with(Format::Csv, options(), &[("t.csv", text.as_bytes())]);
    let log = read("secs,kWh used,who\n100,0.5,me\n").unwrap();
    assert_eq!(figures(&log), [(1.8e6, 100.0, Some(4))]);
    assert_eq!(
        (log.measured[0].scope, log.measured[0].meter.as_str()),
        (Scope::NodeAc, "wall meter")
    );
    let error = read("secs,kWh\n100,0.5\n").unwrap_err().to_string();
    assert_eq!(error, "t.csv:1: unknown column `kWh used`; accepted: `secs`, `kWh`");
    let more = "[columns]\ntokens = 'seen'\n[constants]\nduration_s = -5\n";
    let map = wattlaw::data::dataset::ColumnMap::from_toml(more).unwrap();
    let options = |map: &wattlaw::data::dataset::ColumnMap| Options {
        map: Some(map.clone()),
        ..Options::default()
    };
    let error = read_with(Format::Csv, options(&map), &[("t.csv", b"energy_j\n5\n")]).unwrap_err();
    assert_eq!(error.to_string(), "duration_s of the map is -5, but it must be a number from 0");
    let map =
        wattlaw::data::dataset::ColumnMap { constants: std::collections::BTreeMap::new(), ..map };
    let log = read_with(Format::Csv, options(&map), &[("t.csv", b"energy_j\n5\n")]).unwrap();
    assert!(
        told(&log, DataIssue::Skipped).contains("the map's tokens is not part of a measurement")
    );
    assert!(
        fails(Format::Csv, "t.csv", "a,b\n1,2\n")
            .starts_with("t.csv:1: column `energy_j` is missing")
    );
}
