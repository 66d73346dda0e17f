"""Reads a job as `wattlaw job` resolved it: JSON with schema `wattlaw-job/1`, in which every default is written out.

No field has a default here. What wattlaw can describe and this program cannot train is refused by name, and so is a
field that this program does not know: nothing is left out silently.
"""

import json
import math
from pathlib import Path

from .job import Job, Model, Parallelism, Workload
from .refused import Refused

SCHEMA = "wattlaw-job/1"
WRITE_ONE = "`wattlaw job JOB.toml` writes what this program reads"
TABLES = ("model", "workload", "parallelism", "system")

MODEL_TYPES = ("bert", "gpt2")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
OPTIMIZERS = ("adamw", "sgd")
CHECKPOINTING = ("none", "selective", "full")
ATTENTION = ("flash", "eager")
TASKS = {"bert": ("masked-lm", "classification"), "gpt2": ("causal-lm",)}
SHARDED = ("zero1", "zero2", "fsdp", "hsdp")
TENSOR = {"tp": "blocks", "tp-mlp": "mlp"}


class Table:
    """A table of the document; it knows which of its fields were read."""

    def __init__(self, document: dict, name: str):
        fields = document.get(name)
        if not isinstance(fields, dict):
            raise Refused(f"{name} must be an object; {WRITE_ONE}")
        self.name, self.fields = name, fields
        self.unread = set(fields)

    def whole(self, field: str, least: int = 1) -> int:
        """A whole number of at least `least`."""
        found = self._take(field)
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise self.wrong(field, f"it must be a whole number from {least}")
        return found

    def number(self, field: str) -> float:
        """A finite number."""
        found = self._take(field)
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            raise self.wrong(field, "it must be a number")
        return float(found)

    def flag(self, field: str) -> bool:
        """True or false."""
        found = self._take(field)
        if not isinstance(found, bool):
            raise self.wrong(field, "it must be true or false")
        return found

    def text(self, field: str) -> str:
        """Some text."""
        found = self._take(field)
        if not isinstance(found, str):
            raise self.wrong(field, "it must be text")
        return found

    def word(self, field: str, trained: tuple[str, ...]) -> str:
        """One of the words that this program can train with."""
        found = self.text(field)
        if found not in trained:
            raise self.wrong(field, f"this program trains {', '.join(trained)}")
        return found

    def only(self, field: str, value: object, why: str) -> None:
        """Refuses a field that says anything but the one value that this program trains; it may be absent."""
        self.unread.discard(field)
        if field in self.fields and self.fields[field] != value:
            raise self.wrong(field, why)

    def absent(self, field: str, why: str) -> None:
        """Refuses a field that asks for what this program cannot do."""
        if field in self.fields:
            raise Refused(f"{self.name}.{field} is given, but {why}")

    def ignore(self, *fields: str) -> None:
        """Fields that change nothing in how this program trains."""
        self.unread.difference_update(fields)

    def finish(self) -> None:
        """Refuses fields that were not read."""
        for field in self.fields:
            if field in self.unread:
                raise Refused(f"{self.name}.{field}: this program does not know the field")

    def wrong(self, field: str, expected: str) -> Refused:
        return Refused(f"{self.name}.{field} is {shown(self.fields[field])}, but {expected}")

    def _take(self, field: str) -> object:
        self.unread.discard(field)
        if field not in self.fields:
            raise Refused(f"{self.name}.{field} is missing; {WRITE_ONE}")
        return self.fields[field]


def read(path: Path) -> Job:
    """Reads the file of a resolved job.

    Raises Refused, naming the file and the field, where it is none, or cannot be trained by this program.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise Refused(f"{path}: not a text in UTF-8") from None
    except ValueError as error:
        raise Refused(f"{path}: not valid JSON: {error}; {WRITE_ONE}") from None
    try:
        return parse(document)
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None


def parse(document: object) -> Job:
    """The job of a document."""
    if not isinstance(document, dict):
        raise Refused(f"the top level must be an object; {WRITE_ONE}")
    if document.get("schema") != SCHEMA:
        raise Refused(f"schema is {shown(document.get('schema'))}, but it must be `{SCHEMA}`; {WRITE_ONE}")
    for name in document:
        if name not in ("schema", *TABLES):
            raise Refused(f"{name}: this program does not know the table; there are {', '.join(TABLES)}")
    model_table, workload_table, parallelism_table, system = (Table(document, name) for name in TABLES)
    model = read_model(model_table)
    workload = read_workload(workload_table, model)
    # hardware is what this program finds, but for the number of processes
    gpus = system.whole("gpus")
    return Job(model, workload, read_parallelism(parallelism_table, gpus))


def read_model(table: Table) -> Model:
    model_type = table.word("family", MODEL_TYPES)
    bert = model_type == "bert"
    hidden, heads = table.whole("hidden_size"), table.whole("heads")
    if hidden % heads:
        raise table.wrong("heads", f"it must divide hidden_size {hidden}")
    why = f"transformers' {model_type} has no such model"
    for field, value in (
        ("kv_heads", heads),
        ("head_dim", hidden // heads),
        ("embedding_size", hidden),
        ("gated_ffn", False),
        ("qkv_bias", True),
        ("attention_output_bias", True),
        ("ffn_bias", True),
        ("final_norm", not bert),
    ):
        table.only(field, value, why)
    if not bert:
        table.only("token_types", 0, why)
    table.only("vocab_multiple", 1, "this program does not pad the vocabulary")
    # the pooler and the classes of the published head are not trained; labels are those of the workload
    table.ignore("name", "pooler", "classes")
    model = Model(
        model_type=model_type,
        layers=table.whole("layers"),
        hidden_size=hidden,
        heads=heads,
        ffn_size=table.whole("ffn_size"),
        vocab_size=table.whole("vocab_size", 2),
        max_positions=table.whole("max_positions"),
        token_types=table.whole("token_types") if bert else 0,
        tied_embeddings=table.flag("tied_embeddings"),
    )
    table.finish()
    return model


def read_workload(table: Table, model: Model) -> Workload:
    amount = {field for field in ("tokens", "steps", "epochs", "examples") if field in table.fields}
    if amount not in ({"tokens"}, {"steps"}, {"epochs", "examples"}):
        raise Refused("workload must have one of tokens, steps, or epochs with examples")
    table.absent("lora", "this program trains all weights, not adapters")
    table.only("state_precision", "fp32", "this program keeps updated weights and optimizer states in fp32")
    table.only("quantization", "none", "this program trains no quantized weights")
    table.only("frozen_layers", 0, "this program trains all layers")
    table.absent("document_len", "this program packs no documents")
    table.only("objective", "likelihood", "this program has no preference tuning")
    table.only("offload", "none", "this program keeps all states on the GPU")
    table.ignore("framework")
    task = table.text("task")
    if task not in TASKS[model.model_type]:
        accepted = " or ".join(TASKS[model.model_type])
        raise table.wrong("task", f"a {model.model_type} model is trained for {accepted} here")
    seq_len = table.whole("seq_len")
    if seq_len > model.max_positions:
        raise table.wrong("seq_len", f"the model has max_positions {model.max_positions}; give more of them")
    padding = table.number("padding_share")
    if not 0 <= padding < 1:
        raise table.wrong("padding_share", "it must be from 0 to below 1")
    epochs = table.number("epochs") if "epochs" in amount else None
    if epochs is not None and epochs <= 0:
        raise table.wrong("epochs", "it must be above 0")
    workload = Workload(
        tokens=table.whole("tokens") if "tokens" in amount else None,
        steps=table.whole("steps") if "steps" in amount else None,
        epochs=epochs,
        examples=table.whole("examples") if "examples" in amount else None,
        seq_len=seq_len,
        padding_share=padding,
        micro_batch=table.whole("micro_batch"),
        grad_accum=table.whole("grad_accum"),
        precision=table.word("precision", PRECISIONS),
        optimizer=table.word("optimizer", OPTIMIZERS),
        checkpointing=table.word("checkpointing", CHECKPOINTING),
        attention=table.word("attention", ATTENTION),
        task=task,
        labels=table.whole("labels") if task == "classification" else None,
    )
    table.finish()
    return workload


def read_parallelism(table: Table, gpus: int) -> Parallelism:
    table.only("pp", 1, "this program has no pipeline; use 1")
    table.only("cp", 1, "this program has no context parallelism; use 1")
    # they only say how a pipeline is arranged
    table.ignore("schedule", "virtual_stages", "partition")
    dp, tp = table.whole("dp"), table.whole("tp")
    if dp * tp != gpus:
        raise Refused(f"dp × tp is {dp} × {tp} = {dp * tp}, but it must be the GPU count {gpus}")
    data, scope = read_strategy(table, dp, tp)
    if data == "zero1" and tp > 1:
        raise table.wrong("strategy", "this program combines tp with ddp, zero2, fsdp or hsdp")
    group = dp if data in SHARDED else 1
    if data == "hsdp":
        group = table.whole("shard_group")
        if dp % group:
            raise table.wrong("shard_group", f"it must divide dp {dp}")
    sequence = table.flag("sequence_parallel")
    if sequence and scope == "mlp":
        raise table.wrong("sequence_parallel", "with tensor_scope `mlp` attention needs whole sequences")
    table.finish()
    return Parallelism(dp, tp, data, group, scope, sequence)


def read_strategy(table: Table, dp: int, tp: int) -> tuple[str, str]:
    """What data-parallel ranks shard, and what tensor parallelism splits."""
    parts = table.text("strategy").split("+")
    scope = table.word("tensor_scope", tuple(TENSOR.values()))
    data = parts[0] if parts[0] in ("ddp", *SHARDED) else "single"
    tensor = [name for name, splits in TENSOR.items() if tp > 1 and splits == scope]
    # a name that contradicts the degrees would be trained as something else than what is recorded
    expected = ([data] if dp > 1 else []) + tensor or ["single"]
    if parts != expected or (data == "single") != (dp == 1):
        degrees = f"dp {dp}, tp {tp} and tensor_scope `{scope}`"
        raise table.wrong("strategy", f"it must be the strategy of {degrees}; {WRITE_ONE}")
    return data, scope


def shown(found: object) -> str:
    """A value as an error shows it."""
    if isinstance(found, str):
        return f"`{found}`"
    return json.dumps(found)
