"""Writes the tables of docs/project/accuracy.md, of README.md and of docs/how-to/calibrate.md from the JSON of the accuracy suite and of the peers.

    wattlaw validate --suite --with-rows --format json > suite.json
    python benches/peers/boosting_rows.py suite.json boosting.json        # and the other peers, each where it can run
    python benches/accuracy.py suite.json boosting.json …

A table stands between `<!-- suite: NAME -->` and `<!-- suite: end -->`; the text around it is written by hand. Needs Python
alone.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs/project/accuracy.md", ROOT / "docs/how-to/calibrate.md", ROOT / "README.md"]
TARGETS = {"duration": "time", "power": "power", "energy": "energy"}
MEASURES = {"mean_of_medians": "mean of median errors", "pooled_mape": "mean over runs", "half_width_factor": "95 % half-width",
            "coverage": "coverage of 95 %", "r2": "R²", "median_ape": "median error", "absolute_error": "error",
            "small_to_large": "R², small to large", "large_to_small": "R², large to small"}
REACHED = {"aim": "aim", "floor": "floor", "no": "**missed**"}
ROOFLINE, PHYSICS = "roofline", "roofline, no discrepancy"
LAWS = [(ROOFLINE, "one law"), (PHYSICS, "without discrepancy"), ("scaling, before the run", "scaling, before the run"),
        ("scaling, after the run", "after it"), ("TDP × predicted time", "TDP × predicted time"),
        ("6·N·D at 40 % of peak", "6·N·D")]


def percent(share, decimals=1):
    return "–" if share is None else f"{100 * share:.{decimals}f} %"


def factor(value):
    return "no end" if value is None else f"×{value:.2f}"


def value(measure, x):
    if isinstance(x, list):
        return f"{100 * x[0]:.0f}–{100 * x[1]:.0f} %"
    if x is None:
        return "–"
    if measure == "half_width_factor":
        return factor(x)
    if measure in ("r2", "small_to_large", "large_to_small"):
        return f"{x:.4f}"
    return percent(x, 0 if measure == "coverage" else 1)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figure(f):
    of = f["measure"]
    return [f["case"], TARGETS[f["target"]], MEASURES.get(of, of), value(of, f["found"]), value(of, f["least"]),
            value(of, f["aim"]), REACHED[f["met"]]]


def figures(suite, _):
    """The figures of the one law on what was held out of all sources."""
    cases = {case["case"] for case in suite["held_out"]}
    rows = []
    for f in suite["figures"]:
        if f["case"] in cases:
            case, *rest = figure(f)
            seen = ", chip and program seen" if "are seen" in f["held_out"] else ""
            rows.append([f"[{case}](#{case}){seen}", *rest])
    return table(["held out", "of", "measure", "found", "floor", "aim", "reached"], rows)


def all_figures(suite, _):
    counts = {met: sum(f["met"] == met for f in suite["figures"]) for met in REACHED}
    title = f"All {len(suite['figures'])} figures: {counts['aim']} reach their aim, {counts['floor']} their floor, {counts['no']} neither"
    text = table(["case", "of", "measure", "found", "floor", "aim", "reached"], [figure(f) for f in suite["figures"]])
    return f'??? note "{title}"\n\n' + "\n".join("    " + line for line in text.splitlines())


def missed(suite, _):
    """The figures that miss their floor, by case."""
    by_case = {}
    for f in suite["figures"]:
        if f["met"] == "no":
            of = f["measure"]
            text = f"{TARGETS[f['target']]}, {MEASURES.get(of, of)}: {value(of, f['found'])} ({value(of, f['least'])})"
            by_case.setdefault(f["case"], []).append(text)
    total = sum(len(texts) for texts in by_case.values())
    if not total:
        return f"All {len(suite['figures'])} figures reach their floor."
    lines = [f"Of {len(suite['figures'])} figures {total} miss their floor (in brackets):", ""]
    return "\n".join(lines + [f"- {case}: {'; '.join(texts)}" for case, texts in by_case.items()])


def group(name):
    def write(suite, _):
        case = next((case for case in suite["held_out"] if case["case"] == name), None)
        if case is None:
            return "not in this report"
        powers = any(g["power"] or g["energy"] for g in case["groups"])
        header = ["held out", "runs", "time: median, mean", "predicted over measured", "coverage, half-width"]
        header += ["power: median", "coverage, half-width", "energy: median", "coverage, half-width"] if powers else []
        header += ["6·N·D: time"] + (["energy"] if powers else [])

        def cells(g):
            time, power, energy = g["duration"], g["power"], g["energy"]
            covered = lambda s: f"{percent(s['coverage'], 0)}, {factor(s['half_width_factor'])}" if s else "–"  # noqa: E731
            row = [str(max(s["n"] for s in (time, power, energy) if s))]
            row += [f"{percent(time['median_error'])}, {percent(time['mean_error'])}", f"×{time['median_ratio']:.2f}",
                    covered(time)] if time else ["–"] * 3
            if powers:
                row += [percent(power and power["median_error"]), covered(power)]
                row += [percent(energy and energy["median_error"]), covered(energy)]
            row += [percent(time and time["baseline_median_error"], 0)]
            return row + ([percent(energy and energy["baseline_median_error"], 0)] if powers else [])

        marks = {(False, False): " (apart)", (False, True): " (apart)", (True, False): " †", (True, True): ""}
        unseen = name in ("sources", "fine-tuning-models")
        rows = [[g["held_out"] + (marks[g["counts"], g["seen"] or not unseen]), *cells(g)] for g in case["groups"]]
        for over, words in (("seen", "**mean, seen**"), ("all", "**mean, all**")):
            found = {s["target"]: s for s in case["summaries"] if s["over"] == over}
            if "duration" not in found or (over == "seen" and not unseen):
                continue
            time = found["duration"]
            row = [words, str(time["n_rows"]), f"{percent(time['mean_of_medians'])}, {percent(time['pooled_mape'])}", "",
                   f"{percent(time['coverage'], 0)}, {factor(time['half_width_factor'])}"]
            if powers:
                for target in ("power", "energy"):
                    s = found.get(target)
                    row += [percent(s and s["mean_of_medians"]),
                            f"{percent(s['coverage'], 0)}, {factor(s['half_width_factor'])}" if s else "–"]
            row += [percent(time["baseline_mean_of_medians"], 0)]
            if powers:
                row += [percent(found["energy"]["baseline_mean_of_medians"], 0) if "energy" in found else "–"]
            rows.append(row)
        notes = "".join(f"\n\n{note}." for note in case["notes"])
        return table(header, rows) + notes
    return write


def scores(case, target):
    return {score["name"]: score for score in case["laws"] if score["target"] == target}


def study(suite, _):
    rows = []
    for target in ("energy", "duration"):
        rows.append([f"*{TARGETS[target]}*"] + [""] * len(LAWS))
        for case in suite["cases"]:
            if "multi_gpu" not in case["table"]:
                continue
            found = scores(case, target)
            shown = [f"{s['r2']['median']:.4f}, {percent(s['median_ape']['median'])}" if (s := found.get(name)) else "–"
                     for name, _ in LAWS]
            rows.append([f"{case['case']} ({case['hold_out']}, {case['scheme']})", *shown])
    return table(["runs, held out", *(name for _, name in LAWS)], rows)


def steps(suite, _):
    rows = []
    for case in suite["cases"]:
        if "step_time" in case["table"]:
            found = scores(case, "duration")
            shown = [percent(found[name]["pooled_mape"]) if name in found else "–" for name, _ in LAWS
                     if name not in ("TDP × predicted time", "scaling, after the run")]
            coverage = found[ROOFLINE]["coverage"]
            rows.append([case["case"], case["hold_out"], *shown, percent(coverage["median"] if coverage else None, 0)])
    names = [name for law, name in LAWS if law not in ("TDP × predicted time", "scaling, after the run")]
    return table(["step times", "held out", *names, "coverage of 95 %"], rows)


def intervals(suite, _):
    rows = []
    for case in suite["cases"]:
        row = []
        for target in ("energy", "duration"):
            score = scores(case, target).get(ROOFLINE)
            if not score or not score.get("levels"):
                row += ["–", "–"]
                continue
            row.append(" / ".join(f"{100 * level['coverage']:.0f}" for level in score["levels"]))
            row.append(factor(score["half_width_factor"]["median"]))
        if case["case"] != "made-up":
            rows.append([case["case"], *row])
    return table(["case", "energy: inside 50 / 80 / 95 / 99 %", "half-width", "time: inside 50 / 80 / 95 / 99 %", "half-width"], rows)


def published(suite, _):
    off = lambda c: f"{100 * c['error']:+.1f} %"  # noqa: E731
    rows = [[run["run"], run["scope"], f"{run['energy_kwh']['measured']:.4g} kWh", off(run["energy_kwh"]), off(run["duration_h"]),
             off(run["energy_given_time_kwh"]), off(run["rated_energy_kwh"]), off(run["six_nd_energy_kwh"]),
             off(run["six_nd_duration_h"])] for run in suite["published"]]
    return table(["run", "scope", "measured", "energy", "time", "energy, time given", "TDP × predicted time", "6·N·D: energy",
                  "time"], rows)


def others(suite, peers):
    """Means over held-out groups, ours and theirs."""
    header = ["held out", "of", "one law", "6·N·D at 40 %", *(peer["peer"] for peer in peers)]
    rows = []
    for case in suite["held_out"]:
        over = "seen" if case["case"] == "sources" else "all"
        for target, word in TARGETS.items():
            ours = next((s for s in case["summaries"] if s["over"] == over and s["target"] == target), None)
            if not ours or not case["splits"]:
                continue
            theirs = []
            for peer in peers:
                found = peer["cases"].get(case["case"], {"over": {}})["over"].get(over, {}).get(target)
                if not found:
                    theirs.append("–")
                    continue
                some = "" if found["n_rows"] == ours["n_rows"] else f" ({found['n_rows']} of {ours['n_rows']} runs)"
                theirs.append(percent(found["mean_of_medians"]) + some)
            name = case["case"] + (", chip and program seen" if over == "seen" else "")
            rows.append([name, word, percent(ours["mean_of_medians"]), percent(ours["baseline_mean_of_medians"]), *theirs])
    return table(header, rows)


def others_by_source(suite, peers):
    case = next(case for case in suite["held_out"] if case["case"] == "sources")
    rows = []
    for target, word in TARGETS.items():
        if target == "power":
            continue
        rows.append([f"*{word}*"] + [""] * (2 + len(peers)))
        for g in case["groups"]:
            if not g[target]:
                continue
            theirs = [p["cases"].get("sources", {"groups": {}})["groups"].get(g["held_out"], {}).get(target) for p in peers]
            marks = [" ‡" if g["held_out"] in p.get("in_sample", []) else "" for p in peers]
            shown = [percent(t["median_error"]) + mark if t else "–" for t, mark in zip(theirs, marks)]
            rows.append([g["held_out"], percent(g[target]["median_error"]), percent(g[target]["baseline_median_error"]), *shown])
    return table(["source held out", "one law", "6·N·D at 40 %", *(peer["peer"] for peer in peers)], rows)


SUMMARY = [("sources", "seen", "a source, its chip and software seen"), ("sources", "unseen", "a source, chip or software not seen"),
           ("configurations", "all", "configurations of known sources"), ("chips", "all", "a chip"),
           ("chips-given-5", "all", "a chip, five runs given"), ("stacks", "all", "a program"),
           ("fine-tuning-models", "all", "a model of the fine-tuning benchmark"), ("node-energy", "all", "a node at the wall")]


def over_groups(suite, case, over):
    found = next((c for c in suite["held_out"] if c["case"] == case), {"summaries": []})
    return {s["target"]: s for s in found["summaries"] if s["over"] == over}


def summary(suite, _):
    rows = []
    for case, over, words in SUMMARY:
        found = over_groups(suite, case, over)
        cells = []
        for target in ("duration", "energy"):
            score = found.get(target)
            cells += [percent(score["mean_of_medians"]), factor(score["half_width_factor"])] if score else ["–", "–"]
        rows.append([words, *cells])
    return table(["held out", "time", "95 % interval", "energy", "95 % interval"], rows)


def few_runs(suite, _):
    """Each chip without runs, and with five."""
    rows = []
    none, five = (next(c for c in suite["held_out"] if c["case"] == name)["groups"] for name in ("chips", "chips-given-5"))
    given = {g["held_out"]: g for g in five}
    for g in none:
        row = [g["held_out"]]
        for target in ("duration", "energy"):
            for group in (g, given.get(g["held_out"], {})):
                row.append(percent(group[target]["median_error"]) if group.get(target) else "–")
        rows.append(row)
    return table(["chip", "time, before any run", "after five runs", "energy, before any run", "after five runs"], rows)


def fits(suite, _):
    """What memory says of runs that ran."""
    rows = [[f["source"], str(f["runs"]), percent(f["does_not_fit"]), percent(f["more_likely_not"]), percent(f["left_out_of_plans"])]
            for f in suite["fits"]]
    return table(["source", "runs that ran", "said not to fit", "probability below one half", "left out of plans"], rows)


BLOCKS = {
    "summary": summary, "few-runs": few_runs,
    "figures": figures, "all-figures": all_figures, "missed": missed, "study": study, "steps": steps, "intervals": intervals,
    "published": published, "others": others, "others-by-source": others_by_source, "fits": fits,
    **{name: group(name) for name in ("sources", "configurations", "chips", "chips-given-5", "stacks", "frameworks",
                                      "fine-tuning-models", "node-energy")},
}


def main(suite, *peers):
    suite = json.loads(Path(suite).read_text())
    peers = [json.loads(Path(peer).read_text()) for peer in peers]

    def replace(match):
        block = BLOCKS[match[1]](suite, peers)
        return f"<!-- suite: {match[1]} -->\n\n{block}\n\n<!-- suite: end -->"

    for page in PAGES:
        text = page.read_text()
        page.write_text(re.sub(r"<!-- suite: ([a-z0-9-]+) -->\n.*?<!-- suite: end -->", replace, text, flags=re.S))


if __name__ == "__main__":
    main(*sys.argv[1:])
