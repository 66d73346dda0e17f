"""Rows and splits of the accuracy suite, for other programs, and their scores on the same held-out groups.

`wattlaw validate --suite --with-rows --format json > suite.json` writes every run of every source with its job, and for
each case the runs that each fit lacks. A program gives a time (s) and a power (W a GPU) for each row, or None where it
does not know the job; `evaluate` scores them as the suite scores the law: the median error of each held-out group, the
mean over groups, and the mean over runs. Groups where a program answers no row are left out of its means, and the number
of rows that it answers stands beside them.
"""

import json
import math
import statistics
from collections import defaultdict

TARGETS = ("duration", "power", "energy")


class Suite:
    def __init__(self, path):
        with open(path) as file:
            report = json.load(file)
        if not report.get("rows"):
            raise SystemExit(f"{path} has no rows; write it with --with-rows")
        self.rows = {(row["source"], row["line"]): row for row in report["rows"]}
        self.cases = [case for case in report["held_out"] if case["splits"]]
        self.tables = report["cases"]

    def fitted(self):
        """The rows that a law may be fitted on."""
        return {key: row for key, row in self.rows.items() if row["purpose"] == "fit"}


def peak_tflops(row):
    """The accelerator's dense peak in the job's precision; in 16 bits, or else in 32, where the data sheet has none."""
    accelerator = row["accelerator"]
    names = (row["job"]["workload"]["precision"], "fp16", "fp32")
    return next(peak for name in names if (peak := accelerator.get(f"{name}_tflops")))


def keys(split):
    return [(source, line) for source, lines in split["lines"].items() for line in lines]


def errors(row, answer):
    """Relative errors of time, power and energy, where both are there."""
    time, power = answer
    found = {"duration": time, "power": power, "energy": time and power and time * power}
    measured = {"duration": row["time_s"], "power": row["power_w"],
                "energy": row["time_s"] and row["power_w"] and row["time_s"] * row["power_w"]}
    return {t: abs(found[t] / measured[t] - 1) for t in TARGETS if found[t] and measured[t] and math.isfinite(found[t])}


def evaluate(suite, name, predict, note, fitted=False, in_sample=()):
    """Scores a program. `predict(train, test)` gives a (time, power) for each key of `test`, or None; `train` is the rows
    that it may be fitted on, which a program without a fit ignores. `in_sample` names sources that it was fitted on before."""
    memory = {}
    report = {"peer": name, "note": note, "in_sample": list(in_sample), "cases": {}}
    for case in suite.cases:
        groups = defaultdict(lambda: {target: [] for target in TARGETS})
        named = {group["held_out"] for group in case["groups"]}
        n_rows = 0
        for split in case["splits"]:
            test = keys(split)
            if fitted:
                train = {key: row for key, row in suite.fitted().items() if key not in set(test)}
                answers = predict(train, {key: suite.rows[key] for key in test})
            else:
                new = {key: suite.rows[key] for key in test if key not in memory}
                memory.update(predict({}, new))
                answers = memory
            for key in test:
                n_rows += 1
                if answers.get(key) is None:
                    continue
                group = key[0] if case["case"] == "configurations" else split["held_out"]
                # the suite lists the study's rows and those of other purposes apart
                apart = f"{group}, apart"
                if apart in named and (group not in named or key[0].startswith("study-")):
                    group = apart
                for target, error in errors(suite.rows[key], answers[key]).items():
                    groups[group][target].append(error)
        report["cases"][case["case"]] = summary(case, groups, n_rows)
        show(name, case["case"], report["cases"][case["case"]])
    return report


def summary(case, groups, n_rows):
    of_suite = {group["held_out"]: group for group in case["groups"]}
    result = {"n_rows": n_rows, "groups": {}, "over": {}}
    for name, found in sorted(groups.items()):
        result["groups"][name] = {target: {"n": len(e), "median_error": statistics.median(e), "mean_error": statistics.mean(e)}
                                  for target, e in found.items() if e}
    for over in ("seen", "all"):
        counted = [name for name in result["groups"]
                   if of_suite[name]["counts"] and (over == "all" or of_suite[name]["seen"])]
        result["over"][over] = {}
        for target in TARGETS:
            scores = [result["groups"][name][target] for name in counted if target in result["groups"][name]]
            if scores:
                n = sum(score["n"] for score in scores)
                result["over"][over][target] = {
                    "n_groups": len(scores),
                    "n_rows": n,
                    "mean_of_medians": statistics.mean(score["median_error"] for score in scores),
                    "pooled_mape": sum(score["mean_error"] * score["n"] for score in scores) / n,
                }
    return result


def show(name, case, result):
    for over, targets in result["over"].items():
        for target, score in targets.items():
            print(f"{name:28} {case:20} {over:5} {target:9} {score['n_groups']:3} groups {score['n_rows']:5} runs"
                  f"  mean of medians {100 * score['mean_of_medians']:7.1f} %  mean over runs {100 * score['pooled_mape']:7.1f} %",
                  flush=True)


def write(report, path):
    with open(path, "w") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
