"""Gives the launch files in each folder of a folder to the parsers of their own tools, and stops at the first that is refused.

    python accept.py FOLDER

Versions: requirements.txt and requirements-alone.txt beside this file; PyTorch and transformers are the trainer's. Megatron-LM and nanotron have no
package: their keys are lists here, read in Megatron-LM d98e8a64dd `megatron/training/arguments.py` and nanotron 2411b022 `src/nanotron/config/`.
"""

import json
import re
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import yaml

MEGATRON = set(
    """num-layers hidden-size ffn-hidden-size num-attention-heads kv-channels max-position-embeddings vocab-size make-vocab-size-divisible-by
    position-embedding-type normalization group-query-attention num-query-groups swiglu untie-embeddings-and-output-weights disable-bias-linear
    add-qkv-bias qk-layernorm num-experts moe-router-topk moe-ffn-hidden-size seq-length micro-batch-size global-batch-size train-iters fp16 bf16
    fp8-format optimizer attention-backend tensor-model-parallel-size pipeline-model-parallel-size num-layers-per-virtual-pipeline-stage
    sequence-parallel use-megatron-fsdp data-parallel-sharding-strategy ckpt-format use-distributed-optimizer recompute-granularity recompute-method
    recompute-num-layers data-path tokenizer-type lr""".split()
)

# a table, or the type of a value
NANOTRON = {
    "checkpoints": {"checkpoint_interval": int, "checkpoints_path": str, "checkpoints_path_is_shared_file_system": bool, "save_initial_state": bool},
    "data_stages": list,
    "general": {"project": str, "run": str, "seed": int},
    "logging": {"iteration_step_info_interval": int, "log_level": str, "log_level_replica": str},
    "model": {
        "ddp_bucket_cap_mb": int, "dtype": str, "init_method": {"std": float}, "make_vocab_size_divisible_by": int,
        "model_config": {
            "is_llama_config": bool, "hidden_act": str, "hidden_size": int, "intermediate_size": int, "num_hidden_layers": int,
            "num_attention_heads": int, "num_key_value_heads": int, "max_position_embeddings": int, "vocab_size": int, "tie_word_embeddings": bool,
        },
    },
    "optimizer": {
        "accumulate_grad_in_fp32": bool, "clip_grad": float,
        "learning_rate_scheduler": {
            "learning_rate": float, "lr_warmup_steps": int, "lr_warmup_style": str, "lr_decay_style": str, "min_decay_lr": float,
        },
        "optimizer_factory": dict, "weight_decay": float, "zero_stage": int,
    },
    "parallelism": {
        "dp": int, "tp": int, "pp": int, "pp_engine": str, "context_parallel_size": int, "expert_parallel_size": int, "tp_linear_async_communication": bool, "tp_mode": str,
        "recompute_layer": bool,
    },
    "profiler": type(None),
    "tokenizer": {"tokenizer_name_or_path": str, "tokenizer_revision": type(None), "tokenizer_max_length": type(None)},
    "tokens": {
        "sequence_length": int, "micro_batch_size": int, "batch_accumulation_per_replica": int, "train_steps": int, "val_check_interval": int,
        "limit_test_batches": int, "limit_val_batches": int,
    },
}


def accelerate(path):
    from accelerate.commands.config.config_args import load_config_from_file

    load_config_from_file(str(path))


def arguments(path):
    """Every key is a field of the Trainer's arguments, or one of TRL's (f2cd57710: SFTConfig, ModelConfig)."""
    from dataclasses import fields

    from transformers import TrainingArguments

    known = {field.name for field in fields(TrainingArguments)}
    known |= {"max_length", "attn_implementation", "use_peft", "lora_r", "lora_target_modules", "use_dora"}
    unknown = set(yaml.safe_load(path.read_text())) - known
    assert not unknown, unknown


def deepspeed(path):
    from deepspeed.runtime.config import DeepSpeedConfig

    config = json.loads(path.read_text())
    # one process here: the whole batch is that of one rank
    config["train_batch_size"] = config["train_micro_batch_size_per_gpu"] * config["gradient_accumulation_steps"]
    DeepSpeedConfig(config)


def torchtitan(path):
    from torchtitan.config import ConfigManager

    ConfigManager().parse_args(["--job.config_file", str(path)])


def axolotl(path):
    from axolotl.utils.schemas.config import AxolotlInputConfig

    config = yaml.safe_load(path.read_text())
    unknown = set(config) - set(AxolotlInputConfig.model_fields)
    assert not unknown, unknown
    AxolotlInputConfig(**config)


def skypilot(path):
    from sky.utils import common_utils, schemas

    task = yaml.safe_load(path.read_text())
    common_utils.validate_schema(task, schemas.get_task_schema(), "task: ")
    common_utils.validate_schema(task["resources"], schemas.get_resources_schema(), "resources: ")


def kubeflow(path):
    from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

    job = yaml.safe_load(path.read_text())
    read = TrainerV1alpha1TrainJob.from_dict(job)
    again = json.loads(json.dumps(read.to_dict(), default=str))
    assert again["spec"] == job["spec"], (again, job)


def nanotron(path):
    def check(found, expected, key):
        if isinstance(expected, dict):
            assert found.keys() == expected.keys(), (key, found.keys() ^ expected.keys())
            for name in found:
                check(found[name], expected[name], f"{key}.{name}")
        else:
            # PyYAML reads 1.0e-05, and not 3e-05, as a number
            assert type(found) is expected, (key, found)

    check(yaml.safe_load(path.read_text()), NANOTRON, "")


def train(path):
    text = path.read_text()
    if "pretrain_gpt.py" in text:
        unknown = set(re.findall(r"--([a-z0-9-]+)", text.split("pretrain_gpt.py")[1])) - MEGATRON
        assert not unknown, unknown


PARSERS = {
    "accelerate.yaml": accelerate,
    "arguments.yaml": arguments,
    "axolotl.yaml": axolotl,
    "deepspeed.json": deepspeed,
    "nanotron.yaml": nanotron,
    "sky.yaml": skypilot,
    "torchtitan.toml": torchtitan,
    "train.sh": train,
    "trainjob.yaml": kubeflow,
}


def main():
    accepted, seen = Counter(), set()
    for path in sorted(Path(sys.argv[1]).glob("*/*")):
        parse = PARSERS.get(path.name)
        text = path.read_text()
        if parse is None or (path.name, text) in seen:
            continue
        seen.add((path.name, text))
        try:
            parse(path)
        except BaseException as error:
            raise SystemExit(f"{path.name} is refused: {error!r}\n{text}")
        accepted[path.name] += 1
    for package in ["accelerate", "axolotl", "deepspeed", "kubeflow-trainer-api", "skypilot", "torchtitan", "torch", "transformers"]:
        print(package, version(package))
    for name, count in sorted(accepted.items()):
        print(f"{name}: {count} files accepted")


if __name__ == "__main__":
    main()
