"""What a resolved job says, how it is refused, and that wattlaw writes the documents that these tests are made of."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from jobs import document

from wattlaw_trainer import document as reader
from wattlaw_trainer import job
from wattlaw_trainer.refused import Refused

GPT = {"family": "gpt2"}


def read(**tables: dict) -> job.Job:
    return reader.parse(document(**tables))


def test_a_document_says_the_whole_job() -> None:
    found = read()
    assert found.model == job.Model("bert", 2, 128, 2, 512, 30_522, 512, 2, True)
    assert found.workload == job.Workload(
        None, 3, None, None, 16, 0.0, 2, 1, "fp32", "adamw", "none", "flash", "masked-lm", None
    )
    assert found.parallelism == job.Parallelism(1, 1, "single", 1, "blocks", False)
    assert read(model=GPT).model == job.Model("gpt2", 2, 128, 2, 512, 50_257, 1024, 0, True)
    assert read(workload={"task": "classification", "labels": 5}).workload.labels == 5


def test_steps_are_those_of_wattlaw_rounded_up() -> None:
    work = {"seq_len": 10, "micro_batch": 2, "grad_accum": 3}
    two = {"strategy": "ddp", "dp": 2}
    # 120 positions a step
    for amount, steps in (
        ({"steps": 7}, 7),
        ({"tokens": 1200}, 10),
        ({"tokens": 1201}, 11),
        ({"tokens": 1}, 1),
        ({"tokens": 900, "padding_share": 0.25}, 10),
        ({"epochs": 2.5, "examples": 48}, 10),
        ({"epochs": 0.1, "examples": 36}, 1),
    ):
        assert read(workload=work | amount, parallelism=two).steps == steps, amount
    assert read(workload=work | {"steps": 1}, parallelism=two).tokens_per_step == 120
    # 7.5 tokens of data in a sequence of ten are eight whole ones
    padded = work | {"steps": 1, "padding_share": 0.25}
    assert read(workload=padded, parallelism=two).tokens_per_step == 12 * 8


@pytest.mark.parametrize(
    ("spread", "found"),
    [
        ({"strategy": "ddp", "dp": 2}, job.Parallelism(2, 1, "ddp", 1, "blocks", False)),
        ({"strategy": "fsdp", "dp": 2}, job.Parallelism(2, 1, "fsdp", 2, "blocks", False)),
        ({"strategy": "hsdp", "dp": 4, "shard_group": 2}, job.Parallelism(4, 1, "hsdp", 2, "blocks", False)),
        ({"strategy": "tp", "tp": 2}, job.Parallelism(1, 2, "single", 1, "blocks", False)),
        ({"strategy": "tp-mlp", "tp": 2}, job.Parallelism(1, 2, "single", 1, "mlp", False)),
        ({"strategy": "ddp+tp", "dp": 2, "tp": 2}, job.Parallelism(2, 2, "ddp", 1, "blocks", False)),
        (
            {"strategy": "fsdp+tp", "dp": 2, "tp": 2, "sequence_parallel": True},
            job.Parallelism(2, 2, "fsdp", 2, "blocks", True),
        ),
    ],
)
def test_a_strategy_is_read_with_its_degrees(spread: dict, found: job.Parallelism) -> None:
    assert read(parallelism=spread).parallelism == found


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"model": {"hidden": 3}}, "model.hidden: this program does not know the field"),
        ({"workload": {"rounds": 3}}, "workload.rounds: this program does not know the field"),
        ({"parallelism": {"ep": 2}}, "parallelism.ep: this program does not know the field"),
        ({"model": {"family": "llama"}}, "model.family is `llama`, but this program trains bert, gpt2"),
        ({"model": {"heads": 3}}, "model.heads is 3, but it must divide hidden_size 128"),
        ({"model": {"kv_heads": 1}}, "model.kv_heads is 1, but transformers' bert has no such model"),
        ({"model": GPT | {"token_types": 2}}, "model.token_types is 2, but transformers' gpt2 has no such model"),
        ({"model": {"gated_ffn": True}}, "model.gated_ffn is true, but"),
        ({"model": {"layers": 0}}, "model.layers is 0, but it must be a whole number from 1"),
        ({"model": {"layers": True}}, "model.layers is true, but it must be a whole number"),
        ({"model": {"layers": 2.0}}, "model.layers is 2.0, but it must be a whole number"),
        ({"model": {"tied_embeddings": 1}}, "model.tied_embeddings is 1, but it must be true or false"),
        ({"workload": {"lora": {"rank": 8, "targets": ["q"]}}}, "not adapters"),
        ({"workload": {"tokens": 9, "steps": 9}}, "one of tokens, steps, or epochs with examples"),
        ({"workload": {"epochs": 2.0}}, "one of tokens, steps, or epochs with examples"),
        ({"workload": {"steps": "10M"}}, "workload.steps is `10M`, but it must be a whole number from 1"),
        ({"workload": {"seq_len": 513}}, "workload.seq_len is 513, but the model has max_positions 512"),
        ({"workload": {"task": "causal-lm"}}, "trained for masked-lm or classification here"),
        ({"workload": {"task": "classification"}}, "workload.labels is missing"),
        (
            {"workload": {"precision": "fp8"}},
            "workload.precision is `fp8`, but this program trains fp32, tf32, fp16, bf16",
        ),
        ({"workload": {"optimizer": "adafactor"}}, "but this program trains adamw, sgd"),
        ({"workload": {"state_precision": "bf16"}}, "optimizer states in fp32"),
        ({"workload": {"quantization": "nf4"}}, "no quantized weights"),
        ({"workload": {"objective": "dpo"}}, "no preference tuning"),
        ({"workload": {"frozen_layers": 1}}, "trains all layers"),
        ({"workload": {"document_len": 8}}, "packs no documents"),
        ({"workload": {"offload": "optimizer"}}, "all states on the GPU"),
        ({"workload": {"padding_share": 1.0}}, "from 0 to below 1"),
        ({"workload": {"padding_share": float("nan")}}, "must be a number"),
        (
            {"parallelism": {"strategy": "fdsp", "dp": 2}},
            "strategy is `fdsp`, but it must be the strategy of dp 2, tp 1",
        ),
        ({"parallelism": {"strategy": "single", "dp": 2}}, "but it must be the strategy of dp 2"),
        ({"parallelism": {"strategy": "fsdp"}}, "strategy is `fsdp`, but it must be the strategy of dp 1"),
        (
            {"parallelism": {"strategy": "tp", "dp": 2, "tp": 2}},
            "strategy is `tp`, but it must be the strategy of dp 2",
        ),
        ({"parallelism": {"strategy": "pp", "pp": 2}}, "parallelism.pp is 2, but this program has no pipeline"),
        ({"parallelism": {"cp": 2}}, "no context parallelism"),
        (
            {"parallelism": {"strategy": "tp-mlp", "tp": 2, "sequence_parallel": True}},
            "attention needs whole sequences",
        ),
        ({"parallelism": {"strategy": "zero1+tp", "dp": 2, "tp": 2}}, "combines tp with ddp, zero2, fsdp or hsdp"),
        ({"parallelism": {"strategy": "hsdp", "dp": 4, "shard_group": 3}}, "must divide dp 4"),
        ({"parallelism": {"strategy": "hsdp", "dp": 4}}, "parallelism.shard_group is missing"),
        ({"parallelism": {"shard_group": 2}}, "parallelism.shard_group: this program does not know"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(tables: dict, said: str) -> None:
    with pytest.raises(Refused) as refused:
        read(**tables)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_field_that_is_trained_by_has_a_default() -> None:
    whole = document(workload={"task": "classification", "labels": 2})
    # what has one value that can be trained, and what is not read
    optional = (
        "name kv_heads head_dim embedding_size gated_ffn qkv_bias attention_output_bias ffn_bias final_norm pooler"
    )
    optional += " vocab_multiple classes state_precision quantization frozen_layers objective offload framework pp cp schedule virtual_stages partition"
    for table in ("model", "workload", "parallelism"):
        for field in whole[table]:
            less = whole | {table: {name: value for name, value in whole[table].items() if name != field}}
            if field in optional.split():
                assert reader.parse(less) == reader.parse(whole)
                continue
            with pytest.raises(Refused, match=f"{field} is missing|one of tokens, steps"):
                reader.parse(less)


def test_another_number_of_gpus_than_the_degrees_is_refused() -> None:
    changed = document(parallelism={"strategy": "ddp", "dp": 2})
    changed["system"]["gpus"] = 4
    with pytest.raises(Refused, match="dp × tp is 2 × 1 = 2, but it must be the GPU count 4"):
        reader.parse(changed)


def test_a_file_that_is_no_resolved_job_is_named(tmp_path) -> None:
    def refusal(content: bytes) -> str:
        path = tmp_path / "job.json"
        path.write_bytes(content)
        with pytest.raises(Refused) as refused:
            reader.read(path)
        said = str(refused.value)
        assert said.startswith(f"{path}: ") and "\n" not in said
        return said.removeprefix(f"{path}: ")

    with pytest.raises(Refused, match="none.json: No such file"):
        reader.read(tmp_path / "none.json")
    write_one = "`wattlaw job JOB.toml` writes what this program reads"
    assert refusal(b'[model]\nfamily = "bert"\n').startswith("not valid JSON: ")
    assert refusal(b'[model]\nfamily = "bert"\n').endswith(write_one)
    assert refusal(b"\xff") == "not a text in UTF-8"
    assert refusal(b"[]") == f"the top level must be an object; {write_one}"
    assert refusal(b"{}") == f"schema is null, but it must be `wattlaw-job/1`; {write_one}"
    assert "schema is `wattlaw-job/9`" in refusal(json.dumps(document() | {"schema": "wattlaw-job/9"}).encode())
    assert "modell: this program does not know the table" in refusal(json.dumps(document() | {"modell": {}}).encode())
    assert "model must be an object" in refusal(json.dumps(document() | {"model": 3}).encode())


WRITTEN = {
    "bert": ("", "", ""),
    "gpt2": ('family = "gpt2"', "grad_accum = 2", ""),
    "classes": ("", 'task = "classification"\nlabels = 5\npadding_share = 0.25', ""),
    "tp": ("", "", 'strategy = "tp"\ntp = 2'),
    "hsdp": ("", 'optimizer = "sgd"', 'strategy = "hsdp"\ndp = 4\nshard_group = 2'),
    "fsdp of tp": ("", 'checkpointing = "full"', 'strategy = "fsdp"\ndp = 2\ntp = 2\nsequence_parallel = true'),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_wattlaw_writes_such_documents(name: str, tmp_path: Path) -> None:
    wattlaw = os.environ.get("WATTLAW")
    if wattlaw is None:
        pytest.skip("WATTLAW names no wattlaw to ask")
    model, workload, parallelism = WRITTEN[name]
    family = model or 'family = "bert"'
    path = tmp_path / "job.toml"
    path.write_text(
        f"[model]\nlayers = 2\nhidden_size = 128\n{family}\n"
        f'[workload]\nsteps = 3\nseq_len = 16\nmicro_batch = 2\nprecision = "fp32"\n{workload}\n'
        f'[parallelism]\n{parallelism}\n[system]\ngpu = "t4"\n'
    )
    done = subprocess.run([wattlaw, "job", path], capture_output=True, text=True, check=True)
    written = json.loads(done.stdout)

    spread = {
        "tp": {"strategy": "tp", "tp": 2},
        "hsdp": {"strategy": "hsdp", "dp": 4, "shard_group": 2},
        "fsdp of tp": {"strategy": "fsdp+tp", "dp": 2, "tp": 2, "sequence_parallel": True},
    }
    work = {
        "gpt2": {"grad_accum": 2},
        "classes": {"task": "classification", "labels": 5, "padding_share": 0.25},
        "hsdp": {"optimizer": "sgd"},
        "fsdp of tp": {"checkpointing": "full"},
    }
    made = document(GPT if name == "gpt2" else {}, work.get(name), spread.get(name))
    del made["model"]["name"], written["model"]["name"]
    for table in ("schema", "model", "workload", "parallelism"):
        assert written[table] == made[table]
    assert written["system"]["gpus"] == made["system"]["gpus"]
    assert reader.parse(written) == reader.parse(made)
