"""Predictions of tables of jobs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any, Protocol, TypeVar

from . import _core
from ._core import InvalidError
from .calibration import CalibrationLike, calibration_core
from .job import FieldValue


class ArrowStream(Protocol):
    """A table in Arrow's memory layout."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream."""


class ArrowBatch(Protocol):
    """A batch in Arrow's memory layout."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The batch as a schema and an array."""


Table = TypeVar("Table", bound=ArrowStream | ArrowBatch)


def predict_many(
    table: Table,
    *,
    scope: str | None = None,
    level: float = 0.95,
    calibration: CalibrationLike = None,
    keep: Sequence[str] = (),
    prefix: str = "",
    threads: int | None = None,
    catalog: str | PathLike[str] | None = None,
    **fields: FieldValue,
) -> Table:
    """Predicts each row of a table: its columns are fields of a job, as in run tables.

    The rows come back with the columns of the answer after them: ``energy_j``, ``duration_s`` and ``mean_power_w``, each with
    ``_lower_`` and ``_upper_`` before its unit; ``carbon_g`` and ``cost`` where the row says what they need; ``peak_gib_per_gpu`` and
    ``fits``; ``kind`` (fitted or assumed); and ``error``, a sentence where the row is no valid job, whose other answers are then null. An
    empty cell, or a null, leaves its field open, and what stays open is chosen as :func:`wattlaw.predict` chooses it.

    Rows are predicted on all cores and without the interpreter's lock. A ``pyarrow.RecordBatchReader`` gives a reader, whose rows are
    predicted as they are read, in the memory of 32,768 rows.

    Args:
        table: a table of pandas, Polars or pyarrow, a ``pyarrow.RecordBatchReader``, or any object with ``__arrow_c_stream__`` or
            ``__arrow_c_array__``.
        scope: what the energy covers: gpu, devices, codecarbon, node_dc, node_ac or facility.
        level: confidence level of the intervals, between 0 and 1.
        calibration: a :class:`Calibration`, its file, or the name of a built-in one.
        keep: columns that are no field of a job, and are carried along.
        prefix: what the names of the answer's columns begin with, such as ``predicted_`` for tables of measured runs.
        threads: threads; as many as cores where it is absent.
        catalog: a catalogue file (TOML) whose entries override the built-in ones.
        fields: fields that all rows share.

    Returns:
        A table of the kind that was given; an object with ``__arrow_c_stream__`` for other kinds.

    Raises:
        Error: a column that is neither a field of a job nor kept, or has a type without text; what is asked is not accepted.

    >>> import pyarrow as pa
    >>> import wattlaw as wl
    >>> table = pa.table({"gpus": [1, 8, -8], "gpu": ["a100", "h100", "h100"]})
    >>> found = wl.predict_many(table, model="gpt2", tokens="1B", seq_len=1024, micro_batch=8)
    >>> found["kind"].to_pylist()
    ['fitted', 'fitted', None]
    >>> found["error"].to_pylist()[2]
    'column `gpus` is `-8`, but it must be a whole number from 0'
    """
    kind = type(table).__module__.partition(".")[0]
    source: Any = table
    if kind == "pandas":
        import pyarrow

        source = pyarrow.Table.from_pandas(table, preserve_index=False)
    elif not (hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__")):
        raise InvalidError(
            f"the table is of type {type(table).__name__}, but it must be one of pandas, Polars or pyarrow, or have __arrow_c_stream__"
        )
    if isinstance(keep, str):
        raise InvalidError(f"keep is {keep!r}, but it must be a list of columns")
    predicted = _core.PredictedTable(
        source,
        calibration=calibration_core(calibration),
        scope=scope,
        level=level,
        keep=list(keep),
        prefix=prefix,
        threads=threads,
        catalog=None if catalog is None else fspath(catalog),
        fields=fields,
    )
    made: Any = _as(kind, source, predicted)
    if kind == "pandas":
        frame: Any = table
        made = made.to_pandas()
        made.index = frame.index
    return made  # type: ignore[no-any-return]


def _as(kind: str, source: Any, predicted: _core.PredictedTable) -> Any:
    """The rows as the library of the source has them."""
    if kind in ("pandas", "pyarrow"):
        pyarrow: Any = sys.modules["pyarrow"]
        if isinstance(source, pyarrow.RecordBatchReader):
            return pyarrow.RecordBatchReader.from_stream(predicted)
        whole = pyarrow.table(predicted.whole())
        if isinstance(source, pyarrow.RecordBatch):
            [batch] = whole.combine_chunks().to_batches() or [pyarrow.RecordBatch.from_pylist([], whole.schema)]
            return batch
        return whole
    if kind == "polars":
        polars: Any = sys.modules["polars"]
        return polars.DataFrame(predicted.whole())
    return predicted.whole()
