"""Run by torchrun: trains each job of a JSON file on the same ranks, and writes what came of it.

That are the losses that each gave and, where asked for, what was exchanged in one step more.

Starting torch takes seconds a process, so that many jobs share one start.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.tensor.debug import CommDebugMode

from wattlaw_trainer import ranks
from wattlaw_trainer.document import parse
from wattlaw_trainer.launch import Launch
from wattlaw_trainer.train import Options, Trainer


def train(job: dict, more: dict, launch: Launch) -> dict:
    asked = parse(job)
    launch.check(asked.parallelism.gpus)
    here = ranks.Ranks(launch, asked.parallelism, torch.device("cpu"))
    if here.several:
        here.mesh = ranks.mesh(asked.parallelism, "cpu")
    options = Options(
        seed=1,
        warmup_steps=0,
        time_budget_s=None,
        data=Path(more["data"]),
        dropout=False,
        learning_rate=more["learning_rate"],
        clip_grad=more.get("clip_grad"),
        losses=None,
    )
    trainer = Trainer(asked, options, here)
    losses = here.mean(torch.stack([trainer.step() for _ in range(asked.steps)])).tolist()
    if not more.get("count_exchanges"):
        return {"losses": losses}
    with CommDebugMode() as counted:
        trainer.step()
    return {"losses": losses, "exchanges": {str(kind): times for kind, times in counted.get_comm_counts().items()}}


def main(asked: str, answers: str) -> None:
    warnings.filterwarnings("ignore", message=".*returned a view tensor.*")
    launch = Launch.here()
    torch.set_num_threads(1)
    if launch.size > 1:
        dist.init_process_group("gloo")
    found = {
        name: train(case["job"], case["options"], launch) for name, case in json.loads(Path(asked).read_text()).items()
    }
    if launch.rank == 0:
        Path(answers).write_text(json.dumps(found))
    ranks.leave(launch)


if __name__ == "__main__":
    main(*sys.argv[1:])
