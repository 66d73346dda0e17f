"""What the tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

#: The repository.
ROOT = Path(__file__).resolve().parents[3]

#: The program: the binary that WATTLAW names, else that of the package.
PROGRAM = [os.environ["WATTLAW"]] if "WATTLAW" in os.environ else [sys.executable, "-m", "wattlaw"]


def program(*words: str) -> str:
    """What the program prints."""
    return subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=True, timeout=120).stdout


def flags(fields: dict[str, Any]) -> list[str]:
    """Fields of a job as the program's flags."""
    return [word for name, value in fields.items() for word in ("--" + name.replace("_", "-"), str(value))]


def jobs() -> list[dict[str, Any]]:
    """200 different jobs, some of which leave their strategy and micro-batch open."""
    shapes = product(
        ("bert-base-uncased", "gpt2", "llama-3.1-8b", "mixtral-8x7b", "t5-base"),
        ("a100", "h100", "v100-sxm2-32gb", "l40s"),
        (1, 2, 8, 16, 24),
        ({}, {"micro_batch": 4, "grad_accum": 2}),
    )
    made = []
    for at, (model, gpu, gpus, batch) in enumerate(shapes):
        fields: dict[str, Any] = {"model": model, "gpu": gpu, "gpus": gpus, "seq_len": 64 << (at % 3), "tokens": 1_000_000 + at}
        if at % 2:
            fields |= {"pue": 1.25, "carbon_g_per_kwh": 56.5, "price_per_gpu_hour": 2}
        made.append(fields | batch)
    return made
