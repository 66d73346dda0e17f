"""The program as a user and `wattlaw measure` start it: events, exit codes, and what it says when it cannot."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from jobs import document
from starting import HANG_S, command, environment, job_file, run, trainer

MODEL = {"layers": 1, "hidden_size": 32, "heads": 2, "vocab_size": 101}
FIVE, LONG = {"steps": 5}, {"steps": 100_000_000}
TINY = document(MODEL, FIVE)


def ddp(ranks: int, workload: dict = FIVE) -> dict:
    return document(MODEL, workload, {"strategy": "ddp", "dp": ranks})


def refused(done: subprocess.CompletedProcess) -> str:
    """The one sentence that a run was refused with."""
    assert done.returncode == 1 and done.stdout == "", done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_two_ranks_tell_the_window_and_each_step_once(tmp_path) -> None:
    told, losses = tmp_path / "events", tmp_path / "losses"
    words = (job_file(tmp_path, ddp(2)), "--device", "cpu", "--warmup-steps", "2", "--losses", losses)
    before = time.monotonic()
    done = trainer(2, *words, WATTLAW_EVENTS=str(told))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in told.read_text().splitlines()]
    # 2 ranks x 2 sequences x 16 tokens; the two steps of warm-up are not told
    step = {"event": "step", "tokens": 64}
    window = [{"event": "window_begin", "name": "train"}, *[step] * 5, {"event": "window_end", "name": "train"}]
    assert [{k: v for k, v in event.items() if k != "t_monotonic_s"} for event in events] == window
    moments = [event["t_monotonic_s"] for event in events]
    assert moments == sorted(moments) and before < moments[0] and moments[-1] < time.monotonic()
    written = json.loads(losses.read_text())
    assert written["warmup_steps"] == 2 and len(written["losses"]) == 7
    lines = done.stdout.splitlines()
    assert "bert 1x32" in lines[0] and "ddp 2" in lines[0]
    assert [line.split()[1] for line in lines if line.startswith("step")] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    assert lines[-1].startswith("trained 5 steps, 320 tokens in ") and "ms a step" in lines[-1]


def test_a_time_budget_ends_early_on_all_ranks(tmp_path) -> None:
    done = trainer(
        2, job_file(tmp_path, ddp(2, LONG)), "--device", "cpu", "--time-budget", "300ms", "--warmup-steps", "1"
    )
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout.splitlines()[-1].split()[1])
    assert 1 <= steps < 100_000_000


def test_memory_that_is_not_there_is_said_in_one_line(tmp_path) -> None:
    # a hundred terabytes, which no machine gives
    huge = document(MODEL | {"vocab_size": 1_000_000_000_000}, FIVE)
    done = trainer(1, job_file(tmp_path, huge), "--device", "cpu")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: out of memory on cpu of rank 0")


def test_a_signal_ends_it(tmp_path) -> None:
    long = job_file(tmp_path, document(MODEL, LONG))
    words = command(1, "-m", "wattlaw_trainer", long, "--device", "cpu")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment()) as running:
        assert any(line.startswith("step") for line in running.stdout)
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG_S) == -signal.SIGTERM


def test_a_wrong_number_of_ranks_is_refused(tmp_path) -> None:
    four = job_file(tmp_path, ddp(4))
    said = refused(trainer(1, four))
    assert "the job asks for 4 GPUs and this is one process; start it by torchrun" in said
    under_torchrun = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    assert "the job asks for 4 GPUs and torchrun started 2 ranks" in refused(trainer(1, four, **under_torchrun))


def test_what_is_not_there_is_said(tmp_path) -> None:
    job = job_file(tmp_path, TINY)
    assert "torch finds no CUDA device here; use --device cpu" in refused(trainer(1, job, "--device", "cuda"))
    assert "No such file" in refused(trainer(1, tmp_path / "none.json"))
    assert "there is no folder" in refused(trainer(1, job, "--losses", tmp_path / "none" / "losses"))
    nowhere = str(tmp_path / "none" / "events")
    assert "which WATTLAW_EVENTS names" in refused(trainer(1, job, "--device", "cpu", WATTLAW_EVENTS=nowhere))
    # -S leaves out the folder of installed packages
    here = str(Path(__file__).parents[1])
    without_torch = f"import sys; sys.path.insert(0, {here!r}); from wattlaw_trainer.__main__ import main; main()"
    assert "torch is not installed; set it up by pip install" in refused(run(1, "-S", "-c", without_torch, job))
    done = run(1, "-S", "-c", without_torch, "--version")
    assert done.returncode == 1 and "torch is not installed" in done.stderr


def test_a_field_that_is_none_is_named_with_its_file(tmp_path) -> None:
    path = job_file(tmp_path, document(MODEL | {"layer": 1}, FIVE))
    assert refused(trainer(1, path)) == f"error: {path}: model.layer: this program does not know the field\n"


@pytest.mark.parametrize("words", [["--device", "tpu"], ["--seed", "-1"], ["--time-budget", "soon"], []])
def test_wrong_usage_ends_with_two(tmp_path, words: list[str]) -> None:
    job = [str(job_file(tmp_path, TINY))] if words else []
    assert trainer(1, *job, *words).returncode == 2


def test_the_version_names_what_it_stands_on() -> None:
    done = trainer(1, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("wattlaw_trainer 0.1.0, torch ") and ", transformers " in done.stdout
