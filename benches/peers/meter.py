"""What CodeCarbon and Zeus cost while they sample: `meter.py codecarbon|zeus SECONDS INTERVAL_S`.

The processor time and the peak of resident memory are those of this process and its children, less the time of starting.
"""

import os
import sys
import time

import psutil

tool, seconds, interval = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
me = psutil.Process()


def family():
    return [me, *me.children(recursive=True)]


def processor_s():
    # processes that ended are counted by their parents
    times = [p.cpu_times() for p in family()]
    return sum(t.user + t.system for t in times) + me.cpu_times().children_user + me.cpu_times().children_system


if tool == "codecarbon":
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="FRA", measure_power_secs=interval, save_to_file=False, log_level="error"
    )
    start = tracker.start

    def seen():
        tracker.stop()
        return f"{tracker.final_emissions_data.gpu_energy * 3.6e6:.0f} J of GPUs"
elif tool == "zeus":
    from zeus.monitor.power import PowerMonitor

    def start():
        global monitor
        # on a busy machine its processes may need more than the ten seconds that it waits for them
        for attempt in range(5):
            try:
                monitor = PowerMonitor(update_period=interval)
                return
            except RuntimeError:
                if attempt == 4:
                    raise

    def seen():
        return f"{sum(monitor.get_energy(began_wall, time.time()).values()):.0f} J of GPUs"
else:
    sys.exit("which? codecarbon or zeus")

if __name__ == "__main__":
    start()
    time.sleep(3)
    began_wall = time.time()
    before, began, peak = processor_s(), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        time.sleep(1)
        peak = max(peak, sum(p.memory_info().rss for p in family()))
    share = (processor_s() - before) / (time.monotonic() - began)
    processes = len(family())
    print(f"{tool}: {100 * share:.2f} % of a core, memory {peak / 2**20:.0f} MiB in {processes} processes, {seen()}", flush=True)
    for child in me.children(recursive=True):
        child.kill()
    os._exit(0)
