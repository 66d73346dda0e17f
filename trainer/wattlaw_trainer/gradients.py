"""Gradients between the backward pass and the update, however they are spread."""

import torch

from .precision import local
from .sharding import Spread


def settle(spread: Spread) -> None:
    """Sums what ranks hold as parts of a sum, so that each gradient is spread as its parameter is.

    Sequence parallelism leaves the gradients of norms and output biases so, and each operation of the optimizer would
    sum them again.
    """
    for group in spread.groups:
        for parameter in group:
            grad = parameter.grad
            if grad is not None and getattr(grad, "placements", None) != getattr(parameter, "placements", None):
                parameter.grad = grad.redistribute(placements=parameter.placements)


def clip(spread: Spread, limit: float) -> None:
    """Scales gradients so that the norm of all of them together is at most `limit`."""
    grads = [[p.grad for p in group if p.grad is not None] for group in spread.groups]
    norms = []
    for group in grads:
        norm = torch.nn.utils.get_total_norm(group)
        norms.append(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
    total = torch.linalg.vector_norm(torch.stack(norms))
    factor = (limit / (total + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_([local(grad) for group in grads for grad in group], factor)
