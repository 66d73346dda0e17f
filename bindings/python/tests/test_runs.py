"""Measured runs: laws, calibrations and audits."""

from __future__ import annotations

from pathlib import Path

import pandas
import polars
import pyarrow.csv
import pytest
import wattlaw as wl
from conftest import ROOT, program

RUNS = ROOT / "examples" / "runs.csv"


def test_a_scaling_law_is_that_of_the_command_line(tmp_path: Path) -> None:
    program("fit", str(RUNS), "--law", "scaling", "--out", str(tmp_path / "theirs.json"), "--name", "mine")
    wl.fit(RUNS, law="scaling", name="mine").save(tmp_path / "ours.json")
    ours, theirs = (wl.Calibration(tmp_path / name).to_dict() for name in ("ours.json", "theirs.json"))
    ours["data"]["name"] = theirs["data"]["name"]
    assert ours == theirs
    fitted = wl.predict(model="gpt2", steps=3, seq_len=128, micro_batch=2, gpu="a100", calibration=tmp_path / "ours.json")
    assert fitted.to_dict()["calibration"]["name"] == "mine"


def test_tables_of_every_library_are_audited_alike() -> None:
    expected = wl.audit(RUNS)
    assert expected
    for table in (pandas.read_csv(RUNS), polars.read_csv(RUNS), pyarrow.csv.read_csv(RUNS)):
        assert [(of.kind, of.row) for of in wl.audit(table)] == [(of.kind, of.row) for of in expected]


def test_wrong_runs_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(wl.FileError, match="no such file"):
        wl.audit(tmp_path / "nothing.csv")
    with pytest.raises(wl.InvalidError, match="the run table is of type int"):
        wl.fit(3)
    with pytest.raises(wl.UnknownError, match="unknown kind of law `straight`"):
        wl.fit(RUNS, law="straight")
    with pytest.raises(wl.Error):
        wl.fit(pandas.DataFrame({"a": [1]}))


def test_files_of_every_format_are_the_same_runs() -> None:
    expected = wl.audit(ROOT / "examples" / "runs.csv")
    golden = ROOT / "crates" / "wattlaw-table" / "tests" / "golden"
    for name in ("runs.parquet", "runs.arrow"):
        assert wl.audit(golden / name) == expected, name
    with pytest.raises(wl.InvalidError, match=r"refused-list.parquet: column `odd` is of type List"):
        wl.audit(golden / "refused-list.parquet")
