//! Counts against what PyTorch and transformers count; `golden/*.py` made the figures and says how.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use serde_json::Value;
use wattlaw::base::amount::Count;
use wattlaw::cost::{AttentionFlops, Cost};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::{Architecture, from_config_json};
use wattlaw::job::task::Task;
use wattlaw::job::workload::{
    AttentionKernel, Checkpointing, Framework, Precision, Stack, WorkloadSpec,
};
use wattlaw::job::{Job, JobSpec};

fn golden(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn architecture(case: &Value) -> Architecture {
    from_config_json(&case["config"].to_string()).unwrap().resolve().unwrap()
}

fn task(case: &Value) -> Task {
    match case["task"].as_str().unwrap() {
        "masked_lm" => Task::MaskedLm,
        "classification" => {
            Task::Classification { labels: case["architecture"]["labels"].as_u64().unwrap() }
        }
        _ => Task::CausalLm,
    }
}

/// One optimizer step of one micro-batch on one GPU.
fn job(case: &Value) -> Job {
    let model = from_config_json(&case["config"].to_string()).unwrap();
    let image = model.family.as_deref() == Some("vit");
    let count = |key: &str| case[key].as_u64();
    let labels = match task(case) {
        Task::Classification { labels } => Some(labels),
        _ => None,
    };
    let workload = WorkloadSpec {
        steps: Some(Count::new(1)),
        seq_len: if image { None } else { count("seq_len") },
        decoder_seq_len: count("decoder_seq_len"),
        micro_batch: count("batch"),
        precision: Some(Precision::Fp32),
        attention: Some(AttentionKernel::Eager),
        task: Some(task(case).name().to_owned()),
        labels,
        ..WorkloadSpec::default()
    };
    let mut spec = JobSpec { model, workload, ..JobSpec::default() };
    spec.system.gpu = Some("a100-sxm4-80gb".into());
    spec.resolve(&Catalog::built_in().unwrap()).unwrap()
}

fn cases(file: &str) -> Vec<Value> {
    let golden = golden(file);
    let mut cases = golden["cases"].as_array().unwrap().clone();
    cases.extend(golden["extra_cases"].as_array().unwrap().iter().cloned());
    cases
}

/// Exact: FLOPs are sums of products of whole numbers below 2⁵³, so that no rounding can enter.
#[test]
fn flops_equal_pytorchs_counter_on_every_shape() {
    let cases = cases("flops.json");
    assert!(cases.len() >= 24, "only {} shapes", cases.len());
    for case in &cases {
        let job = job(case);
        let cost = Cost::count(&job, AttentionFlops::Full);
        let counted = case["total_flops"].as_f64().unwrap();
        // the eager kernel computes the pairs beyond a window too, which the model does not need
        match job.architecture.window {
            Some(window) if window.size < job.workload.seq_len => {
                assert!(cost.model_flops_per_step.value() < counted, "{}", case["name"]);
            }
            _ => assert_eq!(cost.model_flops_per_step.value(), counted, "{}", case["name"]),
        }
        assert_eq!(cost.hardware_flops().value(), counted, "{}", case["name"]);
    }
}

/// PyTorch's non-reentrant checkpoint stops early; Megatron-LM's repeats the layer, as PyTorch's reentrant one does.
#[test]
fn recomputed_flops_equal_pytorchs_counter_with_checkpointing() {
    let mut checked = 0;
    for case in cases("flops.json") {
        for (framework, total) in [
            (Framework::Megatron, "total_flops_checkpointed"),
            (Framework::Pytorch, "total_flops_checkpointed_early_stop"),
        ] {
            let Some(counted) = case[total].as_f64() else { continue };
            let mut job = job(&case);
            job.workload.checkpointing = Checkpointing::Full;
            job.workload.framework = Stack::of(framework);
            let cost = Cost::count(&job, AttentionFlops::Full);
            assert_eq!(cost.hardware_flops().value(), counted, "{}, {total}", case["name"]);
            assert_eq!(
                cost.model_flops().value(),
                case["total_flops"].as_f64().unwrap(),
                "{}",
                case["name"]
            );
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} counts");
}

#[test]
fn parameters_for_a_task_equal_transformers() {
    for case in cases("flops.json") {
        let counted = architecture(&case).parameters_for(task(&case)).total;
        assert_eq!(Some(counted), case["parameters"].as_u64(), "{}", case["name"]);
    }
}

#[test]
fn parameters_of_published_models_are_exact() {
    let golden = golden("parameters.json");
    let models = golden["models"].as_array().unwrap();
    assert!(models.len() >= 40);
    for model in models {
        let a = architecture(model);
        let square = a.hidden_size * (a.hidden_size + 1);
        let labels = a.classes;
        let counted = match model["class"].as_str().unwrap() {
            name if name.ends_with("ForMaskedLM") => a.parameters_for(Task::MaskedLm).total,
            "ViTForImageClassification" => a.parameters_for(Task::Classification { labels }).total,
            // the bare model has a pooler in place of the classifier
            "ViTModel" => a.parameters().total - labels * (a.hidden_size + 1) + square,
            _ => a.parameters().total,
        };
        assert_eq!(Some(counted), model["parameters"].as_u64(), "{}", model["name"]);
    }
}

/// Every row of the catalogue that `catalogue.py` makes is the shape of the configuration there, with the count of transformers.
#[test]
fn models_by_name_have_the_published_shapes_and_counts() {
    let golden = golden("catalogue.json");
    let models = golden["models"].as_array().unwrap();
    let published = models.iter().filter(|model| model["published"] == true).count();
    assert!(models.len() >= 200 && published >= 180, "{} models, {published}", models.len());
    let catalog = Catalog::built_in().unwrap();
    for model in models {
        let name = model["name"].as_str().unwrap();
        let row = catalog.model(name).unwrap();
        let by_name = row.spec.resolve().unwrap();
        let mut read = architecture(model);
        read.name = name.to_owned();
        assert_eq!(by_name, read, "{name}");
        assert_eq!(Some(by_name.parameters().total), model["parameters"].as_u64(), "{name}");
        assert_eq!(row.parameters, model["parameters"].as_u64(), "{name}");
        let hub = model["hub"].as_str().unwrap();
        assert_eq!(catalog.model(hub).unwrap().spec.name.as_deref(), Some(name));
    }
}

#[test]
fn parameters_of_every_model_type_equal_transformers() {
    let golden = golden("model_types.json");
    let mut exact = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for model in golden["models"].as_array().unwrap() {
        let (name, class) =
            (model["model_type"].as_str().unwrap(), model["class"].as_str().unwrap());
        let read = from_config_json(&model["config"].to_string());
        let counted = read.and_then(|spec| spec.resolve()).map(|a| match class {
            _ if class.ends_with("ForMaskedLM") => a.parameters_for(Task::MaskedLm).total,
            _ if class.ends_with("ForImageClassification") => {
                a.parameters_for(Task::Classification { labels: a.classes }).total
            }
            _ => a.parameters().total,
        });
        if counted == Ok(model["parameters"].as_u64().unwrap()) {
            exact.insert(name);
        } else {
            wrong.push(format!("{name} {class}: {counted:?}, not {}", model["parameters"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(exact.len() >= 57, "only {} types", exact.len());
}

/// The job of a row that has FLOPs: one step of one micro-batch on one GPU.
fn step(model: &Value) -> Job {
    let spec = from_config_json(&model["config"].to_string()).unwrap();
    let a = spec.resolve().unwrap();
    let (image, class) = (a.image.is_some(), model["class"].as_str().unwrap());
    let workload = WorkloadSpec {
        steps: Some(Count::new(1)),
        seq_len: model["seq_len"].as_u64().filter(|_| !image),
        decoder_seq_len: model["decoder_seq_len"].as_u64().filter(|n| *n > 0),
        micro_batch: model["batch"].as_u64(),
        precision: Some(Precision::Fp32),
        attention: Some(AttentionKernel::Eager),
        task: class.ends_with("ForMaskedLM").then(|| "masked-lm".to_owned()),
        labels: Some(a.classes).filter(|n| *n > 0),
        ..WorkloadSpec::default()
    };
    let mut spec = JobSpec { model: spec, workload, ..JobSpec::default() };
    spec.system.gpu = Some("a100-sxm4-80gb".into());
    spec.resolve(&Catalog::built_in().unwrap()).unwrap()
}

#[test]
fn flops_of_model_types_equal_pytorchs_counter() {
    let golden = golden("model_types.json");
    let mut exact = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for model in golden["models"].as_array().unwrap() {
        let Some(counted) = model["flops"].as_f64() else { continue };
        let name = model["model_type"].as_str().unwrap();
        let cost = Cost::count(&step(model), AttentionFlops::Full);
        let ours = cost.model_flops_per_step.value();
        if ours == counted {
            exact.insert(name);
        } else {
            wrong.push(format!("{name}: {ours}, not {counted}: {:.4}", ours / counted));
        }
    }
    assert!(wrong.is_empty(), "{} exact; {}", exact.len(), wrong.join("\n"));
    assert!(exact.len() >= 53, "only {} types", exact.len());
}
