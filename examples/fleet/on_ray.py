"""Predicts a Parquet table of jobs, or imports a folder of logs, with Ray Data.

It runs on this machine, or on the cluster of RAY_ADDRESS, whose workers need the package `wattlaw` and must see the files. Rows come in
any order: carry a column that names them (--keep).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pyarrow as pa
import share
from task import Refused, Task, first_line, main


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
            table: ray.data.Dataset = ray.data.from_arrow(task.source)
        else:
            # names of folders are no columns
            table = ray.data.read_parquet(str(task.source), file_extensions=["parquet"], partitioning=None)
        # a file is one block else, which one worker would take
        shares = table.repartition(target_num_rows_per_block=task.rows)
        compute = None if task.workers is None else ray.data.TaskPoolStrategy(size=task.workers)
        made = shares.map_batches(task.function, batch_format="pyarrow", batch_size=task.rows, compute=compute)
        made.write_parquet(str(folder))
    except ray.exceptions.RayTaskError as error:
        raise Refused(f"a worker failed: {first_line(error.cause)}") from error
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(str(__doc__), run)
