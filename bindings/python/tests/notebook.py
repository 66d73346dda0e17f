"""Executes the notebook of examples/, and writes its page: cells and outputs as they are."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from conftest import ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
PAGE = ROOT / "docs" / "tutorials" / "notebook.md"

#: Longest time of a cell in seconds.
LIMIT_S = 120

FOOT = """
This page is the notebook [examples/notebook.ipynb](https://github.com/wattlaw/wattlaw/blob/main/examples/notebook.ipynb) as it was executed; a test
executes it again and compares each output.
"""


def read() -> Any:
    """The notebook as it lies there."""
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def executed(folder: Path) -> Any:
    """The notebook, executed in a folder; without what differs from run to run."""
    notebook = read()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbclient.NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata = {}
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def outputs(notebook: Any) -> list[list[dict[str, str]]]:
    """What each cell of code shows, by kind of content."""
    return [
        [dict(output.get("data") or {output.get("name", output.output_type): output.get("text", "")}) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def page(notebook: Any) -> str:
    """The notebook as a page of the manual."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            parts.append(without_gaps(data["text/html"]) if "text/html" in data else f"```text\n{data['text/plain']}\n```")
    return "\n\n".join(parts) + "\n" + FOOT


def without_gaps(html: str) -> str:
    """HTML as a block of Markdown, which an empty line or an indent would end; without styles, which are the notebook's."""
    lines = [line.strip() for line in html.splitlines() if line.strip()]
    text = "\n".join(lines)
    while "<style" in text:
        before, _, rest = text.partition("<style")
        text = before + rest.partition("</style>")[2].lstrip("\n")
    return text


class Cells(HTMLParser):
    """The texts of a table's cells, row by row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.is_in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.is_in_cell &= tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self.is_in_cell:
            self.rows[-1][-1] += data
