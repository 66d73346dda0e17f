"""Makes logs.json: energies and times of the real logs of ../shared/data/logs, computed with pandas and numpy.

    python3 -m venv venv && venv/bin/pip install numpy pandas
    venv/bin/python logs.py ../../../../../shared/data/logs
"""

import json
import pathlib
import platform
import sys

import numpy
import pandas

logs = pathlib.Path(sys.argv[1])
KWH = 3.6e6
runs = {}


def smi(path, column="power.draw [W]"):
    table = pandas.read_csv(path, skipinitialspace=True)
    at = pandas.to_datetime(table["timestamp"], format="%Y/%m/%d %H:%M:%S.%f")
    seconds = (at - at.iloc[0]).dt.total_seconds().to_numpy()
    return {"energy_j": float(numpy.trapezoid(table[column].to_numpy(), seconds)), "duration_s": float(seconds[-1])}


for name in ["rtx3090_5050", "a100_transient"]:
    runs[f"nvidia_smi/{name}.csv"] = [smi(logs / "nvidia_smi" / f"{name}.csv")]

for name in ["tucano_160m_2.7.1", "cc_3.3.0_cumulative_rows"]:
    table = pandas.read_csv(logs / "codecarbon" / f"{name}.csv")
    last = table.groupby("run_id", sort=False).last()
    runs[f"codecarbon/{name}.csv"] = [
        {
            "energy_j": float(row["energy_consumed"] * KWH / row["pue"]),
            "gpu_energy_j": float(row["gpu_energy"] * KWH / row["pue"]),
            "duration_s": float(row["duration"]),
        }
        for _, row in last.iterrows()
    ]
table = pandas.read_csv(logs / "codecarbon/cc_2020-08_bom_index.csv", encoding="utf-8-sig")
runs["codecarbon/cc_2020-08_bom_index.csv"] = [
    {"energy_j": float(row["energy_consumed"] * KWH), "duration_s": float(row["duration"])} for _, row in table.iterrows()
]
table = pandas.read_csv(logs / "codecarbon/cc_2021-07_mixed.csv")
runs["codecarbon/cc_2021-07_mixed.csv"] = [
    {"energy_j": float(row["energy_consumed"] * KWH), "duration_s": float(row["duration"])} for _, row in table.iterrows()
]

table = pandas.read_csv(logs / "zeus/A40_bert-base_profile.csv")
runs["zeus/A40_bert-base_profile.csv"] = [
    {"energy_j": float(row["gpu0_energy"]), "duration_s": float(row["elapsed_time"])} for _, row in table.iterrows()
]
table = pandas.read_csv(logs / "zeus/zeus_monitor_power_sample.csv")
at = pandas.to_datetime(table["Time"])
seconds = (at - at.iloc[0]).dt.total_seconds().to_numpy()
runs["zeus/zeus_monitor_power_sample.csv"] = [
    {"energy_j": float(numpy.trapezoid(table["Power"].to_numpy() / 1e3, seconds)), "duration_s": float(seconds[-1])}
]

versions = {"python": platform.python_version(), "numpy": numpy.__version__, "pandas": pandas.__version__}
text = json.dumps({"made_by": "logs.py", "versions": versions, "runs": runs})
(pathlib.Path(__file__).parent / "logs.json").write_text(text + "\n")
