"""Steps of one process: what the seed decides, and what the loss scaler does."""

import torch
from jobs import document

from wattlaw_trainer import job
from wattlaw_trainer.document import parse
from wattlaw_trainer.launch import Launch
from wattlaw_trainer.precision import Scaler
from wattlaw_trainer.ranks import Ranks
from wattlaw_trainer.train import Options, Trainer

JOB = document({"family": "gpt2", "layers": 1, "hidden_size": 32, "heads": 2, "vocab_size": 101})


def alone() -> Ranks:
    return Ranks(Launch(0, 0, 1, 1), job.Parallelism(1, 1, "single", 1, "blocks", False), torch.device("cpu"))


def losses(seed: int, dropout: bool = False) -> list[float]:
    options = Options(seed, 0, None, None, dropout, 1e-3, None, None)
    trainer = Trainer(parse(JOB), options, alone())
    return [trainer.step().item() for _ in range(3)]


def test_a_seed_gives_the_same_losses_again() -> None:
    assert losses(7) == losses(7)
    assert losses(7) != losses(8)
    assert losses(7, dropout=True) == losses(7, dropout=True) != losses(7)


def test_a_step_with_an_infinite_gradient_is_left_out() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scaler = Scaler(alone(), enabled=True)
    before = scaler.get_scale()
    for slope, after in ((float("inf"), 1.0), (1.0, 0.5)):
        optimizer.zero_grad()
        scaler.scale((slope * weight).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert weight.tolist() == [after, after]
    assert scaler.get_scale() == before / 2
