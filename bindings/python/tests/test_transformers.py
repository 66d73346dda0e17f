"""The callback of transformers' Trainer on real trainings: what is predicted, measured, logged and recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nvml
import pytest

pytest.importorskip("torch", reason="PyTorch is installed by ./test --torch")
pytest.importorskip("transformers", reason="transformers is installed by ./test --torch")

LIMIT_S = 240


def trained(folder: Path, ranks: int, family: str, report_to: str = "wattlaw", gpus: int | None = None) -> str:
    """Standard error of a training in a folder."""
    environment = nvml.staged(folder, ranks if gpus is None else gpus) if gpus != 0 else {}
    if environment is None:
        pytest.skip("the stand-in for NVIDIA's library was not built: cargo build -p nvml-mock")
    if gpus == 0:
        environment = {"WATTLAW_NVML": str(folder / "no-nvml"), "WATTLAW_SYSFS": str(folder / "no-sysfs")}
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    program = Path(__file__).with_name("fine_tune.py")
    done = subprocess.run(
        [sys.executable, *several, str(program), str(folder), family, report_to],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def record(folder: Path) -> dict:
    [path] = folder.glob("wattlaw/*/run.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(("ranks", "family"), [(1, "gpt2"), (1, "bert"), (2, "gpt2")])
def test_a_training_is_predicted_measured_and_recorded_once(ranks, family, tmp_path):
    said = trained(tmp_path, ranks, family)
    assert said.count("wattlaw: predicted ") == 1, said
    assert said.count("wattlaw: measured ") == 1, said
    found = record(tmp_path)
    assert (found["state"], found["end"]) == ("finished", {"how": "exit", "code": 0})
    # 4 epochs of 32 sequences of 16 tokens, in steps of 4 × 2 sequences a rank
    assert (found["steps"], found["tokens"]) == (16 / ranks, 4 * 32 * 16.0)
    job = found["job"]
    assert (job["model"]["layers"], job["model"]["hidden_size"]) == (2, 32)
    assert (job["workload"]["seq_len"], job["workload"]["micro_batch"], job["workload"]["grad_accum"]) == (16, 4, 2)
    assert (job["system"]["gpus"], job["parallelism"]["dp"]) == (ranks, ranks)
    windows = [window["name"] for window in found["windows"] if not window["name"].startswith("steps")]
    assert windows.count("train") == 1
    assert windows.count("evaluation") == 4
    assert [name for name in windows if name.startswith("epoch")] == [f"epoch {i}" for i in range(1, 5)]
    nvml.check_energy(found, ranks)
    [energy] = found["energies"]
    assert energy["scope"] == "gpu"
    history = json.loads((tmp_path / "trainer_state.json").read_text())["log_history"]
    logged = [entry for entry in history if "wattlaw/energy_j" in entry and "loss" in entry]
    assert len(logged) == 16 / ranks
    assert logged[-1]["wattlaw/energy_j"] > logged[0]["wattlaw/energy_j"]
    assert "wattlaw/remaining_s" not in logged[-1]
    # a step with its share of the evaluations, whose first ones are slower
    assert 0 < logged[-2]["wattlaw/remaining_s"] < found["duration_s"] / 2
    assert 0 < logged[-2]["wattlaw/remaining_energy_j"] < energy["energy_j"] / 2
    assert logged[-1]["wattlaw/energy_measured_over_predicted"] > 0


def test_loggers_that_are_named_after_it_get_its_figures(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard")
    trained(tmp_path, 1, "gpt2", report_to="wattlaw,tensorboard")
    [events] = (path.parent for path in tmp_path.rglob("events.out.tfevents.*"))
    accumulator = reader.EventAccumulator(str(events))
    accumulator.Reload()
    steps = {scalar.step for scalar in accumulator.Scalars("train/wattlaw/energy_j")}
    assert steps == set(range(1, 17))


def test_a_machine_without_meters_trains_on_with_one_warning(tmp_path):
    said = trained(tmp_path, 1, "gpt2", gpus=0)
    assert said.count("MeterWarning: wattlaw: energy is not measured: nothing can be measured") == 1, said
    assert said.count("MeterWarning: wattlaw: the training is not predicted") == 1, said
    found = record(tmp_path)
    assert (found["steps"], found["energies"]) == (16, [])
