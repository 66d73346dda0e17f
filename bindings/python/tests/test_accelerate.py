"""The tracker of accelerate on real trainings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nvml
import pytest

pytest.importorskip("torch", reason="PyTorch is installed by ./test --torch")
pytest.importorskip("transformers", reason="transformers is installed by ./test --torch")
pytest.importorskip("accelerate", reason="accelerate is installed by ./test --torch")

LIMIT_S = 240


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_is_predicted_measured_and_recorded_once(ranks, tmp_path):
    environment = nvml.staged(tmp_path, ranks)
    if environment is None:
        pytest.skip("the stand-in for NVIDIA's library was not built: cargo build -p nvml-mock")
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    done = subprocess.run(
        [sys.executable, *several, str(Path(__file__).with_name("accelerate_program.py")), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("wattlaw: predicted ") == 1, done.stderr
    assert done.stderr.count("wattlaw: measured ") == 1, done.stderr
    [path] = tmp_path.glob("runs/*-a-run/run.json")
    found = json.loads(path.read_text())
    # 8 steps of 2 micro-batches of 4 sequences of 16 tokens on each rank
    assert (found["state"], found["steps"], found["tokens"]) == ("finished", 8, 8 * 2 * 4 * 16.0 * ranks)
    job = found["job"]
    assert (job["workload"]["seq_len"], job["workload"]["micro_batch"], job["workload"]["grad_accum"]) == (16, 4, 2)
    assert (job["system"]["gpus"], job["parallelism"]["dp"]) == (ranks, ranks)
    nvml.check_energy(found, ranks)
    # the tracker after it logs its figures
    logged = [line for line in done.stdout.splitlines() if line.startswith("logged")]
    assert len(logged) == 8
    assert "'wattlaw/energy_j'" in logged[-1]
