"""A callback of transformers' Trainer that predicts a training before its first step and measures it.

Importing this module lets ``report_to="wattlaw"`` find it. Loggers that are named after it get its figures too::

    import wattlaw.transformers
    TrainingArguments(..., report_to=["wattlaw", "tensorboard"])
"""

from __future__ import annotations

from functools import partial
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import integration_utils

from .job import Source
from .training import Measuring, adapter, batch_shape, machine, precision


class WattlawCallback(Measuring, TrainerCallback):  # type: ignore[misc]
    """Predicts, measures and logs a training.

    The job is read off the model, the arguments, the ranks and the first batch. One record is kept a node, in the folder ``wattlaw``
    of the arguments' ``output_dir``, with a window for each epoch and each evaluation. Figures go to the trainer's log under
    ``wattlaw/``: measured power and energy, what is left, measured over predicted.

    Its options are those of :class:`wattlaw.training.Measuring`.
    """

    _hook: Any = None
    _epoch = ""
    _evaluates = False

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        run = self._begin(args.output_dir, int(state.max_steps))
        # a hook would break up what torch.compile traces
        if run.runs and model is not None and not args.torch_compile:
            self._hook = model.register_forward_pre_hook(partial(self._before_forward, args, state), with_kwargs=True)

    def _before_forward(
        self, args: Any, state: Any, module: Any, positional: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        if self._run is None or not module.training:
            return
        sequences, length = batch_shape(positional[0] if positional else named.get("input_ids"))

        def describe() -> tuple[Source, dict[str, Any]]:
            world_size = int(args.world_size) * max(1, int(args.n_gpu))
            mixed = "bf16" if args.bf16 else "fp16" if args.fp16 else None
            fields = {"steps": int(state.max_steps), "seq_len": length, "framework": "accelerate"}
            model = {**adapter(module), **precision(module, mixed)}
            return [module.config, args], {**fields, **machine(world_size), **model}

        self._run.batch((sequences or 0) * (length or 0), describe)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._run is not None:
            self._epoch = f"epoch {int(state.epoch or 0) + 1}"
            self._run.begin_window(self._epoch)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._run is not None:
            self._run.end_window(self._epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._run is not None:
            self._run.step()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._run is not None and not self._evaluates:
            self._evaluates = True
            self._run.begin_window("evaluation")

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._run is not None and self._evaluates:
            self._evaluates = False
            self._run.end_window("evaluation")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if self._run is None or logs is None:
            return
        found = self._run.metrics()
        logs.update(found)
        if state.log_history:
            state.log_history[-1].update(found)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if self._run is not None:
            self._run.end()


integration_utils.INTEGRATION_TO_CALLBACK["wattlaw"] = WattlawCallback
