"""The run: warm-up, then the window `train`, step by step."""

import collections
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from . import gradients, precision
from .budget import Budget
from .data import Batch, Sequences
from .events import Events
from .job import Job
from .model import build, parameters
from .ranks import Ranks
from .refused import Refused
from .sharding import Spread

WINDOW = "train"
# lines of progress a run, beside some at its beginning; each waits for the device once
LINES = 5


@dataclass(frozen=True)
class Options:
    """What flags say beside the job."""

    seed: int
    warmup_steps: int
    time_budget_s: float | None
    data: Path | None
    dropout: bool
    learning_rate: float
    clip_grad: float | None
    losses: Path | None


class Trainer:
    """A model, its data and its optimizer on this rank."""

    def __init__(self, job: Job, options: Options, ranks: Ranks):
        self.job, self.options, self.ranks = job, options, ranks
        w = job.workload
        precision.apply(w.precision)
        self.sequences = Sequences(job, options.seed, options.data, ranks.device)
        model = build(job, options.seed, options.dropout)
        self.parameters = parameters(model)
        self.spread = Spread(model, job, ranks, w.precision)
        self.optimizer = self.spread.optimizer(w.optimizer, options.learning_rate)
        self.scaler = precision.Scaler(ranks, w.precision == "fp16")
        # dropout: the same on ranks that hold parts of one model, another on those that hold other data
        torch.manual_seed(options.seed + 1 + ranks.dp_rank)
        self.split_vocabulary = (
            job.parallelism.tp > 1 and job.parallelism.tensor_scope == "blocks" and w.task != "classification"
        )
        self.done = 0

    def step(self) -> torch.Tensor:
        """One optimizer step; the mean loss of this rank's sequences, on the device."""
        w = self.job.workload
        total = torch.zeros((), device=self.ranks.device)
        for micro in range(w.grad_accum):
            part = (self.done * w.grad_accum + micro) * self.job.parallelism.dp + self.ranks.dp_rank
            batch = self.sequences.batch(part * w.micro_batch, w.micro_batch)
            with self.spread.micro_step(micro + 1 == w.grad_accum), self._loss_of_split_logits():
                loss = self._loss(batch) / w.grad_accum
                self.scaler.scale(loss).backward()
            total += loss.detach()
        gradients.settle(self.spread)
        if self.options.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            gradients.clip(self.spread, self.options.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.done += 1
        return total

    def _loss(self, batch: Batch) -> torch.Tensor:
        with precision.autocast(self.job.workload.precision, self.ranks.device, self.spread.by_unit):
            logits = self.spread.model(input_ids=batch.ids, attention_mask=batch.mask).logits
        loss = functional.cross_entropy(logits.float().flatten(0, -2), batch.targets.flatten())
        return precision.local(loss)

    def _loss_of_split_logits(self):
        if not self.split_vocabulary:
            return contextlib.nullcontext()
        from torch.distributed.tensor.parallel import loss_parallel

        return loss_parallel()


def run(job: Job, options: Options, ranks: Ranks) -> None:
    """Trains the job, tells wattlaw of it and says on rank 0 how it goes."""
    began = time.monotonic()
    events = Events(ranks.launch.local_rank == 0)
    trainer = Trainer(job, options, ranks)
    say = print if ranks.first else lambda *_, **__: None
    m, w = job.model, job.workload
    say(
        f"{m.model_type} {m.layers}x{m.hidden_size}, {trainer.parameters} parameters, {w.task}; {job.parallelism} on"
        f" {job.parallelism.gpus} x {ranks.device.type}; {w.precision}, {w.optimizer};"
        f" {job.tokens_per_step} tokens a step, {job.steps} steps after {options.warmup_steps} of warm-up",
        flush=True,
    )
    # without a file for them only the last is kept, since each is a piece of the device's memory
    losses = collections.deque(maxlen=None if options.losses else 1)
    for _ in range(options.warmup_steps):
        losses.append(trainer.step())
    ranks.synchronize()
    say(f"warm after {time.monotonic() - began:.1f} s", flush=True)

    begin = time.monotonic()
    events.begin(WINDOW)
    budget = Budget(job.steps, options.time_budget_s)
    steps = 0
    while not budget.spent(steps, ranks.agree):
        losses.append(trainer.step())
        steps += 1
        events.step(job.tokens_per_step)
        if ranks.first and is_told(steps, job.steps):
            loss = losses[-1].item()
            rate = steps * job.tokens_per_step / (time.monotonic() - begin)
            say(f"step {steps}/{job.steps}  loss {loss:.4f}  {rate:.0f} tokens/s", flush=True)
    ranks.synchronize()
    events.end(WINDOW)
    duration = time.monotonic() - begin

    memory = ""
    if ranks.device.type == "cuda":
        memory = f", peak {torch.cuda.max_memory_reserved() / 2**30:.2f} GiB reserved"
    tokens = steps * job.tokens_per_step
    say(
        f"trained {steps} steps, {tokens} tokens in {duration:.3f} s: {1e3 * duration / steps:.3f} ms a step,"
        f" {tokens / duration:.0f} tokens/s{memory}",
        flush=True,
    )
    if options.losses is not None:
        # every rank takes part in the mean
        means = ranks.mean(torch.stack(list(losses))).tolist()
        if ranks.first:
            write(options.losses, {"warmup_steps": options.warmup_steps, "losses": means})


def is_told(step: int, steps: int) -> bool:
    """Every so often, and before at powers of two, since a time budget may end long before the last step."""
    every = max(1, steps // LINES)
    return step % every == 0 or (step < every and step & (step - 1) == 0)


def write(path: Path, content: dict) -> None:
    try:
        path.write_text(json.dumps(content) + "\n")
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
