"""A job: the model, what is trained and how, and how it is spread; named as wattlaw names it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """The Transformer's shape."""

    model_type: str
    layers: int
    hidden_size: int
    heads: int
    ffn_size: int
    vocab_size: int
    max_positions: int
    token_types: int
    tied_embeddings: bool


@dataclass(frozen=True)
class Workload:
    """What is trained and how; `labels` is None where the task is no classification."""

    tokens: int | None
    steps: int | None
    epochs: float | None
    examples: int | None
    seq_len: int
    padding_share: float
    micro_batch: int
    grad_accum: int
    precision: str
    optimizer: str
    checkpointing: str
    attention: str
    task: str
    labels: int | None

    @property
    def data_tokens(self) -> int:
        """Tokens of data in a sequence, padding apart."""
        return max(1, round(self.seq_len * (1 - self.padding_share)))


@dataclass(frozen=True)
class Parallelism:
    """How the job is spread; `data` is what data-parallel ranks shard."""

    dp: int
    tp: int
    data: str
    shard_group: int
    tensor_scope: str
    sequence_parallel: bool

    @property
    def gpus(self) -> int:
        return self.dp * self.tp

    def __str__(self) -> str:
        tensor = "tp-mlp" if self.tensor_scope == "mlp" else "tp"
        sequence = " with sequence parallelism" if self.sequence_parallel else ""
        parts = [f"{tensor} {self.tp}{sequence}"] if self.tp > 1 else []
        if self.dp > 1:
            groups = f" in groups of {self.shard_group}" if self.data == "hsdp" else ""
            parts.append(f"{self.data} {self.dp}{groups}")
        return " × ".join(parts) or "single"


@dataclass(frozen=True)
class Job:
    """All that is known before the run."""

    model: Model
    workload: Workload
    parallelism: Parallelism

    @property
    def sequences_per_step(self) -> int:
        """Sequences in an optimizer step, all ranks together."""
        w = self.workload
        return w.micro_batch * w.grad_accum * self.parallelism.dp

    @property
    def tokens_per_step(self) -> int:
        """Tokens of data in an optimizer step, all ranks together."""
        return self.sequences_per_step * self.workload.data_tokens

    @property
    def steps(self) -> int:
        """Whole optimizer steps that the amount of training needs; wattlaw counts fractions of one."""
        w = self.workload
        positions = self.sequences_per_step * w.seq_len
        if w.steps is not None:
            return w.steps
        if w.tokens is not None:
            steps = w.tokens / (1 - w.padding_share) / positions
        else:
            steps = w.epochs * w.examples / self.sequences_per_step
        # a quotient that is whole but for rounding is not one step more
        return max(1, math.ceil(steps - 1e-9 * steps))
