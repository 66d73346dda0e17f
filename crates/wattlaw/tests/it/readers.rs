//! Every reader answers any input with a value or with one line; and whatever it accepts can be counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helper functions of a test")]

use std::fmt::Write;
use std::sync::LazyLock;

use crate::answers::{answered, countable, resolves_and_counts};
use crate::edits::{edited, edited_text, edits};
use crate::jobs::{CATALOG, jobs, resolved};
use proptest::prelude::*;
use wattlaw::base::amount::Count;
use wattlaw::calibration::{Calibration, FitOptions};
use wattlaw::data::dataset::{ColumnMap, Dataset, Efficiency, ProxyColumns};
use wattlaw::data::proxy::ProxySet;
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::{ModelType, from_config_json};
use wattlaw::job::system::SystemSpec;
use wattlaw::job::workload::WorkloadSpec;
use wattlaw::job::{Job, JobSpec};
use wattlaw::predict::predict;
use wattlaw::stats::formula::Formula;

const CONFIGS: [&str; 5] = [
    r#"{"model_type": "bert", "num_hidden_layers": 12, "hidden_size": 768,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
        "max_position_embeddings": 512, "type_vocab_size": 2}"#,
    r#"{"model_type": "mixtral", "num_hidden_layers": 32, "hidden_size": 4096,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 32000, "num_local_experts": 8, "num_experts_per_tok": 2,
        "tie_word_embeddings": false}"#,
    r#"{"model_type": "t5", "num_layers": 6, "num_decoder_layers": 6, "d_model": 512,
        "num_heads": 8, "d_kv": 64, "d_ff": 2048, "vocab_size": 32128,
        "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu"}"#,
    r#"{"model_type": "vit", "num_hidden_layers": 12, "hidden_size": 768,
        "num_attention_heads": 12, "intermediate_size": 3072, "image_size": 224, "patch_size": 16,
        "num_channels": 3, "qkv_bias": true, "id2label": {"0": "a", "1": "b"}}"#,
    r#"{"model_type": "opt", "num_hidden_layers": 24, "hidden_size": 1024,
        "num_attention_heads": 16, "ffn_dim": 4096, "vocab_size": 50272,
        "word_embed_proj_dim": 512, "do_layer_norm_before": false,
        "max_position_embeddings": 2048}"#,
];

const JOBS: [&str; 3] = [
    "[model]\nname = 'bert-base-uncased'\n[workload]\ntokens = \"10M\"\nseq_len = 128\nmicro_batch = 32\n\
     padding_share = 0.25\n[parallelism]\nstrategy = 'fsdp'\n[system]\ngpu = 'a100-sxm4-40gb'\ngpus = 4\n",
    "model = { family = 'mixtral', layers = 8, hidden_size = 512, heads = 8, kv_heads = 4, experts = 8, \
     top_k = 2, vocab_multiple = 64 }\n\
     workload = { epochs = 2.5, examples = 1000, state_precision = 'bf16', framework = 'nanotron', seq_len = 256, micro_batch = 2, grad_accum = 8, \
     lora = { rank = 8, targets = ['q', 'up'] } }\n\
     parallelism = { tp = 2, pp = 2, dp = 2, schedule = 'interleaved', virtual_stages = 2, \
     sequence_parallel = true }\n\
     system = { name = 'dgx-a100-80gb', gpus = 8, pue = 1.2, price_per_kwh = 0.3, power_limit_w = 300.0 }\n",
    "model = { family = 'vit', layers = 4, hidden_size = 128, image_size = 64, patch_size = 8, \
     channels = 3, classes = 10 }\n\
     workload = { steps = 100, micro_batch = 4, checkpointing = 'full', task = 'classification', labels = 10 }\n\
     parallelism = { strategy = 'hsdp', shard_group = 2 }\n\
     system = { gpu = 't4', gpus = 4, nodes = 2, network_gb_per_s = 12.5 }\n",
];

const CATALOGUE: &str = "[[accelerator]]\nname = 'x1'\nvendor = 'x'\narchitecture = 'x'\nyear = 2030\nfp32_tflops = 10.0\n\
    fp16_tflops = 100.0\nhbm_gib = 16.0\nhbm_gb_per_s = 900.0\nlink = 'pcie'\npcie_generation = 4\npcie_lanes = 16\n\
    tdp_w = 250.0\nsource = 's'\n[[model]]\nname = 'm1'\nfamily = 'gpt2'\nlayers = 2\nhidden_size = 64\nsource = 's'\n\
    [[system]]\nname = 's1'\naccelerator = 'x1'\ngpus_per_node = 8\nsource = 's'\n";

const COLUMN_MAP: &str =
    "[columns]\nduration_s = 'elapsed (s)'\nlayers = 'depth'\n[constants]\ngpu = 't4'\ngpus = 2\n";

const FORMULA: &str = "strategy + log_C*log_M + gpu:log_C - 1";

/// Runs of a law that is known, on one to four GPUs.
static TABLE: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::from(
        "run_id,family,gpu,gpus,strategy,layers,hidden_size,heads,seq_len,micro_batch,\
         tokens,duration_s,energy_kwh,scope,tp\n",
    );
    for i in 0..32_u32 {
        let (layers, hidden, gpus) = (2 + i % 7, 64 * (1 + i % 5), 1 << (i % 3));
        let strategy = if gpus == 1 { "baseline" } else { "fsdp" };
        let tokens = 100_000 * (1 + (i * 7) % 11);
        let work = f64::from(layers * hidden) * f64::from(tokens);
        let (seconds, kwh) = (1e-7 * work + f64::from(i), 1e-12 * work * f64::from(1 + i % 2));
        writeln!(
            text,
            "r{i},bert,t4,{gpus},{strategy},{layers},{hidden},4,{},{},{tokens},{seconds},{kwh},gpu,1",
            32 << (i % 4),
            1 + i % 6
        )
        .unwrap();
    }
    text
});

static CALIBRATION: LazyLock<String> = LazyLock::new(|| {
    let data = Dataset::from_csv(TABLE.as_bytes(), "runs.csv", None).unwrap();
    let options = FitOptions {
        formula: Some("strategy + log_C + log_M".parse().unwrap()),
        ..FitOptions::default()
    };
    Calibration::fit(&data, &options, &CATALOG).unwrap().to_json().unwrap()
});

/// A job that the calibration is asked about.
static ASKED: LazyLock<Job> =
    LazyLock::new(|| JobSpec::from_toml(JOBS[0]).unwrap().resolve(&CATALOG).unwrap());

fn read_config(text: &str) -> Result<(), TestCaseError> {
    let Some(model) = answered(from_config_json(text))? else { return Ok(()) };
    let spec = JobSpec {
        workload: WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: (model.image_size.is_none() && model.family.as_deref() != Some("vit"))
                .then_some(128),
            micro_batch: Some(1),
            ..WorkloadSpec::default()
        },
        system: SystemSpec { gpu: Some("t4".into()), ..SystemSpec::default() },
        model,
        ..JobSpec::default()
    };
    resolves_and_counts(&spec)
}

fn read_job(text: &str) -> Result<(), TestCaseError> {
    answered(JobSpec::from_toml(text))?.map_or(Ok(()), |spec| resolves_and_counts(&spec))
}

fn read_resolved_job(text: &str) -> Result<(), TestCaseError> {
    answered(JobSpec::from_json(text))?.map_or(Ok(()), |spec| resolves_and_counts(&spec))
}

/// What is in an accepted catalogue can be used.
fn read_catalogue(text: &str) -> Result<(), TestCaseError> {
    let Some(catalog) = answered(Catalog::from_toml(text))? else { return Ok(()) };
    let catalog = catalog.with_fallback(CATALOG.clone());
    for (model, system) in [("m1", "s1"), ("gpt2", "s1"), ("m1", "dgx-a100-80gb")] {
        let text = format!(
            "model.name = '{model}'\nsystem.name = '{system}'\nsystem.gpus = 8\n\
             workload = {{ steps = 1, seq_len = 64, micro_batch = 1 }}"
        );
        let spec = JobSpec::from_toml(&text).unwrap();
        if let Some(job) = answered(spec.resolve(&catalog))? {
            countable(&job)?;
            prop_assert!(job.system.link.bandwidth.value() > 0.0);
        }
    }
    Ok(())
}

fn read_table(bytes: &[u8], map: Option<&ColumnMap>) -> Result<(), TestCaseError> {
    let Some(data) = answered(Dataset::from_csv(bytes, "runs.csv", map))? else { return Ok(()) };
    answered(data.scope())?;
    for (proxies, efficiency) in
        [(ProxySet::Study, Efficiency::Duration), (ProxySet::Ledger, Efficiency::Throughput)]
    {
        let frame = data.frame(ProxyColumns { proxies, efficiency }, &CATALOG);
        if let Some(frame) = answered(frame)? {
            for column in ["log_C", "log_M", "log_eta", "log_energy_kwh", "log_power_w"] {
                let values = frame.number(column).unwrap();
                // absent is NaN; infinite would be a number that was accepted and cannot be
                prop_assert!(values.iter().all(|x| !x.is_infinite()), "{column}");
            }
        }
    }
    let formula = Some("strategy + log_C + log_M".parse().unwrap());
    let options = FitOptions { formula, ..FitOptions::default() };
    answered(Calibration::fit(&data, &options, &CATALOG))?;
    Ok(())
}

fn read_calibration(text: &str) -> Result<(), TestCaseError> {
    let Some(calibration) = answered(Calibration::from_json(text))? else { return Ok(()) };
    let again = calibration.to_json().unwrap();
    prop_assert_eq!(Calibration::from_json(&again).unwrap().to_json().unwrap(), again);
    if let Some(prediction) = answered(predict(&ASKED, &calibration, "asked", None, 0.8))? {
        for warning in &prediction.warnings {
            prop_assert!(!warning.text.is_empty());
        }
    }
    Ok(())
}

/// A roofline law of the table, whose shape a reader of damaged files must check.
static ROOFLINE: LazyLock<String> = LazyLock::new(|| {
    let data = Dataset::from_csv(TABLE.as_bytes(), "runs.csv", None).unwrap();
    let options = FitOptions::default();
    Calibration::fit_roofline(&data, &options, &CATALOG, Some(4)).unwrap().to_json().unwrap()
});

fn read_formula(text: &str) -> Result<(), TestCaseError> {
    if let Some(formula) = answered(text.parse::<Formula>())? {
        prop_assert_eq!(formula.to_string().parse::<Formula>().unwrap(), formula);
    }
    Ok(())
}

fn read_count(text: &str) -> Result<(), TestCaseError> {
    if let Some(count) = answered(text.parse::<Count>())? {
        prop_assert!(count.get() >= 1);
        prop_assert_eq!(count.to_string().parse::<Count>().unwrap(), count);
    }
    Ok(())
}

/// The documents that are edited below are themselves accepted, or nothing would be tested.
#[test]
fn the_documents_are_valid() {
    for config in CONFIGS {
        from_config_json(config).unwrap().resolve().unwrap();
    }
    for job in JOBS {
        let job = JobSpec::from_toml(job).unwrap().resolve(&CATALOG);
        job.unwrap_or_else(|e| panic!("{e}"));
    }
    Catalog::from_toml(CATALOGUE).unwrap();
    ColumnMap::from_toml(COLUMN_MAP).unwrap();
    FORMULA.parse::<Formula>().unwrap();
    for text in [&*CALIBRATION, &*ROOFLINE] {
        let calibration = Calibration::from_json(text).unwrap();
        let prediction = predict(&ASKED, &calibration, "asked", None, 0.8).unwrap();
        assert!(prediction.energy_j.unwrap().estimate > 0.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_panics_a_reader(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}|[ \\[\\]{}=:,'\"a-z0-9.\\n]{0,80}") {
        read_config(&text)?;
        read_job(&text)?;
        read_resolved_job(&text)?;
        read_catalogue(&text)?;
        read_table(text.as_bytes(), None)?;
        read_calibration(&text)?;
        read_formula(&text)?;
        read_count(&text)?;
        answered(ColumnMap::from_toml(&text))?;
        answered(CATALOG.accelerator(&text))?;
        answered(text.parse::<ModelType>())?;
    }

    #[test]
    fn no_bytes_panic_the_table_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_table(&bytes, None)?;
        let header = b"family,gpu,gpus,layers,hidden_size,tokens\n";
        read_table(&[header.as_slice(), &bytes].concat(), None)?;
    }

    #[test]
    fn edited_configs_never_panic(at in 0..CONFIGS.len(), edits in edits()) {
        read_config(&edited_text(CONFIGS[at], &edits))?;
    }

    #[test]
    fn edited_jobs_never_panic(at in 0..JOBS.len(), edits in edits()) {
        read_job(&edited_text(JOBS[at], &edits))?;
    }

    #[test]
    fn edited_resolved_jobs_are_answered(at in 0..JOBS.len(), edits in edits()) {
        let job = resolved(&JobSpec::from_toml(JOBS[at]).unwrap());
        read_resolved_job(&edited_text(&job.to_json().unwrap(), &edits))?;
    }

    #[test]
    fn edited_catalogues_never_panic(edits in edits()) {
        read_catalogue(&edited_text(CATALOGUE, &edits))?;
    }

    #[test]
    fn edited_column_maps_never_panic_and_read_tables(edits in edits()) {
        if let Some(map) = answered(ColumnMap::from_toml(&edited_text(COLUMN_MAP, &edits)))? {
            read_table(b"family,depth,hidden_size,elapsed (s)\nbert,2,64,7.5\n", Some(&map))?;
        }
    }

    #[test]
    fn edited_formulas_and_counts_never_panic(edits in edits()) {
        read_formula(&edited_text(FORMULA, &edits))?;
        read_count(&edited_text("1_500.25M", &edits))?;
    }

    #[test]
    fn a_job_that_is_written_is_read_back(spec in jobs()) {
        let text = toml::to_string(&spec).unwrap();
        let read = JobSpec::from_toml(&text).unwrap();
        prop_assert_eq!(&read, &spec, "{}", text);
        countable(&resolved(&read))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn edited_tables_never_panic(edits in edits()) {
        read_table(&edited(&TABLE, &edits), None)?;
    }

    #[test]
    fn edited_calibrations_never_panic(edits in edits()) {
        read_calibration(&edited_text(&CALIBRATION, &edits))?;
    }

    #[test]
    fn edited_roofline_laws_never_panic(edits in edits()) {
        read_calibration(&edited_text(&ROOFLINE, &edits))?;
    }
}

#[test]
fn a_table_of_absurd_degrees_is_refused_when_it_is_counted() {
    let table = b"family,gpu,gpus,layers,hidden_size,seq_len,tokens,tp,pp\n\
                  bert,t4,8,2,64,128,1000,1000000000000000,1000000000000000\n";
    read_table(table, None).unwrap();
    let data = Dataset::from_csv(table, "runs.csv", None).unwrap();
    let error = data.runs[0].resolve(&CATALOG).unwrap_err().to_string();
    assert!(error.starts_with("pp is 1000000000000000"), "{error}");
}

/// Files of 0.1.0 have the schema's number 1: a scaling law is read, and predicts what it did.
#[test]
fn scaling_laws_of_version_0_1_0_are_read() {
    let earlier = CALIBRATION.replace("wattlaw-calibration/2", "wattlaw-calibration/1");
    assert_ne!(earlier, *CALIBRATION);
    let energy = |text: &str| {
        let calibration = Calibration::from_json(text).unwrap();
        predict(&ASKED, &calibration, "asked", None, 0.8).unwrap().energy_j
    };
    assert_eq!(energy(&earlier), energy(&CALIBRATION));
}

/// A roofline law of 0.1.0 has other parameters and is for single accelerators.
#[test]
fn roofline_laws_of_version_0_1_0_are_refused_in_a_sentence() {
    let text = r#"{"schema": "wattlaw-calibration/1", "name": "mine", "law": {"kind": "roofline", "machines": {}}}"#;
    let error = Calibration::from_json(text).unwrap_err().to_string();
    assert!(error.contains("a roofline law of wattlaw 0.1.0"), "{error}");
    assert!(error.contains("wattlaw calibrate RUNS.csv") && !error.contains('\n'), "{error}");
    let later = text.replace("calibration/1", "calibration/3");
    let error = Calibration::from_json(&later).unwrap_err().to_string();
    assert!(error.contains("this version of wattlaw reads `wattlaw-calibration/2`"), "{error}");
}
