"""Predicts the energy, time and memory of Transformer training runs before they run.

>>> import wattlaw as wl
>>> p = wl.predict(model="llama-3.1-8b", tokens="1B", seq_len=4096, gpu="h100", gpus=8)
>>> p.energy_kwh > 0 and p.interval("energy", 0.9).lower < p.energy_j
True
"""

from ._core import (
    DataError,
    Error,
    FileError,
    InvalidError,
    MissingError,
    SyntaxError,
    UnknownError,
    __version__,
)
from .calibration import Calibration
from .job import Job
from .many import predict_many
from .measurement import Measurement, MeterWarning, SoFar, measure
from .monitor import Monitor, WindowEnergy
from .planning import LaunchFile, LeftOut, Plan, Plans, plan
from .prediction import Interval, Outlook, Prediction, Warning, predict
from .runs import Finding, audit, calibrate, fit

__all__ = [
    "Calibration",
    "DataError",
    "Error",
    "FileError",
    "Finding",
    "Interval",
    "InvalidError",
    "Job",
    "LaunchFile",
    "LeftOut",
    "Measurement",
    "MeterWarning",
    "MissingError",
    "Monitor",
    "Outlook",
    "Plan",
    "Plans",
    "Prediction",
    "SoFar",
    "SyntaxError",
    "UnknownError",
    "Warning",
    "WindowEnergy",
    "__version__",
    "audit",
    "calibrate",
    "fit",
    "measure",
    "plan",
    "predict",
    "predict_many",
]
