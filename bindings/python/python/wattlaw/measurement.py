"""Measured energy of a part of this program, in the same crash-safe record as that of ``wattlaw measure``."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core
from ._core import DataError
from .job import Job
from .prediction import JOULES_PER_KWH

if TYPE_CHECKING:
    # programs that only predict need not load it
    import subprocess

#: Longest wait for an answer of the meter, s. Then the training goes on without it.
_PATIENCE_S = 10.0

#: Longest wait for the record to be closed, s.
_CLOSING_S = 60.0


class SoFar(NamedTuple):
    """Energy and power while a measurement runs, good to one sampling interval."""

    duration_s: float
    """Seconds since the measurement began."""
    energy_j: float | None
    """Energy in joules: of the GPUs, or of all meters on a machine without one; ``None`` without a reading."""
    power_w: float | None
    """Mean power of the last second in watts, of the same."""
    channels_j: dict[str, float | None]
    """Energy of each meter in joules, such as ``gpu0``."""


class MeterWarning(UserWarning):
    """The meter failed; the program goes on without it."""


def measure(
    name: str | None = None,
    *,
    job: Job | None = None,
    out: str | PathLike[str] = "runs",
    gpus: Iterable[int | str] | None = None,
    interval: str = "100ms",
    assume: Iterable[str] = (),
    time_only: bool = False,
) -> Measurement:
    """Measures a part of this program.

    The meter is a process of its own, so that neither the interpreter's lock nor the death of this program harms the record. Where
    ``wattlaw measure`` runs this program, that measures, and this adds windows and steps to its record.

    Args:
        name: name of the record: letters, digits, dots, dashes and underscores.
        job: the training job; with it the record is a run that laws are fitted on.
        out: folder in which the record's folder is created.
        gpus: indices or UUIDs of the GPUs to measure; those of ``CUDA_VISIBLE_DEVICES``, or all, where they are absent.
        interval: time between readings, such as ``100ms``.
        assume: constant power of a component without a meter, such as ``cpu=95W``; recorded as assumed.
        time_only: measure time and no energy.

    Raises:
        Error: nothing can be measured; the sentence says what was looked for.

    >>> import wattlaw as wl
    >>> with wl.measure("example", assume=["cpu=95W"]) as m:
    ...     with m.window("warm-up"):
    ...         m.step(tokens=512)
    >>> m.scope, m.energy_j > 0, m.windows[0]["name"]
    ('devices', True, 'warm-up')
    """
    return Measurement(name, job=job, out=out, gpus=gpus, interval=interval, assume=assume, time_only=time_only)


class Measurement:
    """A measurement, begun by ``with`` or :meth:`start`. :func:`measure` makes it.

    Its methods do nothing in a forked child, such as a worker of a data loader.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        job: Job | None = None,
        out: str | PathLike[str] = "runs",
        gpus: Iterable[int | str] | None = None,
        interval: str = "100ms",
        assume: Iterable[str] = (),
        time_only: bool = False,
    ) -> None:
        words = ["measure", "--attached", "--quiet", "--out", fspath(out), "--interval", interval]
        if name is not None:
            words += ["--name", name]
        if gpus is not None:
            words += ["--gpus", ",".join(map(str, gpus))]
        for component in assume:
            words += ["--assume", component]
        if time_only:
            words.append("--time-only")
        self._words = words
        self._job = job
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = b""
        self._events: int | None = None
        self._pid: int | None = None
        self._folder: str | None = None
        self._record: dict[str, Any] | None = None
        self._scope: str | None = None

    def start(self) -> Measurement:
        """Begins. Returns once the meters have been read.

        Raises:
            Error: nothing can be measured, or the record's folder cannot be written.
        """
        if self._pid is not None:
            raise DataError("this measurement has been started already; make another one")
        self._pid = os.getpid()
        outer = os.environ.get("WATTLAW_EVENTS")
        if outer is None:
            ready = self._start_meter()
            self._folder = str(ready["folder"])
            self._open_events(str(ready["events"]))
        else:
            self._open_events(outer)
            if self._job is not None:
                tables = self._job.to_dict()
                self.tell("job", **{table: tables[table] for table in ("model", "workload", "parallelism", "system")})
        return self

    def _start_meter(self) -> dict[str, Any]:
        import subprocess
        import tempfile

        words = [sys.executable, "-m", "wattlaw", *self._words]
        with tempfile.TemporaryDirectory(prefix="wattlaw-") as folder:
            if self._job is not None:
                path = os.path.join(folder, "job.toml")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(self._job.to_toml())
                words += ["--job", path]
            # a session of its own: Ctrl-C is for this program, whose end the meter sees
            self._process = subprocess.Popen(
                [*words, "--", *(sys.argv if sys.argv and sys.argv[0] else [sys.executable])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            ready = self._answer(4 * _PATIENCE_S)
            if ready is not None:
                return ready
            process, self._process = self._process, None
            process.kill()
            _, said = process.communicate()
            sentence = said.decode(errors="replace").strip().removeprefix("error: ")
            raise DataError(sentence or "the meter did not start")

    def _open_events(self, path: str) -> None:
        try:
            self._events = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self._warn(f"{path}: {error.strerror}; windows and steps are not recorded")

    def stop(self, code: int = 0) -> Measurement:
        """Ends, and waits for the closed record.

        Args:
            code: exit code of what was measured: 0 if it went well.
        """
        if not self._runs_here():
            return self
        if self._events is not None:
            os.close(self._events)
            self._events = None
        process, self._process = self._process, None
        if process is None:
            return self
        from subprocess import TimeoutExpired

        try:
            process.communicate(f"{code}\n".encode(), timeout=_CLOSING_S)
        except (TimeoutExpired, OSError):
            process.kill()
            process.communicate()
        self._read_record()
        return self

    def _read_record(self) -> None:
        import json

        try:
            text, self._scope = _core.record(str(self._folder))
        except _core.Error as error:
            self._warn(f"the record cannot be read: {error}")
            return
        self._record = json.loads(text)
        if self._record is not None and self._record["state"] == "running":
            self._warn(f"the record is not closed; close it by `wattlaw recover {self._folder}`")

    def __enter__(self) -> Measurement:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(0 if kind is None else 130 if issubclass(kind, KeyboardInterrupt) else 1)

    def _runs_here(self) -> bool:
        """Whether it runs, and in this process: a forked child must not speak to the meter of its parent."""
        return self._pid == os.getpid() and (self._process is not None or self._events is not None)

    def tell(self, event: str, **fields: Any) -> None:
        """Adds an event to the record, with the time on this program's monotonic clock; docs/reference/record.md lists the events."""
        if not self._runs_here() or self._events is None:
            return
        import json

        line = json.dumps({"event": event, "t_monotonic_s": time.monotonic(), **fields}) + "\n"
        try:
            os.write(self._events, line.encode())
        except OSError as error:
            os.close(self._events)
            self._events = None
            self._warn(f"an event cannot be written: {error.strerror}; later windows and steps are not recorded")

    def begin_window(self, name: str) -> None:
        """Begins a window, inside those that are open."""
        self.tell("window_begin", name=name)

    def end_window(self, name: str | None = None) -> None:
        """Ends the innermost window of a name, or of all."""
        self.tell("window_end", name=name)

    @contextmanager
    def window(self, name: str) -> Iterator[None]:
        """A window as a context."""
        self.begin_window(name)
        try:
            yield
        finally:
            self.end_window(name)

    def step(self, tokens: float = 0) -> None:
        """Tells that an optimizer step was done, with its tokens on all ranks."""
        self.tell("step", tokens=tokens)

    def so_far(self) -> SoFar | None:
        """Energy and power so far; ``None`` where another process measures, or the meter failed."""
        if not self._runs_here() or self._process is None or self._process.stdin is None:
            return None
        with self._lock:
            try:
                self._process.stdin.write(b"?\n")
                self._process.stdin.flush()
            except OSError:
                found = None
            else:
                found = self._answer(_PATIENCE_S)
            if found is None:
                self._process.kill()
                self._process = None
                self._warn(f"the meter no longer answers; its record is in {self._folder}")
                return None
        return SoFar(found["duration_s"], found["energy_j"], found["power_w"], found["channels_j"])

    def _answer(self, patience_s: float) -> dict[str, Any] | None:
        """A line of the meter as JSON; ``None`` if it ends or says nothing in time."""
        import json
        import select

        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        until = time.monotonic() + patience_s
        while b"\n" not in self._answers:
            readable, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            read = os.read(descriptor, 1 << 16) if readable else b""
            if not read:
                return None
            self._answers += read
        line, _, self._answers = self._answers.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _warn(self, text: str) -> None:
        warnings.warn(f"wattlaw: {text}", MeterWarning, stacklevel=3)

    @property
    def folder(self) -> str | None:
        """Folder of the record; ``None`` before the start, and where ``wattlaw measure`` runs this program."""
        return self._folder

    @property
    def record(self) -> dict[str, Any]:
        """The closed record; docs/reference/record.md describes its fields.

        Raises:
            Error: the measurement has not ended, or another process keeps the record.
        """
        if self._record is None:
            if self._pid is None or self._process is not None:
                raise DataError("the measurement has not ended; its energy is known after it")
            raise DataError("`wattlaw measure` runs this program and keeps the record; see `wattlaw report` after it")
        return self._record

    @property
    def scope(self) -> str | None:
        """What the energy covers: the widest scope that was measured; ``None`` without energy."""
        return self._scope

    @property
    def energy_j(self) -> float | None:
        """Energy in joules at :attr:`scope`; ``None`` if only time was measured."""
        total = self._total()
        return None if total is None else float(total["energy_j"])

    @property
    def energy_kwh(self) -> float | None:
        """Energy in kilowatt-hours at :attr:`scope`."""
        energy_j = self.energy_j
        return None if energy_j is None else energy_j / JOULES_PER_KWH

    @property
    def assumed_j(self) -> float:
        """The part of the energy that is assumed and not measured, in joules."""
        total = self._total()
        return 0.0 if total is None else float(total["assumed_j"])

    @property
    def duration_s(self) -> float:
        """Seconds from start to stop."""
        return float(self.record["duration_s"])

    @property
    def windows(self) -> list[dict[str, Any]]:
        """The windows with their times, energies, steps and tokens."""
        windows: list[dict[str, Any]] = self.record["windows"]
        return windows

    def _total(self) -> dict[str, Any] | None:
        totals: list[dict[str, Any]] = self.record["energies"]
        return next((total for total in totals if total["scope"] == self._scope), None)

    def __repr__(self) -> str:
        if self._record is None:
            state = "not started" if self._pid is None else "running" if self._runs_here() else "ended"
            return f"<wattlaw.Measurement, {state}>"
        energy_j = self.energy_j
        energy = "no energy" if energy_j is None else f"{energy_j:.4g} J ({self.scope})"
        return f"<wattlaw.Measurement {energy} in {self.duration_s:.4g} s, {self._folder}>"
