"""Measures the rows a second of one process and of two Ray workers, from Parquet to Parquet, and the highest memory of each.

One process is `predict_many` on one thread over a reader, as in benches/python.py; the workers are those of examples/fleet/on_ray.py, one
core each. The rounds alternate. The time of Ray is that of the whole program, and also without its start, which is the time of a table of
one row. Memory is resident and private: Ray's workers share the memory of its object store, which it bounds. A group of rows has 100,000.

Usage:    python benches/fleet.py [ROWS] [ROUNDS]          4,000,000 rows and 3 rounds when absent
Needs:    the optimised wheel (`pip install ./bindings/python`), bindings/python/tests/requirements-fleet.txt; two idle cores
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet
from python import jobs

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fleet" / "on_ray.py"

#: One process, from Parquet to Parquet.
ALONE = """
import sys
import pyarrow as pa, pyarrow.parquet as pq
import wattlaw as wl
file = pq.ParquetFile(sys.argv[1], pre_buffer=False)
reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(batch_size=32768))
found = wl.predict_many(reader, threads=1)
with pq.ParquetWriter(sys.argv[2], found.schema) as writer:
    for batch in found:
        writer.write_batch(batch)
"""


def timed(words: list[str]) -> tuple[float, int]:
    """Seconds on the clock of a command, and the highest private memory of a process in its session, MiB."""
    environment = {word: value for word, value in os.environ.items() if word != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    clock = time.perf_counter()
    done = subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)
    highest = 0
    while done.poll() is None:
        highest = max(highest, private_mib(done.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - clock
    assert done.stderr is not None
    if done.returncode:
        sys.exit(done.stderr.read())
    return seconds, highest


def private_mib(pid: int) -> int:
    """The private memory of a process, or of the largest worker that Ray started since, MiB."""
    highest = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        if fields["Pid"].strip() == str(pid) or fields["Name"].strip().startswith("ray::"):
            highest = max(highest, int(fields.get("RssAnon", "0 kB").split()[0]) // 1024)
    return highest


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, _ = jobs(min(rows, 100_000))
        with pyarrow.parquet.ParquetWriter(folder / "jobs.parquet", few.schema) as writer:
            for _ in range(rows // few.num_rows):
                writer.write_table(few)
        rows = rows // few.num_rows * few.num_rows
        pyarrow.parquet.write_table(few.slice(0, 1), folder / "one.parquet")
        alone, fleet, starts = [], [], []
        for at in range(rounds):
            alone.append(timed(["-c", ALONE, str(folder / "jobs.parquet"), str(folder / f"alone-{at}.parquet")]))
            for table, times in (("one", starts), ("jobs", fleet)):
                source, result = folder / f"{table}.parquet", folder / f"{table}-{at}"
                times.append(timed([str(EXAMPLE), "predict", str(source), str(result), "--workers", "2"]))
            start = starts[-1][0]
            print(
                f"round {at + 1}, load {os.getloadavg()[0]:.1f}: one process {rows / alone[-1][0]:,.0f} rows/s in {alone[-1][1]} MiB; two Ray "
                f"workers {rows / fleet[-1][0]:,.0f} rows/s, {rows / (fleet[-1][0] - start):,.0f} after a start of {start:.1f} s, in "
                f"{fleet[-1][1]} MiB each at most",
                flush=True,
            )
        one, two, start = (statistics.median(seconds for seconds, _ in times) for times in (alone, fleet, starts))
        print(f"{rows:,} rows, medians of {rounds}: ratio {one / two:.2f}, without Ray's start {one / (two - start):.2f}")


if __name__ == "__main__":
    main()
