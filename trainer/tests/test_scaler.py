"""The loss scaler leaves a step out where a gradient is infinite, and goes on with a smaller scale."""

import torch

from wattlaw_trainer import job
from wattlaw_trainer.launch import Launch
from wattlaw_trainer.precision import Scaler
from wattlaw_trainer.ranks import Ranks


def test_a_step_with_an_infinite_gradient_is_left_out() -> None:
    alone = Ranks(Launch(0, 0, 1, 1), job.Parallelism(1, 1, "single", 1, "blocks", False), torch.device("cpu"))
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = Scaler(alone, enabled=True)
    before = scaler.get_scale()
    for slope, after in ((float("inf"), 1.0), (1.0, 0.5)):
        optimizer.zero_grad()
        scaler.scale((slope * weight).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert weight.tolist() == [after, after]
    assert scaler.get_scale() == before / 2
