"""Measuring from Python: what is recorded, and what withstands forks, deaths and failures."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import nvml
import pytest

import wattlaw as wl

ASSUMED = ["cpu=100W"]


@pytest.fixture(autouse=True)
def no_meters(monkeypatch, tmp_path):
    """The same machine everywhere: one without meters."""
    monkeypatch.setenv("WATTLAW_NVML", str(tmp_path / "no-nvml"))
    monkeypatch.setenv("WATTLAW_SYSFS", str(tmp_path / "no-sysfs"))
    monkeypatch.delenv("WATTLAW_EVENTS", raising=False)


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    environment = nvml.staged(tmp_path, 2)
    if environment is None:
        pytest.skip("the stand-in for NVIDIA's library was not built: cargo build -p nvml-mock")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def records(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/run.json"))]


def test_a_part_of_a_program_is_recorded_with_its_windows_steps_and_job(tmp_path):
    job = wl.Job(model="gpt2", steps=2, seq_len=128, micro_batch=4, gpu="t4", gpus=1)
    with wl.measure("train", job=job, assume=ASSUMED, out=tmp_path) as m:
        with m.window("epoch"):
            for _ in range(2):
                time.sleep(0.1)
                m.step(tokens=512)
        so_far = m.so_far()
    [record] = records(tmp_path)
    assert record == m.record
    assert (record["state"], record["end"]) == ("finished", {"how": "exit", "code": 0})
    assert (record["steps"], record["tokens"]) == (2, 1024.0)
    assert record["job"]["model"]["name"] == "gpt2"
    [epoch] = [window for window in m.windows if window["name"] == "epoch"]
    assert epoch["steps"] == 2
    assert 0.2 <= epoch["to_s"] - epoch["from_s"] <= m.duration_s
    assert m.energy_j == pytest.approx(100 * m.duration_s, rel=0.01)
    assert m.energy_kwh == m.energy_j / 3.6e6
    assert (m.scope, m.assumed_j) == ("devices", m.energy_j)
    assert 0 < so_far.energy_j <= m.energy_j


def test_gpus_are_measured_by_window_as_zeus_does(gpus, tmp_path):
    monitor = wl.Monitor(out=tmp_path / "runs")
    monitor.begin_window("epoch")
    time.sleep(1.5)
    window = monitor.end_window("epoch")
    assert set(window.gpu_energy) == {0, 1}
    # a counter's update and a sampling interval at either end: 0.2 s of 1.5 s each
    assert window.total_energy == pytest.approx(2 * nvml.POWER_W * window.time, rel=0.3)
    with pytest.raises(wl.InvalidError, match="no window `step` is open"):
        monitor.end_window("step")
    measurement = monitor.stop()
    assert measurement.scope == "gpu"
    # two GPUs at a constant power; the counter's updates cut 0.1 s at most
    assert measurement.energy_j == pytest.approx(2 * nvml.POWER_W * measurement.duration_s, rel=0.1)


def test_without_a_meter_the_sentence_is_that_of_the_program(tmp_path):
    with pytest.raises(wl.DataError, match="^nothing can be measured: "):
        wl.measure(out=tmp_path).start()
    with wl.measure(out=tmp_path, time_only=True) as m:
        pass
    assert (m.energy_j, m.scope) == (None, None)
    assert m.duration_s > 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "a b"}, "not a valid name"),
        ({"interval": "1h"}, "is not an interval"),
        ({"assume": ["cpu=hot"]}, "--assume"),
        ({"gpus": [99]}, "no GPU can be measured"),
        ({"out": "/dev/null/runs"}, "/dev/null/runs"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_measured(wrong, sentence, tmp_path):
    with pytest.raises(wl.Error, match=sentence):
        wl.measure(**{"assume": ASSUMED, "out": tmp_path, **wrong}).start()
    assert records(tmp_path) == []


def test_a_failure_of_the_measured_part_is_recorded_and_raised(tmp_path):
    with pytest.raises(KeyError), wl.measure(assume=ASSUMED, out=tmp_path) as m:
        raise KeyError("x")
    assert m.record["end"] == {"how": "exit", "code": 1}


def test_a_record_survives_the_death_of_the_program(tmp_path):
    program = f"import time, wattlaw as wl\nwl.measure(assume={ASSUMED}, out={str(tmp_path)!r}).start()\nprint('on', flush=True)\ntime.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"on\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 20
    while records(tmp_path)[0]["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    [record] = records(tmp_path)
    assert (record["state"], record["end"]) == ("finished", {"how": "unseen"})
    assert record["energies"][0]["energy_j"] > 0


def test_a_forked_child_leaves_the_record_to_its_parent(tmp_path):
    with wl.measure(assume=ASSUMED, out=tmp_path) as m:
        child = os.fork()
        if child == 0:
            m.step()
            answered = m.so_far()
            m.stop(7)
            os._exit(0 if answered is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        m.step()
    assert (m.record["steps"], m.record["end"]["code"]) == (1, 0)


def test_a_meter_that_dies_is_warned_of_once_and_the_program_goes_on(tmp_path):
    m = wl.measure(assume=ASSUMED, out=tmp_path).start()
    m._process.kill()
    m._process.wait()
    with pytest.warns(wl.MeterWarning, match="no longer answers"):
        assert m.so_far() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert m.so_far() is None
        m.step()
        m.stop()


def test_under_the_program_events_go_to_its_record(tmp_path):
    inner = "import wattlaw as wl\nwith wl.measure() as m:\n    m.step(tokens=3)\nprint(m.folder, m.so_far())"
    words = [sys.executable, "-m", "wattlaw", "measure", "--assume", ASSUMED[0], "--quiet", "--out", str(tmp_path)]
    output = subprocess.run([*words, "--", sys.executable, "-c", inner], capture_output=True, text=True, check=True)
    assert output.stdout == "None None\n"
    [record] = records(tmp_path)
    assert (record["steps"], record["tokens"]) == (1, 3.0)


def test_a_measurement_is_used_once(tmp_path):
    with wl.measure(assume=ASSUMED, out=tmp_path) as m, pytest.raises(wl.DataError, match="has not ended"):
        m.record
    with pytest.raises(wl.DataError, match="started already"):
        m.start()
    assert m.stop() is m
