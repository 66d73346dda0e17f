"""A job as wattlaw's TOML describes it: fields, defaults and refusals are those of `wattlaw predict job.toml`.

Where a field is absent it has wattlaw's default (crates/wattlaw/src/*/spec.rs). What wattlaw can predict and this
program cannot train is refused by name, never left out silently.
"""

import json
import math
import tomllib
from pathlib import Path

from .job import Job, Model, Parallelism, Workload
from .refused import Refused
from .words import count, flag, number, shown, text, whole, word

MODEL_TYPES = {"bert": (), "gpt2": ("gpt",)}
TASKS = {"masked-lm": ("mlm",), "causal-lm": ("clm",), "classification": ()}
PRECISIONS = {
    "fp32": ("float32",),
    "tf32": (),
    "fp16": ("float16", "half"),
    "bf16": ("bfloat16",),
}
OPTIMIZERS = {"adamw": ("adam",), "sgd": ()}
CHECKPOINTING = {"none": (), "selective": (), "full": ()}
ATTENTION = {"flash": ("sdpa", "fused"), "eager": ()}
STRATEGIES = {
    "single": ("baseline", "none"),
    "ddp": ("dp",),
    "zero1": ("zero-1",),
    "zero2": ("zero-2",),
    "fsdp": ("zero3", "zero-3"),
    "hsdp": (),
    "tp": ("tensor",),
    "tp-mlp": (),
}
SCOPES = {"blocks": ("block",), "mlp": ()}

FIELDS = {
    "model": (
        "name config family layers encoder_layers hidden_size heads kv_heads head_dim ffn_size vocab_size"
        " embedding_size max_positions token_types relative_buckets gated_ffn tied_embeddings qkv_bias"
        " attention_output_bias ffn_bias final_norm pooler experts top_k image_size patch_size channels classes"
    ).split(),
    "workload": (
        "tokens steps epochs examples seq_len decoder_seq_len padding_share micro_batch grad_accum precision optimizer"
        " checkpointing attention task labels lora"
    ).split(),
    "parallelism": (
        "strategy dp tp pp tensor_scope sequence_parallel shard_group schedule virtual_stages partition"
    ).split(),
    "system": (
        "name gpu gpus gpus_per_node nodes link_gb_per_s network network_gb_per_s power_limit_w host_power_w pue"
        " carbon_g_per_kwh price_per_kwh price_per_gpu_hour"
    ).split(),
}


def read(path: Path) -> Job:
    """Reads a job file.

    Raises Refused, naming the file and the field, where it is none, or cannot be trained by this program.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path}: not a text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: not valid TOML: {error}") from None
    try:
        return parse(tables, path.parent)
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None


def parse(tables: dict, folder: Path = Path()) -> Job:
    """The job of a file's tables; `folder` is where a `config` that they name lies."""
    for table, fields in tables.items():
        if table not in FIELDS:
            raise Refused(f"unknown table [{table}]; accepted are {', '.join(FIELDS)}")
        if not isinstance(fields, dict):
            raise Refused(f"{table} must be a table [{table}]")
        for field in fields:
            if field not in FIELDS[table]:
                raise Refused(f"unknown field `{field}` in [{table}]; accepted are {', '.join(FIELDS[table])}")
    shape = tables.get("model", {})
    if "config" in shape:
        shape = hugging_face(folder / text("config", shape["config"])) | shape
    spread = tables.get("parallelism", {})
    model = read_model(shape)
    classes = whole("classes", shape.get("classes", 0), 0)
    workload = read_workload(tables.get("workload", {}), model, classes)
    parallelism = read_parallelism(spread, *read_gpus(tables.get("system", {}), spread), model, workload)
    return Job(model, workload, parallelism)


def needed(fields: dict, field: str, least: int = 1) -> int:
    """A whole number without a default."""
    if field not in fields:
        raise Refused(f"{field} is missing; give a whole number from {least}")
    return whole(field, fields[field], least)


def only(fields: dict, field: str, value: object, why: str) -> None:
    """Refuses a field that says something else than what this program trains."""
    if field in fields and fields[field] != value:
        raise Refused(f"{field} is {shown(fields[field])}, but {why}")


def read_model(fields: dict) -> Model:
    if "family" not in fields and "layers" not in fields and "name" in fields:
        raise Refused(
            f"[model] name = {shown(fields['name'])} is a preset of wattlaw's catalogue, which this program has not;"
            " write its shape out (family, layers, hidden_size, …, as `wattlaw catalog show` prints it)"
        )
    if "family" not in fields:
        raise Refused('model family is missing; give family = "bert" or "gpt2"')
    family = text("family", fields["family"]).strip().lower().replace("-", "_")
    types = [name for name, aliases in MODEL_TYPES.items() if family == name or family in aliases]
    if not types:
        raise Refused(f"model type is {shown(family)}, but this program trains {', '.join(MODEL_TYPES)}")
    model_type = types[0]
    bert = model_type == "bert"
    hidden = needed(fields, "hidden_size")
    heads = whole("heads", fields.get("heads", max(1, hidden // 64)))
    if hidden % heads:
        raise Refused(f"heads is {heads}, but it must divide hidden_size {hidden}")
    why = f"transformers' {model_type} has no such model; leave it out"
    for field, value in (
        ("kv_heads", heads),
        ("head_dim", hidden // heads),
        ("embedding_size", hidden),
        ("gated_ffn", False),
        ("qkv_bias", True),
        ("attention_output_bias", True),
        ("ffn_bias", True),
        ("final_norm", not bert),
        ("encoder_layers", 0),
        ("experts", 0),
        ("top_k", 0),
        ("image_size", 0),
        ("patch_size", 0),
    ):
        only(fields, field, value, why)
    if not bert:
        only(fields, "token_types", 0, why)
    return Model(
        model_type=model_type,
        layers=needed(fields, "layers"),
        hidden_size=hidden,
        heads=heads,
        ffn_size=whole("ffn_size", fields.get("ffn_size", 4 * hidden)),
        vocab_size=whole("vocab_size", fields.get("vocab_size", 30_522 if bert else 50_257), 2),
        max_positions=whole("max_positions", fields.get("max_positions", 512 if bert else 1024)),
        token_types=whole("token_types", fields.get("token_types", 2)) if bert else 0,
        tied_embeddings=flag("tied_embeddings", fields.get("tied_embeddings", True)),
    )


def read_workload(fields: dict, model: Model, classes: int) -> Workload:
    amount = {field: fields[field] for field in ("tokens", "steps", "epochs", "examples") if field in fields}
    if set(amount) not in ({"tokens"}, {"steps"}, {"epochs", "examples"}):
        given = " and ".join(amount) or "none"
        raise Refused(f"the amount of training: give one of tokens, steps, or epochs with examples, not {given}")
    epochs = number("epochs", amount["epochs"]) if "epochs" in amount else None
    if epochs is not None and not 1e-9 <= epochs <= 1e9:
        raise Refused(f"epochs is {epochs}, but it must be a number from 1e-9 to 1e9")
    if "lora" in fields:
        raise Refused("lora: this program trains all weights, not adapters; leave it out")
    if "decoder_seq_len" in fields:
        raise Refused("decoder_seq_len: only an encoder–decoder has target sequences; leave it out")
    bert = model.model_type == "bert"
    task = word("task", fields.get("task", "masked-lm" if bert else "causal-lm"), TASKS)
    suits = ("masked-lm", "classification") if bert else ("causal-lm",)
    if task not in suits:
        raise Refused(f"task is `{task}`, but a {model.model_type} model is trained for {' or '.join(suits)} here")
    seq_len = needed(fields, "seq_len")
    if seq_len > model.max_positions:
        raise Refused(f"seq_len is {seq_len}, but the model has max_positions {model.max_positions}; give more of them")
    padding = number("padding_share", fields.get("padding_share", 0.0))
    if not 0 <= padding < 1:
        raise Refused(f"padding_share is {padding}, but it must be from 0 to below 1")
    if fields.get("precision") == "fp8":
        raise Refused(f"precision is `fp8`, but this program trains in {', '.join(PRECISIONS)}")
    return Workload(
        tokens=count("tokens", amount["tokens"]) if "tokens" in amount else None,
        steps=count("steps", amount["steps"]) if "steps" in amount else None,
        epochs=epochs,
        examples=count("examples", amount["examples"]) if "examples" in amount else None,
        seq_len=seq_len,
        padding_share=padding,
        micro_batch=needed(fields, "micro_batch"),
        grad_accum=whole("grad_accum", fields.get("grad_accum", 1)),
        precision=word("precision", fields["precision"], PRECISIONS) if "precision" in fields else None,
        optimizer=word("optimizer", fields.get("optimizer", "adamw"), OPTIMIZERS),
        checkpointing=word("checkpointing", fields.get("checkpointing", "none"), CHECKPOINTING),
        attention=word("attention", fields.get("attention", "flash"), ATTENTION),
        task=task,
        labels=whole("labels", fields.get("labels", classes or 2)),
    )


def read_gpus(fields: dict, spread: dict) -> tuple[int, int]:
    """The number of GPUs, and those of one node."""
    per_node = whole("gpus_per_node", fields["gpus_per_node"]) if "gpus_per_node" in fields else None
    nodes = whole("nodes", fields["nodes"]) if "nodes" in fields else None
    implied = math.prod(whole(degree, spread.get(degree, 1)) for degree in ("dp", "tp", "pp"))
    if nodes is not None and (per_node is not None or nodes > 1):
        implied = nodes * (per_node or 8)
    gpus = whole("gpus", fields.get("gpus", implied))
    if per_node is None:
        per_node = gpus // nodes if nodes and gpus % nodes == 0 else min(gpus, 8)
    return gpus, min(per_node, gpus)


def read_parallelism(fields: dict, gpus: int, per_node: int, model: Model, workload: Workload) -> Parallelism:
    for field, value in (("pp", 1), ("virtual_stages", 1)):
        only(fields, field, value, "this program has no pipeline; use 1")
    strategy = word("strategy", fields["strategy"], STRATEGIES) if "strategy" in fields else None
    tensor = strategy in ("tp", "tp-mlp")
    tp = whole("tp", fields.get("tp", max(1, gpus // whole("dp", fields.get("dp", 1))) if tensor else 1))
    dp = whole("dp", fields.get("dp", max(1, gpus // tp)))
    if dp * tp != gpus:
        raise Refused(f"dp × tp is {dp} × {tp} = {dp * tp}, but it must be the GPU count {gpus}")
    if strategy == "single" and dp > 1:
        raise Refused(f"strategy is `single`, but {gpus} GPUs need one of {', '.join(list(STRATEGIES)[1:])}")
    if strategy not in (None, "single", "tp", "tp-mlp") and gpus == 1:
        raise Refused(f"strategy is `{strategy}` on 1 GPU, but it needs more GPUs; or use `single`")
    data = "single" if dp == 1 else ("ddp" if strategy is None or tensor else strategy)
    if data == "zero1" and tp > 1:
        raise Refused("strategy is `zero1` with tp above 1, but this program combines tp with ddp, zero2, fsdp or hsdp")
    if "shard_group" in fields and data != "hsdp":
        raise Refused(f"shard_group is {shown(fields['shard_group'])}, but only strategy `hsdp` has shard groups")
    group = dp if data in ("zero1", "zero2", "fsdp") else 1
    if data == "hsdp":
        group = whole("shard_group", fields.get("shard_group", min(max(per_node // tp, 1), dp)))
        if dp % group:
            raise Refused(f"shard_group is {group}, but it must divide dp {dp}")
    scope = word("tensor_scope", fields.get("tensor_scope", "mlp" if strategy == "tp-mlp" else "blocks"), SCOPES)
    sequence = flag("sequence_parallel", fields.get("sequence_parallel", False)) and tp > 1
    if scope == "blocks" and model.heads % tp:
        raise Refused(f"tp is {tp}, but it must divide the {model.heads} heads")
    if model.ffn_size % tp:
        raise Refused(f"tp is {tp}, but it must divide ffn_size {model.ffn_size}")
    if sequence and scope == "mlp":
        raise Refused(
            "sequence_parallel is true, but with tensor_scope `mlp` attention needs whole sequences; leave it out"
        )
    if sequence and workload.seq_len % tp:
        raise Refused(f"sequence_parallel is true, but tp {tp} must divide seq_len {workload.seq_len}")
    return Parallelism(dp, tp, data, group, scope, sequence)


def hugging_face(path: Path) -> dict:
    """The shape in a Hugging Face `config.json`, under the names of a job file."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Refused(f"{path}: not valid JSON: {error}") from None
    model_type = config.get("model_type") if isinstance(config, dict) else None
    keys = {
        "bert": {
            "layers": "num_hidden_layers",
            "hidden_size": "hidden_size",
            "heads": "num_attention_heads",
            "ffn_size": "intermediate_size",
            "vocab_size": "vocab_size",
            "max_positions": "max_position_embeddings",
            "token_types": "type_vocab_size",
        },
        "gpt2": {
            "layers": "n_layer",
            "hidden_size": "n_embd",
            "heads": "n_head",
            "ffn_size": "n_inner",
            "vocab_size": "vocab_size",
            "max_positions": "n_positions",
            "tied_embeddings": "tie_word_embeddings",
        },
    }.get(model_type)
    if keys is None:
        raise Refused(f"{path}: model_type is {shown(model_type)}, but this program trains {', '.join(MODEL_TYPES)}")
    return {"family": model_type} | {
        ours: config[theirs] for ours, theirs in keys.items() if config.get(theirs) is not None
    }
