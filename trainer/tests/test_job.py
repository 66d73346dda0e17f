"""What a job file says, which defaults it takes, and how it is refused."""

import json

import pytest

from wattlaw_trainer import job, spec
from wattlaw_trainer.refused import Refused

BERT = {"family": "bert", "layers": 2, "hidden_size": 128}
GPT = {"family": "gpt2", "layers": 2, "hidden_size": 128}
WORK = {"steps": 3, "seq_len": 16, "micro_batch": 2}


def read(model=BERT, workload=WORK, parallelism=None, system=None) -> job.Job:
    tables = {"model": model, "workload": workload, "parallelism": parallelism or {}, "system": system or {}}
    return spec.parse(tables)


def test_absent_fields_have_wattlaws_defaults() -> None:
    found = read()
    assert found.model == job.Model("bert", 2, 128, 2, 512, 30_522, 512, 2, True)
    assert found.workload == job.Workload(
        None, 3, None, None, 16, 0.0, 2, 1, None, "adamw", "none", "flash", "masked-lm", 2
    )
    assert found.parallelism == job.Parallelism(1, 1, "single", 1, "blocks", False)
    assert read(GPT).model == job.Model("gpt2", 2, 128, 2, 512, 50_257, 1024, 0, True)
    assert read(GPT).workload.task == "causal-lm"


def test_a_job_with_every_default_written_out_is_the_same() -> None:
    full = BERT | {
        "name": "bert-2x128",
        "heads": 2,
        "kv_heads": 2,
        "head_dim": 64,
        "ffn_size": 512,
        "vocab_size": 30_522,
        "embedding_size": 128,
        "max_positions": 512,
        "token_types": 2,
        "gated_ffn": False,
        "tied_embeddings": True,
        "qkv_bias": True,
        "attention_output_bias": True,
        "ffn_bias": True,
        "final_norm": False,
        "pooler": True,
    }
    spread = {"strategy": "single", "dp": 1, "tp": 1, "pp": 1, "tensor_scope": "blocks", "schedule": "1f1b"}
    work = WORK | {"grad_accum": 1, "optimizer": "adamw", "checkpointing": "none", "attention": "flash"}
    assert read(full, work | {"task": "masked-lm", "padding_share": 0.0}, spread, {"gpu": "t4", "gpus": 1}) == read()


def test_words_and_counts_are_read_as_wattlaw_reads_them() -> None:
    work = WORK | {"optimizer": "AdamW", "attention": "SDPA", "precision": "float16", "task": "masked_lm"}
    found = read(BERT | {"family": "BERT"}, work).workload
    assert (found.optimizer, found.attention, found.precision, found.task) == ("adamw", "flash", "fp16", "masked-lm")
    for text, tokens in (("10M", 10_000_000), ("1.5k", 1500), ("1,000", 1000), ("300_000", 300_000), (2e6, 2_000_000)):
        amount = {"tokens": text, "seq_len": 16, "micro_batch": 2}
        assert read(workload=amount).workload.tokens == tokens


def test_steps_are_those_of_wattlaw_rounded_up() -> None:
    work = {"seq_len": 10, "micro_batch": 2, "grad_accum": 3}
    two = {"parallelism": {"strategy": "ddp"}, "system": {"gpus": 2}}
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
        assert read(workload=work | amount, **two).steps == steps, amount
    assert read(workload=work | {"steps": 1}, **two).tokens_per_step == 120
    # 7.5 tokens of data in a sequence of ten are eight whole ones
    assert read(workload=work | {"steps": 1, "padding_share": 0.25}, **two).tokens_per_step == 12 * 8


@pytest.mark.parametrize(
    ("spread", "gpus", "found"),
    [
        ({"strategy": "ddp"}, 2, job.Parallelism(2, 1, "ddp", 1, "blocks", False)),
        ({}, 2, job.Parallelism(2, 1, "ddp", 1, "blocks", False)),
        ({"strategy": "zero3"}, 2, job.Parallelism(2, 1, "fsdp", 2, "blocks", False)),
        ({"strategy": "hsdp", "shard_group": 2}, 4, job.Parallelism(4, 1, "hsdp", 2, "blocks", False)),
        ({"strategy": "tp"}, 2, job.Parallelism(1, 2, "single", 1, "blocks", False)),
        ({"strategy": "tp-mlp"}, 2, job.Parallelism(1, 2, "single", 1, "mlp", False)),
        ({"strategy": "tp", "tp": 2}, 4, job.Parallelism(2, 2, "ddp", 1, "blocks", False)),
        ({"strategy": "tp", "dp": 2}, 4, job.Parallelism(2, 2, "ddp", 1, "blocks", False)),
        ({"strategy": "fsdp", "tp": 2}, 4, job.Parallelism(2, 2, "fsdp", 2, "blocks", False)),
        ({"strategy": "fsdp", "tp": 2}, 2, job.Parallelism(1, 2, "single", 1, "blocks", False)),
        ({"strategy": "single"}, 1, job.Parallelism(1, 1, "single", 1, "blocks", False)),
    ],
)
def test_degrees_follow_from_strategy_and_gpus(spread: dict, gpus: int, found: job.Parallelism) -> None:
    model = BERT | {"heads": 4}
    assert read(model, parallelism=spread, system={"gpus": gpus}).parallelism == found


def test_an_hsdp_group_is_a_node_where_none_is_said() -> None:
    system = {"gpus": 4, "gpus_per_node": 2}
    assert read(parallelism={"strategy": "hsdp"}, system=system).parallelism.shard_group == 2
    assert read(parallelism={"strategy": "hsdp"}, system={"nodes": 2, "gpus": 8}).parallelism.shard_group == 4


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"modell": {}}, "unknown table [modell]; accepted are model, workload, parallelism, system"),
        ({"model": BERT | {"hidden": 3}}, "unknown field `hidden` in [model]; accepted are name, config"),
        ({"model": {"name": "bert-base-uncased"}}, "preset of wattlaw's catalogue"),
        ({"model": {"layers": 2}}, 'give family = "bert" or "gpt2"'),
        ({"model": BERT | {"family": "llama"}}, "model type is `llama`, but this program trains bert, gpt2"),
        ({"model": BERT | {"heads": 3}}, "heads is 3, but it must divide hidden_size 128"),
        ({"model": BERT | {"kv_heads": 1}}, "kv_heads is 1, but transformers' bert has no such model"),
        ({"model": BERT | {"layers": 0}}, "layers is 0, but it must be a whole number from 1"),
        ({"model": {"family": "bert", "hidden_size": 64}}, "layers is missing"),
        ({"workload": WORK | {"lora": {"rank": 8}}}, "not adapters"),
        (
            {"workload": WORK | {"tokens": 9}},
            "give one of tokens, steps, or epochs with examples, not tokens and steps",
        ),
        ({"workload": {"seq_len": 8, "micro_batch": 1}}, "the amount of training"),
        ({"workload": WORK | {"steps": "1,5B"}}, "steps is `1,5B`, but it must be a whole number from 1"),
        ({"workload": WORK | {"seq_len": 513}}, "seq_len is 513, but the model has max_positions 512"),
        ({"workload": WORK | {"task": "causal-lm"}}, "trained for masked-lm or classification here"),
        ({"workload": WORK | {"precision": "fp8"}}, "fp32, tf32, fp16, bf16"),
        ({"workload": WORK | {"optimizer": "adafactor"}}, "must be one of adamw, sgd"),
        ({"workload": WORK | {"padding_share": 1.0}}, "from 0 to below 1"),
        ({"parallelism": {"strategy": "fdsp"}}, "strategy is `fdsp`, but it must be one of single, ddp, zero1"),
        ({"parallelism": {"strategy": "single"}, "system": {"gpus": 2}}, "2 GPUs need one of ddp"),
        ({"parallelism": {"strategy": "ddp"}}, "strategy is `ddp` on 1 GPU"),
        ({"parallelism": {"pp": 2}, "system": {"gpus": 2}}, "no pipeline"),
        (
            {"parallelism": {"tp": 2, "dp": 2}, "system": {"gpus": 2}},
            "dp × tp is 2 × 2 = 4, but it must be the GPU count 2",
        ),
        ({"parallelism": {"strategy": "tp"}, "system": {"gpus": 4}}, "tp is 4, but it must divide the 2 heads"),
        ({"parallelism": {"strategy": "tp-mlp"}, "system": {"gpus": 3}}, "tp is 3, but it must divide ffn_size 512"),
        (
            {
                "parallelism": {"strategy": "tp", "sequence_parallel": True},
                "system": {"gpus": 2},
                "workload": WORK | {"seq_len": 15},
            },
            "tp 2 must divide seq_len 15",
        ),
        ({"parallelism": {"strategy": "tp-mlp", "sequence_parallel": True}, "system": {"gpus": 2}}, "whole sequences"),
        ({"parallelism": {"strategy": "zero1", "tp": 2}, "system": {"gpus": 4}}, "`zero1` with tp above 1"),
        (
            {"parallelism": {"strategy": "hsdp", "shard_group": 3}, "system": {"gpus": 4}},
            "shard_group is 3, but it must divide dp 4",
        ),
        ({"parallelism": {"shard_group": 2}, "system": {"gpus": 4}}, "only strategy `hsdp`"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(tables: dict, said: str) -> None:
    with pytest.raises(Refused) as refused:
        spec.parse({"model": BERT, "workload": WORK} | tables)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_job_is_named(tmp_path) -> None:
    path = tmp_path / "job.toml"
    with pytest.raises(Refused, match="job.toml: No such file"):
        spec.read(path)
    path.write_text("[model\n")
    with pytest.raises(Refused, match="job.toml: not valid TOML: .*line 1"):
        spec.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(Refused, match="job.toml: not a text"):
        spec.read(path)


def test_a_config_json_gives_the_shape(tmp_path) -> None:
    config = {"model_type": "gpt2", "n_layer": 3, "n_embd": 96, "n_head": 6, "n_inner": None, "vocab_size": 999}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = spec.parse({"model": {"config": "config.json", "layers": 2}, "workload": WORK}, tmp_path)
    assert found.model == job.Model("gpt2", 2, 96, 6, 384, 999, 1024, 0, True)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(Refused, match="model_type is `t5`, but this program trains bert, gpt2"):
        spec.parse({"model": {"config": "config.json"}, "workload": WORK}, tmp_path)
