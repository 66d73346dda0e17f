"""What pandas makes of an nvidia-smi log: pandas_import.py read|columns|energy FILE"""

import sys

import numpy
import pandas

what, path = sys.argv[1:]
POWER = "power.draw [W]"
if what == "read":
    print(len(pandas.read_csv(path, skipinitialspace=True)))
else:
    table = pandas.read_csv(path, skipinitialspace=True, usecols=["timestamp", "index", POWER])
    if what == "columns":
        print(len(table))
    else:
        table["at"] = pandas.to_datetime(table["timestamp"], format="%Y/%m/%d %H:%M:%S.%f")
        table["watts"] = table[POWER].str.removesuffix(" W").astype(float)
        joules = sum(
            numpy.trapezoid(gpu["watts"], (gpu["at"] - gpu["at"].iloc[0]).dt.total_seconds()) for _, gpu in table.groupby("index")
        )
        print(f'  "energy_j": {joules}')
