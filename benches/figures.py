"""Gathers the figures of `benches/run.sh`: lines of a name, a tab and a number, one a round.

Usage:    python3 benches/figures.py criterion FOLDER    prints the medians (s) of criterion's last runs below FOLDER
          python3 benches/figures.py summary FILE        prints median, lowest and highest of each name in FILE
"""

import json
import statistics
import sys
from pathlib import Path


def criterion(folder):
    for path in sorted(Path(folder).rglob("new/estimates.json")):
        name = json.loads(path.with_name("benchmark.json").read_text())["full_id"]
        nanoseconds = json.loads(path.read_text())["median"]["point_estimate"]
        print(f"{name}\t{nanoseconds * 1e-9:.4e}")


def summary(file):
    figures = {}
    for line in Path(file).read_text().splitlines():
        name, figure = line.split("\t")
        figures.setdefault(name, []).append(float(figure))
    for name, values in figures.items():
        print(f"{name:45} median {statistics.median(values):.4g}  lowest {min(values):.4g}  "
              f"highest {max(values):.4g}  of {len(values)}")


if len(sys.argv) != 3 or sys.argv[1] not in ("criterion", "summary"):
    sys.exit(__doc__)
(criterion if sys.argv[1] == "criterion" else summary)(sys.argv[2])
