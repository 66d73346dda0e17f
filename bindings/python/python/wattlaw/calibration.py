"""Fitted laws."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

from . import _core
from ._core import InvalidError


class Calibration:
    """Laws fitted on measured runs, which answer questions about jobs.

    Args:
        source: a calibration file, or the name of a built-in calibration; the built-in law where it is absent.

    >>> import wattlaw as wl
    >>> wl.Calibration().name
    'wattlaw-2026'
    """

    _inner: _core.Calibration

    def __init__(self, source: str | PathLike[str] | None = None) -> None:
        self._inner = (
            _core.Calibration.built_in() if source is None else _core.Calibration.named(fspath(source))
        )

    @classmethod
    def _of(cls, core: _core.Calibration) -> Calibration:
        made = cls.__new__(cls)
        made._inner = core
        return made

    @property
    def name(self) -> str:
        """The name."""
        return self._inner.name

    def to_json(self) -> str:
        """The calibration file, as ``wattlaw fit --out`` writes it."""
        return self._inner.json()

    def to_dict(self) -> dict[str, Any]:
        """The calibration file as a dictionary."""
        import json

        made: dict[str, Any] = json.loads(self.to_json())
        return made

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the calibration file, whole or not at all."""
        self._inner.save(fspath(path))

    def __repr__(self) -> str:
        return f"<wattlaw.Calibration {self.name}>"


#: What may stand for a calibration: an object, a file or the name of a built-in one, or None for the built-in law.
CalibrationLike = Calibration | str | PathLike[str] | None


def calibration_core(calibration: CalibrationLike) -> _core.Calibration:
    """The compiled calibration of what stands for one."""
    if isinstance(calibration, Calibration):
        return calibration._inner
    if calibration is None or isinstance(calibration, (str, PathLike)):
        return Calibration(calibration)._inner
    raise InvalidError(
        f"calibration is of type {type(calibration).__name__}, but it must be a Calibration, a file, a name or None"
    )
