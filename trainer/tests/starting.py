"""Starts the trainer, or a script of these tests, as a process of its own or under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

# far above what anything here takes; a hang ends the test and not the day
HANG_S = 240


def command(ranks: int, *words: str) -> list[str]:
    alone = [sys.executable]
    several = [*alone, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [*(alone if ranks == 1 else several), *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    # this folder's program, wherever else it is installed; no device, so that all machines run the same; and a thread
    # count, since torchrun warns where there is none
    here = {"PYTHONPATH": str(Path(__file__).parents[1]), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return os.environ | here | more


def run(ranks: int, *words: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(ranks, *words), capture_output=True, text=True, timeout=HANG_S, env=environment(**more)
    )


def trainer(ranks: int, *words: str, **more: str) -> subprocess.CompletedProcess:
    return run(ranks, "-m", "wattlaw_trainer", *words, **more)


def job_file(folder: Path, job: dict) -> Path:
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path
