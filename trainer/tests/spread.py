"""Run by torchrun: trains each job of a JSON file on the same ranks, and writes the losses that each gave.

Starting torch takes seconds a process, so that many jobs share one start.
"""

import json
import sys
import traceback
from pathlib import Path

import torch
import torch.distributed as dist

from wattlaw_trainer import job, ranks
from wattlaw_trainer.launch import Launch
from wattlaw_trainer.train import Options, Trainer


def losses(tables: dict, more: dict, launch: Launch) -> list[float]:
    asked = job.parse(tables)
    launch.check(asked.parallelism.gpus)
    here = ranks.Ranks(launch, asked.parallelism, torch.device("cpu"))
    if here.several:
        here.mesh = ranks.mesh(asked.parallelism, "cpu")
    options = {"seed": 1, "warmup_steps": 0, "time_budget_s": None, "data": None, "dropout": False}
    options |= {"learning_rate": 1e-2, "clip_grad": None, "losses": None} | more
    if options["data"]:
        options["data"] = Path(options["data"])
    trainer = Trainer(asked, Options(**options), here)
    return here.mean(torch.stack([trainer.step() for _ in range(asked.steps)])).tolist()


def main(asked: str, answers: str) -> None:
    launch = Launch.here()
    torch.set_num_threads(1)
    if launch.size > 1:
        dist.init_process_group("gloo")
    found = {}
    for name, case in json.load(open(asked)).items():
        try:
            found[name] = losses(case["job"], case.get("options", {}), launch)
        except Exception:
            found[name] = traceback.format_exc()
    if launch.rank == 0:
        json.dump(found, open(answers, "w"))
    if launch.size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
