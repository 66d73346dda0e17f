//! A measurement has the job that was run: tables and records give it back, and laws count it as it was described.

use std::path::Path;

use crate::jobs::{self, CATALOG};
use proptest::prelude::*;
use wattlaw::base::scope::{Covers, Scope};
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::calibration::{Calibration, FitOptions};
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::data::dataset::{Dataset, ProxyColumns, to_csv};
use wattlaw::data::features::Features;
use wattlaw::data::measurement::Measurement;
use wattlaw::data::proxy::ProxySet;
use wattlaw::job::JobSpec;
use wattlaw::job::system::LinkKind;
use wattlaw::job::workload::{Framework, Stack};
use wattlaw::memory::Memory;
use wattlaw::predict::{Prediction, predict};
use wattlaw::record::document::Record;
use wattlaw::stats::frame::Row as _;

/// What a run table gives back of measurements.
fn through_a_table(runs: &[Measurement]) -> Vec<Measurement> {
    let csv = to_csv(runs).unwrap();
    let mut read = Dataset::from_csv(csv.as_bytes(), "runs.csv", None).unwrap();
    assert!(read.notes.is_empty(), "{:?}\n{csv}", read.notes);
    read.runs.iter_mut().for_each(|run| run.line = 0);
    read.runs
}

/// A record of a job that another test measured, with another job.
fn record_of(spec: &JobSpec) -> Record {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/record_json/finished.json");
    let mut record = Record::from_json(&std::fs::read_to_string(file).unwrap()).unwrap();
    record.job = Some(spec.clone());
    (record.tokens, record.steps) = (None, None);
    record.windows.clear();
    record
}

/// A job with some of the fields that random jobs leave open.
fn with_details(mut spec: JobSpec, detail: u32) -> JobSpec {
    if detail & 1 != 0 {
        spec.system.power_limit_w = Some(250.0);
        spec.system.network = Some("InfiniBand HDR".to_owned());
        spec.system.network_gb_per_s = Some(12.5);
        spec.system.link_gb_per_s = Some(300.0);
    }
    if detail & 2 != 0 {
        spec.workload.framework = Some(Stack::of(Framework::Nanotron));
        spec.workload.padding_share = Some(0.125);
        // the accumulation follows from the global batch
        let sizes = [spec.workload.micro_batch, spec.workload.grad_accum, spec.parallelism.dp];
        spec.workload.global_batch = Some(sizes.into_iter().flatten().product());
        spec.workload.grad_accum = None;
    }
    if detail & 4 != 0 {
        spec.system.pue = Some(1.25);
        spec.system.carbon_g_per_kwh = Some(0.0);
        spec.system.price_per_gpu_hour = Some(2.5);
        spec.system.host_power_w = Some(900.0);
        spec.system.link = Some(LinkKind::Pcie);
        if detail & 1 == 0 {
            spec.system.network_adapters = Some(2);
            spec.system.adapter_gb_per_s = Some(50.0);
        }
        spec.system.currency = Some("EUR".to_owned());
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_table_and_a_record_give_back_an_equal_job(
        spec in jobs::jobs(),
        detail in 0..8_u32,
        planned in any::<bool>(),
    ) {
        let spec = with_details(spec, detail);
        let job = jobs::resolved(&spec);
        let mut run = Measurement::described("r", &spec, &CATALOG).unwrap();
        prop_assert_eq!(run.job().resolve(&CATALOG).unwrap(), job.clone());
        run.tokens = (!planned).then(|| job.tokens());
        run.duration = Some(Seconds::new(12.5));
        run.energy = Some(Joules::new(3e5));
        run.energy_kwh = run.energy.map(Joules::kwh);
        run.scope = Scope::Devices;
        run.covers = Covers::Steps;

        let back = through_a_table(std::slice::from_ref(&run));
        prop_assert_eq!(back[0].job().resolve(&CATALOG).unwrap(), job.clone());
        prop_assert_eq!(&back[0], &run);

        let record = record_of(&spec);
        let read = Record::from_json(&record.to_json().unwrap()).unwrap();
        prop_assert_eq!(&read, &record);
        let of_record = read.to_measurement(None, &CATALOG).unwrap();
        prop_assert_eq!(of_record.job().resolve(&CATALOG).unwrap(), job);
    }

    #[test]
    fn a_resolved_job_is_read_back_equal(spec in jobs::jobs(), detail in 0..8_u32) {
        let job = jobs::resolved(&with_details(spec, detail));
        let read = JobSpec::from_json(&job.to_json().unwrap()).unwrap();
        prop_assert_eq!(&read, &job.spec());
        let again = read.resolve(&CATALOG).unwrap();
        prop_assert_eq!(again.spec(), job.spec());
        prop_assert_eq!(again, job.clone());
        let from_toml = JobSpec::from_toml(&job.spec().to_toml().unwrap()).unwrap();
        prop_assert_eq!(from_toml.resolve(&CATALOG).unwrap(), job);
    }

    #[test]
    fn jobs_in_one_table_do_not_share_fields(
        specs in prop::collection::vec(jobs::jobs(), 2..6),
    ) {
        let runs: Vec<Measurement> = specs
            .iter()
            .map(|spec| Measurement::described("r", spec, &CATALOG).unwrap())
            .collect();
        prop_assert_eq!(through_a_table(&runs), runs);
    }
}

/// The rates of links are stored in bytes per second and written in GB/s, which must not lose a rounding.
#[test]
fn every_model_gpu_and_system_of_the_catalogue_is_read_back_equal() {
    let text = |model: &str, system: &str, seq_len: &str| {
        format!(
            "model = {{ {model} }}\nsystem = {{ {system} }}\nworkload = {{ steps = 1, micro_batch = 1{seq_len} }}"
        )
    };
    let small = "family = 'bert', layers = 2, hidden_size = 64";
    let tokens = ", seq_len = 8";
    let all = CATALOG.accelerators.all().unwrap();
    let gpus = all.into_iter().map(|gpu| {
        // a power that is not public is stated
        let power = if gpu.tdp_w.is_none() { ", power_limit_w = 200" } else { "" };
        text(small, &format!("gpu = '{}'{power}", gpu.name), tokens)
    });
    let systems =
        CATALOG.systems.names().map(|system| text(small, &format!("name = '{system}'"), tokens));
    let all = CATALOG.models.all().unwrap();
    let models = all.into_iter().map(|model| {
        let name = model.spec.name.as_deref().unwrap();
        let is_image = model.spec.resolve().unwrap().image.is_some();
        text(&format!("name = '{name}'"), "gpu = 't4'", if is_image { "" } else { tokens })
    });
    let texts: Vec<String> = gpus.chain(systems).chain(models).collect();
    assert!(texts.len() > 100, "{}", texts.len());
    for text in texts {
        let job = jobs::resolved(&JobSpec::from_toml(&text).unwrap());
        let read = JobSpec::from_json(&job.to_json().unwrap()).unwrap();
        assert_eq!(read.resolve(&CATALOG).unwrap(), job, "{text}");
    }
}

/// FLOPs, bytes and memory of a job as it is fitted, beside those of the job as it was described.
#[test]
fn fitted_and_described_jobs_have_equal_cost() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let padded = "model.name = 'bert-base-uncased'
        workload = { epochs = 3, examples = 10000, seq_len = 128, micro_batch = 32, padding_share = 0.5 }
        system = { gpu = 't4' }";
    let mut jobs = vec![("padded".to_owned(), padded.to_owned())];
    for name in ["lora", "moe", "3d", "vit", "t5"] {
        let file = examples.join(format!("{name}-job.toml"));
        jobs.push((name.to_owned(), std::fs::read_to_string(file).unwrap()));
    }
    for (name, text) in jobs {
        let spec = JobSpec::from_toml(&text).unwrap();
        let job = spec.resolve(&CATALOG).unwrap();
        let measured = record_of(&spec).to_measurement(None, &CATALOG).unwrap();
        let table = through_a_table(&[measured]);
        let fitted = table[0].resolve(&CATALOG).unwrap();
        let (described, as_fitted) =
            (Cost::count(&job, AttentionFlops::Full), Cost::count(&fitted, AttentionFlops::Full));
        assert_eq!(as_fitted.stages, described.stages, "{name}");
        assert_eq!(as_fitted.hardware_flops(), described.hardware_flops(), "{name}");
        assert_eq!(as_fitted.steps, described.steps, "{name}");
        assert_eq!(Memory::for_job(&fitted), Memory::for_job(&job), "{name}");
        columns_equal(&name, &table, &job);
    }
}

/// The columns that laws are fitted on are those that they are asked with.
fn columns_equal(name: &str, table: &[Measurement], job: &wattlaw::job::Job) {
    let csv = to_csv(table).unwrap();
    let data = Dataset::from_csv(csv.as_bytes(), "runs.csv", None).unwrap();
    for proxies in [ProxySet::Study, ProxySet::Ledger] {
        let columns = ProxyColumns { proxies, ..ProxyColumns::default() };
        let frame = data.frame(columns, &CATALOG).unwrap();
        let features = Features::for_job(job, columns);
        for column in [
            "log_C",
            "log_M",
            "log_tokens",
            "log_micro_steps",
            "log_hbm_bandwidth",
            "log_layers",
            "log_hidden_size",
            "log_seq_len",
            "log_gpus",
            "gpus",
        ] {
            let (fitted, asked) =
                (frame.number(column).unwrap()[0], features.number(column).unwrap());
            // products in another order
            assert!((fitted - asked).abs() < 1e-12, "{name}, {column}: {fitted} is not {asked}");
        }
        for column in ["strategy", "family", "gpu"] {
            let fitted = &frame.label(column).unwrap()[0];
            assert_eq!(features.label(column), Some(fitted.as_str()), "{name}, {column}");
        }
    }
}

/// What a table cannot hold is refused and not guessed.
#[test]
fn a_text_that_a_table_cannot_hold_is_refused() {
    let spec = JobSpec::from_toml(
        "model = { name = 'gpt2' }\nworkload = { steps = 1, seq_len = 8, micro_batch = 1 }\nsystem = { gpu = 't4' }",
    )
    .unwrap();
    for (name, id) in [(" gpt2", "r"), ("NA", "r"), ("gpt2", "r ")] {
        let mut run = Measurement::described(id, &spec, &CATALOG).unwrap();
        let mut job = run.job().clone();
        job.model.name = Some(name.to_owned());
        run.job = wattlaw::data::measurement::DescribedJob::new(job).unwrap();
        let error = to_csv(&[run]).unwrap_err().to_string();
        assert!(error.contains("cannot be stored in a run table"), "{error}");
    }
}

/// Rows of `tp` without a degree are the study's, which split the feed-forward block only; rows that say their degree are
/// not.
#[test]
fn strategies_of_a_table_are_those_of_the_job() {
    let read = |columns: &str, cells: &str| {
        let text = format!(
            "family,gpu,layers,hidden_size,heads,seq_len,tokens,{columns}\ngpt,a100-sxm4-80gb,2,64,4,8,4096,{cells}\n"
        );
        let data = Dataset::from_csv(text.as_bytes(), "runs.csv", None).unwrap();
        let job = data.runs[0].resolve(&CATALOG).unwrap();
        assert_eq!(job.parallelism.strategy(), data.runs[0].strategy(), "{columns} {cells}");
        job.parallelism.strategy().to_string()
    };
    let of = |strategy: &str| read("gpus,strategy", &format!("4,{strategy}"));
    let kinds = ["ddp", "zero1", "zero2", "fsdp", "hsdp"];
    assert_eq!(kinds.map(of), kinds);
    assert_eq!((of("tp"), of("")), ("tp-mlp".to_owned(), "ddp".to_owned()));
    let spread =
        |cells: &str| read("gpus,dp_kind,data_parallel,tensor_parallel,pipeline_parallel", cells);
    // what data-parallel ranks shard is not lost beside tensor parallelism and pipelines
    assert_eq!(spread("4,zero1,4,1,1"), "zero1");
    assert_eq!(spread("8,zero1,2,2,2"), "zero1+tp+pp");
    assert_eq!(spread("2,zero1,1,1,2"), "pp");
    assert_eq!(spread("4,ddp,2,2,1"), "ddp+tp");
    assert_eq!(spread("4,,1,4,1"), "tp");
    assert_eq!(spread("1,zero1,1,1,1"), "single");
}

/// A table's global batch gives the tokens of a step; a mean one, or one of ranks that hold less, is no error.
#[test]
fn the_global_batch_of_a_table_only_gives_tokens() {
    let table =
        "family,layers,hidden_size,seq_len,gpu,gpus,micro_batch,grad_accum,global_batch,step_time_s
bert,2,128,64,t4,2,4,1,7,0.5
";
    let data = Dataset::from_csv(table.as_bytes(), "runs.csv", None).unwrap();
    let run = &data.runs[0];
    assert_eq!(run.tokens, Some(7.0 * 64.0));
    assert_eq!(run.job().workload.global_batch, None);
    assert_eq!(run.resolve(&CATALOG).unwrap().global_batch(), 8);
}

/// The table that the documentation fits, with FSDP under another strategy's name.
fn runs_called(strategy: &str) -> Dataset {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/runs.csv");
    let text = std::fs::read_to_string(file).unwrap().replace(",fsdp,", &format!(",{strategy},"));
    Dataset::from_csv(text.as_bytes(), "runs.csv", None).unwrap()
}

/// A job like those of the table, on four GPUs.
fn job_of(strategy: &str) -> wattlaw::job::Job {
    let spec = JobSpec::from_toml(&format!(
        "model = {{ family = 'bert', layers = 6, hidden_size = 512 }}
         workload = {{ tokens = '6M', seq_len = 128, micro_batch = 32 }}
         parallelism = {{ strategy = '{strategy}' }}
         system = {{ gpu = 'rtx-4090', gpus = 4 }}"
    ));
    spec.unwrap().resolve(&CATALOG).unwrap()
}

fn has(prediction: &Prediction, kind: &str) -> bool {
    let kinds = serde_json::to_value(&prediction.warnings).unwrap();
    kinds.as_array().unwrap().iter().any(|warning| warning["kind"] == kind)
}

#[test]
fn a_law_fitted_on_a_sharded_strategy_predicts_that_strategy() {
    let fit = |strategy| Calibration::fit(&runs_called(strategy), &FitOptions::default(), &CATALOG);
    let fsdp = fit("fsdp").unwrap();
    let expected = predict(&job_of("fsdp"), &fsdp, "asked", None, 0.9).unwrap();
    for strategy in ["zero1", "zero2", "hsdp"] {
        let own = fit(strategy).unwrap();
        let found = predict(&job_of(strategy), &own, "asked", None, 0.9).unwrap();
        assert_eq!(found.energy_j, expected.energy_j, "{strategy}");
        assert_eq!(found.duration_s, expected.duration_s, "{strategy}");
        assert!(!has(&found, "substituted"), "{strategy}: {:?}", found.warnings);
        // a law without such rows says that it answers as FSDP
        let found = predict(&job_of(strategy), &fsdp, "asked", None, 0.9).unwrap();
        assert_eq!(found.energy_j, expected.energy_j, "{strategy}");
        assert!(has(&found, "substituted"), "{strategy}");
        // and the other way round
        assert_eq!(
            predict(&job_of("fsdp"), &own, "asked", None, 0.9).unwrap().energy_j,
            expected.energy_j
        );
    }
}

#[test]
fn a_roofline_law_fitted_on_a_sharded_strategy_knows_it() {
    let fit = |strategy| {
        let options = FitOptions::default();
        Calibration::fit_roofline(&runs_called(strategy), &options, &CATALOG, None).unwrap()
    };
    for strategy in ["zero1", "zero2", "hsdp"] {
        let own = fit(strategy);
        let found = predict(&job_of(strategy), &own, "asked", None, 0.9).unwrap();
        assert!(!has(&found, "substituted") && !has(&found, "unseen-strategy"), "{strategy}");
        let energy = found.energy_j.unwrap();
        assert!(energy.lower < energy.estimate && energy.estimate < energy.upper);
    }
    // the ledger counts what each way of sharding sends, so that no strategy stands for another
    let found = predict(&job_of("zero2"), &fit("fsdp"), "asked", None, 0.9).unwrap();
    assert!(!has(&found, "substituted"), "{:?}", found.warnings);
    let found = predict(&job_of("tp"), &fit("fsdp"), "asked", None, 0.9).unwrap();
    assert!(has(&found, "unseen-strategy"), "{:?}", found.warnings);
}

/// The name of the data does not depend on a task beside it.
#[test]
fn a_dataset_without_a_task_is_read_back() {
    let spec = JobSpec::from_toml(
        "model = { name = 'gpt2' }\nworkload = { steps = 1, seq_len = 8, micro_batch = 1 }\nsystem = { gpu = 't4' }",
    )
    .unwrap();
    let mut run = Measurement::described("r", &spec, &CATALOG).unwrap();
    let mut job = run.job().clone();
    job.workload.task = None;
    run.job = wattlaw::data::measurement::DescribedJob::new(job).unwrap();
    run.dataset = Some("WIKITEXT".to_owned());
    assert_eq!(through_a_table(std::slice::from_ref(&run)), [run]);
}
