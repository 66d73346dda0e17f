"""Runs other tools around a load on the stand-in for NVIDIA's library: `run.py FOLDER`, with the library in LD_LIBRARY_PATH.

Writes each tool's own files to FOLDER, and to says.json the energy, J, and the time, s, that its own interface says of them. Needs
requirements.txt beside this script. files/ holds what these versions wrote here:

    python run.py files
"""

import importlib.metadata
import json
import pathlib
import shutil
import sys
import time

KWH = 3.6e6
here = pathlib.Path(sys.argv[1]).resolve()
says = []


def load(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))
        time.sleep(0.01)


def folder(name):
    made = here / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


def said(tool, files, energy_j, duration_s=None, parts_j=()):
    names = [str(file.relative_to(here)) for file in files]
    version = importlib.metadata.version(tool)
    says.append(
        {"tool": tool, "version": version, "files": names, "energy_j": energy_j, "duration_s": duration_s, "parts_j": dict(parts_j)}
    )


def codecarbon():
    from codecarbon import OfflineEmissionsTracker

    def tracker(made):
        return OfflineEmissionsTracker(
            country_iso_code="FRA", measure_power_secs=0.5, output_dir=str(made), project_name="load", log_level="error"
        )

    made = folder("codecarbon")
    whole = tracker(made)
    whole.start()
    load(2.5)
    whole.stop()
    data = whole.final_emissions_data
    parts = {"gpu": data.gpu_energy * KWH, "cpu": data.cpu_energy * KWH, "ram": data.ram_energy * KWH}
    said("codecarbon", [made / "emissions.csv"], data.energy_consumed * KWH, data.duration, parts)

    made = folder("codecarbon-tasks")
    whole = tracker(made)
    tasks = []
    for name in ("train", "evaluate"):
        whole.start_task(name)
        load(1.5)
        tasks.append(whole.stop_task())
    whole.stop()
    energy, seconds = (sum(getattr(task, name) for task in tasks) for name in ("energy_consumed", "duration"))
    said("codecarbon", sorted(made.glob("*.csv")), energy * KWH, seconds)


def zeus():
    from zeus.monitor import ZeusMonitor

    file = folder("zeus") / "zeus.csv"
    monitor = ZeusMonitor(log_file=str(file))
    monitor.begin_window("load", sync_execution=False)
    load(2.5)
    measured = monitor.end_window("load", sync_execution=False)
    # the file is complete once the monitor is gone
    del monitor
    parts = {f"gpu{index}": energy for index, energy in measured.gpu_energy.items()}
    said("zeus", [file], measured.total_energy, measured.time, parts)


def carbontracker():
    from carbontracker import parser
    from carbontracker.tracker import CarbonTracker

    made = folder("carbontracker")
    tracker = CarbonTracker(epochs=2, epochs_before_pred=0, monitor_epochs=2, update_interval=0.2, log_dir=str(made), components="gpu")
    for _ in range(2):
        tracker.epoch_start()
        load(1.5)
        tracker.epoch_end()
    tracker.stop()
    [log] = parser.parse_all_logs(str(made))
    gpu = log["components"]["gpu"]
    # its power is the mean over the GPUs
    energy = float((gpu["avg_power_usages (W)"].sum(axis=1) * gpu["epoch_durations (s)"]).sum()) * len(gpu["devices"])
    output = pathlib.Path(log["output_filename"])
    said("carbontracker", sorted(made.glob("*.log")), energy, float(gpu["epoch_durations (s)"].sum()))
    said("carbontracker", [output], log["actual"]["energy (kWh)"] * KWH, log["actual"]["duration (s)"])


def eco2ai():
    from eco2ai import Tracker, summary

    file = folder("eco2ai") / "emission.csv"
    # without a code it asks an address on the internet where it is
    tracker = Tracker(
        project_name="load", experiment_description="stand-in", file_name=str(file), measure_period=1, alpha_2_code="FR"
    )
    tracker.start()
    load(2.5)
    tracker.stop()
    total = summary(str(file)).iloc[-1]
    said("eco2ai", [file], total["total power_consumption(kWh)"] * KWH, total["total duration(s)"])


for run in (codecarbon, zeus, carbontracker, eco2ai):
    run()
(here / "says.json").write_text(json.dumps(says, indent=1) + "\n")
