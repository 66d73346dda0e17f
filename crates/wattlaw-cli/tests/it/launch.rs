//! `wattlaw launch`: files in a folder, and what of them is the user's.

use crate::running::run;

#[test]
fn files_are_written_and_placeholders_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let ran = run(&format!(
        "launch --model llama-3.1-8b --steps 100 --seq-len 2048 --micro-batch 1 --strategy fsdp --gpu h100 --gpus 16 \
         --emit accelerate,slurm -o {}",
        out.display()
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said = ran.stderr;
    assert!(
        said.contains("wrote job.toml, accelerate.yaml, arguments.yaml, train.sh, job.sbatch in "),
        "{said}"
    );
    assert!(
        said.contains("yours to set in train.sh: TRAIN_SCRIPT: the program that trains"),
        "{said}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(out.join("train.sh")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o111, 0o111);
    // the job takes the launcher's framework
    let job = std::fs::read_to_string(out.join("job.toml")).unwrap();
    assert!(job.contains("framework = \"accelerate\""), "{job}");
}

#[test]
fn what_a_framework_cannot_express_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("launch");
    let ran = run(&format!(
        "launch --model llama-3.1-8b --steps 100 --seq-len 2048 --micro-batch 1 --lora-rank 8 --gpu h100 --gpus 8 --emit megatron -o {}",
        out.display()
    ));
    assert_eq!(ran.code, 1);
    let said = ran.stderr;
    assert!(
        said.contains("Megatron-LM has no configuration for it; accelerate and Axolotl can"),
        "{said}"
    );
    assert!(!out.exists());
}
