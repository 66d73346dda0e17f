"""Draws the pictures of README.md and of docs/ from what `wattlaw --format json` prints.

    cargo build --release -p wattlaw-cli
    python3 -m venv .venv && .venv/bin/pip install matplotlib
    .venv/bin/python docs/img/make.py              # or only some: docs/img/make.py energy interval

`WATTLAW` names another program than target/release/wattlaw. accuracy.svg and efficiency.svg need the study's table beside the repository (../shared/data); they show medians over splits
and over configurations, no runs. sources.svg is drawn from a table of docs/project/accuracy.md.
Made with matplotlib 3.11. `--png FOLDER` also writes the pictures as PNG, to look at.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STUDY = ROOT / "../shared/data/multi_gpu_2026"
OURS, THEIRS, OTHER = "#1b6ca8", "#c8553d", "#4d7c4f"
TERMS = "strategy + log_C + log_M + log_eta + log_micro_steps + log_layers"

plt.rcParams.update({
    "font.size": 10, "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
    "svg.hashsalt": "wattlaw", "svg.fonttype": "none", "figure.facecolor": "white",
})


def wattlaw(*words):
    """The JSON that the program prints."""
    program = os.environ.get("WATTLAW", ROOT / "target/release/wattlaw")
    done = subprocess.run([program, *words, "--format", "json"], cwd=ROOT, check=True, capture_output=True)
    return json.loads(done.stdout)


def save(figure, name):
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    if "--png" in sys.argv:
        figure.savefig(Path(sys.argv[sys.argv.index("--png") + 1]) / f"{name}.png", dpi=110)


def energy():
    """What the energy of five of the examples' jobs is spent on, and how much it is."""
    jobs = (
        ("job", "BERT base, 10 M tokens", "4 × A100, FSDP"),
        ("lora-job", "Llama 3 8B, LoRA, 10 M tokens", "1 × A100"),
        ("vit-job", "ViT base, 9 M images", "8 × V100, DDP"),
        ("moe-job", "Mixture of 8 experts, 1 B tokens", "4 × H100, FSDP"),
        ("3d-job", "Llama 2 13B, 1 B tokens", "32 × A100, dp 4 · tp 4 · pp 2"),
    )
    parts = (
        ("compute_j", "FLOPs", "#1b6ca8"), ("memory_j", "memory traffic", "#6aaed6"), ("communication_j", "communication", "#4d7c4f"),
        ("kernel_j", "kernels", "#a3c586"), ("static_j", "idle (static) power", "#c8553d"), ("waiting_j", "waiting in collectives", "#e8b4a0"),
    )
    figure, axis = plt.subplots(figsize=(9.2, 3.7), layout="constrained")
    for y, (name, what, on) in enumerate(reversed(jobs)):
        answer = wattlaw("predict", f"examples/{name}.toml")
        spent, left = answer["breakdown"]["energy"], 0
        for part, label, colour in parts:
            share = 100 * spent[part] / spent["total_j"]
            axis.barh(y, share, left=left, height=0.62, color=colour, edgecolor="white", linewidth=1,
                      label=label if y == 0 else None)
            if share >= 7:
                dark = part in ("compute_j", "communication_j", "static_j")
                axis.text(left + share / 2, y, f"{share:.0f} %", ha="center", va="center", fontsize=9,
                          color="white" if dark else "#222222")
            left += share
        axis.text(-1.5, y + 0.13, what, ha="right", va="center", fontsize=10)
        axis.text(-1.5, y - 0.17, on, ha="right", va="center", fontsize=8, color="#666666")
        low, mid, high = (answer["energy_j"][end] / 3600 for end in ("lower", "estimate", "upper"))
        unit, scale = ("kWh", 1000) if mid >= 1000 else ("Wh", 1)
        axis.text(101.5, y + 0.13, f"{mid / scale:.3g} {unit}", va="center", fontsize=10, fontweight="bold")
        axis.text(101.5, y - 0.17, f"95 %: {low / scale:.3g} to {high / scale:.3g}", va="center", fontsize=8, color="#666666")
    axis.set_xlim(0, 100)
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9, handlelength=1,
                  columnspacing=1.4)
    figure.suptitle("Where the energy goes, predicted before the run", fontsize=12, fontweight="bold")
    save(figure, "energy")


def interval():
    """Energy and time of examples/job.toml by GPU count, with their intervals."""
    counts = (1, 2, 4, 6)
    answers = [
        wattlaw("predict", "examples/job.toml", "--gpus", str(n), "--strategy", "fsdp" if n > 1 else "single")
        for n in counts
    ]
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 2.9), layout="constrained")
    for axis, quantity, unit, scale, ticks in (
        (axes[0], "energy_j", "energy, Wh", 3600, (3, 10, 30, 100)),
        (axes[1], "duration_s", "time, min", 60, (0.5, 1, 2, 4, 8)),
    ):
        for x, answer in enumerate(answers):
            low, mid, high = (answer[quantity][end] / scale for end in ("lower", "estimate", "upper"))
            shown = counts[x] == 4
            axis.plot([x, x], [low, high], color=OURS, linewidth=7, alpha=0.55 if shown else 0.25, solid_capstyle="butt")
            axis.plot(x, mid, "o", color=OURS, markersize=7)
            axis.annotate(f"{mid:.3g}", (x, mid), xytext=(9, -3), textcoords="offset points", color=OURS)
        axis.set_yscale("log")
        axis.set_xlim(-0.5, len(counts) - 0.3)
        axis.set_xticks(range(len(counts)), [f"{n}" for n in counts])
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.set_xlabel("GPUs (A100 40 GB)")
        axis.set_ylabel(unit)
        axis.grid(axis="y", alpha=0.25)
    figure.suptitle("BERT base, 10 M tokens: estimate and 95 % interval (the predicted job is the darker bar)", fontsize=10)
    save(figure, "interval")


def accuracy():
    """Medians over 20 splits with whole configuration families held out."""
    runs = str(STUDY / "runs.csv")
    published = json.loads((STUDY / "reference.json").read_text())["published_split_medians"]
    settings = ("bert", "gpt", "pooled")
    found = {s: wattlaw("validate", runs, "--law", "scaling", "--setting", s, "--scheme", "study") for s in settings}
    richer = {
        "bert": wattlaw("validate", runs, "--law", "scaling", "--setting", "bert", "--terms", TERMS + " + gpu"),
        "gpt": wattlaw("validate", runs, "--law", "scaling", "--setting", "gpt", "--terms", TERMS + " + gpu"),
        "pooled": wattlaw("validate", runs, "--law", "scaling", "--terms", TERMS + " + family + log_hbm_bandwidth"),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2), layout="constrained", sharey=True)
    rows = [(s, when) for s in settings for when in ("after", "before")]
    for y, (s, when) in enumerate(reversed(rows)):
        ours = found[s] if when == "after" else found[s]["before_run"]
        theirs = published["measured_eta_postrun" if when == "after" else "predicted_eta_prerun"][s]["r2"]
        for axis, score, scale in ((left, "r2", 1), (right, "median_ape", 100)):
            spread = ours[score]
            axis.plot([spread["q25"] * scale, spread["q75"] * scale], [y, y], color=OURS, linewidth=6, alpha=0.3,
                      solid_capstyle="butt")
            axis.plot(spread["median"] * scale, y, "o", color=OURS, label="study's law, here" if y == 0 else None)
        left.plot(theirs, y, "|", color=THEIRS, markersize=17, markeredgewidth=2, label="published" if y == 0 else None)
        if when == "before":
            for axis, score, scale in ((left, "r2", 1), (right, "median_ape", 100)):
                axis.plot(richer[s]["before_run"][score]["median"] * scale, y, "D", color=OTHER,
                          label="terms of the built-in calibrations" if y == 0 else None)
    left.set_yticks(range(len(rows)), [f"{s}, {when} the run" for s, when in reversed(rows)])
    left.set_xlabel("R² of ln energy")
    right.set_xlabel("median error of energy, %")
    right.set_xlim(0, None)
    for axis in (left, right):
        axis.grid(axis="x", alpha=0.25)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle("Runs not seen: 20 splits by configuration family, median and quartiles", fontsize=10)
    save(figure, "accuracy")


def efficiency():
    """Multi-GPU scaling on the study's machines: medians over configurations, and their intervals."""
    rows = wattlaw("efficiency", str(STUDY / "runs.csv"))["rows"]
    short = {"NVIDIA A100-SXM4-40GB": "A100", "NVIDIA GeForce RTX 2080 Ti": "RTX 2080 Ti", "Tesla T4": "T4"}
    words = {"gpt": "GPT", "bert": "BERT", "fsdp": "FSDP", "tp": "tensor-parallel"}
    looks = {"A100": (OURS, "o"), "T4": (OTHER, "s"), "RTX 2080 Ti": (THEIRS, "D")}
    lines = {}
    for row in rows:
        lines.setdefault((short[row["gpu"]], row["family"], row["strategy"]), []).append(row)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.4), layout="constrained")
    left.plot([1, 6], [1, 6], ":", color="grey", label="linear speed-up")
    for (gpu, family, strategy), line in lines.items():
        colour, marker = looks[gpu]
        dashes = {("gpt", "fsdp"): "-", ("bert", "fsdp"): "--", ("bert", "tp"): "-."}[family, strategy]
        counts = [1] + [row["gpus"] for row in line]
        label = f"{words[family]}, {words[strategy]}, {gpu}"
        for axis, quantity, of in (
            (left, "throughput_gain", lambda x: x),
            (right, "energy_per_token_change_pct", lambda x: 1 + x / 100),
        ):
            middle, low, high = ([1] + [of(row[quantity][end]) for row in line] for end in ("median", "lower", "upper"))
            axis.plot(counts, middle, dashes, marker=marker, color=colour, markersize=5, label=label)
            axis.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xticks([1, 2, 4, 6], ["1", "2", "4", "6"])
        axis.set_xlabel("GPUs")
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.25)
    left.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    left.set_ylabel("throughput gain over one GPU")
    right.set_yticks([1, 1.25, 1.5, 2, 4, 8], ["±0", "+25", "+50", "+100", "+300", "+700"])
    right.set_ylabel("energy per token, %")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle("Measured runs beside their single-GPU baselines: median and 95 % interval", fontsize=10)
    save(figure, "efficiency")


def sources():
    """Median errors of time by source held out, of the law and of others, from the table of docs/project/accuracy.md."""
    page = (ROOT / "docs/project/accuracy.md").read_text()
    rows = page.split("<!-- suite: others-by-source -->")[1].split("| *time* |")[1].split("| *")[0].splitlines()[1:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("| ")]
    shown = [row for row in cells if "apart" not in row[0] and "mean" not in row[0]]
    looks = (
        (1, "wattlaw", OURS, "o"), (2, "6·N·D at 40 % of the peak", "#999999", "|"), (4, "gradient boosting", OTHER, "^"),
        (5, "Kavier", THEIRS, "D"), (6, "llm-analysis", "#8a63b0", "s"),
    )
    figure, axis = plt.subplots(figsize=(7.6, 0.27 * len(shown) + 1.5), layout="constrained")
    for column, label, colour, marker in looks:
        points = [
            (float(row[column].split()[0]), at, "‡" in row[column])
            for at, row in enumerate(reversed(shown)) if row[column] != "–"
        ]
        # an open mark is of a program that was fitted on the source
        for fitted in (False, True):
            of = [(x, y) for x, y, is_fitted in points if is_fitted == fitted]
            fill = {"color": colour} if marker == "|" else {"facecolors": "none" if fitted else colour, "edgecolors": colour}
            axis.scatter(*zip(*of) if of else ([], []), marker=marker, s=42 if column == 1 else 26, **fill,
                         label=None if fitted else label, zorder=3 if column == 1 else 2)
    axis.set_yticks(range(len(shown)), [row[0] for row in reversed(shown)])
    axis.set_xscale("log")
    axis.set_xticks([1, 3, 10, 30, 100, 300, 1000, 3000], ["1", "3", "10", "30", "100", "300", "1,000", "3,000"])
    axis.minorticks_off()
    axis.set_xlabel("median error of the time, %")
    axis.grid(alpha=0.25)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle("Runs of a source that was held out; open marks: the program was fitted on it", fontsize=10)
    save(figure, "sources")


PICTURES = {picture.__name__: picture for picture in (energy, interval, accuracy, efficiency, sources)}

if __name__ == "__main__":
    for name in [word for word in sys.argv[1:] if word in PICTURES] or PICTURES:
        PICTURES[name]()
