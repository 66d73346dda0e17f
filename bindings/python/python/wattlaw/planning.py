"""Plans: the best ways to run a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from os import PathLike, fspath
from typing import Any, NamedTuple

from . import _core
from ._core import InvalidError, UnknownError
from .calibration import CalibrationLike, calibration_core
from .job import FieldValue, Source, described
from .prediction import FITS_THRESHOLD, Interval


class LeftOut(NamedTuple):
    """Configurations that are no plan, for one reason."""

    reason: str
    """The reason, a word."""
    example: str
    """The first of them."""
    number: int
    """How many."""


class LaunchFile(NamedTuple):
    """A launch file that was written."""

    name: str
    """Its name in the folder."""
    placeholders: list[str]
    """What in it is the user's to set, a clause each."""


#: Numbers of accelerators: a number, a range or another iterable of numbers, or text such as "4,8" and "8..64".
GpuCounts = int | Iterable[int] | str | None


def plan(
    source: Source = None,
    *,
    gpus: GpuCounts = None,
    gpu: str | Sequence[str] | None = None,
    inventory: str | PathLike[str] | None = None,
    minimise: str = "energy",
    pareto: Sequence[str] = (),
    min_gpus: bool = False,
    deadline: str | float | timedelta | None = None,
    budget: float | None = None,
    max_energy: str | float | None = None,
    max_carbon: str | float | None = None,
    max_gpus: int | None = None,
    keep: Sequence[str] = (),
    allow_precision: Sequence[str] = (),
    top: int = 10,
    threads: int | None = None,
    scope: str = "gpu",
    level: float = 0.95,
    calibration: CalibrationLike = None,
    fits_threshold: float = FITS_THRESHOLD,
    catalog: str | PathLike[str] | None = None,
    region: str | None = None,
    **fields: FieldValue,
) -> Plans:
    """Finds the best ways to run a job on the machines there are. Ctrl-C ends the search.

    Args:
        source: what :func:`wattlaw.predict` takes.
        gpus: numbers of accelerators: a number, a range, a list, or text such as ``"8..64"``.
        gpu: accelerators to choose from.
        inventory: machines to choose from (TOML), in place of ``gpu`` and ``gpus``.
        minimise: energy, time, cost, carbon or gpu-hours.
        pareto: two objectives; the plans are those that no other beats in both.
        min_gpus: prefer the fewest accelerators, then the objective.
        deadline: longest time: text such as ``"3d"``, seconds, or a timedelta.
        budget: highest price, in the currency of the prices.
        max_energy: most energy: text such as ``"2MWh"``, or joules.
        max_carbon: most carbon: text such as ``"100kg"``, or grams of CO₂ equivalent.
        max_gpus: most accelerators.
        keep: choices that stay as the job has them, such as strategy and micro-batch.
        allow_precision: precisions to choose from; the job's own where it is empty.
        top: number of plans, from 1 to 1000.
        threads: threads of the search; as many as cores where it is absent.
        scope: what the energy covers.
        level: confidence level of the intervals.
        calibration: a calibration of the roofline law, its file or the name of a built-in one.
        fits_threshold: least probability of fitting in memory.
        catalog: a catalogue file (TOML) whose entries override the built-in ones.
        region: the country of the electricity, which sets the carbon intensity.
        fields: the job's columns, which override the source.

    Raises:
        Error: the job is not valid, or no configuration is a plan; the sentence says what the nearest one takes.

    >>> import wattlaw as wl
    >>> plans = wl.plan(model="gpt2", tokens="100M", seq_len=1024, global_batch=64, gpu="a100", gpus=[1, 2], keep=["precision"])
    >>> plans.best.rank, len(plans.pareto) > 0
    (1, True)
    """
    if isinstance(deadline, timedelta):
        deadline = deadline.total_seconds()
    limits = {
        "deadline": deadline,
        "budget": budget,
        "max_energy": max_energy,
        "max_carbon": max_carbon,
        "max_gpus": max_gpus,
    }
    kinds = [gpu] if isinstance(gpu, str) else list(gpu or ())
    core = _core.plan(
        described(source, fields, catalog=catalog, region=region),
        calibration_core(calibration),
        scope,
        level,
        fits_threshold,
        gpu=kinds,
        gpus=_counts(gpus),
        inventory=None if inventory is None else fspath(inventory),
        objectives=list(pareto) or [minimise],
        fewest_gpus=min_gpus,
        limits=limits,
        keep=list(keep),
        precisions=list(allow_precision),
        top=top,
        threads=threads,
    )
    return Plans(core)


def _counts(gpus: GpuCounts) -> str | None:
    if gpus is None or isinstance(gpus, str):
        return gpus
    if isinstance(gpus, int):
        return str(gpus)
    if not isinstance(gpus, Iterable):
        raise InvalidError(f"gpus is of type {type(gpus).__name__}, but it must be a number, a range, a list of numbers or text")
    return ",".join(str(number) for number in gpus)


class Plans:
    """The best ways to run a job, the best first. :func:`plan` finds them."""

    _inner: _core.Plans

    def __init__(self, core: _core.Plans, /) -> None:
        self._inner = core

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return self.to_dict()

    def to_json(self) -> str:
        """The JSON of ``wattlaw plan --format json``."""
        return self._inner.json()

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary; docs/reference/json.md describes its fields."""
        import json

        fields: dict[str, Any] = json.loads(self._inner.json())
        return fields

    @cached_property
    def plans(self) -> list[Plan]:
        """The plans, the best first."""
        return [Plan(self._inner, index, fields) for index, fields in enumerate(self._fields["plans"])]

    @property
    def best(self) -> Plan:
        """The first plan."""
        return self.plans[0]

    @property
    def pareto(self) -> list[Plan]:
        """The plans that no configuration beats in time and energy, or in the two objectives that were asked for."""
        ranks = self._fields["pareto"]
        return [plan for plan in self.plans if plan.rank in ranks]

    @property
    def left_out(self) -> list[LeftOut]:
        """Configurations that are no plan, by reason."""
        return [LeftOut(of["reason"], of["example"], of["count"]) for of in self._fields["left_out"]]

    @property
    def evaluated(self) -> int:
        """Configurations that are plans."""
        return int(self._fields["evaluated"])

    @property
    def searched(self) -> int:
        """Configurations that were decided."""
        return int(self._fields["searched"])

    def __len__(self) -> int:
        return len(self.plans)

    def __repr__(self) -> str:
        return f"<wattlaw.Plans {len(self)} of {self.evaluated} by {self._fields['objective']}, best {self.best!r}>"


class Plan:
    """A way to run a job."""

    def __init__(self, core: _core.Plans, index: int, fields: dict[str, Any], /) -> None:
        self._inner = core
        self._index = index
        self._fields = fields

    def to_dict(self) -> dict[str, Any]:
        """The plan as the JSON of ``wattlaw plan`` has it."""
        return self._fields

    @property
    def rank(self) -> int:
        """The rank, from 1."""
        return int(self._fields["rank"])

    @property
    def job(self) -> dict[str, Any]:
        """The job with every default written out, by table; :func:`wattlaw.predict` and :class:`wattlaw.Job` take it."""
        job: dict[str, Any] = self._fields["job"]
        return job

    def interval(self, quantity: str = "energy") -> Interval | None:
        """A quantity's estimate with its interval: energy, duration, gpu_hours, cost or carbon; ``None`` where there is none."""
        of = self._fields[self._field(quantity)]
        if of is None:
            return None
        return Interval(*(float("inf") if of[end] is None else of[end] for end in Interval._fields))

    def expected(self, quantity: str = "energy") -> float | None:
        """A quantity's expected value, by which plans are ranked: with every cost at its mean, where an estimate has them at their
        medians; ``None`` where there is none.
        """
        of = self._fields["expected"]
        value: float | None = None if of is None else of[self._field(quantity)]
        return value

    @staticmethod
    def _field(quantity: str) -> str:
        fields = {
            "energy": "energy_j",
            "duration": "duration_s",
            "gpu_hours": "gpu_hours",
            "cost": "cost",
            "carbon": "carbon_g",
        }
        if quantity not in fields:
            raise UnknownError(f"unknown quantity `{quantity}`; accepted: `{'`, `'.join(fields)}`")
        return fields[quantity]

    def _estimate(self, quantity: str) -> float | None:
        interval = self.interval(quantity)
        return None if interval is None else interval.estimate

    @property
    def energy_j(self) -> float | None:
        """Energy in joules, at the scope that was asked for."""
        return self._estimate("energy")

    @property
    def duration_s(self) -> float | None:
        """Time in seconds."""
        return self._estimate("duration")

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all accelerators together."""
        return self._estimate("gpu_hours")

    @property
    def cost(self) -> float | None:
        """Price, where prices were given."""
        return self._estimate("cost")

    @property
    def carbon_g(self) -> float | None:
        """Carbon in grams of CO₂ equivalent, where an intensity is known."""
        return self._estimate("carbon")

    @property
    def memory_gib(self) -> float:
        """Peak memory of the fullest accelerator in GiB."""
        return float(self._fields["memory"]["peak_gib_per_gpu"])

    @property
    def probability_best(self) -> float | None:
        """Probability that it is the best of the listed plans; ``None`` where it is not known."""
        probability: float | None = self._fields["probability_best"]
        return probability

    def emit(self, *launchers_and_output: str | PathLike[str]) -> list[LaunchFile]:
        """Writes the files that start the plan: ``plan.emit("accelerate", "slurm", "out/")``.

        Args:
            launchers_and_output: what to write files for, as for ``wattlaw launch --emit``, then the folder, which is created where it
                is absent. A framework is that of a job that names none.

        Raises:
            Error: the framework cannot express the plan, or the folder cannot be written.
        """
        if len(launchers_and_output) < 2:
            raise InvalidError("emit takes at least one launcher, such as accelerate, and then the folder")
        *launchers, output = launchers_and_output
        made = self._inner.emit(self._index, [str(name) for name in launchers], fspath(output))
        return [LaunchFile(name, placeholders) for name, placeholders in made]

    def __repr__(self) -> str:
        split, system = self.job["parallelism"], self.job["system"]
        energy, time = (
            "unknown" if value is None else f"{value:.4g}" for value in (self.energy_j, self.duration_s)
        )
        return (
            f"<wattlaw.Plan {self.rank}: {system['gpus']} × {system['gpu']}, {split.get('strategy', '')}, "
            f"energy {energy} J, time {time} s>"
        )
