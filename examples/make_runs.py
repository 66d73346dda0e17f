"""Makes runs.csv and stopwatch.csv: run tables to try `wattlaw fit` and `wattlaw validate` on.

NOTHING IN THEM WAS MEASURED. Times and energies come from the made-up rule in `made_up`, with 4 % of noise from a
fixed seed, so that the tables are the same on every machine.

    python3 examples/make_runs.py        # writes the tables beside this script
"""

import csv
import math
import random
from pathlib import Path

HERE = Path(__file__).parent

# layers, hidden size, sequence length, micro-batch, tokens
CONFIGURATIONS = [
    (4, 256, 128, 32, 6_000_000),
    (6, 384, 128, 16, 6_000_000),
    (6, 512, 64, 32, 4_000_000),
    (8, 512, 128, 16, 5_000_000),
    (8, 768, 64, 16, 3_000_000),
    (12, 512, 256, 8, 4_000_000),
    (12, 768, 128, 16, 3_000_000),
    (12, 1024, 128, 8, 2_000_000),
]


def made_up(layers, hidden, seq_len, micro_batch, tokens, gpus, noise):
    """Seconds and joules of a machine that does not exist."""
    flops = 72 * layers * hidden**2 * tokens * (1 + seq_len / (6 * hidden))
    micro_steps = tokens / (micro_batch * seq_len * gpus)
    launch_s = micro_steps * (0.006 + 0.0011 * layers) * (1.25 if gpus > 1 else 1.0)
    work_s = flops / (gpus * 38e12) * (1 + 0.09 * math.log2(gpus))
    duration_s = (launch_s + work_s) * math.exp(noise.gauss(0, 0.04))
    watts = gpus * (110 + 210 * work_s / (work_s + launch_s))
    return duration_s, duration_s * watts * math.exp(noise.gauss(0, 0.04))


def main():
    noise = random.Random(2026)
    rows = []
    for layers, hidden, seq_len, micro_batch, tokens in CONFIGURATIONS:
        for gpus in (1, 2, 4):
            duration_s, energy_j = made_up(layers, hidden, seq_len, micro_batch, tokens, gpus, noise)
            rows.append({
                "run_id": f"made-up-{len(rows) + 1:02d}",
                "family": "bert",
                "gpu": "rtx-4090",
                "gpus": gpus,
                "strategy": "baseline" if gpus == 1 else "fsdp",
                "layers": layers,
                "hidden_size": hidden,
                "heads": hidden // 64,
                "ffn_size": 4 * hidden,
                "seq_len": seq_len,
                "micro_batch": micro_batch,
                "precision": "fp16",
                "tokens": tokens,
                "duration_s": round(duration_s, 1),
                "energy_j": round(energy_j),
                "scope": "gpu",
            })
    with open(HERE / "runs.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)

    # the same runs as somebody else's stopwatch might have written them: map.toml says what the columns mean
    theirs = {
        "depth": "layers", "width": "hidden_size", "context": "seq_len", "batch": "micro_batch", "cards": "gpus",
        "mode": "strategy", "seen": "tokens", "elapsed (s)": "duration_s",
    }
    with open(HERE / "stopwatch.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(theirs)
        for row in rows:
            table.writerow(row[ours] for ours in theirs.values())


if __name__ == "__main__":
    main()
