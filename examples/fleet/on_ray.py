"""Predicts a Parquet table of jobs, or imports a folder of logs, with Ray Data.

It runs on this machine, or on the cluster of RAY_ADDRESS, whose workers need the package `wattlaw` and must see the files. Rows come in
any order: carry a column that names them (--keep).
"""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import share
from task import Refused, Task, files_of_table, first_line, main


def run(task: Task, folder: Path) -> None:
    """Writes the result of a task as Parquet files into a folder."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise Refused("Ray is missing; install it with `pip install 'ray[data]'`") from error

    address = os.environ.get("RAY_ADDRESS", "local")
    ray.init(
        address=address,
        num_cpus=task.workers if address == "local" else None,
        include_dashboard=False if address == "local" else None,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
    )
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.cloudpickle.register_pickle_by_value(share)
        if isinstance(task.source, pa.Table):
            shares, rows, function = task.source, task.rows, task.function
        else:
            # Ray reads a file in one worker, whose memory grows with the file
            shares, rows, function = groups(task.source), 1, partial(share.of_groups, task.function, task.rows)
        # workers write what they made: the tables are as large as the result, and Ray need not see them
        folder.mkdir()
        function = partial(share.write, function, shares, rows, str(folder))
        # a block a share; an operator of Ray's that cuts a table would keep a core from the workers
        numbers = ray.data.from_arrow([pa.table({"share": [number]}) for number in range(-(-shares.num_rows // rows))])
        # on this machine there are as many workers as it was started with
        compute = None if address == "local" or task.workers is None else ray.data.TaskPoolStrategy(size=task.workers)
        numbers.map_batches(function, batch_format="pyarrow", batch_size=None, compute=compute).materialize()
    except ray.exceptions.RayTaskError as error:
        raise Refused(f"a worker failed: {first_line(error.cause)}") from error
    finally:
        ray.shutdown()


def groups(jobs: Path) -> pa.Table:
    """The groups of rows of Parquet files."""
    counts = {str(file): pyarrow.parquet.read_metadata(file).num_row_groups for file in files_of_table(jobs)}
    found = [{"file": file, "group": group} for file, count in counts.items() for group in range(count)]
    return pa.Table.from_pylist(found)


if __name__ == "__main__":
    main(str(__doc__), run)
