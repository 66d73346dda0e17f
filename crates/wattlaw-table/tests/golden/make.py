"""Writes tables of one content in the formats, types and compressions that pyarrow, pandas and Polars write, and tables that are refused.

Run with pyarrow, pandas and Polars; the versions used are recorded in versions.json:

    python crates/wattlaw-table/tests/golden/make.py

`jobs.csv` is the content: every other file whose name begins with `jobs` has the same rows. Files that begin with `refused` have a type or a
compression that is not read. `runs` is examples/runs.csv as pyarrow reads it.
"""

import json
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq

HERE = Path(__file__).parent
ROOT = HERE.parents[3]

COLUMNS = {
    "run": ["a", "b, \"c\"", "=1+1", "d\ne", None, "ü", "g", "h"],
    "model": ["gpt2", "bert-base", None, "gpt2", "gpt2", "bert-base", "gpt2", "gpt2"],
    "gpu": ["a100", "h100", "h100", "a100", "h100", "t4", "v100", "a100"],
    "gpus": [1, 8, 16, -8, 2, 1, 4, 1],
    "seq_len": [1024, 512, None, 1024, 2048, 128, None, 256],
    "tokens": [1e9, 2.5e8, 1e10, 123456.5, None, 1e6, 3e9, 1e5],
    "padding_share": [0.1, None, 0.30000000000000004, 0.0, 0.5, 1e-05, 0.125, 0.0],
    "tied_embeddings": [True, None, False, True, True, None, False, True],
}
TYPES = {
    "run": pa.string(),
    "model": pa.string(),
    "gpu": pa.string(),
    "gpus": pa.int64(),
    "seq_len": pa.int32(),
    "tokens": pa.float64(),
    "padding_share": pa.float64(),
    "tied_embeddings": pa.bool_(),
}


def text(value: object) -> str:
    """A value as wattlaw writes it: the shortest text that is read back equal, without an exponent."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) else {1e-05: "0.00001"}.get(value, repr(value))
    if value == "=1+1":
        return "'=1+1"
    return str(value)


def cell(value: object) -> str:
    found = text(value)
    return '"' + found.replace('"', '""') + '"' if any(mark in found for mark in ',"\n') else found


def main() -> None:
    rows = [",".join(COLUMNS)] + [",".join(map(cell, row)) for row in zip(*COLUMNS.values(), strict=True)]
    (HERE / "jobs.csv").write_text("\n".join(rows) + "\n")
    table = pa.table({name: pa.array(values, TYPES[name]) for name, values in COLUMNS.items()})

    pq.write_table(table, HERE / "jobs.parquet")
    pq.write_table(table, HERE / "jobs-plain.parquet", compression="none", use_dictionary=False, row_group_size=3)
    pq.write_table(table, HERE / "jobs-lz4.parquet", compression="lz4", data_page_version="2.0")
    words = table.set_column(2, "gpu", table["gpu"].dictionary_encode())
    wide = words.set_column(1, "model", table["model"].cast(pa.large_string()))
    pq.write_table(wide, HERE / "jobs-words.parquet")
    delta = {"run": "DELTA_BYTE_ARRAY", "gpus": "DELTA_BINARY_PACKED", "tokens": "BYTE_STREAM_SPLIT"}
    pq.write_table(table, HERE / "jobs-encodings.parquet", use_dictionary=False, column_encoding=delta)

    with pa.ipc.new_file(HERE / "jobs.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=3)
    pyarrow.feather.write_feather(table, HERE / "jobs.feather", compression="lz4")
    with pa.ipc.new_stream(HERE / "jobs.arrows", wide.schema) as stream:
        stream.write_table(wide, max_chunksize=3)
    views = table.set_column(0, "run", table["run"].cast(pa.string_view()))
    with pa.ipc.new_stream(HERE / "jobs-views.arrows", views.schema) as stream:
        stream.write_table(views)
    old = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4, use_legacy_format=True)
    with pa.ipc.new_file(HERE / "jobs-old.arrow", table.schema, options=old) as file:
        file.write_table(table)

    # whole numbers with a gap are floating-point numbers there
    frame = table.to_pandas()
    frame["gpu"] = frame["gpu"].astype("category")
    frame.to_parquet(HERE / "jobs-pandas.parquet")
    frame.to_feather(HERE / "jobs-pandas.feather")
    polars = pl.from_arrow(table)
    assert isinstance(polars, pl.DataFrame)
    polars.write_parquet(HERE / "jobs-polars.parquet", compression="snappy")
    polars.write_ipc(HERE / "jobs-polars.arrow", compression="lz4")

    for name in ("parquet", "arrow", "arrows"):
        empty = table.slice(0, 0)
        path = HERE / f"empty.{name}"
        if name == "parquet":
            pq.write_table(empty, path)
        else:
            with (pa.ipc.new_file if name == "arrow" else pa.ipc.new_stream)(path, table.schema) as file:
                file.write_table(empty)

    few = table.select(["gpu"]).slice(0, 2)
    for codec in ("zstd", "gzip", "brotli"):
        pq.write_table(few, HERE / f"refused-{codec}.parquet", compression=codec)
    pyarrow.feather.write_feather(few, HERE / "refused-zstd.arrow", compression="zstd")
    kinds = {
        "list": pa.array([[1, 2], None]),
        "struct": pa.array([{"a": 1}, {"a": 2}]),
        "date": pa.array([1, 2], pa.date32()),
        "binary": pa.array([b"a", b"b"]),
        "decimal": pa.array([1, 2]).cast(pa.decimal128(20)),
        "half": pa.array([1.0, 2.0]).cast(pa.float16()),
    }
    for name, column in kinds.items():
        one = few.append_column("odd", column)
        pq.write_table(one, HERE / f"refused-{name}.parquet")
        with pa.ipc.new_file(HERE / f"refused-{name}.arrow", one.schema) as file:
            file.write_table(one)

    runs = pyarrow.csv.read_csv(ROOT / "examples" / "runs.csv")
    pq.write_table(runs, HERE / "runs.parquet")
    with pa.ipc.new_file(HERE / "runs.arrow", runs.schema) as file:
        file.write_table(runs)
    versions = {package.__name__: package.__version__ for package in (pa, pd, pl)}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
