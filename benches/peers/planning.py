"""Configurations a second of planners, in one run: `wattlaw plan`, Coastline's recommender, and Kavier's simulation, on which Coastline rests.

They answer different questions. Kavier and Coastline know data-parallel fine-tuning: GPUs and batch are what Coastline chooses, with its rules for
what fits (its AutoConf needs packages of several GB). wattlaw also chooses tensor and pipeline parallelism, sharding, checkpointing, schedule
and power limit, and counts memory part by part. So the work is comparable, and the answer is not.

Usage:    python benches/peers/planning.py target/release/wattlaw [ROUNDS]
Needs:    benches/peers/requirements-planning.txt, without their dependencies, and pandas, pyarrow, pydantic, cachetools, tqdm, rich, PyYAML
"""

import json
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from statistics import median

from coastline.sdk.recommend.facade import Coastline
from kavier.sdk.training.core.engine import simulate_training_step

MODEL, GPU = "llama3.1-8b", "NVIDIA-A100-SXM4-80GB"
GPUS = [1, 2, 4, 8, 16]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128]
JOB = ["--model", "llama-3.1-8b", "--seq-len", "2048", "--tokens", "1B", "--global-batch", "128", "--precision", "bf16",
       "--gpu", "a100-sxm4-80gb", "--gpus", "1,2,4,8,16"]


def wattlaw(program, threads):
    answer = subprocess.run([program, "plan", *JOB, "--threads", str(threads), "--format", "json"], capture_output=True, check=True)
    plans = json.loads(answer.stdout)
    return plans["searched"], plans["seconds"]


def kavier():
    start, count = time.perf_counter(), 0
    # a length a turn, so that no answer is one that it has kept
    for tokens in range(1024, 2048, 32):
        for gpus in GPUS:
            for batch in BATCHES:
                simulate_training_step(MODEL, GPU, tokens_per_sample=tokens, batch_size=batch, method="full", num_gpus=gpus,
                                       num_nodes=max(1, gpus // 8))
                count += 1
    return count, time.perf_counter() - start


def coastline():
    recommender = Coastline(feasibility="rules")
    workload = {"llm_model": MODEL, "fine_tuning_method": "full", "gpu_model": GPU, "tokens_per_sample": 2048, "batch_size": 8}
    start = time.perf_counter()
    recommender.recommend(workload, total_gpus=GPUS, batch_sizes=BATCHES, max_gpus=max(GPUS))
    return len(GPUS) * len(BATCHES), time.perf_counter() - start


def main(program, rounds="5"):
    warnings.filterwarnings("ignore")
    planners = {"wattlaw, one thread": lambda: wattlaw(program, 1), f"kavier {version('kavier')}": kavier,
                f"coastline-recommender {version('coastline-recommender')}": coastline}
    rates = {name: [] for name in planners}
    for planner in planners.values():
        planner()
    for _ in range(int(rounds)):
        for name, planner in planners.items():
            count, seconds = planner()
            rates[name].append(count / seconds)
    ours = median(rates["wattlaw, one thread"])
    for name, found in rates.items():
        print(f"{name}: {median(found):.0f} configurations/s ({min(found):.0f} to {max(found):.0f}), wattlaw × {ours / median(found):.0f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
