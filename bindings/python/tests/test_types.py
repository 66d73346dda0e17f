"""The types that a user's checker sees, the stubs, and the examples."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import wattlaw
from conftest import ROOT

#: What is shown to users of the types: it is checked and not run.
PROGRAM = """
import pyarrow
import wattlaw as wl
p: wl.Prediction = wl.predict("axolotl.yml", gpu="h100", gpus=8)
energy_kwh: float | None = p.energy_kwh
interval: wl.Interval | None = p.interval("energy", 0.9)
plans = wl.plan(p.job, gpus=range(8, 65, 8), minimise="energy", deadline="3d")
files: list[wl.LaunchFile] = plans.best.emit("accelerate", "out/")
wl.fit("runs.csv").save("mine.json")
"""


def test_a_user_checks_strictly(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("import pyarrow\n", ""))
    check = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(tmp_path / "program.py")]
    found = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 0, found.stdout
    (tmp_path / "program.py").write_text(PROGRAM.replace("energy_kwh: float | None", "energy_kwh: str"))
    found = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "Incompatible types in assignment" in found.stdout


def test_the_package_checks_strictly(tmp_path: Path) -> None:
    settings = ROOT / "bindings" / "python" / "pyproject.toml"
    check = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", str(tmp_path), "-p", "wattlaw"]
    found = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 0, found.stdout


def test_the_stubs_are_those_of_the_compiled_half(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "mypy.stubtest", "wattlaw._core"]
    found = subprocess.run(check, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 0, found.stdout


def test_every_example_says_what_it_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # modules for trainers need those, and have examples that train
    apart = ("__main__", "_core", ".accelerate", ".lightning", ".transformers")
    names = [of.name for of in pkgutil.iter_modules(wattlaw.__path__, "wattlaw.") if not of.name.endswith(apart)]
    # records go to the folder `runs`, of a machine without meters
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATTLAW_NVML", str(tmp_path / "no-nvml"))
    monkeypatch.setenv("WATTLAW_SYSFS", str(tmp_path / "no-sysfs"))
    tried = failed = 0
    for module in (wattlaw, *(importlib.import_module(name) for name in names)):
        result = doctest.testmod(module)
        tried, failed = tried + result.attempted, failed + result.failed
    monkeypatch.chdir(ROOT)
    page = doctest.testfile(str(ROOT / "docs" / "how-to" / "python.md"), module_relative=False)
    assert tried > 10 and page.attempted > 10
    assert failed + page.failed == 0


def test_what_is_public_says_what_it_is() -> None:
    public = [getattr(wattlaw, name) for name in wattlaw.__all__ if not name.startswith("__")]
    for of in public:
        assert inspect.getdoc(of), of
        for name, member in vars(of).items() if inspect.isclass(of) else ():
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{of}.{name}"
