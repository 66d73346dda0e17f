"""A callback of Lightning's Trainer that predicts a training before its first step and measures it."""

from __future__ import annotations

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
        get = getattr(batch, "get", None)
        sequences, length = batch_shape(None if get is None else get("input_ids"))

        def describe() -> tuple[Source, dict[str, Any]]:
            if self._model is None:
                raise TypeError(f"{type(pl_module).__name__} holds no model of transformers, whose configuration says what is trained")
            precision_name = str(trainer.precision)
            mixed = "bf16" if "bf16" in precision_name else "fp16" if "16" in precision_name else None
            fields = {
                "steps": self._planned or None,
                "seq_len": length,
                "micro_batch": sequences,
                "grad_accum": int(trainer.accumulate_grad_batches),
                "strategy": _STRATEGIES.get(type(trainer.strategy).__name__),
                "optimizer": _OPTIMIZERS.get(type(trainer.optimizers[0]).__name__) if trainer.optimizers else None,
            }
            model = {**adapter(self._model), **precision(self._model, mixed)}
            return self._model.config, {**fields, **machine(int(trainer.world_size)), **model}

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


def _transformers_model(module: Any) -> Any:
    """The first model of transformers in a module; `None` if there is none."""
    for part in module.modules():
        config = getattr(part, "config", None)
        if hasattr(config, "to_dict") and getattr(config, "model_type", None):
            return part
    return None
