//! A resolved job as a JSON document, for programs that know none of wattlaw's defaults.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Job, JobSpec};
use crate::base::error::{Error, Result};
use crate::job::model::ModelSpec;
use crate::job::parallelism::ParallelismSpec;
use crate::job::system::SystemSpec;
use crate::job::workload::WorkloadSpec;

/// The schema of the document; its number rises when the meaning of a field changes.
const SCHEMA: &str = "wattlaw-job/1";

/// The document: the tables of a job file with a schema before them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    model: ModelSpec,
    workload: WorkloadSpec,
    parallelism: ParallelismSpec,
    system: SystemSpec,
}

/// The one field that is read before all others, since it says what they mean.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

impl Job {
    /// The job as JSON with schema `wattlaw-job/1`, every field of [`Job::spec`] in it. A field that does not apply to the job,
    /// such as the shard group without HSDP, is absent.
    ///
    /// # Errors
    /// [`Error::Syntax`] where JSON cannot hold a number, which no checked job has.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.to_value()?).map_err(syntax)? + "\n")
    }

    /// The document of [`Job::to_json`] as a value.
    ///
    /// # Errors
    /// As [`Job::to_json`].
    pub fn to_value(&self) -> Result<Value> {
        let JobSpec { model, workload, parallelism, system } = self.spec();
        let document = Document { schema: SCHEMA.to_owned(), model, workload, parallelism, system };
        let mut value = serde_json::to_value(document).map_err(syntax)?;
        for table in value.as_object_mut().into_iter().flat_map(|tables| tables.values_mut()) {
            if let Value::Object(fields) = table {
                fields.retain(|_, field| !field.is_null());
            }
        }
        Ok(value)
    }
}

impl JobSpec {
    /// Reads the JSON that [`Job::to_json`] writes.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Missing`] and [`Error::Invalid`] where its schema is absent or another.
    pub fn from_json(text: &str) -> Result<Self> {
        let head: Head = serde_json::from_str(text).map_err(syntax)?;
        let write_one = "`wattlaw job JOB.toml` writes a job as JSON";
        match head.schema {
            None => return Err(Error::missing("schema", write_one)),
            Some(schema) if schema != SCHEMA => {
                let expected = format!("it must be `{SCHEMA}`; {write_one}");
                return Err(Error::invalid("schema", format!("`{schema}`"), expected));
            }
            Some(_) => {}
        }
        let Document { model, workload, parallelism, system, .. } =
            serde_json::from_str(text).map_err(syntax)?;
        Ok(Self { model, workload, parallelism, system })
    }
}

fn syntax(error: serde_json::Error) -> Error {
    Error::Syntax { format: "JSON", message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::catalog::Catalog;

    fn job(text: &str) -> Job {
        let spec = JobSpec::from_toml(text).unwrap();
        spec.resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    const SMALL: &str = "model = { family = 'bert', layers = 2, hidden_size = 128 }
        workload = { tokens = '1M', seq_len = 32, micro_batch = 4 }
        system = { gpu = 'T4' }";

    #[test]
    fn every_default_is_written_out() {
        let value: Value = serde_json::from_str(&job(SMALL).to_json().unwrap()).unwrap();
        let tables: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(tables, ["schema", "model", "workload", "parallelism", "system"]);
        let expected = serde_json::json!({
            "seq_len": 32, "micro_batch": 4, "grad_accum": 1, "tokens": 1_000_000, "padding_share": 0.0,
            "precision": "fp16", "optimizer": "adamw", "checkpointing": "none", "attention": "flash",
            "task": "masked-lm", "state_precision": "fp32", "quantization": "none", "frozen_layers": 0,
            "objective": "likelihood", "offload": "none",
            "framework": "unknown",
        });
        assert_eq!(value["workload"], expected);
        let expected = serde_json::json!({
            "strategy": "single", "dp": 1, "tp": 1, "pp": 1, "tensor_scope": "blocks", "sequence_parallel": false,
            "schedule": "1f1b", "virtual_stages": 1, "partition": "even", "cp": 1,
        });
        assert_eq!(value["parallelism"], expected);
        let system = &value["system"];
        assert_eq!((&system["gpu"], &system["nodes"]), (&"t4".into(), &1.into()));
        assert_eq!(system["power_limit_w"], 70.0);
        assert_eq!(value["model"]["token_types"], 2);
        assert_eq!(value["model"]["vocab_size"], 30_522);
    }

    #[test]
    fn the_strategy_is_that_of_the_degrees() {
        let strategy = |more: &str| {
            let text = SMALL.replace("gpu = 'T4'", "gpu = 'a100', gpus = 4");
            let spec = job(&format!("{text}\nparallelism = {more}")).spec();
            spec.parallelism.strategy.unwrap().to_string()
        };
        assert_eq!(strategy("{ tp = 2 }"), "ddp+tp");
        assert_eq!(strategy("{ strategy = 'tp-mlp', dp = 2 }"), "ddp+tp-mlp");
        assert_eq!(strategy("{ strategy = 'fsdp', tp = 2, pp = 2 }"), "tp+pp");
        assert_eq!(strategy("{ strategy = 'hsdp' }"), "hsdp");
    }

    #[test]
    fn what_is_no_such_document_is_refused_in_one_sentence() {
        let fails = |text: &str| JobSpec::from_json(text).unwrap_err().to_string();
        let good = job(SMALL).to_json().unwrap();
        assert!(fails("[model]").starts_with("not valid JSON: "));
        assert!(fails(&good[..40]).starts_with("not valid JSON: EOF"));
        assert_eq!(fails("{}"), "schema is missing; `wattlaw job JOB.toml` writes a job as JSON");
        assert_eq!(
            fails(&good.replace("wattlaw-job/1", "wattlaw-job/2")),
            "schema is `wattlaw-job/2`, but it must be `wattlaw-job/1`; `wattlaw job JOB.toml` writes a job as JSON"
        );
        let unknown = fails(&good.replace("\"layers\"", "\"layer\""));
        assert!(unknown.starts_with("not valid JSON: unknown field `layer`"), "{unknown}");
        assert!(unknown.contains(" at line 6 column "), "{unknown}");
    }
}
