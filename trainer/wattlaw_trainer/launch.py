"""Which of the job's processes this one is, as torchrun tells it; known before torch is there."""

import os
from dataclasses import dataclass

from .refused import Refused


@dataclass(frozen=True)
class Launch:
    """One process among `size`, of which `local_size` are on this node."""

    rank: int
    local_rank: int
    size: int
    local_size: int

    @classmethod
    def here(cls) -> "Launch":
        said = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1}
        return cls(*(int(os.environ.get(name, alone)) for name, alone in said.items()))

    def check(self, gpus: int) -> None:
        """Raises Refused where the job asks for another number of processes, one a GPU."""
        if self.size != gpus:
            ranks = "1 rank" if self.size == 1 else f"{self.size} ranks"
            started = f"torchrun started {ranks}" if "WORLD_SIZE" in os.environ else "this is one process"
            asked = "1 GPU" if gpus == 1 else f"{gpus} GPUs"
            start = "python" if gpus == 1 else f"torchrun --standalone --nproc-per-node {gpus}"
            raise Refused(f"the job asks for {asked} and {started}; start it by {start} -m wattlaw_trainer JOB.json")
