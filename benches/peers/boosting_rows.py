"""Gradient boosting on the held-out sources, configurations, chips, software and models of the accuracy suite.

GradientBoostingRegressor with scikit-learn's defaults explains ln(time over that of 6·N·D FLOPs at the peak) and ln(power
over TDP) by what is known before the run: the job's fields and the accelerator's data sheet, numbers as logarithms. It is
fitted for each split on the rows that the law is fitted on.

Usage:    wattlaw validate --suite --with-rows --format json > suite.json
          python benches/peers/boosting_rows.py suite.json boosting.json
Needs:    benches/peers/requirements-boosting.txt
"""

import sys

import numpy as np
import pandas as pd
import sklearn
from sklearn.ensemble import GradientBoostingRegressor

from suite_rows import Suite, evaluate, peak_tflops, write

LABELS = {"precision", "strategy", "checkpointing", "framework", "attention", "optimizer", "family", "task", "network", "gpu"}


def baseline(row):
    """Seconds of 6·N·D FLOPs at the peak, and thermal design power."""
    workload, system, split = row["job"]["workload"], row["job"]["system"], row["job"]["parallelism"]
    tokens = workload["micro_batch"] * workload.get("grad_accum", 1) * split.get("dp", 1) * workload.get("seq_len", 1)
    return 6 * row["active_parameters"] * tokens * row["steps"] / (system["gpus"] * 1e12 * peak_tflops(row)), row["accelerator"]["tdp_w"]


def inputs(rows):
    records = []
    for row in rows.values():
        record = {"ln active_parameters": np.log(row["active_parameters"]), "ln steps": np.log(row["steps"]),
                  "ln tdp": np.log(row["accelerator"]["tdp_w"]), "ln peak": np.log(peak_tflops(row)),
                  "ln hbm_gb_per_s": np.log(row["accelerator"]["hbm_gb_per_s"]), "lora": 0.0}
        for part in ("model", "workload", "parallelism", "system"):
            for name, value in row["job"][part].items():
                if name == "lora":
                    record["lora"] = float(value["rank"])
                elif name in LABELS and isinstance(value, str):
                    record[f"{name} {value}"] = 1.0
                elif isinstance(value, bool):
                    record[name] = float(value)
                elif isinstance(value, (int, float)) and name not in ("tokens", "steps", "epochs"):
                    record[f"ln {name}"] = np.log1p(value)
        records.append(record)
    return pd.DataFrame(records)


def fitted(x, rows, response):
    """A fit of the logarithm of a response over its baseline; the key of the rows with it."""
    of = {"time_s": 0, "power_w": 1}[response]
    known = np.array([row[response] is not None for row in rows])
    y = np.array([np.log(row[response] / baseline(row)[of]) for row in rows if row[response] is not None])
    return GradientBoostingRegressor(random_state=0).fit(x[known], y)


def predict(train, test):
    rows = list(train.values()) + list(test.values())
    x = inputs(dict(enumerate(rows))).fillna(0.0).to_numpy()
    n = len(train)
    time = fitted(x[:n], rows[:n], "time_s").predict(x[n:])
    power = fitted(x[:n], rows[:n], "power_w").predict(x[n:])
    answers = {}
    for i, (key, row) in enumerate(test.items()):
        seconds, watts = baseline(row)
        answers[key] = (float(np.exp(time[i]) * seconds), float(np.exp(power[i]) * watts))
    return answers


def main(suite, out):
    name = f"gradient boosting, scikit-learn {sklearn.__version__}"
    write(evaluate(Suite(suite), name, predict, "fitted on the rows that the law is fitted on", fitted=True), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
