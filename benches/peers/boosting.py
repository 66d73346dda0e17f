"""Judges gradient boosting, as the study used it, on the very runs and splits of the one-table cases of
`wattlaw validate --suite`; `boosting_rows.py` does it on what is held out of all sources.

GradientBoostingRegressor with scikit-learn's defaults explains ln(energy) or ln(duration) by what is known before the run.
The study's settings are not published beyond that; `reference.json` has its medians of R² (0.853 BERT, 0.980 GPT).
Splits are drawn here by scikit-learn and held against the lines that the suite's JSON says it tested: where one differs
the script stops. It prints a line a case and target: medians over splits of R² and of the median error, and the mean error
over all held-out runs.

Usage:    wattlaw validate --suite --format json > suite.json
          python benches/peers/boosting.py ../shared/data suite.json
Needs:    benches/peers/requirements-boosting.txt
"""

import json
import sys

import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import GroupShuffleSplit, LeaveOneGroupOut

SEED = 7
# the study's configuration family, in its order
FAMILY_KEY = ["gpu", "family", "max_seq_len", "batch_size", "seq_len", "grad_accum", "layers", "hidden_size", "heads",
              "ffn_size", "task", "precision"]
STUDY_NUMBERS = ["layers", "hidden_size", "heads", "ffn_size", "seq_len", "max_seq_len", "batch_size", "grad_accum", "gpus",
                 "tokens"]
STEP_NUMBERS = ["layers", "hidden_size", "heads", "kv_heads", "ffn_size", "vocab_size", "seq_len", "gpus", "gpus_per_node",
                "tensor_parallel", "pipeline_parallel", "data_parallel", "micro_batch", "grad_accum", "global_batch"]
LABELS = ["strategy", "task", "precision", "dp_kind", "activation_checkpointing", "family"]
COLUMNS = {"tp": "tensor_parallel"}


def rows_of(case, data):
    """The case's runs in the table's order; `line` counts the header as 1."""
    table = pd.read_csv(f"{data}/{case['table']}")
    table["line"] = np.arange(len(table)) + 2
    if "multi_gpu" in case["table"]:
        family, gpu = case["case"].split("-")[:2]
        table = table[(table.family == family) & table.gpu.str.contains({"2080ti": "2080", "a100": "A100"}[gpu])]
    else:
        # folds and groups left out test every run once, so that what the audit set apart is what they lack
        table = table[table.line.isin({line for split in case["splits"] for line in split["lines"]})]
    assert len(table) == case["n_rows"], (case["case"], len(table), case["n_rows"])
    return table.reset_index(drop=True)


def groups_of(case, table):
    hold_out = case["hold_out"]
    if hold_out == "family":
        # GroupShuffleSplit sorts groups by name: wattlaw writes numbers without a point and absent ones empty
        text = table[FAMILY_KEY].map(lambda x: "" if pd.isna(x) else f"{x:g}" if isinstance(x, float) else str(x))
        return text.agg("|".join, axis=1)
    if hold_out == "architecture":
        return table.layers.astype(str) + "x" + table.hidden_size.astype(str)
    return table[COLUMNS.get(hold_out, hold_out)].astype(str)


def splits_of(case, table):
    scheme = case["scheme"]
    if scheme == "8 shuffles":
        groups = groups_of(case, table)
        return list(GroupShuffleSplit(8, test_size=0.3, random_state=SEED).split(table, groups=groups))
    if scheme == "each left out":
        return list(LeaveOneGroupOut().split(table, groups=groups_of(case, table)))
    groups = groups_of(case, table)
    # the study's compute proxy, as `split/scale.rs` takes it
    scale = np.log(20.0 * table.layers * table.hidden_size**2 * table.tokens)
    by_group = scale.groupby(groups).median()
    low, high = by_group.quantile([0.25, 0.75])
    of_group = groups.map(by_group)
    masks = [of_group > high, of_group < low]
    return [(np.flatnonzero(~mask), np.flatnonzero(mask)) for mask in masks]


def checked(case, table, splits):
    """The splits, once they hold out what the suite's do, in whichever order groups are left out."""
    drawn = sorted(sorted(table.line[test]) for _, test in splits)
    told = sorted(sorted(split["lines"]) for split in case["splits"])
    assert drawn == told, f"{case['case']}: scikit-learn's splits are not the suite's"
    return splits


def inputs(case, table):
    numbers = STUDY_NUMBERS if "multi_gpu" in case["table"] else STEP_NUMBERS
    labels = [name for name in LABELS if name in table]
    x = table[numbers].astype(float).fillna(-1.0)
    return pd.concat([x, pd.get_dummies(table[labels].astype(object).fillna(""), dtype=float)], axis=1).to_numpy()


def main(data, suite):
    print(f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, pandas {pd.__version__}; defaults, random_state 0")
    print(f"{'case':26}{'of':8}{'R²':>9}{'median error':>14}{'mean error':>12}  R² split by split")
    for case in json.load(open(suite))["cases"]:
        if case["case"] == "made-up":
            continue
        table = rows_of(case, data)
        splits = checked(case, table, splits_of(case, table))
        x = inputs(case, table)
        columns = {"energy": "energy_kwh", "time": "duration_s"} if "energy_kwh" in table else {"time": "step_time_s"}
        for of, column in columns.items():
            y = np.log(table[column].to_numpy())
            r2, median, errors = [], [], []
            for train, test in splits:
                found = GradientBoostingRegressor(random_state=0).fit(x[train], y[train]).predict(x[test])
                r2.append(1 - np.sum((y[test] - found) ** 2) / np.sum((y[test] - y[test].mean()) ** 2))
                error = np.abs(np.exp(found - y[test]) - 1)
                median.append(np.median(error))
                errors.extend(error)
            each = " ".join(f"{x:.4f}" for x in r2)
            print(f"{case['case']:26}{of:8}{np.median(r2):9.4f}{100 * np.median(median):12.2f} %{100 * np.mean(errors):10.2f} %"
                  f"  {each}")


if __name__ == "__main__":
    main(*sys.argv[1:])
