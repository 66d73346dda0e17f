"""Writes bootstrap.json: percentile intervals of medians by scipy.stats.bootstrap, for tests/it/speedup.rs to compare with.

Run with NumPy, pandas and SciPy (versions used are recorded in the file), the study's table beside the repository:

    python crates/wattlaw/tests/golden/bootstrap.py > crates/wattlaw/tests/golden/bootstrap.json

`made_up` are values that follow from their number by a formula, alone or in groups. `study` are medians and intervals of
the study's runs by GPU model, family, strategy and GPU count, matched with their baselines here by pandas. Given a
`random_state`, scipy draws by its `randint`, which wattlaw repeats, so that ends are equal and not only near.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from scipy import stats

TABLE = Path(__file__).parents[4] / "../shared/data/multi_gpu_2026/runs.csv"
FAMILY = ["gpu", "family", "max_seq_len", "batch_size", "seq_len", "grad_accum", "layers", "hidden_size", "heads",
          "ffn_size", "task", "precision"]
LEVEL, RESAMPLES, SEED = 0.95, 10_000, 2026


def interval(values, groups, level, resamples, seed):
    """Ends of the interval of the median of values whose groups are drawn whole."""
    values, groups = np.asarray(values, float), np.asarray(groups)
    members = [values[groups == g] for g in range(groups.max() + 1)]
    found = stats.bootstrap(
        (np.arange(len(members)),), lambda drawn: np.median(np.concatenate([members[g] for g in drawn])),
        vectorized=False, method="percentile", confidence_level=level, n_resamples=resamples,
        random_state=np.random.RandomState(seed),
    ).confidence_interval
    return {"median": np.median(values), "lower": found.low, "upper": found.high}


def made_up():
    cases = []
    for n, per_group, level, resamples, seed in [
        (13, 1, 0.95, 5000, 1), (12, 1, 0.9, 5000, 2), (76, 1, 0.95, 5000, 2026), (2, 1, 0.95, 1000, 3),
        (40, 4, 0.95, 3000, 4), (31, 3, 0.8, 3000, 5), (128, 1, 0.99, 2000, 7),
    ]:
        values = [math.exp(math.sin(7.3 * i) + 0.01 * i) for i in range(n)]
        groups = [i // per_group for i in range(n)]
        case = {"n": n, "per_group": per_group, "level": level, "resamples": resamples, "seed": seed}
        cases.append(case | interval(values, groups, level, resamples, seed))
    return cases


def written(cell):
    """A cell as wattlaw writes it into a family's name, by whose order groups are numbered."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else repr(cell).removesuffix(".0")
    return str(cell)


def study():
    table = pd.read_csv(TABLE)
    table["label"] = table[FAMILY].map(written).agg("|".join, axis=1)
    table["throughput"] = table.tokens / table.duration_s
    table["per_token"] = table.energy_kwh / table.tokens
    alone = table[table.gpus == 1].groupby("label")[["throughput", "per_token"]].median()
    pairs = table[table.gpus > 1].join(alone.add_suffix("_alone"), on="label", how="inner")
    pairs["gain"] = pairs.throughput / pairs.throughput_alone
    pairs["change"] = 100 * (pairs.per_token / pairs.per_token_alone - 1)
    rows = []
    for (gpu, family, strategy, gpus), row in pairs.groupby(["gpu", "family", "strategy", "gpus"]):
        groups = np.unique(row.label, return_inverse=True)[1]
        rows.append({
            "gpu": gpu, "family": family, "strategy": strategy, "gpus": int(gpus), "n_pairs": len(row),
            "throughput_gain": interval(row.gain, groups, LEVEL, RESAMPLES, SEED),
            "energy_per_token_change_pct": interval(row.change, groups, LEVEL, RESAMPLES, SEED),
        })
    return {"level": LEVEL, "resamples": RESAMPLES, "seed": SEED, "rows": rows}


print(json.dumps({
    "made_by": {"numpy": np.__version__, "pandas": pd.__version__, "scipy": scipy.__version__},
    "made_up": made_up(),
    "study": study(),
}, indent=1))
