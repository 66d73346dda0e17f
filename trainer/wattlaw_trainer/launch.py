"""Which of the job's processes this one is, as torchrun tells it; known before torch is there."""

import os
from dataclasses import dataclass

from .refused import Refused


@dataclass(frozen=True)
class Launch:
    """One process among `size`; `local_rank` counts those of one node."""

    rank: int
    local_rank: int
    size: int

    @classmethod
    def here(cls) -> "Launch":
        rank, local_rank, size = (int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
        return cls(rank, local_rank, max(size, 1))

    def check(self, gpus: int) -> None:
        """Raises Refused where the job asks for another number of processes, one a GPU."""
        if self.size != gpus:
            started = f"torchrun started {self.size} ranks" if "WORLD_SIZE" in os.environ else "this is one process"
            how = f"torchrun --standalone --nproc-per-node {gpus} -m wattlaw_trainer JOB.toml"
            raise Refused(f"the job asks for {gpus} GPUs and {started}; start it by {how}")
