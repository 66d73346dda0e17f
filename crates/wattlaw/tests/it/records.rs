//! Records: closed from what was written, merged, reported, and read back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use wattlaw::base::scope::Scope;
use wattlaw::base::units::{Joules, Seconds, Watts};
use wattlaw::data::dataset::{Dataset, to_csv};
use wattlaw::job::JobSpec;
use wattlaw::job::catalog::Catalog;
use wattlaw::record::document::{End, LeftOut, Measured, Node, Record, SCHEMA, Sharing, State};
use wattlaw::record::event::{Entry, Event};
use wattlaw::record::finalizer::Finalizer;
use wattlaw::record::merge::merge;
use wattlaw::record::reading::{HEADER, Reading};
use wattlaw::record::report::{Bound, QualificationKind, Statement, UserMetadata};
use wattlaw::record::trace::ChannelTrace;
use wattlaw::record::{Channel, Component, Instrument, Sample};

fn s(value: f64) -> Seconds {
    Seconds::new(value)
}

fn channel(name: &str, component: Component, instrument: Instrument) -> Channel {
    Channel {
        name: name.to_owned(),
        component,
        device: format!("{}-{name}", if component == Component::Gpu { "GPU" } else { "/sys" }),
        model: (component == Component::Gpu).then(|| "NVIDIA A100-SXM4-40GB".to_owned()),
        instrument,
        update: if instrument == Instrument::Assumed { Seconds::ZERO } else { s(0.1) },
        averaging: Seconds::ZERO,
        systematic: (instrument != Instrument::Assumed).then_some(0.05),
    }
}

/// A record as it is at its begin.
fn opened(host: &str, channels: Vec<Channel>) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        id: format!("20260301T120000Z-{host}"),
        name: None,
        made_by: "wattlaw 0.1.0".to_owned(),
        state: State::Running,
        nodes: vec![Node {
            host: host.to_owned(),
            boot_id: Some(format!("boot-{host}")),
            record: None,
            environment: BTreeMap::new(),
        }],
        command: vec!["python".to_owned(), "train.py".to_owned()],
        end: None,
        started_at: "2026-03-01T12:00:00.000Z".to_owned(),
        ended_at: None,
        begin: None,
        duration: None,
        interval: s(0.1),
        idle: s(0.0),
        energies: Vec::new(),
        channels: channels.into_iter().map(|c| Measured::unread(host, c)).collect(),
        stopped: None,
        held_by: None,
        steps: None,
        tokens: None,
        window_steps: None,
        windows: Vec::new(),
        job: None,
        faults: Vec::new(),
        notes: Vec::new(),
        left_out: Vec::new(),
    }
}

fn happened(at: f64, event: Event) -> Entry {
    Entry { at: s(at), event }
}

fn ended(at: f64, end: End) -> Entry {
    happened(at, Event::CommandEnd { end })
}

const WELL: End = End::Exit { code: 0 };

/// The line of a reading, without its end.
fn line(reading: &Reading<'_>) -> String {
    let mut text = String::new();
    reading.append_to(&mut text);
    text.trim_end().to_owned()
}

/// A line a tenth of a second: 300 W by the GPU's counter, which tells 290 W, and 50 W assumed of the CPU.
fn lines(until_s: f64) -> Vec<String> {
    let mut lines = vec![HEADER.to_owned()];
    for i in 0..=(until_s * 10.0).round() as u32 {
        let at = f64::from(i) / 10.0;
        let gpu = Sample {
            energy: Some(Joules::new(300.0 * at)),
            power: Some(Watts::new(290.0)),
            power_limit: Some(Watts::new(400.0)),
            throttle_reasons: Some(if i % 2 == 0 { 4 } else { 0 }),
            ..Sample::default()
        };
        let cpu = Sample { energy: Some(Joules::new(50.0 * at)), ..Sample::default() };
        for (channel, sample) in [("gpu0", gpu), ("cpu0", cpu)] {
            lines.push(line(&Reading { at: s(at), channel, sample: Some(sample) }));
        }
    }
    lines
}

fn gpu_and_cpu() -> Vec<Channel> {
    vec![
        channel("gpu0", Component::Gpu, Instrument::Counter),
        channel("cpu0", Component::Cpu, Instrument::Assumed),
    ]
}

fn close(record: Record, entries: Vec<Entry>, lines: &[String]) -> Record {
    let mut closing = Finalizer::new(record, entries);
    lines.iter().for_each(|line| closing.line(line));
    closing.close(State::Finished)
}

/// Ten seconds of a command within twelve of readings.
fn closed(host: &str) -> Record {
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let mut record = close(opened(host, gpu_and_cpu()), entries, &lines(12.0));
    record.ended_at = Some("2026-03-01T12:00:11.000Z".to_owned());
    record
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

#[test]
fn the_energy_is_that_of_the_command_by_scope() {
    let record = closed("a");
    assert_eq!((record.begin, record.duration), (Some(s(1.0)), Some(s(10.0))));
    let [gpu, devices] = record.energies.as_slice() else { panic!("{:?}", record.energies) };
    assert_eq!((gpu.scope, devices.scope), (Scope::Gpu, Scope::Devices));
    assert!(near(gpu.energy.value(), 3000.0) && near(devices.energy.value(), 3500.0));
    assert!(gpu.assumed == Joules::ZERO && near(devices.assumed.value(), 500.0));
    // 5 % of what was measured; 290 W, as it tells, for a tenth of a second at both edges
    assert!(near(devices.systematic_sd.unwrap().value(), 150.0));
    assert!(near(devices.random_sd.value(), 29.0 * (2.0f64 / 12.0).sqrt()));
    let gpu = &record.channels[0];
    assert!(near(gpu.integrated.unwrap().value(), 2900.0));
    assert!(near(gpu.disagreement.unwrap(), -1.0 / 30.0));
    assert_eq!(gpu.power_limit_w.unwrap().max, 400.0);
    assert!((gpu.throttle["sw_power_cap"] - 0.5).abs() < 0.01);
    assert_eq!((gpu.readings, gpu.failed_readings, gpu.gaps.len()), (101, 0, 0));
    assert!(record.notes.is_empty(), "{:?}", record.notes);
}

#[test]
fn a_disagreement_of_counter_and_power_is_noted() {
    let lines: Vec<_> = lines(12.0).iter().map(|line| line.replace(",290,", ",200,")).collect();
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let record = close(opened("a", gpu_and_cpu()), entries, &lines);
    assert_eq!(record.notes, ["gpu0: the counter says 3000 J and integrated power 2000 J"]);
}

#[test]
fn a_record_of_a_killed_writer_is_recovered() {
    // the end is not there, the last line is torn, and one in the middle is spoilt
    let mut lines = lines(5.0);
    lines[20] = "\0\0\0\0".to_owned();
    lines.push("5.1,gpu0,15".to_owned());
    let entries = vec![
        happened(1.0, Event::CommandBegin),
        happened(2.0, Event::WindowBegin { name: "epoch".to_owned() }),
    ];
    let record = close(opened("a", gpu_and_cpu()), entries, &lines);
    assert_eq!((record.end, record.duration), (Some(End::Unseen), Some(s(4.0))));
    assert!(near(record.energies[0].energy.value(), 1200.0));
    let window = &record.windows[0];
    assert_eq!((window.to, window.closed), (s(5.0), false));
    assert!(near(window.energies[0].energy.value(), 900.0));
    assert_eq!(record.notes, ["2 lines of trace.csv could not be read and were left out"]);
}

#[test]
fn an_empty_record_is_closed() {
    let record = close(opened("a", gpu_and_cpu()), Vec::new(), &[]);
    assert_eq!((record.duration, record.energies.len()), (Some(s(0.0)), 0));
    assert_eq!(record.channels[0].energy, None);
    assert_eq!(Record::from_json(&record.to_json().unwrap()).unwrap(), record);
    let error = record.to_measurement(None, &Catalog::built_in().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "record 20260301T120000Z-a has no energy");
}

#[test]
fn idle_power_is_that_before_and_after() {
    let mut record = opened("a", gpu_and_cpu());
    record.idle = s(1.0);
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let record = close(record, entries, &lines(12.0));
    assert!(near(record.channels[0].idle_before.unwrap().value(), 300.0));
    assert!(near(record.channels[1].idle_after.unwrap().value(), 50.0));
}

#[test]
fn a_record_is_read_back_and_invalid_ones_are_refused() {
    let record = closed("a");
    let text = record.to_json().unwrap();
    assert_eq!(Record::from_json(&text).unwrap(), record);
    let wrong = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Record::from_json(&text.replacen(from, to, 1)).unwrap_err().to_string()
    };
    assert_eq!(
        wrong("wattlaw-record/1", "wattlaw-record/9"),
        "schema is wattlaw-record/9, but this reads wattlaw-record/1"
    );
    assert!(
        wrong("\"state\": \"finished\"", "\"state\": \"done\"").contains("unknown state `done`")
    );
    assert!(wrong("\"duration_s\": 10.0", "\"duration_s\": -1").contains("duration_s is -1"));
    assert!(wrong("\"held_by\"", "\"held_bi\"").contains("unknown field `held_bi`"));
    assert!(Record::from_json("{}").unwrap_err().to_string().starts_with("schema is missing"));
    assert!(Record::from_json("").unwrap_err().to_string().starts_with("not valid JSON"));
}

const JOB: &str =
    "[model]\nname = 'gpt2'\n[workload]\nsteps = 10\nseq_len = 128\nmicro_batch = 4\n";

#[test]
fn a_record_with_a_job_is_a_row_of_a_run_table() {
    let catalog = Catalog::built_in().unwrap();
    let mut record = closed("a");
    assert!(record.to_measurement(None, &catalog).is_err(), "no shape was said");
    record.job = Some(JobSpec::from_toml(JOB).unwrap());
    let run = record.to_measurement(None, &catalog).unwrap();
    assert_eq!((run.gpu(), run.gpus(), run.layers()), ("a100-sxm4-40gb", 1, 12));
    // ten steps of four sequences of 128 tokens, as the job states
    assert_eq!((run.tokens, run.scope), (Some(5120.0), Scope::Gpu));
    assert_eq!((run.meter.as_deref(), run.outcome.as_deref()), (Some("gpu:counter"), None));
    let devices = record.to_measurement(Some(Scope::Devices), &catalog).unwrap();
    assert_eq!(devices.meter.as_deref(), Some("gpu:counter cpu:assumed"));
    let csv = to_csv(std::slice::from_ref(&run)).unwrap();
    let back = Dataset::from_csv(csv.as_bytes(), "runs.csv", None).unwrap();
    assert_eq!(back.runs[0].energy, run.energy);
    assert_eq!(back.runs[0].resolve(&catalog).unwrap().steps(), 10.0);
    // what was not done is not claimed
    record.end = Some(End::Signal { signal: 9 });
    let run = record.to_measurement(None, &catalog).unwrap();
    assert_eq!((run.tokens, run.outcome.as_deref()), (None, Some("signal 9")));
    record.steps = Some(3);
    assert_eq!(record.to_measurement(None, &catalog).unwrap().tokens, Some(3.0 * 512.0));
    record.tokens = Some(512.0);
    assert_eq!(record.to_measurement(None, &catalog).unwrap().tokens, Some(512.0));
}

/// Training from 3 s to 8 s of the command, with steps before it and in it.
fn trained(host: &str) -> Record {
    let train = |begin: bool| match begin {
        true => Event::WindowBegin { name: "train".to_owned() },
        false => Event::WindowEnd { name: Some("train".to_owned()) },
    };
    let entries = vec![
        happened(1.0, Event::CommandBegin),
        happened(2.0, Event::Step { tokens: 512.0 }),
        happened(3.0, train(true)),
        happened(5.0, Event::Step { tokens: 512.0 }),
        happened(7.0, Event::Step { tokens: 512.0 }),
        happened(8.0, train(false)),
        ended(11.0, WELL),
    ];
    let mut record = close(opened(host, gpu_and_cpu()), entries, &lines(12.0));
    record.job = Some(JobSpec::from_toml(JOB).unwrap());
    record.ended_at = Some("2026-03-01T12:00:11.000Z".to_owned());
    record
}

#[test]
fn the_window_in_which_a_program_trains_is_the_run() {
    let catalog = Catalog::built_in().unwrap();
    let record = trained("a");
    assert_eq!(record.tokens, Some(1536.0));
    let run = record.to_measurement(Some(Scope::Devices), &catalog).unwrap();
    assert_eq!((run.tokens, run.duration), (Some(1024.0), Some(s(5.0))));
    // half of ten seconds at 300 and 50 W; 5 % of what was measured
    assert!(near(run.energy.unwrap().value(), 1750.0), "{:?}", run.energy);
    assert!(near(run.energy_systematic_sd.unwrap().value(), 75.0));
    // the record itself goes on saying what the command used
    assert!(near(record.total(Some(Scope::Devices)).unwrap().energy.value(), 3500.0));
    // of two, or of one that was not ended, none is the run
    let mut twice = record.clone();
    twice.windows.push(record.windows[0].clone());
    let mut open = record;
    open.windows[0].closed = false;
    for record in [twice, open] {
        assert_eq!(record.to_measurement(None, &catalog).unwrap().duration, Some(s(10.0)));
    }
}

#[test]
fn a_window_that_all_nodes_have_is_merged() {
    let mut other = trained("b");
    other.channels[0].channel.device = "GPU-other".to_owned();
    other.job.as_mut().unwrap().parallelism.strategy = Some("ddp".parse().unwrap());
    let merged = merge(&[trained("a"), other.clone()]).unwrap();
    let run = merged.to_measurement(Some(Scope::Gpu), &Catalog::built_in().unwrap()).unwrap();
    assert_eq!((run.tokens, run.duration), (Some(1024.0), Some(s(5.0))));
    assert!(near(run.energy.unwrap().value(), 3000.0), "both GPUs: {:?}", run.energy);
    let without = Record { windows: Vec::new(), ..other };
    let merged = merge(&[trained("a"), without]).unwrap();
    assert!(merged.windows.is_empty());
    assert!(merged.notes.iter().any(|n| n.ends_with("1 of its windows are not on all nodes")));
}

#[test]
fn a_record_of_time_only_is_a_row_without_energy() {
    let catalog = Catalog::built_in().unwrap();
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let mut record = close(opened("a", Vec::new()), entries, &[]);
    record.job = Some(JobSpec::from_toml(&format!("{JOB}[system]\ngpu = 't4'\n")).unwrap());
    let run = record.to_measurement(None, &catalog).unwrap();
    assert_eq!((run.energy, run.meter, run.duration), (None, None, Some(s(10.0))));
    record.held_by = Some("/runs/other".to_owned());
    assert!(record.to_measurement(None, &catalog).is_err(), "another record has its energy");
}

#[test]
fn later_job_events_take_precedence() {
    let mut record = opened("a", gpu_and_cpu());
    record.job = Some(JobSpec::from_toml(JOB).unwrap());
    let job = JobSpec::from_toml("[workload]\nseq_len = 256\n").unwrap();
    let entries = vec![happened(0.5, Event::Job { job: Box::new(job) })];
    let job = close(record, entries, &[]).job.unwrap();
    assert_eq!((job.model.name.as_deref(), job.workload.seq_len), (Some("gpt2"), Some(256)));
}

#[test]
fn nodes_of_a_job_are_merged_and_no_device_is_counted_twice() {
    let (mut a, mut b) = (closed("a"), closed("b"));
    b.channels[0].channel.device = "GPU-other".to_owned();
    let merged = merge(&[a.clone(), b.clone()]).unwrap();
    assert!(near(merged.energies[0].energy.value(), 6000.0));
    // sensors of one kind err alike
    assert!(near(merged.energies[0].systematic_sd.unwrap().value(), 300.0));
    assert_eq!(
        (merged.nodes.len(), merged.duration, merged.state),
        (2, Some(s(10.0)), State::Merged)
    );
    assert_eq!(merged.nodes[1].record.as_deref(), Some(b.id.as_str()));
    assert_eq!(Record::from_json(&merged.to_json().unwrap()).unwrap(), merged);
    // two of one job told their tokens, of all ranks together
    (a.tokens, b.tokens) = (Some(100.0), Some(100.0));
    assert_eq!(merge(&[a.clone(), b.clone()]).unwrap().tokens, Some(100.0));

    let refused = |a: &Record, b: &Record| merge(&[a.clone(), b.clone()]).unwrap_err().to_string();
    assert!(refused(&a, &a).contains("its energy would be counted twice"));
    let mut later = b.clone();
    later.started_at = "2026-03-01T13:00:00.000Z".to_owned();
    assert!(refused(&a, &later).contains("do not overlap in time"));
    let mut other = b.clone();
    a.nodes[0].environment.insert("SLURM_JOB_ID".to_owned(), "7".to_owned());
    other.nodes[0].environment.insert("SLURM_JOB_ID".to_owned(), "8".to_owned());
    assert!(refused(&a, &other).contains("different jobs: SLURM_JOB_ID is 7 and 8"));
    // two containers of one machine have two names and one boot, and read the same CPU
    let mut container = b.clone();
    container.nodes[0].boot_id = a.nodes[0].boot_id.clone();
    assert!(refused(&a, &container).contains("cpu0 of"));
    assert!(refused(&a, &opened("c", Vec::new())).contains("is not closed"));
}

fn stated(records: &[Record], said: &UserMetadata) -> Statement {
    Statement::from_records(records, said, &Catalog::built_in().unwrap()).unwrap()
}

#[test]
fn repeats_reduce_the_random_error_only() {
    let one = stated(&[closed("a")], &UserMetadata::default());
    // one after another, since they are of one GPU
    let four = ["a", "b", "c", "d"].map(|host| {
        let mut record = closed(host);
        record.started_at = format!("2026-03-0{}T12:00:00.000Z", host.as_bytes()[0] - b'`');
        record
    });
    let four = stated(&four, &UserMetadata::default());
    let mean = four.mean.unwrap();
    assert!(near(mean.energy_j, one.energy_j));
    assert!(near(mean.systematic_sd_j.unwrap(), one.systematic_sd_j.unwrap()));
    assert!(near(mean.random_sd_j, one.random_sd_j / 2.0));
    assert!(near(four.random_sd_j, one.random_sd_j * 2.0));
}

#[test]
fn a_statement_has_only_known_values() {
    let plain = stated(&[closed("a")], &UserMetadata::default());
    assert_eq!(
        (plain.carbon_g, plain.pue, plain.tokens, plain.pj_per_flop),
        (None, None, None, None)
    );
    let text = plain.markdown();
    assert!(!text.contains("CO₂") && !text.contains("PUE") && !text.contains("co2_eq"), "{text}");
    assert!(
        text.contains("3000 J") && text.contains("the number of trained tokens is unknown"),
        "{text}"
    );
    assert!(text.contains("150.5 J (5.0 %): 150 J systematic, 11.84 J random"), "{text}");

    let mut record = closed("a");
    record.job = Some(JobSpec::from_toml(JOB).unwrap());
    let said = UserMetadata {
        scope: Some(Scope::Devices),
        intensity_g_per_kwh: Some(500.0),
        pue: Some(1.2),
        location: Some("Quebec, Canada".to_owned()),
        training_type: Some("fine-tuning".to_owned()),
        left_out: 0,
    };
    let full = stated(std::slice::from_ref(&record), &said);
    // 3500 J are 0.000972 kWh
    assert!(near(full.carbon_g.unwrap(), 3500.0 / 3.6e6 * 1.2 * 500.0));
    assert!(near(full.energy_per_token_j.unwrap(), 3500.0 / 5120.0));
    let flops = full.model_flops.unwrap();
    assert!(near(full.pj_per_flop.unwrap(), 3500.0 / flops * 1e12));
    // six a parameter and token, 124 million parameters, and some for attention
    let weights = 6.0 * 124.4e6 * 5120.0;
    assert!((weights..1.05 * weights).contains(&flops), "{flops}");
    let card = full.model_card().unwrap();
    assert_eq!(
        card,
        "co2_eq_emissions:\n  emissions: 0.5833\n  source: \"energy measured with wattlaw 0.1.0 (scope devices, meter gpu:counter \
         cpu:assumed); 500 g CO2e/kWh as given by the user; PUE 1.2 as given by the user; scope gpu is 3000 J, σ 150.5 J\"\n  training_type: \"fine-tuning\"\n  \
         geographical_location: \"Quebec, Canada\"\n  hardware_used: \"1 × a100-sxm4-40gb\"\n"
    );
    let paragraph = full.annex_xi();
    assert!(paragraph.contains("Annex XI, section 1, point 2(e)"), "{paragraph}");
    assert!(paragraph.contains("Of it, 500 J is estimated from a stated power"), "{paragraph}");
    let text = full.markdown();
    assert!(text.contains("its tokens are stated by the job"), "{text}");
}

#[test]
fn an_assumed_energy_is_never_called_measured() {
    let cpu = vec![channel("cpu0", Component::Cpu, Instrument::Assumed)];
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let record = close(opened("a", cpu), entries, &lines(12.0));
    let said = UserMetadata { intensity_g_per_kwh: Some(100.0), ..UserMetadata::default() };
    let statement = stated(&[record], &said);
    assert!(statement.all_assumed());
    assert_eq!((statement.sd_j, statement.meter.as_str()), (None, "cpu:assumed"));
    assert!(statement.annex_xi().contains("No energy was measured"));
    assert!(!statement.annex_xi().contains("It was measured"));
    assert!(statement.model_card().unwrap().contains("energy assumed, not measured with"));
}

#[test]
fn records_are_reported_at_a_scope_that_all_have() {
    let catalog = Catalog::built_in().unwrap();
    let cpu = vec![channel("cpu0", Component::Cpu, Instrument::Assumed)];
    let entries = || vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let mut gpu_only = closed("a");
    gpu_only.energies.truncate(1);
    let without_gpu = close(opened("b", cpu), entries(), &lines(12.0));
    let error = Statement::from_records(
        &[gpu_only, without_gpu.clone()],
        &UserMetadata::default(),
        &catalog,
    );
    assert!(error.unwrap_err().to_string().contains("no scope in common"));
    let both = stated(&[closed("a"), without_gpu], &UserMetadata::default());
    assert_eq!(both.scope, Scope::Devices);
}

/// A record like `closed` that began later, by another container: another host name, the same boot and devices.
fn container(host: &str, later_s: u32) -> Record {
    let mut record = closed(host);
    record.nodes[0].boot_id = Some("boot-a".to_owned());
    record.started_at = format!("2026-03-01T12:00:{later_s:02}.000Z");
    record.ended_at = Some(format!("2026-03-01T12:00:{:02}.000Z", later_s + 11));
    record
}

fn caveats(records: &[Record]) -> (f64, String) {
    let statement = stated(records, &UserMetadata::default());
    (statement.energy_j, statement.caveats.join(" "))
}

#[test]
fn energy_that_two_records_hold_is_counted_once_and_said() {
    let (a, mut b) = (closed("a"), closed("b"));
    b.channels[0].channel.device = "GPU-other".to_owned();
    let merged = merge(&[a.clone(), b.clone()]).unwrap();
    // a merged record beside its parts, in any order
    let (energy, said) = caveats(&[a.clone(), merged.clone(), b.clone()]);
    assert!(near(energy, 6000.0), "{energy}");
    assert!(said.contains(&format!("Record {} is part of the merged record", a.id)), "{said}");
    // a copy
    let (energy, said) = caveats(&[a.clone(), a.clone(), a.clone()]);
    assert!(near(energy, 3000.0) && said.contains("occurs twice; it is counted once"), "{said}");
    // two containers that read one GPU at the same time
    let (energy, said) = caveats(&[a.clone(), container("c", 0)]);
    assert!(near(energy, 3000.0), "{energy}");
    assert!(said.contains("measured gpu0 of c and cpu0 of c at the same time"), "{said}");
    // for half of the time: 3000 J and the other half of 3000 J, whose power is not known
    let half = [a.clone(), container("c", 5)];
    let (energy, said) = caveats(&half);
    assert!(near(energy, 4500.0) && said.contains("for 50 % of the time"), "{energy} {said}");
    assert!(stated(&half, &UserMetadata::default()).random_sd_j > 1500.0 / 3f64.sqrt());
    // a command within another one's, and one after it
    let mut nested = container("c", 2);
    nested.duration = Some(s(4.0));
    assert!(near(caveats(&[nested, a.clone()]).0, 3000.0));
    let (energy, said) = caveats(&[a.clone(), container("c", 10)]);
    assert!(near(energy, 6000.0) && !said.contains("at the same time"), "{energy} {said}");
    // one machine's CPU counts once though the GPUs differ
    let mut neighbour = container("c", 0);
    neighbour.channels[0].channel.device = "GPU-other".to_owned();
    let all = UserMetadata { scope: Some(Scope::Devices), ..UserMetadata::default() };
    assert!(near(stated(&[a, neighbour], &all).energy_j, 6500.0));
}

/// A record like `trained` of another rank on the machine `a`: the first one holds its devices, wholly or until a time.
fn second_rank(until: Option<f64>) -> Record {
    let mut record = opened("a", gpu_and_cpu());
    record.id = "20260301T120000Z-rank1".to_owned();
    record.held_by = Some("/runs/20260301T120000Z-a".to_owned());
    for measured in &mut record.channels {
        measured.held_by = record.held_by.clone();
    }
    let mut entries = vec![
        happened(1.0, Event::CommandBegin),
        happened(3.0, Event::WindowBegin { name: "epoch".to_owned() }),
        happened(5.0, Event::WindowEnd { name: None }),
        ended(11.0, WELL),
    ];
    for channel in ["gpu0", "cpu0"] {
        let taken = Event::TakenOver { channel: channel.to_owned() };
        entries.extend(until.map(|at| happened(at, taken)));
    }
    let mut record = close(record, entries, &lines(12.0));
    record.ended_at = Some("2026-03-01T12:00:11.000Z".to_owned());
    record
}

#[test]
fn a_device_is_handed_over_from_record_to_record() {
    let catalog = Catalog::built_in().unwrap();
    // the first one's command ended after five of ten seconds
    let second = second_rank(Some(6.0));
    assert!(near(second.energies[0].energy.value(), 1500.0), "{:?}", second.energies);
    assert!(near(second.energies[0].covered, 0.5));
    assert_eq!(second.channels[0].counted_from, Some(s(6.0)));
    assert_eq!(Record::from_json(&second.to_json().unwrap()).unwrap(), second);
    let said = "he energy of gpu0 counts in record /runs/20260301T120000Z-a for the first 5.0 s";
    assert!(
        stated(std::slice::from_ref(&second), &UserMetadata::default())
            .caveats
            .join(" ")
            .contains(said)
    );
    assert!(
        second
            .to_measurement(None, &catalog)
            .unwrap_err()
            .to_string()
            .contains("counts gpu0 in the same time")
    );
    let entries = vec![happened(1.0, Event::CommandBegin), ended(6.0, WELL)];
    let mut first = close(opened("a", gpu_and_cpu()), entries, &lines(7.0));
    first.ended_at = Some("2026-03-01T12:00:06.000Z".to_owned());
    // both together are the machine's ten seconds, merged or not
    let merged = merge(&[first.clone(), second.clone()]).unwrap();
    assert!(near(merged.energies[0].energy.value(), 3000.0), "{:?}", merged.energies);
    assert!(near(merged.energies[0].covered, 1.0) && merged.channels.len() == 2);
    assert!(near(stated(&[first, second], &UserMetadata::default()).energy_j, 3000.0));
}

#[test]
fn what_is_measured_counts_though_a_neighbour_holds_the_rest() {
    let mut record = opened("a", gpu_and_cpu());
    record.held_by = Some("/runs/other".to_owned());
    record.channels[1].held_by = record.held_by.clone();
    record.job = Some(JobSpec::from_toml(JOB).unwrap());
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let record = close(record, entries, &lines(12.0));
    assert_eq!(record.energies.len(), 1);
    let run = record.to_measurement(None, &Catalog::built_in().unwrap()).unwrap();
    assert!(near(run.energy.unwrap().value(), 3000.0));
    let error = record.total(Some(Scope::Devices)).unwrap_err().to_string();
    assert!(error.contains("no energy of scope devices: record /runs/other measured"), "{error}");
}

#[test]
fn a_window_of_any_rank_has_the_energy_of_the_machine() {
    let (first, second) = (closed("a"), second_rank(None));
    assert!(second.energies.is_empty());
    assert!(near(second.windows[0].energies[0].energy.value(), 600.0));
    let merged = merge(&[first.clone(), second.clone()]).unwrap();
    assert!(near(merged.energies[0].energy.value(), 3000.0) && merged.channels.len() == 2);
    let [window] = merged.windows.as_slice() else { panic!("{:?}", merged.windows) };
    let energies: Vec<f64> = window.energies.iter().map(|part| part.energy.value()).collect();
    assert!(window.name == "epoch" && near(energies[0], 600.0) && near(energies[1], 100.0));
    assert_eq!(energies.len(), 2);
    // another node did not report it
    let mut other = closed("b");
    other.channels[0].channel.device = "GPU-other".to_owned();
    assert!(merge(&[first, second, other]).unwrap().windows.is_empty());
}

#[test]
fn the_gpus_of_the_job_are_held_against_the_meters() {
    let catalog = Catalog::built_in().unwrap();
    let mut record = closed("a");
    let job = |system: &str| JobSpec::from_toml(&format!("{JOB}[system]\n{system}\n")).unwrap();
    // one of four GPUs was measured
    record.job = Some(job("gpu = 'a100-sxm4-40gb'\ngpus = 4"));
    let carbon = UserMetadata { intensity_g_per_kwh: Some(100.0), ..UserMetadata::default() };
    let statement = stated(std::slice::from_ref(&record), &carbon);
    assert_eq!(statement.hardware.as_deref(), Some("1 × a100-sxm4-40gb"));
    assert_eq!((statement.energy_per_token_j, statement.pj_per_flop), (None, None));
    let said = "the job has 4 GPUs, but 1 was measured, so the energy is that of 1";
    assert!(statement.annex_xi().contains(said), "{}", statement.annex_xi());
    let said = &said[1..];
    assert!(statement.caveats.join(" ").contains(said), "{:?}", statement.caveats);
    assert!(!statement.markdown().contains("4 × a100"), "{}", statement.markdown());
    let error = record.to_measurement(None, &catalog).unwrap_err().to_string();
    assert!(error.starts_with("1 of the 4 GPUs of record"), "{error}");
    assert!(record.defects(&catalog).iter().any(|d| d.text.ends_with(said)));
    // degrees state a number of GPUs too
    record.job = Some(JobSpec::from_toml(&format!("{JOB}[parallelism]\ndp = 2\n")).unwrap());
    assert!(record.to_measurement(None, &catalog).is_err());
    // the driver's word on the model counts
    record.job = Some(job("gpu = 'rtx-4090'"));
    let statement = stated(std::slice::from_ref(&record), &carbon);
    assert_eq!(statement.hardware.as_deref(), Some("1 × a100-sxm4-40gb"));
    assert!(statement.caveats.join(" ").contains("states the GPU rtx-4090"));
    let data = Dataset::from_records(&[record], "runs", None, &catalog).unwrap();
    assert_eq!(data.runs[0].gpu(), "a100-sxm4-40gb");
    assert!(data.notes[0].contains("rtx-4090 for a100-sxm4-40gb"), "{:?}", data.notes);
}

/// The statement of a record, whose sentence for the regulator and model card both hold `said`.
#[track_caller]
fn qualified(record: &Record, kind: QualificationKind, said: &[&str]) -> Statement {
    let carbon = UserMetadata { intensity_g_per_kwh: Some(100.0), ..UserMetadata::default() };
    let statement = stated(std::slice::from_ref(record), &carbon);
    assert!(statement.qualifications.iter().any(|q| q.kind == kind), "{statement:?}");
    let everywhere = [
        statement.annex_xi(),
        statement.model_card().unwrap(),
        statement.caveats.join(" ").to_lowercase(),
    ];
    for (text, said) in everywhere.iter().flat_map(|text| said.iter().map(move |s| (text, s))) {
        assert!(
            text.contains(said) || text.contains(&said.to_lowercase()),
            "{said} is not in {text}"
        );
    }
    for text in &everywhere[..2] {
        assert!(text.contains("bound: "), "{text}");
    }
    statement
}

#[test]
fn what_is_missing_or_too_much_stands_in_the_sentence() {
    // a GPU that is lost after four of ten seconds: 1200 J of 3000 J were counted
    let lines: Vec<String> = lines(12.0)
        .into_iter()
        .map(|line| match line.split_once(",gpu0,") {
            Some((at, _)) if at.parse::<f64>().unwrap() > 5.0 => format!("{at},gpu0,,,,,,,,"),
            _ => line,
        })
        .collect();
    let entries = vec![happened(1.0, Event::CommandBegin), ended(11.0, WELL)];
    let lost = close(opened("a", gpu_and_cpu()), entries, &lines);
    let statement = qualified(
        &lost,
        QualificationKind::PartCovered,
        &["gpu0 has readings in only 40 % of the time"],
    );
    assert!(near(statement.energy_j, 1200.0) && near(statement.missing_j, 1800.0), "{statement:?}");
    assert_eq!(statement.qualifications[0].bound, Some(Bound::Lower));
    // the true 3000 J are within the interval that it deserves
    assert!(statement.energy_j + statement.sd_j.unwrap() > 3000.0, "{statement:?}");
    assert!(statement.annex_xi().contains("1800 J are missing"), "{}", statement.annex_xi());
    assert!(statement.markdown().contains("1200 J: a lower bound"), "{}", statement.markdown());

    let mut mig = closed("a");
    mig.channels[0].shared = Some(Sharing::Mig);
    let statement = qualified(&mig, QualificationKind::Shared, &["gpu0 is partitioned (MIG)"]);
    assert!(statement.annex_xi().contains("The energy is an upper bound: gpu0"));

    let mut left_out = closed("a");
    let reason = "permission denied".to_owned();
    left_out.left_out =
        vec![LeftOut { name: "GPU 1".to_owned(), component: Component::Gpu, reason }];
    let statement = qualified(
        &left_out,
        QualificationKind::LeftOut,
        &["GPU 1 was not measured: permission denied"],
    );
    assert!(near(statement.missing_j, 3000.0));

    let mut job = closed("a");
    job.job = Some(JobSpec::from_toml("[system]\ngpu = 'a100-sxm4-40gb'\ngpus = 4\n").unwrap());
    let statement = qualified(
        &job,
        QualificationKind::GpuMismatch,
        &["the job has 4 GPUs, but 1 was measured"],
    );
    assert!(near(statement.missing_j, 9000.0));

    // the energy of a CPU is not that of the job's GPUs
    let mut cpu = closed("a");
    cpu.job = Some(JobSpec::from_toml("[system]\ngpu = 'a100-sxm4-40gb'\n").unwrap());
    cpu.channels.remove(0);
    cpu.energies.remove(0);
    qualified(&cpu, QualificationKind::GpuMismatch, &["no GPU of the job was measured"]);

    let held = second_rank(Some(6.0));
    qualified(&held, QualificationKind::HeldElsewhere, &["for the first 5.0 s"]);
    // what is complete is not qualified
    let whole = stated(&[closed("a")], &UserMetadata::default());
    assert!(whole.qualifications.is_empty() && !whole.annex_xi().contains("bound"));
}

#[test]
fn the_widest_measured_scope_is_stated_and_the_others_beside_it() {
    let mut record = closed("a");
    record.channels[1].channel.instrument = Instrument::Counter;
    record.channels[1].channel.systematic = Some(0.05);
    record.energies[1].assumed = Joules::ZERO;
    record.energies[1].systematic_sd = Some(Joules::new(160.0));
    let statement = stated(std::slice::from_ref(&record), &UserMetadata::default());
    assert_eq!((statement.scope, statement.other_scopes[0].scope), (Scope::Devices, Scope::Gpu));
    assert!(statement.annex_xi().contains("For the same runs, scope gpu is 3000 J, σ 150.5 J."));
    assert!(statement.markdown().contains("| also | `gpu`: 3000 J"), "{}", statement.markdown());
    let narrow = UserMetadata {
        scope: Some(Scope::Gpu),
        intensity_g_per_kwh: Some(100.0),
        ..UserMetadata::default()
    };
    let card = stated(&[record], &narrow).model_card().unwrap();
    assert!(card.contains("scope devices is 3500 J"), "{card}");
}

#[test]
fn records_without_energy_are_left_out_and_said() {
    let statement = stated(&[closed("a"), opened("b", Vec::new())], &UserMetadata::default());
    assert!(near(statement.energy_j, 3000.0) && statement.runs.len() == 1);
    let said = "The energy is a lower bound: left out: record 20260301T120000Z-b is not closed";
    assert!(statement.annex_xi().contains(said), "{}", statement.annex_xi());
    // what the other record counts is not missing
    let statement = stated(&[closed("a"), second_rank(None)], &UserMetadata::default());
    assert_eq!(statement.qualifications[0].bound, None);
    let catalog = Catalog::built_in().unwrap();
    let alone = Statement::from_records(&[second_rank(None)], &UserMetadata::default(), &catalog);
    assert!(alone.unwrap_err().to_string().contains("measured this machine at the same time"));
}

#[test]
fn runs_that_share_energy_are_not_fitted() {
    let catalog = Catalog::built_in().unwrap();
    let with_job = |mut record: Record| {
        record.job = Some(JobSpec::from_toml(JOB).unwrap());
        record
    };
    let (a, mut b) = (with_job(closed("a")), with_job(closed("b")));
    b.channels[0].channel.device = "GPU-other".to_owned();
    let merged = merge(&[a.clone(), b.clone()]).unwrap();
    let of = |records: &[Record]| Dataset::from_records(records, "runs", None, &catalog).unwrap();
    let data = of(&[a.clone(), b, merged.clone()]);
    assert_eq!((data.runs.len(), &data.runs[0].run_id), (1, &merged.id));
    assert!(data.notes[0].contains("part of the merged record"), "{:?}", data.notes);
    let data = of(&[a.clone(), with_job(container("c", 5))]);
    assert_eq!((data.runs.len(), &data.runs[0].run_id), (1, &a.id));
    assert!(data.notes[1].contains("1 records share energy"), "{:?}", data.notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is forgotten of a long trace changes nothing: windows are those of the whole trace.
    #[test]
    fn windows_of_a_record_are_those_of_the_whole_trace(
        steps in prop::collection::vec((0.01..0.24f64, 0.0..700.0f64, prop::bool::weighted(0.1)), 2..200),
        cuts in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 0..20),
        polled: bool,
    ) {
        let instrument = if polled { Instrument::Power } else { Instrument::Counter };
        let gpu = channel("gpu0", Component::Gpu, instrument);
        let mut whole = ChannelTrace::new(gpu.clone());
        let (mut at, mut energy, mut lines) = (0.0, 0.0, Vec::new());
        for (step, power, fails) in steps {
            at += step;
            energy += step * power;
            let sample = Sample {
                energy: (!polled).then(|| Joules::new(energy)), power: Some(Watts::new(power)), ..Sample::default()
            };
            let line = line(&Reading { at: s(at), channel: "gpu0", sample: (!fails).then_some(sample) });
            let read = Reading::parse(&line).unwrap();
            whole.push(read.at, read.sample);
            lines.push(line);
        }
        let end = at;
        let mut entries = vec![happened(0.0, Event::CommandBegin), ended(end, WELL)];
        for (i, (a, b)) in cuts.iter().enumerate() {
            let name = format!("w{i}");
            entries.push(happened(a.min(*b) * end, Event::WindowBegin { name: name.clone() }));
            entries.push(happened(a.max(*b) * end, Event::WindowEnd { name: Some(name) }));
        }
        let record = close(opened("a", vec![gpu]), entries, &lines);
        prop_assert_eq!(record.windows.len(), cuts.len());
        for window in &record.windows {
            let expected = whole.energy_between(window.from, window.to);
            let part = &window.energies[0];
            prop_assert!((part.energy - expected.energy).value().abs() <= 1e-6 * energy.max(1.0));
            prop_assert!((part.quantisation_sd - expected.quantisation).value().abs() <= 1e-6 * energy.max(1.0));
        }
    }
}
