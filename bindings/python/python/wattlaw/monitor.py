"""Windows by the names of Zeus' ``ZeusMonitor``, so that a program needs to change its import only."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterable
from os import PathLike
from typing import NamedTuple

from ._core import InvalidError
from .measurement import Measurement, SoFar


class WindowEnergy(NamedTuple):
    """The energy of a window, good to one sampling interval at each end. The closed record has it interpolated."""

    time: float
    """Seconds."""
    gpu_energy: dict[int, float]
    """Energy in joules by index of the GPU among those measured."""
    cpu_energy: dict[int, float] | None
    """Energy in joules by index of the CPU package; ``None`` without a meter."""
    dram_energy: dict[int, float] | None
    """Energy in joules by index of the CPU's memory; ``None`` without a meter."""

    @property
    def total_energy(self) -> float:
        """Energy of all GPUs in joules, as Zeus sums it."""
        return sum(self.gpu_energy.values())


class Monitor:
    """Measures windows from its construction to the end of the program, or to :meth:`stop`.

    Args:
        gpu_indices: indices of the GPUs to measure; those of ``CUDA_VISIBLE_DEVICES``, or all, where they are absent.
        name: name of the record.
        out: folder in which the record's folder is created.
        assume: constant power of a component without a meter, such as ``cpu=95W``.
        sync_execution: wait for what PyTorch has queued on its GPU at each end of a window.

    Raises:
        Error: nothing can be measured.

    >>> import wattlaw as wl
    >>> monitor = wl.Monitor(assume=["cpu=95W"])
    >>> monitor.begin_window("epoch")
    >>> monitor.end_window("epoch").time > 0
    True
    >>> monitor.stop().scope
    'devices'
    """

    def __init__(
        self,
        gpu_indices: Iterable[int] | None = None,
        *,
        name: str | None = None,
        out: str | PathLike[str] = "runs",
        assume: Iterable[str] = (),
        sync_execution: bool = True,
    ) -> None:
        self._sync = sync_execution
        self._open: dict[str, SoFar] = {}
        self._measurement = Measurement(name, out=out, gpus=gpu_indices, assume=assume).start()
        atexit.register(self.stop)

    def begin_window(self, key: str, sync_execution: bool | None = None) -> None:
        """Begins a window.

        Raises:
            InvalidError: a window of the name is open.
        """
        if key in self._open:
            raise InvalidError(f"the window `{key}` is open already; end it first, or take another name")
        self._synchronize(sync_execution)
        self._measurement.begin_window(key)
        found = self._measurement.so_far()
        self._open[key] = SoFar(0.0, None, None, {}) if found is None else found

    def end_window(self, key: str, sync_execution: bool | None = None) -> WindowEnergy:
        """Ends a window and returns its energy.

        Raises:
            InvalidError: no window of the name is open.
        """
        if key not in self._open:
            raise InvalidError(f"no window `{key}` is open; begin it first")
        self._synchronize(sync_execution)
        self._measurement.end_window(key)
        begin = self._open.pop(key)
        end = self._measurement.so_far() or begin
        return WindowEnergy(
            end.duration_s - begin.duration_s,
            _by_index("gpu", begin, end),
            _by_index("cpu", begin, end) or None,
            _by_index("dram", begin, end) or None,
        )

    def _synchronize(self, asked: bool | None) -> None:
        if not (self._sync if asked is None else asked):
            return
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.synchronize()

    def stop(self) -> Measurement:
        """Ends, and returns the measurement with its closed record."""
        atexit.unregister(self.stop)
        return self._measurement.stop()


def _by_index(component: str, begin: SoFar, end: SoFar) -> dict[int, float]:
    """Energy between two readings of the meters whose names are a component's and a number."""
    found = {}
    for name, energy_j in end.channels_j.items():
        index = name.removeprefix(component)
        if name.startswith(component) and index.isdecimal() and energy_j is not None:
            found[int(index)] = energy_j - (begin.channels_j.get(name) or 0.0)
    return found
