"""Writes splits.json: the splits that scikit-learn and NumPy give, for tests/it/splits.rs to compare with.

Run with NumPy, pandas and scikit-learn (versions used are recorded in the file):

    python crates/wattlaw/tests/golden/splits.py > crates/wattlaw/tests/golden/splits.json

Everything is synthetic: labels and scales follow from the row number by the formulas below.
"""

import json

import numpy as np
import pandas as pd
import sklearn
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    ShuffleSplit,
)


def labels(kind, n, groups):
    """Group label of each of n rows; at most `groups` distinct ones."""
    number = [(row * row + 7 * row) // 3 % groups for row in range(n)]
    return {
        "number": [str(g) for g in number],
        "key": [f"gpu {g % 3}|L={g}|{32 * (g % 5)}" for g in number],
        "unicode": [("éaZß中~"[g % 6]) * (1 + g // 6) for g in number],
    }[kind]


def rows(array):
    return [int(a) for a in array]


def tests(splitter, n, groups=None):
    return [rows(test) for _, test in splitter.split(np.zeros(n), groups=groups)]


def redrawn(groups, levels, n_splits, test_size, seed):
    """The study's splits: seeds drawn by default_rng, a split with an unseen level dropped."""
    rng = np.random.default_rng(seed)
    levels = np.array(levels)
    kept = []
    while len(kept) < n_splits:
        drawn = int(rng.integers(0, 2**31 - 1))
        splitter = GroupShuffleSplit(n_splits=1, test_size=test_size, random_state=drawn)
        train, test = next(splitter.split(levels, groups=groups))
        if set(levels[test]) <= set(levels[train]):
            kept.append({"seed": drawn, "test": rows(test)})
    return kept


def scale_shift(groups, scale):
    by_group = pd.Series(scale).groupby(pd.Series(groups)).median().sort_values()
    low, high = by_group.quantile([0.25, 0.75])
    small, large = by_group.index[by_group < low], by_group.index[by_group > high]
    return {
        "large_to_small": rows(np.flatnonzero(np.isin(groups, small))),
        "small_to_large": rows(np.flatnonzero(np.isin(groups, large))),
    }


def main():
    grouped = []
    for kind, n, count in [("number", 40, 13), ("key", 60, 21), ("unicode", 50, 17), ("key", 700, 150)]:
        group = labels(kind, n, count)
        level = ["rare" if row % 17 == 3 else "common" for row in range(n)]
        scale = [float((row * 37) % 101) for row in range(n)]
        few = 2 if n > 100 else 4
        grouped.append(
            {
                "labels": group if n < 100 else {"kind": kind, "n": n, "groups": count},
                "shuffle": [
                    {
                        "n_splits": few,
                        "test_size": size,
                        "seed": seed,
                        "test": tests(
                            GroupShuffleSplit(n_splits=few, test_size=size, random_state=seed), n, group
                        ),
                    }
                    for size, seed in ([(0.3, 2026)] if n > 100 else [(0.3, 2026), (0.2, 0), (0.55, 2**32 - 1)])
                ],
                "k_fold": [
                    {"k": k, "test": tests(GroupKFold(n_splits=k), n, group)}
                    for k in ([5] if n > 100 else [2, 5])
                ],
                "leave_one_out": len(tests(LeaveOneGroupOut(), n, group)),
                "redrawn": {
                    "n_splits": few,
                    "test_size": 0.3,
                    "seed": 2026,
                    "splits": redrawn(group, level, few, 0.3, 2026),
                },
                "scale_shift": scale_shift(group, scale),
            }
        )
    row_wise = [
        {
            "n": n,
            "test_size": size,
            "seed": seed,
            "shuffle": [
                {"train": rows(train), "test": rows(test)}
                for train, test in ShuffleSplit(n_splits=3, test_size=size, random_state=seed).split(np.zeros(n))
            ],
            "k_fold": tests(KFold(n_splits=4), n),
            "shuffled_k_fold": tests(KFold(n_splits=4, shuffle=True, random_state=seed), n),
        }
        for n, size, seed in [(10, 0.3, 2026), (33, 0.25, 1), (65, 0.5, 123456789)]
    ]
    seeds = {
        str(seed): rows(np.random.default_rng(seed).integers(0, 2**31 - 1, size=1)) for seed in [0, 2026, 2**40 + 5]
    }
    versions = {"numpy": np.__version__, "pandas": pd.__version__, "scikit-learn": sklearn.__version__}
    print(
        json.dumps(
            {"versions": versions, "first_seed": seeds, "grouped": grouped, "row_wise": row_wise},
            separators=(",", ":"),
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
