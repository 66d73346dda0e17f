"""Measures the Python package: its import, and the rows a second of `predict_many`, beside Kavier's batch API on the same jobs.

The jobs are fine-tunings of models that both know, all different. A rate is that of one core: rows over the process' own time, and over
the time on the clock, which other programs on the machine lengthen. wattlaw answers with intervals of energy, time and power, memory and
what is wrong with a row; Kavier with throughput, time and power, without intervals. The package is measured on one thread, from an Arrow
table to an Arrow table.

Usage:    python benches/python.py [ROWS]          200,000 rows when absent
Needs:    the built wheel (`pip install ./bindings/python`), pyarrow, benches/peers/requirements-kavier.txt
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import wattlaw as wl

ROUNDS = 5

# names of both catalogues: wattlaw's, Kavier's
MODELS = [("llama-3.1-8b", "llama3.1-8b"), ("mistral-7b-v0.1", "mistral-7b-v0.1"), ("granite-3b-code", "granite-3b-code-base-128k")]
GPUS = [("a100-sxm4-80gb", "NVIDIA-A100-SXM4-80GB"), ("h100-sxm5-80gb", "H100-SXM")]


def jobs(rows: int) -> tuple[pyarrow.Table, list[dict[str, Any]]]:
    """The same jobs for wattlaw and for Kavier."""
    choose = random.Random(2026)
    known = [(ours, theirs) for ours, theirs in MODELS if is_known(ours)]
    ours: dict[str, list[Any]] = {name: [] for name in ("model", "gpu", "gpus", "micro_batch", "seq_len", "tokens", "strategy", "nodes")}
    theirs = []
    for tokens in choose.sample(range(1_000_000, 1_000_000_000), rows):
        (model, their_model), (gpu, their_gpu) = choose.choice(known), choose.choice(GPUS)
        nodes, per_node = choose.choice([1, 2, 4]), choose.choice([2, 4, 8])
        batch, seq_len = choose.choice([1, 2, 4, 8]), choose.choice([512, 1024, 2048, 4096])
        row = (model, gpu, nodes * per_node, batch, seq_len, tokens, "fsdp", nodes)
        for column, value in zip(ours.values(), row, strict=True):
            column.append(value)
        theirs.append(
            {
                "model": their_model,
                "method": "full",
                "gpu": their_gpu,
                "seq_len": seq_len,
                "batch_size": batch,
                "num_gpus": per_node,
                "num_nodes": nodes,
                "total_tokens": tokens,
            }
        )
    return pyarrow.table(ours), theirs


def is_known(model: str) -> bool:
    try:
        wl.predict(model=model, steps=1, seq_len=512, micro_batch=1, gpu="a100")
    except wl.UnknownError:
        return False
    return True


def rate(name: str, rows: int, call: Any) -> float:
    """Prints and returns the rows a second of a core's time, the median of the rounds."""
    rates = []
    for _ in range(ROUNDS):
        clock, own = time.perf_counter(), time.process_time()
        call()
        rates.append((rows / (time.process_time() - own), rows / (time.perf_counter() - clock)))
    own_rates, clock_rates = zip(*rates, strict=True)
    median = statistics.median(own_rates)
    print(
        f"{name}: {median:,.0f} rows a second of a core's time ({min(own_rates):,.0f} to {max(own_rates):,.0f}), "
        f"{statistics.median(clock_rates):,.0f} on the clock"
    )
    return median


def import_ms(module: str) -> float:
    """Milliseconds that an import takes in a fresh interpreter, the least of the rounds."""
    program = f"import time; t = time.perf_counter(); import {module}; print(1000 * (time.perf_counter() - t))"
    return min(float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout) for _ in range(10))


def in_bounded_memory(rows: int) -> None:
    """Predicts a Parquet file of many rows into another, in a process of its own, and prints its highest memory."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "jobs.parquet"
        table, _ = jobs(min(rows, 100_000))
        with pyarrow.parquet.ParquetWriter(source, table.schema) as writer:
            for _ in range(rows // table.num_rows):
                writer.write_table(table)
        program = f"""
import pyarrow as pa, pyarrow.parquet as pq
import wattlaw as wl
file = pq.ParquetFile({str(source)!r}, pre_buffer=False)
reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(batch_size=32768))
found = wl.predict_many(reader)
count = 0
with pq.ParquetWriter({str(source) + ".out"!r}, found.schema) as writer:
    for batch in found:
        writer.write_batch(batch)
        count += batch.num_rows
# the highest memory of getrusage is also that of the process that started this one
status = open("/proc/self/status").read()
print(count, int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
        clock = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
        print(f"{int(done[0]):,} rows from Parquet to Parquet: {done[1]} MiB at most, {time.perf_counter() - clock:.0f} s on all cores")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    print(f"import wattlaw: {import_ms('wattlaw'):.1f} ms")
    table, theirs = jobs(rows)
    errors = wl.predict_many(table)["error"]
    assert errors.null_count == rows, errors.drop_null()[0]
    ours = rate(f"wattlaw {wl.__version__}", rows, lambda: wl.predict_many(table, threads=1))
    from kavier.sdk.training.facade import performance

    few = theirs[: max(1, rows // 20)]
    peer = rate("Kavier", len(few), lambda: performance(few))
    print(f"wattlaw / Kavier: {ours / peer:.1f}")
    in_bounded_memory(10 * rows)


if __name__ == "__main__":
    main()
