"""Draws rooms.svg, the picture of ARCHITECTURE.md: crates and the folders of the library, with their imports as they are in the sources.

    python3 docs/img/rooms.py

Python's standard library only. An arrow leads from a room to one that it imports; arrows that follow from others are left out. A room that is new needs a line below.
"""

import re
import tomllib
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
CRATES = HERE.parent.parent / "crates"
PYTHON = HERE.parent.parent / "bindings/python/Cargo.toml"

# lane, from the left, and what is in the room
FOLDERS = {
    "validate": (1, "laws on held-out runs"),
    "plan": (0, "the cheapest way to train"),
    "predict": (0, "energy, time, memory, warnings"),
    "calibration": (1, "fitted laws as a file"),
    "audit": (2, "defects of run tables"),
    "law": (2, "the scaling law, the roofline law"),
    "data": (2, "measurements, run tables"),
    "memory": (0, "peak memory by part"),
    "record": (1, "the record of a measured run"),
    "cost": (0, "the ledger of operations"),
    "job": (0, "what is known before a run"),
    "stats": (2, "fits, splits, intervals"),
    "base": (1, "units, errors, text formats"),
}
PROGRAMS = {
    "wattlaw-python": (0, "the Python package"),
    "wattlaw-cli": (0, "the program: flags, commands, tables"),
    "nvml-mock": (2, "NVIDIA's library in tests"),
    "page": (1, "the library in a browser"),
    "wattlaw-ask": (0, "from files to an answer as JSON"),
    "wattlaw-table": (1, "CSV, Parquet, Arrow IPC"),
    "wattlaw-import": (0, "logs of other tools"),
    "wattlaw-launch": (1, "files that start a job"),
    "wattlaw-sweep": (2, "plans, runs, SLURM"),
    "wattlaw-meter": (2, "devices and records"),
}
LANES, WIDTH, HEIGHT, STEP = (165, 480, 795), 270, 38, 58


def folder_imports():
    """The folders that each folder of the library imports, but in its tests."""
    source = CRATES / "wattlaw/src"
    found = {}
    for folder in FOLDERS:
        files = [source / f"{folder}.rs", *sorted((source / folder).rglob("*.rs"))]
        text = "".join(file.read_text().split("#[cfg(test)]")[0] for file in files)
        found[folder] = {name for name in re.findall(r"crate::(\w+)", text) if name in FOLDERS and name != folder}
    unknown = {path.stem for path in source.iterdir()} - {*FOLDERS, "lib"}
    if unknown:
        raise SystemExit(f"crates/wattlaw/src has rooms without a line in this file: {sorted(unknown)}")
    return found


def crate_imports():
    """The crates of this project that each crate depends on."""
    found = {}
    for file in [*sorted(CRATES.glob("*/Cargo.toml")), CRATES.parent / "page/Cargo.toml"]:
        names = tomllib.loads(file.read_text())["dependencies"]
        found[file.parent.name] = {name for name in names if (CRATES / name).is_dir()}
    names = tomllib.loads(PYTHON.read_text())["dependencies"]
    found["wattlaw-python"] = {name for name in names if (CRATES / name).is_dir()}
    return found


def needed(imports):
    """The imports that do not follow from others."""
    def below(room):
        return imports[room].union(*(below(other) for other in imports[room]))

    return {room: {o for o in others if not any(o in below(p) for p in others - {o})} for room, others in imports.items()}


def levels(imports):
    """How many rooms lie below a room, one upon the other."""
    found = {}

    def level(room):
        if room not in found:
            found[room] = 1 + max((level(other) for other in imports[room]), default=-1)
        return found[room]

    for room in imports:
        level(room)
    return found


def box(x, y, name, what, dashed=False):
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<rect x="{x - WIDTH / 2}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff" stroke="#1b6ca8"{dash}/>'
        f'<text x="{x}" y="{y + 16}" text-anchor="middle" font-weight="bold">{escape(name)}</text>'
        f'<text x="{x}" y="{y + 31}" text-anchor="middle" font-size="12" fill="#444444">{escape(what)}</text>'
    )


def arrow(x1, y1, x2, y2):
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#777777" marker-end="url(#head)"/>'


def main():
    folders, crates = folder_imports(), crate_imports()
    level = levels(folders)
    top = 254
    place = {name: (LANES[lane], top + 34 + (max(level.values()) - level[name]) * STEP) for name, (lane, _) in FOLDERS.items()}
    rows = {"wattlaw-python": 10, "page": 10, "nvml-mock": 10, "wattlaw-cli": 68}
    rows |= dict.fromkeys(["wattlaw-import", "wattlaw-launch", "wattlaw-meter"], 126 + STEP)
    place |= {name: (LANES[lane], rows.get(name, 126)) for name, (lane, _) in PROGRAMS.items()}
    bottom = top + 34 + max(level.values()) * STEP + HEIGHT + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {bottom + 10}" font-family="sans-serif" font-size="14" fill="#111111">',
        "<title>Crates and folders, and what they import</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#777777"/></marker></defs>',
        f'<rect width="960" height="{bottom + 10}" fill="#ffffff"/>',
        f'<rect x="10" y="{top}" width="940" height="{bottom - top}" rx="8" fill="#eef4f9" stroke="#1b6ca8"/>',
        f'<text x="24" y="{top + 22}" font-weight="bold">wattlaw</text>'
        f'<text x="90" y="{top + 22}" font-size="12" fill="#444444">the library: no clock, network, device or printing</text>',
    ]
    for room, others in needed(folders).items():
        for other in sorted(others):
            (x1, y1), (x2, y2) = place[room], place[other]
            parts.append(arrow(x1, y1 + HEIGHT, x2, y2))
    for room, others in needed(crates).items():
        for other in sorted(others):
            x1, y1 = place[room]
            if other == "wattlaw":
                parts.append(arrow(x1, y1 + HEIGHT, x1, top))
            elif place[other][1] == y1:
                parts.append(arrow(x1 + WIDTH / 2, y1 + HEIGHT / 2, place[other][0] - WIDTH / 2, y1 + HEIGHT / 2))
            else:
                parts.append(arrow(x1, y1 + HEIGHT, place[other][0], place[other][1]))
    parts += [box(*place[name], name, what, name == "nvml-mock") for name, (_, what) in (PROGRAMS | FOLDERS).items()]
    (HERE / "rooms.svg").write_text("\n".join([*parts, "</svg>", ""]))


if __name__ == "__main__":
    main()
