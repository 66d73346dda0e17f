"""`python -m wattlaw_trainer JOB.json`: flags, exit codes and what is said when it cannot be done.

Exit codes: 0 done, 1 could not be done, 2 wrong usage. torch is imported once the job is known to be right.
"""

import argparse
import importlib.metadata
import importlib.util
import os
import signal
import sys
import warnings
from pathlib import Path

from . import __version__, budget, document
from .launch import Launch
from .refused import Refused

INSTALL = "pip install -c trainer/constraints.txt ./trainer"


def main() -> None:
    launch = Launch.here()
    options = parser().parse_args()
    try:
        train(launch, options)
    except Refused as refused:
        # what one rank refuses all of its node refuse
        if launch.local_rank == 0:
            print(f"error: {refused}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        # as shells say of what a signal ended
        sys.exit(128 + signal.SIGINT)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="wattlaw_trainer",
        description="Trains a BERT or a GPT as a resolved wattlaw job says. Several GPUs: start it by torchrun.",
    )
    p.add_argument("job", type=Path, metavar="JOB.json", help="resolved job, as `wattlaw job JOB.toml` writes it")
    p.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where to train")
    p.add_argument("--seed", type=natural, default=0, help="of weights and data")
    p.add_argument("--warmup-steps", type=natural, default=3, metavar="N", help="steps before the window (3)")
    p.add_argument("--time-budget", type=duration, metavar="TIME", help="end after a time, as 30s, at a whole step")
    p.add_argument("--data", type=Path, metavar="FILE", help="text to train on, a byte a token; else drawn tokens")
    p.add_argument("--threads", type=positive, metavar="N", help="CPU threads a rank (1 on --device cpu)")
    p.add_argument("--dropout", action="store_true", help="drop 10 %% as the published models do; off by default")
    p.add_argument("--learning-rate", type=rate, default=1e-4, metavar="X", help="constant (1e-4)")
    p.add_argument("--clip-grad", type=rate, metavar="X", help="greatest norm of all gradients")
    p.add_argument("--losses", type=Path, metavar="FILE", help="write each step's loss as JSON")
    p.add_argument("--version", action=Version, nargs=0, help="versions of this program, torch and transformers")
    return p


class Version(argparse.Action):
    """Prints versions; ends with 1 where something is missing, so that others can see whether it is there."""

    def __call__(self, parser, *_):
        try:
            versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
        except importlib.metadata.PackageNotFoundError as missing:
            parser.exit(1, f"error: {missing.name} is not installed; set it up by {INSTALL}\n")
        print(f"wattlaw_trainer {__version__}, torch {versions['torch']}, transformers {versions['transformers']}")
        parser.exit()


def natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def rate(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def duration(text: str) -> float:
    try:
        return budget.seconds(text)
    except Refused as refused:
        raise argparse.ArgumentTypeError(str(refused)) from None


# argparse names the type in its errors
natural.__name__, positive.__name__, rate.__name__ = "whole number", "whole number from 1", "positive number"


def train(launch: Launch, options: argparse.Namespace) -> None:
    asked = document.read(options.job)
    launch.check(asked.parallelism.gpus)
    if options.losses is not None and not options.losses.parent.is_dir():
        raise Refused(f"--losses {options.losses}: there is no folder {options.losses.parent}")
    for needed in ("torch", "transformers"):
        if importlib.util.find_spec(needed) is None:
            raise Refused(f"{needed} is not installed; set it up by {INSTALL}")
    # nothing is ever downloaded, and there is nothing to be warned of
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"

    # FSDP tells of a layer's output that is a view, which matters only to models that write into it; these do not
    warnings.filterwarnings("ignore", message=".*returned a view tensor.*")

    import torch

    from . import ranks, train

    if options.threads is None and (options.device == "cpu" or not torch.cuda.is_available()):
        options.threads = 1
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    here = ranks.join(launch, asked.parallelism, options.device)
    said = train.Options(
        seed=options.seed,
        warmup_steps=options.warmup_steps,
        time_budget_s=options.time_budget,
        data=options.data,
        dropout=options.dropout,
        learning_rate=options.learning_rate,
        clip_grad=options.clip_grad,
        losses=options.losses,
    )
    try:
        train.run(asked, said, here)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        place = f"{here.device} of rank {launch.rank}"
        print(f"error: out of memory on {place}: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
        # others may wait for this rank for ever, and leaving the group would wait for them
        os._exit(1)
    ranks.leave(launch)


def out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether it is Python's, CUDA's (`CUDA out of memory`) or torch's on the CPU (`can't allocate memory`)."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in said or "out of memory" in said


if __name__ == "__main__":
    main()
