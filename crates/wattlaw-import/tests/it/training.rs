//! Logs of training, most of them without energy: what their tools wrote (`examples/logs/training/make.py`), and their pitfalls.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use approx::assert_relative_eq;
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw_import::{DataIssue, Format, Log, Measured, Options};

use crate::logs::{fails, kinds, read, read_with, told};

/// Reads files of the folder of examples.
fn example(format: Format, names: &[&str]) -> Log {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/logs/training");
    let files: Vec<_> =
        names.iter().map(|name| (*name, std::fs::read(folder.join(name)).unwrap())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    for (_, bytes) in &files {
        assert_eq!(Format::detect(bytes), Some(format));
    }
    read_with(format, Options::default(), &files).unwrap()
}

fn timed(log: &Log) -> (f64, f64) {
    let [Measured { duration: Some(time), steps: Some(steps), .. }] = &log.measured[..] else {
        unreachable!("one run with time and steps: {:?}", log.measured)
    };
    (time.value(), *steps)
}

#[test]
fn each_tools_own_file_has_its_steps_and_their_time() {
    let tensorboard = ["tensorboard/events.out.tfevents.1772359200.node1.7.0"];
    for (format, names, figures) in [
        (Format::Transformers, &["trainer_state.json"][..], (1000.0, 400.0)),
        (Format::Tensorboard, &tensorboard[..], (225.0, 90.0)),
        (Format::Torchtitan, &["torchtitan.log"][..], (248.0, 99.0)),
        (Format::Nanotron, &["nanotron.log"][..], (227.5, 91.0)),
        (Format::Lightning, &["metrics.csv"][..], (225.0, 90.0)),
        (Format::Megatron, &["megatron.out"][..], (250.0, 100.0)),
        (Format::Wandb, &["wandb/history.csv"][..], (250.0, 100.0)),
        (Format::Mlflow, &["mlflow/metrics/train_loss"][..], (250.0, 100.0)),
    ] {
        let log = example(format, names);
        assert_eq!(timed(&log), figures, "{format}");
        assert_eq!(log.measured[0].energy, None, "{format}");
    }
    let gpus = |format, name| example(format, &[name]).measured[0].gpus;
    assert_eq!(gpus(Format::Torchtitan, "torchtitan.log"), Some(8));
    assert_eq!(gpus(Format::Megatron, "megatron.out"), Some(8));
    let state = example(Format::Transformers, &["trainer_state.json"]);
    assert_eq!(state.measured[0].tokens, Some(400.0 * 2.0 * 32.0 * 128.0));
    assert_eq!(kinds(&state), [DataIssue::Coverage, DataIssue::Assumed]);
}

#[test]
fn power_beside_the_steps_is_their_energy() {
    // 310.5 W and 311.5 W that grow by 1 W each 15 s for 255 s; the steps take 250 s
    let wandb = example(Format::Wandb, &["wandb/history.csv", "wandb/system.jsonl"]);
    assert_eq!(timed(&wandb), (250.0, 100.0));
    let run = &wandb.measured[0];
    assert_eq!((run.gpus, run.parts.len()), (Some(2), 2));
    assert_relative_eq!(run.energy.unwrap().value(), (311.0 + 8.5) * 2.0 * 250.0);
    assert!(
        told(&wandb, DataIssue::Assumed).contains("the power covers 255 s and the steps 250 s")
    );
    let names = ["train_loss", "system/gpu_0_power_usage_watts", "system/gpu_1_power_usage_watts"];
    let names = names.map(|name| format!("mlflow/metrics/{name}"));
    let mlflow = example(Format::Mlflow, &[&names[0], &names[1], &names[2]]);
    assert_eq!(timed(&mlflow), (250.0, 100.0));
    assert_relative_eq!(mlflow.measured[0].energy.unwrap().value(), (300.5 + 5.0) * 2.0 * 250.0);
    assert_eq!(mlflow.measured[0].start.unwrap().to_string(), "2026-03-01T10:00:00.000Z");
    // power alone is energy alone
    let alone = example(Format::Wandb, &["wandb/system.jsonl"]);
    assert_eq!(
        (alone.measured[0].steps, alone.measured[0].duration.unwrap().value()),
        (None, 255.0)
    );
}

#[test]
fn a_job_and_a_log_without_energy_are_a_run() {
    let job = "[model]\nname = 'bert-base-uncased'\n[workload]\ntokens = '10M'\nseq_len = 128\nmicro_batch = 32\n\
               [parallelism]\nstrategy = 'ddp'\n[system]\ngpu = 'a100'\ngpus = 8\n";
    let (catalog, spec) = (Catalog::built_in().unwrap(), JobSpec::from_toml(job).unwrap());
    let log = example(Format::Torchtitan, &["torchtitan.log"]);
    let run = wattlaw_import::run(&log.measured[0], &spec, &catalog).unwrap();
    assert_eq!((run.energy, run.duration.unwrap().value()), (None, 248.0));
    assert_eq!(run.tokens, Some(99.0 * 8.0 * 32.0 * 128.0));
    let state = example(Format::Transformers, &["trainer_state.json"]);
    let run = wattlaw_import::run(&state.measured[0], &spec, &catalog).unwrap();
    assert_eq!(run.tokens, state.measured[0].tokens);
}

/// The lines of two versions, as their sources write them: trainer.py and logging.py at b21538c6 and 4498eaff, and trainer.py and
/// logging/base.py at 004a89ca and a5f8fb11 (github.com/huggingface/nanotron).
#[test]
fn nanotrons_lines_have_the_time_of_their_own_iteration() {
    let old = |iteration: u32, ms: &str| {
        format!(
            "03/01/2026 10:00:00 [INFO|DP=0|PP=0|TP=0|node1]: iteration: {iteration} / 100 | consumed_tokens: 131K | \
             elapsed_time_per_iteration_ms: {ms} | tokens_per_sec: 52.4K | tokens_per_sec_per_gpu: 6.55K | \
             global_batch_size: 64 | lm_loss: 11.1 | lr: 3e-06 | model_tflops_per_gpu: 121 | hardware_tflops_per_gpu: 121 | \
             grad_norm: 24.1 | cuda_memory_allocated: 9.5G | cuda_max_memory_reserved: 20.1G\n"
        )
    };
    let new = |iteration: u32, ms: &str| {
        format!(
            "\u{1b}[2;3m03/01 10:00:00 [INFO|DP=0|node1]\u{1b}[0m: iteration: {iteration} / 100 | consumed_tokens: 131K | \
             time_per_iteration_ms: {ms} | tokens_per_sec: 52.4K | tokens_per_sec_per_gpu: 6.55K | global_batch_size: 131K | \
             grad_norm: 24.1 | lm_loss: 11.1 | lr: 3e-06 | model_tflops_per_gpu: 121 | eta: 0:04:07\n"
        )
    };
    // the first iteration is slow, and the others are seen each tenth
    let seen = [(1, "9.87K"), (11, "2.5K"), (21, "998")];
    let logs: [String; 2] = [
        seen.iter().map(|(iteration, ms)| old(*iteration, ms)).collect(),
        seen.iter().map(|(iteration, ms)| new(*iteration, ms)).collect(),
    ];
    for log in logs {
        assert_eq!(Format::detect(log.as_bytes()), Some(Format::Nanotron));
        let read = read(Format::Nanotron, "out.log", &log).unwrap();
        let (seconds, steps) = timed(&read);
        assert_relative_eq!(seconds, 9.87 + 25.0 + 9.98, max_relative = 1e-12);
        assert_eq!((steps, kinds(&read)), (21.0, vec![DataIssue::Assumed]));
        assert!(read.findings.iter().any(|f| f.to_string().contains("the iterations in between")));
    }
    let each = new(1, "9.87K") + &new(2, "2.5K");
    let read = read(Format::Nanotron, "out.log", &each).unwrap();
    assert!(told(&read, DataIssue::Assumed).contains("three digits"));
}

/// `Trainer.log` in a checkpoint, and training that was logged again.
#[test]
fn a_checkpoints_state_has_no_time() {
    let state = "{\"global_step\": 5, \"log_history\": [{\"loss\": NaN, \"step\": 5}]}";
    assert!(
        fails(Format::Transformers, "s.json", state)
            .starts_with("s.json: train_runtime is missing; a checkpoint has none")
    );
    let entry = "{\"train_runtime\": 10.0, \"step\": 5}";
    let twice = format!("{{\"global_step\": 5, \"log_history\": [{entry}, {entry}]}}");
    assert!(
        kinds(&read(Format::Transformers, "s.json", &twice).unwrap()).contains(&DataIssue::Restart)
    );
    let negative = state.replace("\"loss\": NaN", "\"train_runtime\": -1");
    assert!(
        fails(Format::Transformers, "s.json", &negative)
            .contains("train_runtime is -1, but it must be positive")
    );
    let many = format!("{{\"log_history\": [{}{{}}]}}", "{},".repeat(23_000_000));
    assert!(fails(Format::Transformers, "s.json", &many).contains("larger than 64 MiB"));
}

#[test]
fn restarts_and_gaps_are_not_steps() {
    let row = |step: u64, s: u64| format!("{step},{s}\n");
    let steps = |rows: &[(u64, u64)]| {
        let text: String = rows.iter().map(|(step, s)| row(*step, *s)).collect();
        read(Format::Wandb, "h.csv", &format!("train/global_step,_runtime\n{text}")).unwrap()
    };
    let log = steps(&[(0, 0), (10, 10), (20, 20), (10, 100), (20, 110)]);
    assert_eq!((timed(&log), kinds(&log)), ((30.0, 30.0), vec![DataIssue::Restart]));
    let log = steps(&[(0, 0), (10, 10), (20, 5000), (30, 5010)]);
    assert_eq!((timed(&log), kinds(&log)), ((20.0, 20.0), vec![DataIssue::Gap]));
    // lines of several ranks, and two lines of one step
    let log = steps(&[(0, 0), (0, 1), (10, 10), (10, 12), (20, 20)]);
    assert_eq!((timed(&log), kinds(&log)), ((20.0, 20.0), vec![]));
    // what wandb counts are calls of its log
    let calls = "_step,_runtime\n0,0\n1,10\n";
    assert!(
        told(&read(Format::Wandb, "h.csv", calls).unwrap(), DataIssue::Assumed)
            .contains("calls of wandb.log")
    );
}

#[test]
fn exports_that_cannot_be_one_run_are_refused() {
    let two = "Relative Time (Process),a - train/global_step,b - train/global_step\n0,1,1\n";
    assert!(fails(Format::Wandb, "c.csv", two).contains("the export has several runs"));
    let chart = "\"Relative Time (Process)\",\"run-1 - system/gpu.0.powerWatts\",\"run-1 - system/gpu.0.powerWatts__MIN\"\n0,100,90\n10,100,90\n";
    assert_eq!(Format::detect(chart.as_bytes()), Some(Format::Wandb));
    let log = read(Format::Wandb, "chart.csv", chart).unwrap();
    assert_eq!(
        (log.measured[0].energy.unwrap().value(), log.measured[0].run_id.as_str()),
        (1000.0, "run-1")
    );
    assert!(
        fails(Format::Wandb, "c.csv", "Step,a - loss\n0,1\n")
            .contains("column `_timestamp` is missing")
    );
    let error = fails(Format::Lightning, "metrics.csv", "epoch,step,train_loss\n0,1,2.0\n");
    assert!(error.contains("only with the callback ThroughputMonitor"), "{error}");
    // a logger with another separator
    let rows = "epoch,step,train|time,val_loss\n0,9,1.5,\n0,9,,1.1\n0,19,2.75,\n";
    assert_eq!(timed(&read(Format::Lightning, "metrics.csv", rows).unwrap()), (1.25, 10.0));
    assert!(
        fails(Format::Mlflow, "loss", "1772359200000 nan\n")
            .contains("it must be `TIME_MS VALUE STEP`")
    );
}

/// A killed program, a record that is no record, and a graph before the scalars.
#[test]
fn event_files_that_were_cut_off_are_read_to_there() {
    let name = "training/tensorboard/events.out.tfevents.1772359200.node1.7.0";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/logs").join(name);
    let bytes = std::fs::read(path).unwrap();
    let with = |bytes: &[u8]| read_with(Format::Tensorboard, Options::default(), &[("e", bytes)]);
    let cut = with(&bytes[..bytes.len() - 30]).unwrap();
    assert_eq!(timed(&cut), (225.0, 90.0));
    assert!(told(&cut, DataIssue::Skipped).contains("the last record is incomplete"));
    let first = 12 + 0x48 + 4;
    let mut graph = bytes[..first].to_vec();
    let length: u64 = 3 << 20;
    graph.extend(length.to_le_bytes());
    graph.resize(graph.len() + 4 + (3 << 20) + 4, 0xff);
    graph.extend(&bytes[first..]);
    assert_eq!(timed(&with(&graph).unwrap()), (225.0, 90.0));
    let mut huge = bytes[..first].to_vec();
    huge.extend([0xff; 12]);
    let error = with(&huge).unwrap_err().to_string();
    assert!(
        error.starts_with("e: not valid event file: a record of 18446744073709551615 bytes"),
        "{error}"
    );
    assert!(with(&bytes[..first]).unwrap_err().to_string().contains("no scalar at two steps"));
}
