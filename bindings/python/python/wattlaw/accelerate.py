"""A tracker of accelerate that predicts a training before its first step and measures it.

Importing this module lets ``log_with`` find it. Trackers that are named after it get its figures too::

    import wattlaw.accelerate
    accelerator = Accelerator(log_with=["wattlaw", "tensorboard"])
    accelerator.init_trackers("run", init_kwargs={"wattlaw": {"model": model, "steps": 1000}})
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from accelerate.state import AcceleratorState, GradientState
from accelerate.tracking import GeneralTracker, register_tracker_class

from .job import Source
from .training import TrainingRun, adapter, batch_shape, machine, precision

#: Kinds of distribution of accelerate, as a job has them. Stages of DeepSpeed are read off its plugin.
_STRATEGIES = {"MULTI_GPU": "ddp", "MULTI_CPU": "ddp", "FSDP": "fsdp"}

#: ZeRO stages of DeepSpeed, as a job has them.
_STAGES = {0: "ddp", 1: "zero1", 2: "zero2", 3: "fsdp"}


class WattlawTracker(GeneralTracker):  # type: ignore[misc]
    """Measures from ``init_trackers`` to ``end_training``, and adds figures under ``wattlaw/`` to what is logged.

    Steps are those that ``accelerator.log(..., step=...)`` names. The job is read off the model, the accelerator's state and the
    first batch; without a model the training is measured and not predicted.

    Args:
        run_name: name of the record; accelerate gives its project's.
        model: the model of transformers that is trained, prepared or not.
        steps: optimizer steps planned.
        out: folder of the records.
        assume: constant power of a component without a meter, such as ``cpu=95W``.
        fields: columns of the job that nothing else states, such as ``optimizer``.
    """

    name = "wattlaw"
    requires_logging_directory = False
    # a tracker on each rank: the first of each node measures that node
    main_process_only = False

    def __init__(
        self,
        run_name: str | None = None,
        *,
        model: Any = None,
        steps: int = 0,
        out: str | PathLike[str] = "runs",
        assume: Sequence[str] = (),
        **fields: Any,
    ) -> None:
        super().__init__()
        name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in run_name or "")
        self._run = TrainingRun(out, name[:100] or None, assume)
        self._model, self._planned, self._fields = model, steps, fields
        self._last_step: int | None = None
        self._hook: Any = None

    @property
    def tracker(self) -> TrainingRun:
        """The run, with its prediction."""
        return self._run

    def start(self) -> None:
        """Begins to measure."""
        self._run.begin(self._planned)
        if self._run.runs and self._model is not None:
            self._hook = self._model.register_forward_pre_hook(self._before_forward, with_kwargs=True)

    def _before_forward(self, module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not module.training:
            return
        sequences, length = batch_shape(positional[0] if positional else named.get("input_ids"))

        def describe() -> tuple[Source, dict[str, Any]]:
            state = AcceleratorState()
            kind = str(getattr(state.distributed_type, "value", ""))
            plugin = getattr(state, "deepspeed_plugin", None)
            mixed = state.mixed_precision if state.mixed_precision in ("bf16", "fp16", "fp8") else None
            inner = getattr(module, "module", module)
            fields = {
                "steps": self._planned or None,
                "seq_len": length,
                "micro_batch": sequences,
                "grad_accum": GradientState().num_steps,
                "strategy": _STAGES.get(plugin.zero_stage) if plugin is not None else _STRATEGIES.get(kind),
                "framework": "accelerate",
            }
            model = {**adapter(inner), **precision(inner, mixed)}
            return inner.config, {**fields, **machine(int(state.num_processes)), **model, **self._fields}

        self._run.batch((sequences or 0) * (length or 0), describe)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Nothing: a record holds the job, and not what else was configured."""

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        """Counts the steps since the last call, and adds the figures to ``values``, which the trackers after it get."""
        if step is not None:
            for _step in range(step - (self._last_step if self._last_step is not None else step - 1)):
                self._run.step()
            self._last_step = step
        values.update(self._run.metrics())

    def finish(self) -> None:
        """Ends."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        self._run.end()


register_tracker_class(WattlawTracker)
