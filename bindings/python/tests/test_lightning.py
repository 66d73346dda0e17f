"""The callbacks of Lightning's Trainer and Fabric on real trainings."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import nvml
import pytest

pytest.importorskip("torch", reason="PyTorch is installed by ./test --torch")
pytest.importorskip("transformers", reason="transformers is installed by ./test --torch")
pytest.importorskip("lightning", reason="Lightning is installed by ./test --torch")

LIMIT_S = 240


def trained(folder: Path, ranks: int, kind: str, program: str = "lightning_program.py") -> subprocess.CompletedProcess:
    environment = nvml.staged(folder, ranks)
    if environment is None:
        pytest.skip("the stand-in for NVIDIA's library was not built: cargo build -p nvml-mock")
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name(program)), str(folder), str(ranks), kind],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


def record(folder: Path) -> dict:
    [path] = folder.glob("wattlaw/*/run.json")
    return json.loads(path.read_text())


def recorded_once(done: subprocess.CompletedProcess, folder: Path) -> dict:
    """The record of a training that was predicted and measured, by one rank alone."""
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("wattlaw: predicted ") == 1, done.stderr
    assert done.stderr.count("wattlaw: measured ") == 1, done.stderr
    return record(folder)


def logged(folder: Path) -> int:
    """Rows of the logger that hold the energy."""
    [metrics] = folder.rglob("metrics.csv")
    with metrics.open(newline="") as file:
        return sum(bool(row.get("wattlaw/energy_j")) for row in csv.DictReader(file))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_is_predicted_measured_and_recorded_once(ranks, tmp_path):
    done = trained(tmp_path, ranks, "transformers")
    found = recorded_once(done, tmp_path)
    # 2 epochs of 32 sequences of 16 tokens, in steps of 4 × 2 sequences a rank
    assert (found["state"], found["steps"], found["tokens"]) == ("finished", 8 / ranks, 2 * 32 * 16.0)
    job = found["job"]
    assert (job["workload"]["seq_len"], job["workload"]["micro_batch"], job["workload"]["grad_accum"]) == (16, 4, 2)
    assert (job["system"]["gpus"], job["parallelism"]["dp"], job["model"]["layers"]) == (ranks, ranks, 2)
    windows = [window["name"] for window in found["windows"]]
    assert [name for name in windows if name.startswith("epoch")] == ["epoch 1", "epoch 2"]
    assert "evaluation" in windows
    nvml.check_energy(found, ranks)
    assert logged(tmp_path) == 8 / ranks


def test_a_module_of_an_unknown_class_is_measured_and_not_predicted(tmp_path):
    done = trained(tmp_path, 1, "plain")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("wattlaw: the training is not predicted: Module holds no model") == 1, done.stderr
    assert record(tmp_path)["energies"][0]["energy_j"] > 0


def test_a_training_that_fails_leaves_a_record_that_says_so(tmp_path):
    done = trained(tmp_path, 1, "failing")
    assert done.returncode != 0
    found = record(tmp_path)
    assert (found["end"], found["steps"]) == ({"how": "exit", "code": 1}, 3)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loop_of_fabric_is_predicted_measured_and_recorded_once(ranks, tmp_path):
    done = trained(tmp_path, ranks, "whole", "fabric_program.py")
    found = recorded_once(done, tmp_path)
    # 2 epochs of 32 sequences of 16 tokens, in steps of 4 sequences a rank
    assert (found["state"], found["steps"], found["tokens"]) == ("finished", 16 / ranks, 2 * 32 * 16.0)
    job = found["job"]
    assert (job["workload"]["seq_len"], job["workload"]["micro_batch"], job["workload"]["optimizer"]) == (16, 4, "sgd")
    assert (job["system"]["gpus"], job["parallelism"]["dp"], job["model"]["layers"]) == (ranks, ranks, 2)
    assert [window["name"] for window in found["windows"]] == ["train", "epoch 1", "evaluation", "epoch 2", "evaluation"]
    nvml.check_energy(found, ranks)
    assert logged(tmp_path) == 16 / ranks


def test_a_loop_that_names_its_batches_alone_is_recorded_too(tmp_path):
    done = trained(tmp_path, 1, "ends", "fabric_program.py")
    found = recorded_once(done, tmp_path)
    assert (found["state"], found["steps"], found["tokens"]) == ("finished", 16, 2 * 32 * 16.0)
    assert found["end"] == {"how": "exit", "code": 0}


def test_a_loop_of_an_unknown_module_is_measured_and_not_predicted(tmp_path):
    done = trained(tmp_path, 1, "plain", "fabric_program.py")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("wattlaw: the training is not predicted: fabric.setup was given no model") == 1, done.stderr
    assert record(tmp_path)["energies"][0]["energy_j"] > 0


def test_a_loop_that_fails_leaves_a_record_that_says_so(tmp_path):
    done = trained(tmp_path, 1, "failing", "fabric_program.py")
    assert done.returncode != 0
    found = record(tmp_path)
    assert (found["end"], found["steps"]) == ({"how": "exit", "code": 1}, 3)
