"""A training run under measurement, for the callbacks of trainers: what is predicted before it, told during it and said after it."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any

from ._core import Error
from .job import Job, Source
from .measurement import Measurement, MeterWarning, SoFar
from .prediction import JOULES_PER_KWH, Outlook, Prediction, predict

#: Level of the prediction's intervals.
_LEVEL = 0.95

#: What is left is estimated anew once the steps have grown by this share: it takes a time in proportion to them.
_NEWS = 0.02

#: The run that this process measures: a second callback in the same process would count it twice.
_measured: TrainingRun | None = None


class TrainingRun:
    """Measures a training, on the first rank of each node; on other ranks its methods do nothing.

    A failure of the meter or of the prediction is warned of once, and the training goes on.

    Args:
        out: folder in which the record's folder is created.
        name: name of the record.
        assume: constant power of a component without a meter, such as ``cpu=95W``.
    """

    def __init__(self, out: str | PathLike[str], name: str | None = None, assume: Sequence[str] = ()) -> None:
        self._out, self._name, self._assume = fspath(out), name, list(assume)
        self._measurement: Measurement | None = None
        self._steps_planned = 0
        self._step_ends_s: list[float] = []
        self._first_step: SoFar | None = None
        self._outlook: tuple[int, Outlook | None] = (0, None)
        self._tokens = 0.0
        self.prediction: Prediction | None = None
        self._is_described = False

    @property
    def runs(self) -> bool:
        """Whether this process measures."""
        return self._measurement is not None

    def begin(self, steps: int) -> None:
        """Starts to measure this node's GPUs that the training uses; ``steps`` optimizer steps are planned, 0 if that is unknown."""
        global _measured
        if _rank("LOCAL_RANK") != 0:
            return
        if _measured is not None:
            _warn("another callback measures this process; this one does nothing")
            return
        try:
            self._measurement = self._meter(time_only=False).start()
        except (Error, OSError) as error:
            _warn(f"energy is not measured: {error}")
            try:
                self._measurement = self._meter(time_only=True).start()
            except (Error, OSError) as again:
                _warn(f"no record is kept: {again}")
                return
        _measured = self
        self._steps_planned = steps
        self._measurement.begin_window("train")

    def _meter(self, time_only: bool) -> Measurement:
        return Measurement(self._name, out=self._out, gpus=_used_gpus(), assume=self._assume, time_only=time_only)

    def batch(self, tokens: int, describe: Callable[[], tuple[Source, dict[str, Any]]]) -> None:
        """Tells of a micro-batch on this rank, with its tokens. At the first one the job's prediction is printed.

        Args:
            tokens: tokens of the micro-batch, padding included.
            describe: gives the job's source and fields.
        """
        if self._measurement is None:
            return
        self._tokens += tokens * _world_size()
        if not self._is_described and _rank("RANK") == 0:
            self._is_described = True
            try:
                self._predict(*describe())
            except (Error, AttributeError, KeyError, TypeError, ValueError) as error:
                _warn(f"the training is not predicted: {error}")

    def _predict(self, source: Source, fields: dict[str, Any]) -> None:
        job = Job(source, **fields)
        tables = job.to_dict()
        if self._measurement is not None:
            self._measurement.tell("job", **{name: tables[name] for name in ("model", "workload", "parallelism", "system")})
        self.prediction = predict(job, level=_LEVEL)
        _say(f"predicted {_sentence(self.prediction)}, for {tables['system']['gpus']} × {tables['system']['gpu']}")

    def step(self) -> None:
        """Tells that an optimizer step was done."""
        if self._measurement is None:
            return
        tokens, self._tokens = self._tokens, 0.0
        self._measurement.step(tokens)
        self._step_ends_s.append(time.monotonic())
        if len(self._step_ends_s) == 1:
            self._first_step = self._measurement.so_far()

    def begin_window(self, name: str) -> None:
        """Begins a window, such as an epoch or an evaluation."""
        if self._measurement is not None:
            self._measurement.begin_window(name)

    def end_window(self, name: str) -> None:
        """Ends a window."""
        if self._measurement is not None:
            self._measurement.end_window(name)

    def metrics(self) -> dict[str, float]:
        """Figures for the trainer's loggers: measured power and energy, measured over predicted, and what is left."""
        found = None if self._measurement is None else self._measurement.so_far()
        if found is None:
            return {}
        said: dict[str, float] = {}
        if found.power_w is not None:
            said["wattlaw/power_w"] = found.power_w
        if found.energy_j is not None:
            said["wattlaw/energy_j"] = found.energy_j
        if self.prediction is None or self._steps_planned == 0:
            return said
        share = len(self._step_ends_s) / self._steps_planned
        for quantity, measured, whole in (
            ("energy", found.energy_j, self.prediction.energy_j),
            ("duration", found.duration_s, self.prediction.duration_s),
        ):
            if measured is not None and whole is not None and whole * share > 0:
                said[f"wattlaw/{quantity}_measured_over_predicted"] = measured / (whole * share)
        left = self._left(self.prediction, found)
        if left is not None:
            said["wattlaw/remaining_s"] = left.remaining_s.estimate
            if left.remaining_j is not None:
                said["wattlaw/remaining_energy_j"] = left.remaining_j.estimate
        return said

    def _left(self, prediction: Prediction, now: SoFar) -> Outlook | None:
        steps, last = len(self._step_ends_s), self._outlook[0]
        if steps < last * (1 + _NEWS) and steps < self._steps_planned:
            return self._outlook[1]
        power_w, first = None, self._first_step
        # the meters of other nodes are read by other processes
        alone = _world_size() == int(os.environ.get("LOCAL_WORLD_SIZE", _world_size()))
        if alone and first is not None and first.energy_j is not None and now.energy_j is not None:
            power_w = (now.energy_j - first.energy_j) / max(now.duration_s - first.duration_s, 1e-9)
        found = prediction.outlook(self._step_ends_s, power_w if power_w else None)
        self._outlook = (steps, found)
        return found

    def end(self, code: int = 0) -> Measurement | None:
        """Ends, and says what was measured; ``None`` where this process measures nothing.

        Args:
            code: exit code of the training: 0 if it went well.
        """
        global _measured
        measurement, self._measurement = self._measurement, None
        if measurement is None:
            return None
        _measured = None
        measurement.end_window("train")
        measurement.stop(code)
        if measurement.folder is not None and _rank("RANK") == 0:
            self._say_measured(measurement)
        return measurement

    def _say_measured(self, measurement: Measurement) -> None:
        try:
            energy_j, duration_s = measurement.energy_j, measurement.duration_s
        except Error:
            # the record could not be read, of which was warned
            return
        assumed = ""
        if measurement.assumed_j:
            assumed = ", all of it assumed" if measurement.assumed_j == energy_j else ", part of it assumed"
        energy = "no energy" if energy_j is None else f"{_energy(energy_j)} ({measurement.scope}{assumed})"
        tokens = measurement.record.get("tokens")
        each = f", {energy_j / tokens:.3g} J a token" if energy_j is not None and tokens else ""
        predicted = "" if self.prediction is None else f"; predicted {_sentence(self.prediction)}"
        _say(f"measured {energy}, {_time(duration_s)}{each}{predicted}; record {measurement.folder}")


class Measuring:
    """A callback of a trainer that measures its run.

    Args:
        out: folder of the records, instead of ``wattlaw`` in the trainer's own.
        name: name of the record.
        assume: constant power of a component without a meter, such as ``cpu=95W``.
    """

    def __init__(
        self, out: str | PathLike[str] | None = None, name: str | None = None, assume: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._out, self._name, self._assume = out, name, assume
        self._run: TrainingRun | None = None

    @property
    def run(self) -> TrainingRun | None:
        """The run, with its prediction; ``None`` before the training."""
        return self._run

    def _begin(self, folder: str | PathLike[str], steps: int) -> TrainingRun:
        """Begins to measure a run of so many steps, whose trainer keeps its files in a folder."""
        out = os.path.join(folder, "wattlaw") if self._out is None else self._out
        self._run = TrainingRun(out, self._name, self._assume)
        self._run.begin(steps)
        return self._run


def batch_shape(ids: Any) -> tuple[int | None, int | None]:
    """Sequences and their length in tokens, padding included, of token ids in shape (sequences, length); else unknown."""
    shape = tuple(getattr(ids, "shape", ()))
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 else (None, None)


def machine(world_size: int) -> dict[str, Any]:
    """Fields of the machine: its GPUs as the meters see them, and as many as there are ranks."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world_size)) or 1
    return {"gpu": "auto", "gpus": world_size, "nodes": max(1, world_size // local)}


def _used_gpus() -> list[str] | None:
    """This node's GPUs that the ranks use; ``None`` where these are all that are visible."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    count = int(torch.cuda.device_count())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(count)]
    used = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    return names[:used] if used < len(names) else None


def adapter(model: Any) -> dict[str, Any]:
    """Fields of a LoRA adapter of PEFT on a model; empty without one."""
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, dict) or not configs:
        return {}
    config = next(iter(configs.values()))
    rank = getattr(config, "r", None)
    if not rank:
        return {}
    targets = getattr(config, "target_modules", None)
    return {"lora_rank": rank, **({"lora_targets": sorted(targets)} if targets and not isinstance(targets, str) else {})}


def precision(model: Any, mixed: str | None) -> dict[str, Any]:
    """Fields of the precision: of mixed training (``bf16``, ``fp16``), or that of the model's parameters."""
    if mixed is not None:
        return {"precision": mixed}
    dtype = str(getattr(model, "dtype", "")).removeprefix("torch.")
    return {"float32": {"precision": "fp32"}, "bfloat16": {"precision": "bf16", "state_precision": "bf16"}}.get(dtype, {})


def _rank(variable: str) -> int:
    return int(os.environ.get(variable, "0") or 0)


def _world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1") or 1)


def _energy(energy_j: float) -> str:
    if energy_j >= 1e5:
        return f"{energy_j / JOULES_PER_KWH:.3g} kWh"
    return f"{energy_j / 1e3:.3g} kJ" if energy_j >= 1e3 else f"{energy_j:.3g} J"


def _time(duration_s: float) -> str:
    return f"{duration_s / 3600:.3g} h" if duration_s >= 3600 else f"{duration_s:.3g} s"


def _sentence(prediction: Prediction) -> str:
    said = []
    for quantity, show in (("energy", _energy), ("duration", _time)):
        found = prediction.interval(quantity)
        if found is not None:
            said.append(f"{show(found.estimate)} ({show(found.lower)} to {show(found.upper)})")
    return ", ".join(said) + f", {prediction.confidence}"


def _say(text: str) -> None:
    print(f"wattlaw: {text}", file=sys.stderr, flush=True)


def _warn(text: str) -> None:
    warnings.warn(f"wattlaw: {text}", MeterWarning, stacklevel=3)
