"""Writes an nvidia-smi log of so many megabytes: python3 nvidia_smi_log.py FILE MEGABYTES"""

import math
import sys

path, megabytes = sys.argv[1], int(sys.argv[2])
NAME = "NVIDIA A100-SXM4-80GB"
HEADER = (
    "timestamp, index, name, power.draw [W], enforced.power.limit [W], utilization.gpu [%], memory.used [MiB], "
    "temperature.gpu, clocks.current.sm [MHz]\n"
)
# one minute of eight GPUs every 100 ms, whose date and minute stand in for one another
lines = []
for tenth in range(600):
    for gpu in range(8):
        load = 0.5 + 0.5 * math.sin(2 * math.pi * tenth / 37 + gpu)
        lines.append(
            f"@minute@:{tenth // 10:02}.{tenth % 10 * 100 + gpu:03}, {gpu}, {NAME}, {90 + 300 * load:.2f} W, 400.00 W, "
            f"{int(100 * load)} %, {70000 + tenth} MiB, {40 + int(30 * load)}, {1095 + 15 * int(21 * load)} MHz\n"
        )
block = "".join(lines)
with open(path, "w") as out:
    out.write(HEADER)
    written, minute = 0, 0
    while written < megabytes * 1_000_000:
        day, hour = minute // 1440 + 1, minute // 60 % 24
        text = block.replace("@minute@", f"2026/03/{day:02} {hour:02}:{minute % 60:02}")
        out.write(text)
        written += len(text)
        minute += 1
