"""Predictions of wattlaw 0.1.0 as it was before the one law, on the rows of the accuracy suite.

The program is built from the last revision with seven calibrations, each fitted on one table, of which the nearest
answered. It is used as shipped: the study's runs, nanotron's and llm-foundry's on A100 are those that its calibrations were
fitted on, so on these sources it is in sample, whatever a case holds out. The scope of its energy is that of the
calibration; where the measurement is of the GPUs, its part of the host is taken off.

Usage:    wattlaw validate --suite --with-rows --format json > suite.json
          python benches/peers/before_one_law.py suite.json before.json [PROGRAM]
Needs:    git and cargo; with PROGRAM, a program that is built already
"""

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from suite_rows import Suite, evaluate, write

REVISION = "dc60b140"
ROOT = Path(__file__).resolve().parents[2]
IN_SAMPLE = ["study-gpt", "study-bert", "nanotron", "llm-foundry-a100"]
# fields that came later, whose names of that time were others, or whose values were refused
LATER = {"model": ["vocab_multiple"], "workload": ["framework", "state_precision"], "system": ["network", "host_power_w"]}


def build(folder):
    subprocess.run(["git", "worktree", "add", "--detach", folder, REVISION], cwd=ROOT, check=True)
    try:
        subprocess.run(["cargo", "build", "--release", "-p", "wattlaw-cli"], cwd=folder, check=True)
        program = Path(folder, "target/release/wattlaw").rename(Path(folder).with_suffix(".wattlaw"))
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)
    return program


def answer(program, row):
    job = json.loads(json.dumps(row["job"]))
    for part, names in LATER.items():
        for name in names:
            job[part].pop(name, None)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        ran = subprocess.run([program, "predict", file.name, "--format", "json"], capture_output=True, text=True, timeout=60)
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1].replace(file.name, "job")[:120]
        REFUSED[reason] = REFUSED.get(reason, 0) + 1
        return None
    found = json.loads(ran.stdout)
    if not found.get("duration_s"):
        return None
    seconds = found["duration_s"]["estimate"]
    watts = None
    if found.get("energy_j") and row["power_w"]:
        joules = found["energy_j"]["estimate"]
        if row["scope"] == "gpu" and found["scope"] != "gpu":
            joules -= found["breakdown"]["energy"]["host_j"]
        elif row["scope"] != found["scope"]:
            joules = 0
        watts = joules / seconds / row["job"]["system"]["gpus"] or None
    return seconds * row["steps"] / found["steps"], watts


REFUSED = {}


def main(suite, out, program=None):
    with tempfile.TemporaryDirectory() as folder:
        program = program or build(f"{folder}/wattlaw")

        def predict(_, rows):
            with ThreadPoolExecutor(2) as pool:
                return dict(zip(rows, pool.map(lambda row: answer(program, row), rows.values())))

        note = "as shipped; in sample on the study, nanotron and llm-foundry on A100"
        write(evaluate(Suite(suite), f"wattlaw 0.1.0 ({REVISION})", predict, note, in_sample=IN_SAMPLE), out)
    for reason, rows in sorted(REFUSED.items(), key=lambda item: -item[1]):
        print(f"not answered: {rows} rows, {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
