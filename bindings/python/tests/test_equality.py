"""Python and the command line answer with the same bytes, and a table's rows with the same numbers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow
import wattlaw as wl
from conftest import ROOT, flags, jobs, program


def test_200_jobs_have_the_bytes_of_the_command_line() -> None:
    described = jobs()
    assert len({json.dumps(fields) for fields in described}) == 200
    with ThreadPoolExecutor(2) as threads:
        printed = list(threads.map(lambda fields: program("predict", *flags(fields), "--format", "json"), described))
    for fields, text in zip(described, printed, strict=True):
        assert wl.predict(**fields).to_json() == text, fields


def test_files_have_the_bytes_of_the_command_line(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    for files in (["examples/job.toml"], ["examples/config-job.toml"], ["examples/moe-job.toml"]):
        text = program("predict", *files, "--scope", "node_ac", "--level", "0.8", "--gpus", "8", "--format", "json")
        assert wl.predict(files, scope="node_ac", level=0.8, gpus=8).to_json() == text
        assert wl.Job(files[0]).to_dict()["schema"] == "wattlaw-job/1"


def test_rows_have_the_numbers_of_single_predictions() -> None:
    described = jobs()
    names = sorted({name for fields in described for name in fields})
    table = pyarrow.table({name: [fields.get(name) for fields in described] for name in names})
    rows = wl.predict_many(table, level=0.9).to_pylist()
    assert len(rows) == 200
    for fields, row in zip(described, rows, strict=True):
        one = wl.predict(**fields, level=0.9)
        for quantity, column, unit in (("energy", "energy", "j"), ("duration", "duration", "s"), ("mean_power", "mean_power", "w")):
            interval = one.interval(quantity)
            assert interval is not None
            assert row[f"{column}_{unit}"] == interval.estimate, fields
            assert row[f"{column}_lower_{unit}"] == interval.lower, fields
            assert row[f"{column}_upper_{unit}"] == interval.upper, fields
        assert (row["carbon_g"], row["cost"]) == (one.carbon_g, one.cost)
        assert (row["peak_gib_per_gpu"], row["fits"], row["error"]) == (one.memory_gib, one.fits, None)


def test_plans_are_those_of_the_command_line(tmp_path: Path) -> None:
    words = ["--model", "gpt2", "--tokens", "100M", "--seq-len", "1024", "--global-batch", "64", "--gpu", "a100,h100", "--gpus", "2,4"]
    printed = json.loads(program("plan", *words, "--deadline", "2h", "--format", "json"))
    found = wl.plan(
        model="gpt2", tokens="100M", seq_len=1024, global_batch=64, gpu=["a100", "h100"], gpus=range(2, 5, 2), deadline="2h"
    )
    assert found.to_dict() | {"seconds": 0} == printed | {"seconds": 0}


def test_audits_are_those_of_the_command_line() -> None:
    table = ROOT / "examples" / "runs.csv"
    printed = json.loads(program("audit", str(table), "--format", "json"))["findings"]
    assert [(of["kind"], of["row"]) for of in printed] == [(of.kind, of.row) for of in wl.audit(table)]
