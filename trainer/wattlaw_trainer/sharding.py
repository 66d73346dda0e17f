"""Data parallelism: who keeps what whole, on torch's own DDP, ZeroRedundancyOptimizer and `fully_shard`."""

import contextlib

import torch
from torch import nn

from .job import Job
from .model import layers
from .precision import HALF
from .ranks import Ranks


class Spread:
    """A model spread over the ranks of a job."""

    def __init__(self, model: nn.Module, job: Job, ranks: Ranks, precision: str):
        self.data = job.parallelism.data
        self.model = model
        self.mesh = ranks.mesh
        tp = job.parallelism.tp
        if tp > 1:
            from .tensor import split

            split(model, job, self.mesh["tp"])
        # plain DDP knows nothing of split weights, so that with them replicas are kept by FSDP's machinery
        self.by_unit = self.data in ("zero2", "fsdp", "hsdp") or (self.data == "ddp" and tp > 1)
        if self.by_unit:
            self._by_unit(precision)
        else:
            model.to(ranks.device)
            if self.data in ("ddp", "zero1"):
                ids = [ranks.device.index] if ranks.device.type == "cuda" else None
                group = self.mesh["dp"].get_group()
                self.model = nn.parallel.DistributedDataParallel(
                    model, device_ids=ids, process_group=group, forward_sync_buffers=False
                )

        self.groups = by_mesh(self.model)

    def _by_unit(self, precision: str) -> None:
        """Wraps each layer, and embedding with output map, as a unit of exchange."""
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        half = HALF.get(precision)
        policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32 if half else None)
        if self.data == "ddp":
            from torch.distributed._composable.replicate_with_fsdp import replicate

            wrap, more = replicate, {}
        else:
            wrap, more = fully_shard, {"reshard_after_forward": self.data != "zero2"}
        mesh = self.mesh["replicate", "shard"] if self.data == "hsdp" else self.mesh["dp"]
        for unit in [*layers(self.model), self.model]:
            wrap(unit, mesh=mesh, mp_policy=policy, **more)

    def micro_step(self, last: bool) -> contextlib.AbstractContextManager:
        """The context of a micro-step, which says what is exchanged in it and what only in the last one of a step.

        DDP sums gradients once a step. Sharded gradients are scattered each micro-step, so that none is kept whole;
        ZeRO-2 gathers parameters once a step, and HSDP sums between its groups once a step.
        """
        if self.by_unit:
            if self.data == "ddp":
                self.model.set_requires_gradient_sync(last)
            elif self.data == "zero2":
                self.model.set_reshard_after_backward(last)
            elif self.data == "hsdp":
                self.model.set_requires_all_reduce(last)
        elif self.data in ("ddp", "zero1") and not last:
            return self.model.no_sync()
        return contextlib.nullcontext()

    def optimizer(self, name: str, rate: float) -> torch.optim.Optimizer:
        """AdamW, or SGD with momentum 0.9."""
        if name == "adamw":
            kind, options = torch.optim.AdamW, {"lr": rate, "weight_decay": 0.01, "foreach": True}
        else:
            kind, options = torch.optim.SGD, {"lr": rate, "momentum": 0.9, "foreach": True}
        if self.data == "zero1":
            from torch.distributed.optim import ZeroRedundancyOptimizer

            group = self.mesh["dp"].get_group()
            # a rank tells the others its parameters in one piece, and not one after another
            return ZeroRedundancyOptimizer(
                self.model.parameters(), kind, process_group=group, parameters_as_bucket_view=True, **options
            )
        return kind([{"params": group} for group in self.groups], **options)


def by_mesh(model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters by the mesh that they are spread over, since one call of torch's takes those of one mesh only."""
    found: dict = {}
    for parameter in model.parameters():
        found.setdefault(getattr(parameter, "device_mesh", None), []).append(parameter)
    return list(found.values())
