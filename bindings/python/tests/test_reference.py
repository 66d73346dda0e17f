"""The page of the Python package is what the package says of itself."""

from __future__ import annotations

import os

from conftest import ROOT
from reference import page

PAGE = ROOT / "docs" / "reference" / "python.md"


def test_the_page_is_that_of_the_package() -> None:
    written = page()
    if os.environ.get("WATTLAW_WRITE_DOCS") == "1":
        PAGE.write_text(written)
    assert PAGE.read_text() == written, "WATTLAW_WRITE_DOCS=1 writes the page anew"
    assert "### predict_many" in written and "| `energy_kwh` |" in written
