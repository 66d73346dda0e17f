"""Tables of jobs and folders of logs on Ray and Spark, with two workers on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest
import wattlaw as wl
from conftest import ROOT, jobs, program

FLEET = ROOT / "examples" / "fleet"
LOGS = ROOT / "examples" / "logs"
SHARED = {"carbon_g_per_kwh": "56.5", "pue": "1.2"}
WRONG = "column `gpus` is `-8`, but it must be a whole number from 0"


def engine(name: str, module: str) -> Any:
    """An engine, whose tests are skipped where it is not installed."""
    absent = None
    try:
        __import__(module)
    except ModuleNotFoundError:
        absent = f"{module} is not installed"
    if module == "pyspark" and not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        absent = "Java is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(absent is not None, reason=str(absent)))


ENGINES = pytest.mark.parametrize("name", [engine("on_ray.py", "ray"), engine("on_spark.py", "pyspark")])


def run(name: str, *words: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs an example on a cluster of its own."""
    environment = {word: value for word, value in os.environ.items() if word != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, str(FLEET / name), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder, env=environment)


def table() -> pyarrow.Table:
    """2,000 jobs with a name each, every hundredth of which is wrong."""
    few, rows = jobs(), []
    for at in range(2000):
        row = few[at % len(few)] | {"run": f"run-{at:04}", "tokens": 1_000_000 + at}
        rows.append(row | ({"gpus": -8} if at % 100 == 7 else {}))
    names = ("run", "model", "gpu", "gpus", "seq_len", "tokens", "micro_batch", "grad_accum")
    return pyarrow.table({name: [row.get(name) for row in rows] for name in names})


def write(folder: Path) -> pyarrow.Table:
    """Writes the jobs as a folder of two files with several groups of rows, beside a file that is none of the table's."""
    folder.mkdir()
    whole = table()
    for at, part in enumerate((whole.slice(0, 1200), whole.slice(1200))):
        pyarrow.parquet.write_table(part, folder / f"{at}.parquet", row_group_size=500)
    (folder / "_SUCCESS").touch()
    return whole


def read(folder: Path, *keys: str) -> pyarrow.Table:
    """The rows of a result, in the order of their names."""
    found = pyarrow.dataset.dataset(folder, format="parquet").to_table()
    return found.sort_by([(key, "ascending") for key in keys])


@ENGINES
def test_a_table_is_predicted_as_on_one_machine(name: str, tmp_path: Path) -> None:
    whole = write(tmp_path / "jobs")
    shared = [word for pair in SHARED.items() for word in ("--field", "=".join(pair))]
    asked = ["--keep", "run", "--workers", "2", "--rows", "300", "--scope", "facility", "--level", "0.9", *shared]
    done = run(name, "predict", "jobs", "predicted", *asked, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("note: wrote predicted: 2,000 rows, 20 of them with an error\n"), done.stderr
    assert done.stdout == ""
    found = read(tmp_path / "predicted", "run")
    expected = wl.predict_many(whole, keep=["run"], scope="facility", level=0.9, **SHARED)
    assert found.equals(expected)
    errors = found["error"].to_pylist()
    assert errors[7] == WRONG and errors[8] is None and found["energy_j"].to_pylist()[7] is None
    # the shares of two workers or more, and nothing half written beside them
    assert len(list((tmp_path / "predicted").glob("*.parquet"))) >= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "predicted"]


@ENGINES
def test_an_empty_table_has_the_columns_of_an_answer(name: str, tmp_path: Path) -> None:
    empty = table().slice(0, 0)
    pyarrow.parquet.write_table(empty, tmp_path / "jobs.parquet")
    done = run(name, "predict", "jobs.parquet", "predicted", "--keep", "run", "--workers", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / "predicted", "run").equals(wl.predict_many(empty, keep=["run"]))


@ENGINES
def test_logs_are_imported_as_by_the_program(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for log in ("emissions.csv", "gpu.csv", "zeus.csv", "7.ab12_2026-03-01T110000Z_carbontracker.log"):
        shutil.copy(LOGS / log, folder)
    shutil.copytree(LOGS / "mlperf", folder / "mlperf")
    (folder / "notes.txt").write_text("no log\n")
    done = run(name, "import", "logs", "measured", "--workers", "2", "--", "--scope", "gpu", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {(row["log"], row["run_id"]): row for row in read(tmp_path / "measured", "log", "run_id").to_pylist()}
    assert [key for key, row in rows.items() if row["error"]] == [("mlperf", None), ("notes.txt", None)]
    assert rows["notes.txt", None]["error"].startswith("logs/notes.txt: unknown log format")
    assert rows["notes.txt", None]["energy_j"] is None
    # of the GPUs alone, as the flag asks
    assert rows["emissions.csv", "r1"]["energy_j"] == 720_000 and rows["emissions.csv", "r1"]["scope"] == "gpu"
    assert any("divided by the PUE" in note for note in rows["emissions.csv", "r1"]["notes"])
    # a folder is one log of several files
    whole = run(name, "import", "logs", "whole", "--workers", "2", folder=tmp_path)
    assert whole.returncode == 0, whole.stderr
    rows = {(row["log"], row["run_id"]): row for row in read(tmp_path / "whole", "log", "run_id").to_pylist()}
    assert rows["mlperf", "result_0"]["log_format"] == "mlperf"
    assert f"{rows['mlperf', 'result_0']['energy_j'] / 3600:.2f} Wh" == "8.38 Wh"
    assert "8.38 Wh" in program("import", *map(str, sorted(path for path in (LOGS / "mlperf").rglob("*") if path.is_file())))


@ENGINES
def test_a_worker_that_fails_leaves_nothing(name: str, tmp_path: Path) -> None:
    write(tmp_path / "jobs")
    broken = tmp_path / "jobs" / "1.parquet"
    content = bytearray(broken.read_bytes())
    content[4:200] = b"\xff" * 196
    broken.write_bytes(content)
    done = run(name, "predict", "jobs", "predicted", "--keep", "run", "--workers", "2", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: a worker failed: "), done.stderr
    assert str(broken) in done.stderr.splitlines()[-1], done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("predict absent out", 1, "error: absent is not there, but it must be a file *.parquet or a folder of them"),
        ("predict logs out", 1, "error: logs is no file *.parquet and no folder of them"),
        ("predict text.parquet out", 1, "error: {folder}/text.parquet is no Parquet file: "),
        ("predict jobs out", 1, "error: unknown column `run`; did you mean `pue`?; or name it in keep to carry it along"),
        ("predict jobs out --keep run --field gpus=1", 1, "error: column `gpus` is also given for all rows, but give it once"),
        ("predict jobs out --keep run --field pue=1 --field pue=2", 1, "error: pue is given twice, but give it once"),
        ("predict jobs out --keep run --field level=0.5", 1, "error: level is no field of a job; see --help"),
        ("predict jobs out --keep run --field pue", 2, "error: argument --field: 'pue' is no field, but it must be NAME=VALUE"),
        ("predict jobs out --keep run --level 2", 1, "error: level is 2, but it must lie between 0 and 1"),
        ("predict jobs out --keep run --workers 0", 2, "error: argument --workers: '0' is not accepted, but it must be a whole number"),
        ("predict jobs out -- --join", 2, "error: `--` is followed by '--join', but flags after `--` are those of an import"),
        ("predict jobs logs --keep run", 1, "error: logs is there already; name another folder, or remove it"),
        ("predict jobs a/out --keep run", 1, "error: a is no folder; make it first"),
        ("predict mixed out --keep run", 1, "error: {folder}/mixed/1.parquet has other columns or types than {folder}/mixed/0.parquet"),
        ("import absent out", 1, "error: absent is no folder, but it must be a folder of logs"),
        ("import none out", 1, "error: none has no file, but it must be a folder of logs"),
        ("import logs out -- -o runs.csv", 2, "error: -o cannot be used: the result is a table of measurements in Parquet"),
    ],
)
def test_what_is_wrong_is_said_before_a_worker_starts(words: str, code: int, sentence: str, tmp_path: Path) -> None:
    for folder in ("jobs", "logs", "mixed", "none"):
        (tmp_path / folder).mkdir()
    (tmp_path / "logs" / "text").touch()
    (tmp_path / "text.parquet").write_text("text\n")
    few = table().slice(0, 2)
    for path, rows in (("jobs/0", few), ("mixed/0", few), ("mixed/1", few.drop_columns("gpu"))):
        pyarrow.parquet.write_table(rows, tmp_path / f"{path}.parquet")
    # the command line is that of both
    done = run("on_ray.py", *words.split(), folder=tmp_path)
    assert done.returncode == code, done.stderr
    said = done.stderr.splitlines()[-1]
    assert sentence.format(folder=tmp_path) in said, said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["on_ray.py", "on_spark.py"])
def test_help_says_what_is_taken(name: str) -> None:
    whole = run(name, "--help")
    assert whole.returncode == 0 and f"{name} predict jobs.parquet predicted" in whole.stdout
    for task, flag in (("predict", "--field NAME=VALUE"), ("import", "[-- FLAGS]")):
        done = run(name, task, "--help")
        assert done.returncode == 0 and flag in done.stdout, done.stdout
