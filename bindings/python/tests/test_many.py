"""Tables of jobs in every kind, and what is wrong in them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import pandas
import polars
import pyarrow
import pytest
import wattlaw as wl

COLUMNS: dict[str, Any] = {"gpus": [1, 8, -8, None], "gpu": ["a100", "h100", "h100", "t4"], "tag": ["a", "b", "c", "d"]}
SHARED: dict[str, Any] = {"model": "gpt2", "tokens": "1B", "seq_len": 1024, "micro_batch": 8}
WRONG = "column `gpus` is `-8`, but it must be a whole number from 0"


class Stream:
    """A table of a library that is not known."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Array:
    """A batch of a library that gives no streams."""

    def __init__(self, batch: pyarrow.RecordBatch | pyarrow.Array) -> None:
        self.batch = batch

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        found: tuple[object, object] = self.batch.__arrow_c_array__(requested_schema)
        return found


def test_a_table_comes_back_as_its_kind() -> None:
    table = pyarrow.table(COLUMNS)
    expected = wl.predict_many(table, keep=["tag"], **SHARED)
    assert isinstance(expected, pyarrow.Table)
    assert expected.column_names[:3] == ["gpus", "gpu", "tag"]
    assert expected["error"].to_pylist() == [None, None, WRONG, None]
    assert expected["energy_j"].is_valid().to_pylist() == [True, True, False, True]
    reader = wl.predict_many(pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches()), keep=["tag"], **SHARED)
    assert isinstance(reader, pyarrow.RecordBatchReader)
    assert reader.read_all().equals(expected)
    [batch] = table.to_batches()
    found = wl.predict_many(batch, keep=["tag"], **SHARED)
    assert isinstance(found, pyarrow.RecordBatch) and pyarrow.table(found).equals(expected)
    unknown = wl.predict_many(Stream(table), keep=["tag"], **SHARED)
    # rows in memory are read as often as one likes
    assert pyarrow.table(unknown).equals(expected) and pyarrow.table(unknown).equals(expected)
    assert pyarrow.table(wl.predict_many(Array(batch), keep=["tag"], **SHARED)).equals(expected)
    frame = wl.predict_many(polars.DataFrame(COLUMNS), keep=["tag"], **SHARED)
    assert isinstance(frame, polars.DataFrame)
    assert frame["energy_j"].to_list() == expected["energy_j"].to_pylist()
    indexed = pandas.DataFrame(COLUMNS, index=["w", "x", "y", "z"])
    made = wl.predict_many(indexed, keep=["tag"], **SHARED)
    assert isinstance(made, pandas.DataFrame) and list(made.index) == ["w", "x", "y", "z"]
    assert made["duration_s"].notna().tolist() == [True, True, False, True]


def test_every_type_with_a_text_is_read() -> None:
    gpus = {
        "int8": pyarrow.array([8], pyarrow.int8()),
        "uint64": pyarrow.array([8], pyarrow.uint64()),
        "float": pyarrow.array([8.0], pyarrow.float32()),
        "text": pyarrow.array(["8"]),
        "large": pyarrow.array(["8"], pyarrow.large_string()),
        "view": pyarrow.array(["8"], pyarrow.string_view()),
        "words": pyarrow.array(["8"]).dictionary_encode(),
    }
    found = {
        name: wl.predict_many(pyarrow.table({"gpus": column}), gpu="h100", **SHARED)["energy_j"].to_pylist()
        for name, column in gpus.items()
    }
    assert found["int8"][0] is not None
    assert len({tuple(energies) for energies in found.values()}) == 1, found
    truths = pyarrow.table({"gated_ffn": [True, None]})
    assert wl.predict_many(truths, gpu="h100", **SHARED)["error"].null_count == 2
    words = pyarrow.table({"gpu": pyarrow.array(["t4", None, "x"]).dictionary_encode()})
    errors = wl.predict_many(words, **SHARED)["error"].to_pylist()
    assert errors[0] is None and errors[1].startswith("gpu is missing") and errors[2].startswith("unknown GPU `x`")


def test_a_wrong_cell_is_its_rows_sentence() -> None:
    gpus = [float("nan"), 1e30, 2.5, 2.0]
    found = wl.predict_many(pyarrow.table({"gpus": gpus}), gpu="t4", **SHARED)["error"].to_pylist()
    assert found[0] == "column `gpus` is `NaN`, but it must be a whole number from 0"
    assert found[1] == f"column `gpus` is `{10**30}`, but it must be a whole number from 0"
    assert found[2] == "column `gpus` is `2.5`, but it must be a whole number from 0"
    assert found[3] is None


@pytest.mark.parametrize(
    ("columns", "asked", "kind", "sentence"),
    [
        ({"gpsu": [1]}, {}, wl.UnknownError, "unknown column `gpsu`; did you mean `gpu`?; or name it in keep to carry it along"),
        ({"gpus": [[1]]}, {}, wl.InvalidError, "column `gpus` is of type List(Int64), but it must hold text, numbers or truths"),
        ({"config": ["x"]}, {}, wl.InvalidError, "column `config` is a file a row"),
        ({"gpus": [1]}, {"gpus": 1}, wl.InvalidError, "column `gpus` is also given for all rows, but give it once"),
        ({"gpus": [1], "energy_j": [1]}, {"keep": ["energy_j"]}, wl.InvalidError, "column `energy_j` is there already"),
        ({"gpus": [1]}, {"keep": ["tag"]}, wl.UnknownError, "unknown column `tag`; accepted: `gpus`"),
        ({"gpus": [1]}, {"keep": "gpus"}, wl.InvalidError, "keep is 'gpus', but it must be a list of columns"),
        ({"tag": [1]}, {"keep": ["tag"]}, wl.MissingError, "a column of a job is missing"),
        ({"gpus": [1]}, {"level": 0}, wl.InvalidError, "level is 0, but it must lie between 0 and 1"),
        ({"gpus": [1]}, {"scope": "city"}, wl.UnknownError, "unknown scope `city`"),
    ],
)
def test_a_wrong_table_is_one_sentence(
    columns: dict[str, Any], asked: dict[str, Any], kind: type[wl.Error], sentence: str
) -> None:
    with pytest.raises(kind) as raised:
        wl.predict_many(pyarrow.table(columns), **asked)
    assert str(raised.value).startswith(sentence)


def test_a_name_that_stands_twice_and_a_table_of_no_library_are_refused() -> None:
    twice = pyarrow.table([[1], [2]], names=["gpus", "gpus"])
    with pytest.raises(wl.InvalidError, match="column `gpus` is there twice"):
        wl.predict_many(twice)
    with pytest.raises(wl.InvalidError, match="the table is of type int"):
        wl.predict_many(3)  # type: ignore[type-var]


def test_an_array_that_is_no_table_is_refused() -> None:
    with pytest.raises(wl.InvalidError, match="the table is of type .*Array.*, but its __arrow_c_array__ must give a struct"):
        wl.predict_many(Array(pyarrow.array([1, 2])))


def test_a_stream_is_read_once() -> None:
    table = pyarrow.table(COLUMNS)
    reader = wl.predict_many(pyarrow.RecordBatchReader.from_batches(table.schema, table.to_batches()), keep=["tag"], **SHARED)
    assert reader.read_all().num_rows == 4
    assert reader.read_all().num_rows == 0


def test_a_table_without_pyarrow_is_predicted() -> None:
    program = """
import sys
sys.modules["pyarrow"] = None
import polars, wattlaw as wl
found = wl.predict_many(polars.DataFrame({"gpus": [1, 8]}), model="gpt2", gpu="a100", tokens="1B", seq_len=1024, micro_batch=8)
assert found["energy_j"].null_count() == 0, found
class Broken:
    def __arrow_c_array__(self, requested_schema=None):
        return polars.Series([1]).__arrow_c_stream__(), polars.Series([1]).__arrow_c_stream__()
try:
    wl.predict_many(Broken())
except wl.InvalidError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "its __arrow_c_array__ must give a struct whose fields are the columns" in done.stdout


def test_a_prefix_lets_measured_columns_stay() -> None:
    runs = pyarrow.table({"gpus": [1], "energy_j": [5.0]})
    found = wl.predict_many(runs, gpu="t4", keep=["energy_j"], prefix="predicted_", **SHARED)
    assert found["energy_j"].to_pylist() == [5.0]
    assert found["predicted_energy_j"].null_count == 0


def test_an_empty_table_has_the_columns_of_an_answer() -> None:
    found = wl.predict_many(pyarrow.table({"gpus": pyarrow.array([], pyarrow.int64())}), **SHARED)
    assert found.num_rows == 0 and "energy_j" in found.column_names


def test_threads_do_not_change_the_answer() -> None:
    table = pyarrow.table({"gpus": [1 + at % 8 for at in range(9000)], "micro_batch": [1 + at % 5 for at in range(9000)]})
    shared: dict[str, Any] = {"model": "gpt2", "tokens": "1B", "seq_len": 1024, "gpu": "a100", "strategy": "ddp"}
    one, two = (wl.predict_many(table, threads=threads, **shared) for threads in (1, 2))
    assert one.num_rows == 9000 and one.equals(two)


def test_other_threads_run_while_a_table_is_predicted() -> None:
    table = pyarrow.table({"gpus": [1 + at % 8 for at in range(4000)]})
    done = threading.Event()

    def predict() -> None:
        wl.predict_many(table, threads=1, gpu="a100", **SHARED)
        done.set()

    thread = threading.Thread(target=predict)
    turns = 0
    started = time.perf_counter()
    thread.start()
    while not done.is_set():
        turns += 1
        time.sleep(0.001)
    thread.join()
    # with the lock held throughout, this thread has one turn or two
    assert turns > 3, f"{turns} turns in {time.perf_counter() - started:.3f} s"
