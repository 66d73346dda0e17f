"""Predictions of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from typing import Any, NamedTuple

from . import _core
from .calibration import CalibrationLike, calibration_core
from .job import FieldValue, Source, described

#: Joules of a kilowatt-hour.
JOULES_PER_KWH = 3.6e6

#: Probability at which a job is said to fit in memory.
FITS_THRESHOLD = 0.9


class Interval(NamedTuple):
    """An estimate with the ends of its interval, in the unit of its quantity."""

    estimate: float
    """The estimate."""
    lower: float
    """The lower end."""
    upper: float
    """The upper end; infinite where too few runs support the level."""


class Outlook(NamedTuple):
    """What is left of a run, from its prediction as the prior and its measured steps as the data."""

    remaining_s: Interval
    """Seconds."""
    remaining_j: Interval | None
    """Joules, at the prediction's scope; ``None`` without measured power."""
    leaves: str | None
    """``below`` or ``above`` where the measured steps leave the predicted interval, and the rest goes by them."""


class Warning(NamedTuple):
    """What a user should know of a prediction."""

    kind: str
    """The kind, a word for programs."""
    severity: str
    """How weighty it is, a word."""
    text: str
    """The sentence."""


def predict(
    source: Source = None,
    *,
    scope: str | None = None,
    level: float = 0.95,
    calibration: CalibrationLike = None,
    fits_threshold: float = FITS_THRESHOLD,
    catalog: str | PathLike[str] | None = None,
    region: str | None = None,
    **fields: FieldValue,
) -> Prediction:
    """Predicts energy, time, power and memory of a job.

    Args:
        source: a job file or a framework's file; a list of them; a dictionary of columns, of a job file's tables, or of a
            framework's keys; a configuration of transformers; its TrainingArguments; a :class:`Job`; a list of these.
        scope: what the energy covers: gpu, devices, codecarbon, node_dc, node_ac or facility; gpu where it is absent.
        level: confidence level of the intervals, between 0 and 1.
        calibration: a :class:`Calibration`, its file, or the name of a built-in one; the built-in law where it is absent.
        fits_threshold: probability at which the job is said to fit in memory.
        catalog: a catalogue file (TOML) whose entries override the built-in ones.
        region: the country of the electricity, such as FR; it sets the carbon intensity.
        fields: the job's columns, such as ``gpu``, ``gpus`` and ``micro_batch``; they override the source.

    Raises:
        Error: the job is not complete, or a value is not accepted; one sentence says which, and what would be.

    >>> import wattlaw as wl
    >>> p = wl.predict(model="gpt2", steps=100, seq_len=1024, micro_batch=8, gpu="a100", gpus=1)
    >>> p.scope, p.level, p.global_batch
    ('gpu', 0.95, 8)
    """
    description = described(source, fields, catalog=catalog, region=region)
    return Prediction(description.predict(calibration_core(calibration), scope, level, fits_threshold))


class Prediction:
    """Energy, time, power and memory of a job, with intervals. :func:`predict` makes it.

    An estimate is ``None`` where the calibration has no law of it, or where nothing states what it needs, such as a price.
    """

    _inner: _core.Answer

    def __init__(self, core: _core.Answer, /) -> None:
        self._inner = core

    @cached_property
    def _fields(self) -> dict[str, Any]:
        import json

        fields: dict[str, Any] = json.loads(self._inner.json())
        return fields

    def to_json(self) -> str:
        """The JSON of ``wattlaw predict --format json``, byte for byte."""
        return self._inner.json()

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary; docs/reference/json.md describes its fields."""
        import json

        fields: dict[str, Any] = json.loads(self._inner.json())
        return fields

    def interval(self, quantity: str = "energy", level: float | None = None) -> Interval | None:
        """A quantity's estimate with its interval.

        Args:
            quantity: energy, duration, mean_power, gpu_hours, tokens_per_s, step, mfu, energy_per_token, facility_energy, carbon, cost
                or memory; in the unit of the attribute.
            level: confidence level between 0 and 1; that of the prediction where it is absent.

        Returns:
            The interval; ``None`` where there is no such estimate.
        """
        found = self._inner.interval(quantity, self.level if level is None else level)
        return None if found is None else Interval(*found)

    def outlook(self, step_ends_s: Sequence[float], mean_power_w: float | None = None) -> Outlook | None:
        """What is left of the run.

        Args:
            step_ends_s: the times in seconds at which the optimizer steps ended, from any start, in order.
            mean_power_w: mean power of all accelerators meanwhile, in watts.

        Returns:
            What is left; ``None`` with fewer than four steps that count, and once all are done.
        """
        found = self._inner.outlook(step_ends_s, mean_power_w)
        if found is None:
            return None
        time, energy, leaves = found
        return Outlook(Interval(*time), None if energy is None else Interval(*energy), leaves)

    @property
    def energy_j(self) -> float | None:
        """Energy in joules, at :attr:`scope`."""
        return self._estimate("energy_j")

    @property
    def energy_kwh(self) -> float | None:
        """Energy in kilowatt-hours, at :attr:`scope`."""
        energy_j = self.energy_j
        return None if energy_j is None else energy_j / JOULES_PER_KWH

    @property
    def duration_s(self) -> float | None:
        """Time in seconds."""
        return self._estimate("duration_s")

    @property
    def mean_power_w(self) -> float | None:
        """Mean power of all accelerators in watts, at :attr:`scope`."""
        return self._estimate("mean_power_w")

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all accelerators together."""
        return self._estimate("gpu_hours")

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second of all accelerators together, without padding."""
        return self._estimate("tokens_per_s")

    @property
    def step_s(self) -> float | None:
        """Seconds of an optimizer step."""
        return self._estimate("step_s")

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation, a share of 1."""
        return self._estimate("mfu")

    @property
    def energy_per_token_j(self) -> float | None:
        """Energy of a token in joules."""
        return self._estimate("energy_per_token_j")

    @property
    def facility_energy_j(self) -> float | None:
        """Energy of the facility in joules, where a PUE was given."""
        return self._estimate("facility_energy_j")

    @property
    def carbon_g(self) -> float | None:
        """Carbon in grams of CO₂ equivalent, where an intensity or a region was given."""
        return self._estimate("carbon_g")

    @property
    def cost(self) -> float | None:
        """Price of accelerators and electricity, where prices were given, in :attr:`currency`."""
        return self._estimate("cost")

    @property
    def currency(self) -> str | None:
        """Currency of the prices, where it was stated."""
        currency: str | None = self._fields["currency"]
        return currency

    @property
    def memory_gib(self) -> float:
        """Peak memory of the fullest accelerator in GiB."""
        return float(self._fields["memory"]["peak_gib_per_gpu"])

    @property
    def fits(self) -> bool:
        """Whether the job fits in memory, with a probability of at least one half."""
        return bool(self._fields["memory"]["fits"])

    @property
    def fits_probability(self) -> float:
        """Probability that the job fits in memory."""
        return float(self._fields["memory"]["fits_probability"])

    @property
    def confidence(self) -> str:
        """How far measured runs support the estimate, a word."""
        return str(self._fields["confidence"]["label"])

    @property
    def parameters(self) -> int:
        """Parameters of the published model."""
        return int(self._fields["parameters"])

    @property
    def tokens(self) -> float:
        """Tokens of the run, without padding."""
        return float(self._fields["tokens"])

    @property
    def steps(self) -> float:
        """Optimizer steps of the run."""
        return float(self._fields["steps"])

    @property
    def global_batch(self) -> int:
        """Sequences of an optimizer step."""
        return int(self._fields["global_batch"])

    @property
    def scope(self) -> str:
        """What the energy covers."""
        return str(self._fields["scope"])

    @property
    def level(self) -> float:
        """Confidence level of the intervals."""
        return float(self._fields["level"])

    @property
    def warnings(self) -> list[Warning]:
        """Warnings, the weightiest first."""
        return [Warning(of["kind"], of["severity"], of["text"]) for of in self._fields["warnings"]]

    @property
    def remarks(self) -> list[str]:
        """What was assumed or left out in reading files and objects, a sentence each."""
        return self._inner.remarks

    @property
    def job(self) -> dict[str, Any]:
        """The job that was predicted, with every default written out, by table."""
        job: dict[str, Any] = self._fields["job"]
        return job

    def _estimate(self, field: str) -> float | None:
        interval = self._fields[field]
        return None if interval is None else float(interval["estimate"])

    def __repr__(self) -> str:
        energy, time = self.energy_kwh, self.duration_s
        return (
            f"<wattlaw.Prediction energy {_figure(energy)} kWh, time {_figure(time)} s, "
            f"memory {self.memory_gib:.3g} GiB a GPU, confidence {self.confidence}>"
        )

    def __str__(self) -> str:
        return self._inner.screen()

    def _repr_html_(self) -> str:
        from .notebook import prediction_html

        return prediction_html(self)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
