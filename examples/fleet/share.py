"""What a worker does with its share of a table: it predicts jobs, or imports logs.

An engine sends these functions to its workers by value, so workers need the package `wattlaw` and not this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.parquet

#: Columns of imported logs: those of `wattlaw import -o`, after the log and its format, and before its notes and what is wrong with it.
MEASURED = pa.schema(
    {
        "log": pa.string(),
        "log_format": pa.string(),
        "run_id": pa.string(),
        "start": pa.string(),
        "duration_s": pa.float64(),
        "energy_j": pa.float64(),
        "mean_power_w": pa.float64(),
        "scope": pa.string(),
        "meter": pa.string(),
        "instrument": pa.string(),
        "gpu": pa.string(),
        "gpus": pa.int64(),
        "power_limit_w": pa.float64(),
        "pue": pa.float64(),
        "steps": pa.float64(),
        "samples": pa.float64(),
        "tokens": pa.float64(),
        "per_gpu": pa.bool_(),
        "inside": pa.string(),
        "file": pa.string(),
        "notes": pa.list_(pa.string()),
        "error": pa.string(),
    }
)


def predict(options: dict[str, Any], jobs: pa.Table) -> pa.Table:
    """Predicts jobs on one thread: the engine starts a worker a core.

    Args:
        options: keywords of `wattlaw.predict_many`.
        jobs: a job a row.
    """
    import wattlaw as wl

    return wl.predict_many(jobs, threads=1, **options)


def of_groups(function: Callable[[pa.Table], pa.Table], rows: int, groups: pa.Table) -> Iterator[pa.Table]:
    """What a function makes of groups of rows of Parquet files, some rows at a time.

    Args:
        function: makes a table of some rows.
        rows: the most rows that it is given at once.
        groups: a group a row: its `file` and its index `group`.
    """
    for at in groups.to_pylist():
        with pyarrow.parquet.ParquetFile(at["file"], pre_buffer=False) as file:
            batches = file.iter_batches(batch_size=rows, row_groups=[at["group"]], use_threads=False)
            try:
                for batch in batches:
                    yield function(pa.Table.from_batches([batch]))
            except OSError as error:
                raise OSError(f"{at['file']}, group of rows {at['group']}: {error}") from error


def write(function: Callable[[pa.Table], Any], shares: pa.Table, rows: int, folder: str, numbers: pa.Table) -> Iterator[pa.Table]:
    """Writes what a function makes of shares of a table, a Parquet file each, and gives their numbers.

    Ray passes the error of an iterator on as it is. A share that an engine repeats takes the place of its file, which is there whole or not at all.

    Args:
        function: makes a table, or tables one after another, of a share.
        shares: the table.
        rows: rows of a share.
        folder: where the files are written.
        numbers: a share a row, with its number `share`.
    """
    for number in numbers["share"].to_pylist():
        part = os.path.join(folder, f".{number}.part")
        made = function(shares.slice(number * rows, rows))
        with ExitStack() as closed:
            writer = None
            for table in [made] if isinstance(made, pa.Table) else made:
                writer = writer or closed.enter_context(pyarrow.parquet.ParquetWriter(part, table.schema))
                writer.write_table(table)
        # a group may have no rows
        if writer:
            os.replace(part, os.path.join(folder, f"{number}.parquet"))
    yield numbers


def import_logs(folder: str, flags: list[str], logs: pa.Table) -> pa.Table:
    """Imports logs: a row a run, or one row with an error where a log cannot be read.

    Args:
        folder: the working directory, which files are relative to.
        flags: flags of `wattlaw import`.
        logs: a log a row, with its name `log` and its `files`.
    """
    rows = [row for log in logs.to_pylist() for row in imported(folder, flags, log["log"], log["files"])]
    return pa.Table.from_pylist(rows, schema=MEASURED)


def imported(folder: str, flags: list[str], log: str, files: list[str]) -> list[dict[str, Any]]:
    """The runs of one log. The program reads it in a process of its own, in constant memory."""
    words = [sys.executable, "-m", "wattlaw", "import", *flags, "--format", "json", *files]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    said = done.stderr.splitlines()
    notes = [line.removeprefix("note: ") for line in said if line.startswith("note: ")]
    if done.returncode == 0:
        found = json.loads(done.stdout)
        return [{"log": log, "log_format": found["log_format"], **run, "notes": notes} for run in found["measured"]]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return [{"log": log, "notes": notes, "error": errors[0] if errors else f"wattlaw import ended with {done.returncode}"}]
