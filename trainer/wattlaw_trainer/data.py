"""Sequences to train on: cut out of one pool of tokens, drawn from the seed or read from a text.

Sequence n of the run is the same whatever the ranks and micro-batches, so that a step of any spread sees the same
global batch. Cutting is indexing on the device, which takes next to no time of a step.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from .job import Job
from .refused import Refused

# tokens drawn for a synthetic pool
POOL = 1 << 18
# share of tokens that a masked LM has to fill in (Devlin et al. 2019, section 3.1)
MASKED = 0.15


@dataclass(frozen=True)
class Batch:
    """Sequences of one micro-batch; `targets` is -100 where there is nothing to say."""

    ids: torch.Tensor
    mask: torch.Tensor | None
    targets: torch.Tensor


class Sequences:
    """All sequences of a run."""

    def __init__(self, job: Job, seed: int, text: Path | None, device: torch.device):
        self.job = job
        self.seq_len = job.workload.seq_len
        self.real = job.workload.data_tokens
        self.vocab = job.model.vocab_size
        pool = self._synthetic(seed) if text is None else self._of_text(text)
        self.pool = pool.to(device)
        self.place = torch.arange(self.seq_len, device=device)
        self.mask = None
        if self.real < self.seq_len:
            self.mask = (self.place < self.real).long()
        # the same number in each sequence, so that a mean of micro-batches' means is the mean of all
        self.masked = max(1, round(MASKED * self.real))

    def _synthetic(self, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        # the last token is the mask
        return torch.randint(self.vocab - 1, (max(POOL, 4 * self.seq_len),), generator=generator)

    def _of_text(self, path: Path) -> torch.Tensor:
        """The bytes of a text in UTF-8, a token each."""
        try:
            content = path.read_bytes()
            content.decode("utf-8")
        except OSError as error:
            raise Refused(f"{path}: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise Refused(f"{path}: not a text in UTF-8 at byte {error.start}") from None
        if len(content) < self.seq_len + 1:
            raise Refused(f"{path}: {len(content)} bytes, but a sequence needs {self.seq_len + 1}")
        if self.vocab < 257:
            raise Refused(f"vocab_size is {self.vocab}, but a text needs 257: one for each byte and the mask")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8).long()

    def batch(self, first: int, size: int) -> Batch:
        """Sequences `first` to `first + size` of the run."""
        number = torch.arange(first, first + size, device=self.place.device)
        start = (number * self.real) % (len(self.pool) - self.seq_len)
        ids = self.pool[start[:, None] + self.place]
        mask = None if self.mask is None else self.mask.expand(size, -1)
        task = self.job.workload.task
        if task == "classification":
            return Batch(ids, mask, ids[:, 0] % self.job.workload.labels)
        if task == "causal-lm":
            targets = self.pool[start[:, None] + self.place + 1]
            if mask is not None:
                targets = targets.masked_fill(mask == 0, -100)
            return Batch(ids, mask, targets)
        chosen = self._chosen(number)
        targets = torch.full_like(ids, -100).scatter(1, chosen, ids.gather(1, chosen))
        return Batch(ids.scatter(1, chosen, self.vocab - 1), mask, targets)

    def _chosen(self, number: torch.Tensor) -> torch.Tensor:
        """Places that are masked: evenly apart, another first one in each sequence."""
        apart = self.real // self.masked
        every = torch.arange(self.masked, device=number.device) * apart
        return (every + number[:, None] * 7) % self.real
