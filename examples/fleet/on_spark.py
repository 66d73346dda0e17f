"""Predicts a Parquet table of jobs, or imports a folder of logs, with Spark.

It runs on this machine, or on the cluster that spark-submit names, whose workers need the package `wattlaw` and must see the files. Rows
come in any order: carry a column that names them (--keep). With --workers it runs on this machine.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import share
from task import Refused, Task, main


def run(task: Task, folder: Path) -> None:
    """Writes the result of a task as Parquet files into a folder."""
    try:
        from py4j.protocol import Py4JJavaError
        from pyspark import cloudpickle
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise Refused("Spark is missing; install it with `pip install pyspark`") from error
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise Refused("Java is missing, which Spark needs; install Java 17 or later, or set JAVA_HOME")

    # workers on this machine run in this environment
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.sql.execution.arrow.maxRecordsPerBatch": task.rows,
        # times that are carried along keep their type
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": False,
        "spark.ui.showConsoleProgress": False,
        "spark.log.level": "ERROR",
    }
    if task.workers is not None:
        settings["spark.master"] = f"local[{task.workers}]"
    builder = SparkSession.builder.appName("wattlaw")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        cloudpickle.register_pickle_by_value(share)
        if isinstance(task.source, pa.Table):
            table = spark.createDataFrame(task.source).repartition(-(-task.source.num_rows // task.rows))
        else:
            # names of folders are no columns
            files = spark.read.option("recursiveFileLookup", True).option("pathGlobFilter", "*.parquet")
            table = files.parquet(str(task.source))
        # Spark has types of its own, so the columns of the result are those of its table
        columns = task.columns(table.limit(0).toArrow().schema)
        schema = spark.createDataFrame(columns.empty_table()).schema
        function = task.function

        def share_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                yield from function(pa.Table.from_batches([batch])).to_batches()

        table.mapInArrow(share_of, schema).write.parquet(str(folder))
    except Py4JJavaError as error:
        raise Refused(f"a worker failed: {error.java_exception.getMessage()}") from error
    finally:
        spark.stop()


if __name__ == "__main__":
    main(str(__doc__), run)
