"""Measured runs: laws fitted on them, calibrations with them, and their audit."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any, NamedTuple

from . import _core
from ._core import InvalidError
from .calibration import Calibration, CalibrationLike, calibration_core


#: A run table: a file (CSV, Parquet or Arrow IPC), or a table of pandas, Polars or pyarrow.
RunTable = Any


class Finding(NamedTuple):
    """A defect of a run table."""

    kind: str
    """The rule, a word."""
    row: int | None
    """The line of the table; ``None`` for the whole table."""
    run_id: str | None
    """The run, where the table names it."""
    detail: str
    """A sentence."""


def fit(
    table: RunTable,
    *,
    law: str = "roofline",
    name: str = "mine",
    source: str | None = None,
    hold_out: str = "config_family",
    map: str | PathLike[str] | None = None,
    catalog: str | PathLike[str] | None = None,
) -> Calibration:
    """Fits a law on measured runs.

    Args:
        table: a run table: a file (CSV, Parquet or Arrow IPC), or a table of pandas, Polars or pyarrow with the same columns.
        law: roofline or scaling.
        name: name of the calibration.
        source: source of the runs, stored in the calibration.
        hold_out: column whose groups are held out as a whole to compute the calibration's intervals.
        map: a column map (TOML) for a table with other column names.
        catalog: a catalogue file (TOML) whose entries override the built-in ones.

    Returns:
        The calibration; its ``save`` writes the file of ``wattlaw fit --out``.
    """
    return Calibration._of(_runs(table, map, catalog).fit(law, name, source, hold_out))


def calibrate(
    runs: RunTable,
    *,
    parent: CalibrationLike = None,
    name: str = "mine",
    map: str | PathLike[str] | None = None,
    catalog: str | PathLike[str] | None = None,
) -> Calibration:
    """Adds runs of your own machines to a calibration of the roofline law, the built-in one where ``parent`` is absent."""
    return Calibration._of(_runs(runs, map, catalog).calibrate(calibration_core(parent), name))


def audit(
    table: RunTable,
    *,
    map: str | PathLike[str] | None = None,
    catalog: str | PathLike[str] | None = None,
) -> list[Finding]:
    """Checks a run table for errors before fitting."""
    import json

    found = json.loads(_runs(table, map, catalog).audit_json())
    return [Finding(of["kind"], of["row"], of["run_id"], of["detail"]) for of in found["findings"]]


def _runs(
    table: RunTable, map: str | PathLike[str] | None, catalog: str | PathLike[str] | None
) -> _core.Runs:
    files = {
        "map": None if map is None else fspath(map),
        "catalog": None if catalog is None else fspath(catalog),
    }
    if isinstance(table, (str, PathLike)):
        return _core.Runs(None, fspath(table), **files)
    return _core.Runs(_csv(table), "table", **files)


def _csv(table: Any) -> bytes:
    """A table as CSV."""
    kind = type(table).__module__.partition(".")[0]
    if kind == "pandas":
        text: str = table.to_csv(index=False)
        return text.encode()
    if kind == "polars":
        text = table.write_csv()
        return text.encode()
    if kind == "pyarrow":
        import pyarrow
        import pyarrow.csv

        sink = pyarrow.BufferOutputStream()
        pyarrow.csv.write_csv(table, sink)
        written: bytes = sink.getvalue().to_pybytes()
        return written
    raise InvalidError(
        f"the run table is of type {type(table).__name__}, but it must be a file, or a table of pandas, Polars or pyarrow"
    )
