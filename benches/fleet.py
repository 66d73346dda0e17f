"""Measures the rows a second of one process and of two Ray workers, from Parquet to Parquet, and the highest memory of each.

One process is `predict_many` on one thread over a reader, as in benches/python.py; the workers are those of examples/fleet/on_ray.py, one
core each. The rounds alternate. The time of Ray is that of the whole program, and also without its start, which is the time of a table of
one row. Memory is resident and private: Ray's workers share the memory of its object store, which it bounds. A group of rows has 100,000.
Where other programs use the machine, the clock says little of the ratio. Processor time does: two workers that share the work evenly are
twice as fast as one process, but for the time that Ray itself and the exchange of rows take.

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
from dataclasses import dataclass
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
reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(batch_size=32768, use_threads=False))
found = wl.predict_many(reader, threads=1)
with pq.ParquetWriter(sys.argv[2], found.schema) as writer:
    for batch in found:
        writer.write_batch(batch)
"""


@dataclass
class Ran:
    """What a command took, with the processes that it started."""

    seconds: float
    """Time on the clock."""
    processor_s: float
    """Processor time of all its processes."""
    private_mib: int
    """Highest private memory of one of its processes."""


def timed(words: list[str]) -> Ran:
    """Runs a command of Python."""
    environment = {word: value for word, value in os.environ.items() if word != "RAY_ADDRESS"} | {"RAY_USAGE_STATS_ENABLED": "0"}
    clock = time.perf_counter()
    done = subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)
    highest, ticks = 0, {}
    while done.poll() is None:
        for pid, used in descendants(done.pid).items():
            ticks[pid] = used
            highest = max(highest, private_mib(pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - clock
    assert done.stderr is not None
    if done.returncode:
        sys.exit(done.stderr.read())
    return Ran(seconds, sum(ticks.values()) / os.sysconf("SC_CLK_TCK"), highest)


def descendants(root: int) -> dict[int, int]:
    """The processor time of a process and of those that descend from it, in ticks, by process."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name before the last bracket may hold anything (proc(5))
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    found: dict[int, int] = {}
    for pid in parents:
        line = [pid]
        while line[-1] != root and line[-1] in parents:
            line.append(parents[line[-1]])
        if line[-1] == root and pid in ticks:
            found[pid] = ticks[pid]
    return found


def private_mib(pid: int) -> int:
    """The private memory of a process, MiB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("RssAnon", "0 kB").split()[0]) // 1024


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
        rounds_of: list[tuple[Ran, Ran, Ran]] = []
        for at in range(rounds):
            alone = timed(["-c", ALONE, str(folder / "jobs.parquet"), str(folder / f"alone-{at}.parquet")])
            start, fleet = (
                timed([str(EXAMPLE), "predict", str(folder / f"{table}.parquet"), str(folder / f"{table}-{at}"), "--workers", "2"])
                for table in ("one", "jobs")
            )
            rounds_of.append((alone, start, fleet))
            print(
                f"round {at + 1}, load {os.getloadavg()[0]:.1f}: one process {rows / alone.seconds:,.0f} rows/s in {alone.private_mib} MiB; "
                f"two Ray workers {rows / fleet.seconds:,.0f} rows/s, {rows / (fleet.seconds - start.seconds):,.0f} after a start of "
                f"{start.seconds:.1f} s, in {fleet.private_mib} MiB each at most; processor time {alone.processor_s:.1f} s, "
                f"{fleet.processor_s:.1f} s and {start.processor_s:.1f} s of its start",
                flush=True,
            )
        one, start_s, two = (statistics.median(of.seconds for of in runs) for runs in zip(*rounds_of, strict=True))
        of_one, of_start, of_two = (statistics.median(of.processor_s for of in runs) for runs in zip(*rounds_of, strict=True))
        print(f"{rows:,} rows, medians of {rounds}: ratio {one / two:.2f}, without Ray's start {one / (two - start_s):.2f}")
        print(f"by processor time, on two cores that nothing else uses: at most {2 * of_one / (of_two - of_start):.2f} without Ray's start")


if __name__ == "__main__":
    main()
