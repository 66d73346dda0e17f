"""The notebook of examples/ is executed, and shows what it and its page say."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import notebook
import pytest
import wattlaw as wl

WRITES = os.environ.get("WATTLAW_WRITE_DOCS") == "1"


def test_the_notebook_shows_what_it_says(tmp_path: Path) -> None:
    found = notebook.executed(tmp_path)
    if WRITES:
        nbformat.write(found, notebook.NOTEBOOK)  # type: ignore[no-untyped-call]
        notebook.PAGE.write_text(notebook.page(found))
    shown = notebook.outputs(found)
    assert shown == notebook.outputs(notebook.read()), "WATTLAW_WRITE_DOCS=1 writes the outputs anew"
    assert notebook.PAGE.read_text() == notebook.page(found), "WATTLAW_WRITE_DOCS=1 writes the page anew"

    # the first cell shows the prediction's table, whose figures are those of the package
    one = wl.predict(model="llama-3.1-8b", tokens="1B", seq_len=4096, global_batch=64, gpu="h100", gpus=8, region="FR")
    rows = {row[0]: row[1] for row in notebook.Cells(shown[0][0]["text/html"]).rows if len(row) > 1}
    assert rows["energy"] == f"{one.energy_kwh:,.4g} kWh"
    assert rows["carbon"].endswith("kg CO₂e")
    # a table of six machines, a row each, of which the same machine has the same answer
    table = notebook.Cells(shown[2][0]["text/html"]).rows
    assert len(table) == 1 + 6
    [of_h100] = [row for row in table if row[1:3] == ["h100", "8"]]
    assert float(of_h100[3]) == pytest.approx(one.energy_kwh, abs=0.05)
    # the wrong machine has a sentence, and the plans keep to the limit
    assert "unknown GPU `h1000`" in shown[3][0]["text/html"]
    plans = notebook.Cells(shown[4][0]["text/html"]).rows[1:]
    assert plans and all(float(row[-1]) <= 4 for row in plans)
    assert "accelerate.yaml" in shown[5][0]["text/plain"]
