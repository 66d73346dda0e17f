"""The command line that the engines share: what is asked, checked before a worker starts, and the folder of the result."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import share
import wattlaw as wl

#: Jobs that a worker takes at once, which bounds its memory: those that `predict_many` takes at once.
JOBS_AT_ONCE = 32_768

#: Logs that a worker takes at once, at most: each share is a file of the result.
LOGS_AT_ONCE = 64

#: Shares of a folder of logs, at least, so that workers end at about the same time.
SHARES = 16

EXAMPLES = """
examples:
  {program} predict jobs.parquet predicted --keep run --field model=llama-3.1-8b --field tokens=1B
  {program} import logs measured -- --interval 15s
"""


class Refused(Exception):
    """What is wrong, where, and what would be accepted."""


@dataclass(frozen=True)
class Task:
    """A table, and what the workers do with it."""

    #: A file *.parquet or a folder of them, or the table itself where it is short.
    source: Path | pa.Table
    #: Columns of the source.
    schema: pa.Schema
    #: Whether the source has rows.
    has_rows: bool
    #: What a worker makes of some rows.
    function: Callable[[pa.Table], pa.Table]
    #: The most rows that the function is given at once.
    rows: int
    #: Columns of the result, of rows with the columns of the source.
    columns: Callable[[pa.Schema], pa.Schema]
    #: Workers, each on one core; as the engine has them where it is absent.
    workers: int | None


def main(engine: str, run: Callable[[Task, Path], None]) -> None:
    """Runs what the command line asks for on an engine, and exits with 0 (done), 1 (it could not be done) or 2 (wrong usage).

    Args:
        engine: what the engine is, for `--help`.
        run: writes the result of a task as Parquet files into a folder that is not there yet.
    """
    asked = arguments(engine)
    try:
        task = prediction(asked) if asked.task == "predict" else importing(asked)
        with whole(asked.result) as folder:
            run_or_refuse(run, task, folder)
        found = pyarrow.dataset.dataset(asked.result, format="parquet")
        error = f"{getattr(asked, 'prefix', '')}error"
        wrong = found.count_rows(filter=pyarrow.dataset.field(error).is_valid())
        print(f"note: wrote {asked.result}: {found.count_rows():,} rows, {wrong:,} of them with an error", file=sys.stderr)
    except (Refused, wl.Error, OSError, pa.ArrowException) as error:
        sys.exit(f"error: {error}")


def run_or_refuse(run: Callable[[Task, Path], None], task: Task, folder: Path) -> None:
    """Runs a task; whatever the engine raises becomes one sentence."""
    if not task.has_rows:
        # engines write no file of an empty table
        folder.mkdir()
        pyarrow.parquet.write_table(task.columns(task.schema).empty_table(), folder / "0.parquet")
        return
    try:
        run(task, folder)
    except (Refused, wl.Error):
        raise
    except Exception as error:
        raise Refused(f"the engine stopped: {first_line(error)}") from error


def arguments(engine: str) -> argparse.Namespace:
    """The command line, without what needs a look at files."""
    words, flags = sys.argv[1:], []
    if "--" in words:
        at = words.index("--")
        words, flags = words[:at], words[at + 1 :]
    raw = argparse.RawDescriptionHelpFormatter
    program = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(description=engine, epilog=EXAMPLES.format(program=program), formatter_class=raw, allow_abbrev=False)
    tasks = parser.add_subparsers(dest="task", required=True)
    predict = tasks.add_parser("predict", help="predict the jobs of a Parquet table", allow_abbrev=False)
    predict.add_argument("jobs", type=Path, help="a file *.parquet or a folder of them: a job a row, a field of a job a column")
    predict.add_argument("--field", metavar="NAME=VALUE", action="append", default=[], type=field, help="a field that all jobs share")
    predict.add_argument("--keep", metavar="NAME", action="append", default=[], help="a column to carry along that is no field of a job")
    predict.add_argument("--prefix", metavar="TEXT", default="", help="what the names of the answer's columns begin with")
    predict.add_argument("--scope", metavar="SCOPE", help="what the energy covers, such as node_ac")
    predict.add_argument("--level", metavar="LEVEL", type=float, default=0.95, help="confidence level of the intervals (0.95)")
    predict.add_argument("--calibration", metavar="FILE", help="a calibration file, or the name of a built-in one")
    predict.add_argument("--catalog", metavar="FILE", help="a catalogue file (TOML)")
    predict.add_argument(
        "--rows", metavar="N", type=count, default=JOBS_AT_ONCE, help="jobs that a worker takes at once, which bounds its memory (32768)"
    )
    logs = tasks.add_parser(
        "import",
        help="import the logs of a folder",
        allow_abbrev=False,
        usage="%(prog)s [-h] [--workers N] logs result [-- FLAGS]",
        epilog="FLAGS are flags of `wattlaw import`, for all logs.",
    )
    logs.add_argument("logs", type=Path, help="a folder: each file in it is a log, and each folder in it one log of several files")
    for parser_of in (predict, logs):
        parser_of.add_argument("result", type=Path, help="the folder to write Parquet files into; it must not be there yet")
        parser_of.add_argument("--workers", metavar="N", type=count, help="workers, a core each (all that the engine has)")
    asked = parser.parse_args(words)
    if asked.task == "predict" and flags:
        predict.error(f"`--` is followed by {flags[0]!r}, but flags after `--` are those of an import")
    taken = [word for word in flags if word.partition("=")[0] in ("--job", "--out", "--format") or word.startswith("-o")]
    if taken:
        logs.error(f"{taken[0]} cannot be used: the result is a table of measurements in Parquet")
    asked.flags = flags
    return asked


def field(word: str) -> tuple[str, str]:
    """A field of a job and its value."""
    name, equals, value = word.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{word!r} is no field, but it must be NAME=VALUE, such as gpus=8")
    return name, value


def count(word: str) -> int:
    """A number of workers or rows."""
    if not (word.isdecimal() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is not accepted, but it must be a whole number from 1")
    return int(word)


def prediction(asked: argparse.Namespace) -> Task:
    """The prediction of a table of jobs."""
    options: dict[str, Any] = {}
    for name, value in asked.field:
        if name in options:
            raise Refused(f"{name} is given twice, but give it once")
        options[name] = value
    own = [name for name in options if name in ("table", "threads", "scope", "level", "calibration", "keep", "prefix", "catalog")]
    if own:
        raise Refused(f"{own[0]} is no field of a job; see --help")
    options |= {name: getattr(asked, name) for name in ("scope", "level", "keep", "prefix")}
    # workers run in folders of their own
    for name in ("calibration", "catalog"):
        given = getattr(asked, name)
        options[name] = os.path.abspath(given) if given and os.path.exists(given) else given
    jobs: Path = asked.jobs.absolute()
    if not jobs.exists():
        raise Refused(f"{asked.jobs} is not there, but it must be a file *.parquet or a folder of them")
    files = files_of_table(jobs)
    if not files or files[0].suffix != ".parquet":
        raise Refused(f"{asked.jobs} is no file *.parquet and no folder of them")
    ends = {file: end_of(file) for file in files}
    schema = ends[files[0]].schema.to_arrow_schema()
    other = next((file for file, end in ends.items() if not end.schema.to_arrow_schema().equals(schema)), None)
    if other:
        raise Refused(f"{other} has other columns or types than {files[0]}, but files of one table must have the same")
    function = partial(share.predict, options)

    def columns(of: pa.Schema) -> pa.Schema:
        return function(of.empty_table()).schema

    # a wrong column is refused before a worker starts
    columns(schema)
    has_rows = any(end.num_rows for end in ends.values())
    return Task(jobs, schema, has_rows, function, asked.rows, columns, asked.workers)


def files_of_table(jobs: Path) -> list[Path]:
    """The Parquet files of a table: itself, or those of a folder."""
    return sorted(jobs.rglob("*.parquet")) if jobs.is_dir() else [jobs]


def end_of(file: Path) -> pyarrow.parquet.FileMetaData:
    """What the end of a Parquet file says of its columns and rows."""
    try:
        return pyarrow.parquet.read_metadata(file)
    except pa.ArrowInvalid as error:
        raise Refused(f"{file} is no Parquet file: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """What an error says, without the frames that engines add."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def importing(asked: argparse.Namespace) -> Task:
    """The import of a folder of logs."""
    if not asked.logs.is_dir():
        raise Refused(f"{asked.logs} is no folder, but it must be a folder of logs")
    entries = sorted(entry for entry in asked.logs.iterdir() if not entry.name.startswith("."))
    logs = [{"log": entry.name, "files": [str(file) for file in files_of(entry)]} for entry in entries]
    table = pa.Table.from_pylist(
        [log for log in logs if log["files"]], schema=pa.schema({"log": pa.string(), "files": pa.list_(pa.string())})
    )
    if not table.num_rows:
        raise Refused(f"{asked.logs} has no file, but it must be a folder of logs")
    function = partial(share.import_logs, os.getcwd(), asked.flags)
    rows = min(LOGS_AT_ONCE, max(1, table.num_rows // SHARES))
    return Task(table, table.schema, True, function, rows, lambda _: share.MEASURED, asked.workers)


def files_of(entry: Path) -> list[Path]:
    """The files of a log."""
    return sorted(file for file in entry.rglob("*") if file.is_file()) if entry.is_dir() else [entry]


@contextmanager
def whole(result: Path) -> Iterator[Path]:
    """A folder beside the result that takes its place when it is complete, and is removed when it is not."""
    if result.exists():
        raise Refused(f"{result} is there already; name another folder, or remove it")
    if not result.absolute().parent.is_dir():
        raise Refused(f"{result.parent} is no folder; make it first")
    part = result.absolute().with_name(f".{result.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(result)
    finally:
        shutil.rmtree(part, ignore_errors=True)
