"""Callbacks of Lightning's Trainer and Fabric that predict a training before its first step and measure it."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Sequence
from os import PathLike
from typing import Any

try:
    from lightning.pytorch.callbacks import Callback
except ModuleNotFoundError:
    from pytorch_lightning.callbacks import Callback  # type: ignore[no-redef, unused-ignore]

from .job import Source
from .training import Measuring, adapter, batch_shape, machine, precision

#: Strategies of Lightning by the name of their class, as a job has them.
_STRATEGIES = {"DDPStrategy": "ddp", "FSDPStrategy": "fsdp"}

#: Optimizers of PyTorch by the name of their class, as a job has them.
_OPTIMIZERS = {"AdamW": "adamw", "Adam": "adamw", "SGD": "sgd", "Adafactor": "adafactor", "AdamW8bit": "adamw-8bit"}


class WattlawCallback(Measuring, Callback):  # type: ignore[misc]
    """Predicts, measures and logs a training.

    The job is read off the module's transformers model, the trainer, the ranks and the first batch, a mapping with ``input_ids``. A
    module without such a model is measured and not predicted. One record is kept a node, in the folder ``wattlaw`` of the trainer's
    ``default_root_dir``, with a window for each epoch and each validation. Figures go to the module's log under ``wattlaw/``:
    measured power and energy, what is left, measured over predicted.

    Its options are those of :class:`wattlaw.training.Measuring`.
    """

    _model: Any = None
    _steps = 0
    _planned = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._model = _transformers_model(pl_module)
        self._steps = int(trainer.global_step)
        planned = trainer.estimated_stepping_batches
        self._planned = 0 if planned == float("inf") else int(planned)
        self._begin(trainer.default_root_dir, self._planned)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if self._run is None:
            return
        sequences, length = _shape(batch)

        def describe() -> tuple[Source, dict[str, Any]]:
            if self._model is None:
                raise TypeError(f"{type(pl_module).__name__} holds no model of transformers, whose configuration says what is trained")
            fields = {
                "steps": self._planned or None,
                "seq_len": length,
                "micro_batch": sequences,
                "grad_accum": int(trainer.accumulate_grad_batches),
                "optimizer": _OPTIMIZERS.get(type(trainer.optimizers[0]).__name__) if trainer.optimizers else None,
            }
            return self._model.config, {**fields, **_described(self._model, trainer, str(trainer.precision))}

        self._run.batch((sequences or 0) * (length or 0), describe)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._run is None or trainer.global_step == self._steps:
            return
        self._steps = int(trainer.global_step)
        self._run.step()
        if trainer.loggers and self._steps % max(1, trainer.log_every_n_steps) == 0:
            found = self._run.metrics()
            for logger in trainer.loggers if found else []:
                logger.log_metrics(found, step=self._steps)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._run.begin_window(f"epoch {trainer.current_epoch + 1}")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._run.end_window(f"epoch {trainer.current_epoch + 1}")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._run.begin_window("evaluation")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._run.end_window("evaluation")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._run is not None:
            self._run.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._run is not None:
            self._run.end(130 if isinstance(exception, KeyboardInterrupt) else 1)


class FabricCallback(Measuring):
    """Predicts, measures and logs a training whose loop is written with Fabric.

    ``Fabric(callbacks=[FabricCallback(steps=…)])`` takes the model from ``fabric.setup`` and each step from the optimizer that it returns.
    The loop calls the hooks of Lightning's own example: ``on_train_batch_start`` or ``on_train_batch_end`` with each batch, a mapping with
    ``input_ids``, from which the run begins; ``on_train_epoch_start`` and ``on_train_epoch_end``, ``on_validation_epoch_start`` and
    ``on_validation_epoch_end`` for windows; and ``on_train_end``, without which the run ends with the program. Figures go to the loggers
    of Fabric under ``wattlaw/``.

    Args:
        steps: optimizer steps that are planned; without them the prediction is that of one step.
        accumulate_grad_batches: batches of a rank in an optimizer step.
        optimizer: the optimizer as a job has it, such as ``sgd``.
        log_every_n_steps: steps between two figures in the loggers.
        out: folder of the records, instead of ``wattlaw``.
        name: name of the record.
        assume: constant power of a component without a meter, such as ``cpu=95W``.
    """

    def __init__(
        self,
        steps: int | None = None,
        *,
        accumulate_grad_batches: int = 1,
        optimizer: str | None = None,
        log_every_n_steps: int = 50,
        out: str | PathLike[str] | None = None,
        name: str | None = None,
        assume: Sequence[str] = (),
    ) -> None:
        super().__init__(out, name, assume)
        self._planned = steps
        self._accumulated, self._optimizer = accumulate_grad_batches, optimizer
        self._every = max(1, log_every_n_steps)
        self._fabric: Any = None
        self._model: Any = None
        self._epoch = self._steps = 0
        self._is_counted = self._is_stepped = False

    def on_after_setup(self, fabric: Any, module: Any) -> None:
        self._fabric = fabric
        if self._model is None:
            self._model = _transformers_model(module)

    def on_after_optimizer_step(self, strategy: Any, optimizer: Any) -> None:
        # the batch may be named only after its step
        self._is_stepped = True

    def on_train_start(self) -> None:
        if self._run is None:
            self._begin("", self._planned or 0)
            atexit.register(self._end_with_program)

    def on_train_batch_start(self, batch: Any, batch_idx: int = 0) -> None:
        self.on_train_start()
        self._step()
        self._batch(batch)
        self._is_counted = True

    def on_train_batch_end(self, outputs: Any = None, batch: Any = None, batch_idx: int = 0) -> None:
        self.on_train_start()
        if not self._is_counted and batch is not None:
            self._batch(batch)
        self._is_counted = False
        self._step()

    def on_train_epoch_start(self) -> None:
        self.on_train_start()
        self._epoch += 1
        if self._run is not None:
            self._run.begin_window(f"epoch {self._epoch}")

    def on_train_epoch_end(self) -> None:
        self._step()
        if self._run is not None:
            self._run.end_window(f"epoch {self._epoch}")

    def on_validation_epoch_start(self) -> None:
        if self._run is not None:
            self._run.begin_window("evaluation")

    def on_validation_epoch_end(self) -> None:
        if self._run is not None:
            self._run.end_window("evaluation")

    def on_train_end(self) -> None:
        self._step()
        self._end(0)

    def _batch(self, batch: Any) -> None:
        """Tells of a batch."""
        if self._run is None:
            return
        sequences, length = _shape(batch)

        def describe() -> tuple[Source, dict[str, Any]]:
            if self._model is None:
                raise TypeError("fabric.setup was given no model of transformers, whose configuration says what is trained")
            fields = {
                "steps": self._planned,
                "seq_len": length,
                "micro_batch": sequences,
                "grad_accum": self._accumulated,
                "optimizer": self._optimizer,
            }
            precision_name = str(getattr(self._fabric.strategy.precision, "precision", ""))
            return self._model.config, {**fields, **_described(self._model, self._fabric, precision_name)}

        self._run.batch((sequences or 0) * (length or 0), describe)

    def _step(self) -> None:
        """Tells of the step that was done since, if there was one."""
        if self._run is None or not self._is_stepped:
            return
        self._is_stepped = False
        self._steps += 1
        self._run.step()
        if self._fabric is not None and self._fabric.loggers and self._steps % self._every == 0:
            found = self._run.metrics()
            for logger in self._fabric.loggers if found else []:
                logger.log_metrics(found, step=self._steps)

    def _end(self, code: int) -> None:
        if self._run is not None:
            self._run.end(code)

    def _end_with_program(self) -> None:
        failed: type[BaseException] | None = getattr(sys, "last_type", None)
        self._end(0 if failed is None else 130 if issubclass(failed, KeyboardInterrupt) else 1)


def _shape(batch: Any) -> tuple[int | None, int | None]:
    """Sequences of a batch and their length in tokens."""
    get = getattr(batch, "get", None)
    return batch_shape(None if get is None else get("input_ids"))


def _described(model: Any, trainer: Any, precision_name: str) -> dict[str, Any]:
    """Fields of the model's adapter and precision, the machine and the strategy, of a Trainer or Fabric."""
    mixed = "bf16" if "bf16" in precision_name else "fp16" if "16" in precision_name else None
    strategy = {"strategy": _STRATEGIES.get(type(trainer.strategy).__name__)}
    return {**strategy, **machine(int(trainer.world_size)), **adapter(model), **precision(model, mixed)}


def _transformers_model(module: Any) -> Any:
    """The first model of transformers in a module; `None` if there is none."""
    for part in module.modules():
        config = getattr(part, "config", None)
        if hasattr(config, "to_dict") and getattr(config, "model_type", None):
            return part
    return None
