"""The package in a process: its import, the program, forks, Ctrl-C and panics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import wattlaw as wl
from conftest import ROOT

LONG_PLAN = """
import wattlaw as wl
print("ready", flush=True)
wl.plan(model="llama-3.1-405b", tokens="15T", seq_len=8192, global_batch=2048, gpu=["a100", "h100", "h200", "b200"], gpus="8..16384")
"""

LONG_TABLE = """
import pyarrow as pa
import wattlaw as wl
table = pa.table({"gpus": pa.array(range(2_000_000)) })
print("ready", flush=True)
wl.predict_many(table, model="gpt2", tokens="1B", seq_len=1024, micro_batch=8, gpu="a100")
"""

LONG_FIT = """
import sys
import wattlaw as wl
print("ready", flush=True)
wl.calibrate(sys.argv[1])
"""


@pytest.mark.parametrize("program", [LONG_PLAN, LONG_TABLE, LONG_FIT], ids=["plan", "table", "fit"])
def test_ctrl_c_ends_a_long_call(program: str) -> None:
    words = [sys.executable, "-c", program, str(ROOT / "examples" / "runs.csv")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert process.poll() is None, "the call ended before it was interrupted"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said.rstrip().endswith("KeyboardInterrupt"), said


def test_a_child_of_a_fork_predicts() -> None:
    job = {"model": "gpt2", "steps": 3, "seq_len": 64, "micro_batch": 2, "gpu": "a100"}
    expected = wl.predict(job).to_json()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        same = wl.predict(job).to_json() == expected
        os.write(writer, b"same" if same else b"other")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        assert answer.read() == b"same"
    os.waitpid(child, 0)


def test_the_module_is_the_program() -> None:
    run = [sys.executable, "-m", "wattlaw"]
    shown = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"wattlaw {wl.__version__}\n"
    wrong = subprocess.run([*run, "predict", "--gpus", "x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: --gpus")
    failed = subprocess.run([*run, "predict", "/nothing.toml"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1


def test_the_import_loads_no_library_of_tables() -> None:
    program = "import sys, wattlaw; print([name for name in ('json', 'pyarrow', 'pandas', 'polars', 'numpy') if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded == "[]\n"
