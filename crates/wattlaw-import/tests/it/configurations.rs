//! Configuration files of the frameworks, each with the job that a person reads in it.
//!
//! The files are written after the documented examples of the frameworks. `NAME.job.toml` is the job: its first line names the
//! files, its second the keys that no field holds.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use wattlaw::job::JobSpec;
use wattlaw_import::configuration::{Configuration, Origin, Tool};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn read(names: &[&str]) -> wattlaw::Result<Configuration> {
    let texts: Vec<String> = names.iter().map(|name| text(name)).collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (*name, text.as_str())).collect();
    Configuration::read(&files)
}

/// The names in the folder that end so, in order.
fn names(end: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(end))
        .collect();
    names.sort();
    names
}

#[test]
fn each_file_gives_the_job_that_a_person_reads_in_it() {
    let expected = names(".job.toml");
    assert!(expected.len() >= 44, "{} files", expected.len());
    let mut of_tool = [0; Tool::ALL.len()];
    for name in expected {
        let job = text(&name);
        let mut head = job.lines();
        let mut words = |start: &str| -> Vec<String> {
            let line = head.next().unwrap().strip_prefix(start).unwrap();
            line.split_whitespace().map(str::to_owned).collect()
        };
        let (files, left_out) = (words("# files:"), words("# left out:"));
        let found = read(&files.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(found.job, JobSpec::from_toml(&job).unwrap(), "{name}");
        let keys: Vec<&str> = found.unmodelled.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, left_out, "{name}");
        of_tool[Tool::ALL.iter().position(|tool| *tool == found.tools[0]).unwrap()] += 1;
    }
    assert!(of_tool.iter().all(|count| *count >= 4), "{of_tool:?}");
}

#[test]
fn what_is_a_default_is_not_what_a_file_states() {
    let found = read(&["axolotl-defaults.yml"]).unwrap();
    let of =
        |column: &str| found.origin(column).map(|(origin, statement)| (origin, &*statement.key));
    assert_eq!(of("model"), Some((Origin::File, "base_model")));
    assert_eq!(of("seq_len"), Some((Origin::FrameworkDefault, "sequence_len")));
    // `auto` leaves it open
    assert_eq!(of("precision"), None);
}

/// The sentence that refuses files.
fn refused(files: &[(&str, &str)]) -> String {
    Configuration::read(files).unwrap_err().to_string()
}

#[test]
fn bad_input_is_refused_with_file_line_and_key() {
    let axolotl = |line: &str| refused(&[("a.yml", &format!("base_model: gpt2\n{line}\n"))]);
    assert_eq!(
        axolotl("sequence_len: many"),
        "a.yml:2: sequence_len is `many`, but it must be a whole number from 0"
    );
    assert_eq!(
        axolotl("sequence_len: [1, 2]"),
        "a.yml:2: sequence_len is `1 2`, but it must be a whole number from 0"
    );
    assert_eq!(axolotl("fp16: maybe"), "a.yml:2: fp16 is `maybe`, but it must be true or false");
    assert_eq!(
        axolotl("adapter: lora"),
        "a.yml:2: adapter is `lora`, but lora_r must give its rank"
    );
    assert_eq!(
        axolotl("deepspeed: configs/zero3.json"),
        "a.yml:2: `configs/zero3.json` is missing; deepspeed names it: give it beside this file"
    );
    assert!(axolotl("x: [1").starts_with("a.yml: not valid YAML: "), "{}", axolotl("x: [1"));
    assert!(axolotl("base_model: gpt2").contains("duplicate"), "{}", axolotl("base_model: gpt2"));
    assert_eq!(
        refused(&[("ds.json", "{\n\"zero_optimization\": {\n\"stage\": 4}}")]),
        "ds.json:3: zero_optimization.stage is `4`, but it must be a stage from 0 to 3"
    );
    assert!(
        refused(&[("x.json", "{\"zero_optimization\": }")]).starts_with("x.json: not valid JSON")
    );
    assert!(
        refused(&[("compose.yml", "services:\n  web: {image: nginx}\n")])
            .contains("no known framework")
    );
}

#[test]
fn files_that_contradict_each_other_are_refused() {
    let said = refused(&[
        ("args.yaml", "output_dir: out\nper_device_train_batch_size: 4\n"),
        (
            "ds.json",
            "{\n  \"train_micro_batch_size_per_gpu\": 2,\n  \"zero_optimization\": {\"stage\": 1}\n}",
        ),
    ]);
    assert_eq!(
        said,
        "ds.json:2: train_micro_batch_size_per_gpu (micro_batch) is 2, but per_device_train_batch_size of args.yaml:2 says 4; \
         give one of them"
    );
}

#[test]
fn a_yaml_bomb_is_refused() {
    let mut bomb = "base_model: gpt2\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let each = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [each.as_str(); 9].join(", "));
    }
    assert!(refused(&[("bomb.yml", &bomb)]).starts_with("bomb.yml: not valid YAML"));
    let deep = format!("base_model: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refused(&[("deep.yml", &deep)]).starts_with("deep.yml: not valid YAML"));
}

#[test]
fn a_variable_that_the_script_does_not_assign_is_named() {
    let script = "--num-layers 2 --hidden-size 64 --micro-batch-size $MBS --vocab-size 1000";
    let found = Configuration::read(&[("run.sh", script)]).unwrap();
    assert_eq!(found.unmodelled[0].key, "micro-batch-size");
    assert_eq!(found.job.workload.micro_batch, None);
}

/// A text is read, or refused in one line.
fn answered(name: &str, text: &str) {
    match Configuration::read(&[(name, text)]) {
        Ok(found) => assert!(!found.stated.is_empty()),
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
}

fn examples() -> Vec<String> {
    let all = names("").into_iter().filter(|name| !name.ends_with(".job.toml"));
    all.map(|name| text(&name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// An example with bytes cut out, repeated or replaced is answered.
    #[test]
    fn edited_files_are_answered(
        example in select(examples()),
        edits in proptest::collection::vec((any::<Index>(), 0_usize..40, ".{0,12}"), 1..6),
    ) {
        let mut letters: Vec<char> = example.chars().collect();
        for (at, cut, put) in edits {
            let at = at.index(letters.len() + 1);
            let end = (at + cut).min(letters.len());
            letters.splice(at..end, put.chars());
        }
        let edited: String = letters.into_iter().collect();
        answered("edited", &edited);
    }

    #[test]
    fn any_text_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        answered("any", &text);
    }

    /// Values of any type for keys that are read.
    #[test]
    fn any_value_is_answered(
        example in select(examples()),
        line in any::<Index>(),
        value in select(vec!["", "null", "-1", "1e400", "99999999999999999999", "[]", "{}", "[[1]]", "{a: 1}", "true", "$X", "é"]),
    ) {
        let mut lines: Vec<String> = example.lines().map(str::to_owned).collect();
        let at = line.index(lines.len());
        if let Some((key, _)) = lines[at].split_once(':') {
            lines[at] = format!("{key}: {value}");
        }
        answered("edited", &lines.join("\n"));
    }
}
