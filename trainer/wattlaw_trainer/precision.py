"""Number formats: which products are rounded to what, and the scaler that FP16 needs."""

import contextlib

import torch
import torch.distributed as dist
from torch.amp import GradScaler

from .ranks import Ranks

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def apply(precision: str) -> None:
    """Sets how 32-bit products are rounded on CUDA devices."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(precision: str, device: torch.device, sharded: bool) -> contextlib.AbstractContextManager:
    """Where products are rounded as they are made; sharded parameters are rounded when they are gathered instead."""
    half = HALF.get(precision)
    if half is None or sharded:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=half)


class Scaler(GradScaler):
    """torch's loss scaler on any spread: a rank looks at the gradients that it holds, and all ranks agree.

    torch's own takes either plain gradients or those of one mesh, and tensor parallelism mixes them.
    """

    def __init__(self, ranks: Ranks, enabled: bool):
        super().__init__(ranks.device.type, enabled=enabled)
        self.ranks = ranks

    def _unscale_grads_(self, optimizer, inv_scale, found_inf, allow_fp16):
        grads = [local(p.grad) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if grads:
            torch._amp_foreach_non_finite_check_and_unscale_(grads, found_inf, inv_scale)
        if self.ranks.several:
            dist.all_reduce(found_inf, dist.ReduceOp.MAX)
        return {self.ranks.device: found_inf}


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this rank holds."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor
