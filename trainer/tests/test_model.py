"""Models have the parameters that wattlaw counts."""

import json
import os
import subprocess

import pytest
from jobs import document

from wattlaw_trainer import model
from wattlaw_trainer.document import parse

# family, layers, width, more of the model, of the workload, and what wattlaw 0.1.0 counts: `parameters.total` of
# `wattlaw cost --format json`
SHAPES = [
    ("bert", 2, 64, {}, {}, 2_121_210),
    ("bert", 12, 768, {}, {}, 109_514_298),
    (
        "bert", 3, 96, {"heads": 6, "ffn_size": 200, "vocab_size": 1000, "max_positions": 64, "token_types": 3},
        {}, 342_112,
    ),
    ("bert", 2, 64, {"tied_embeddings": False, "vocab_size": 500}, {}, 201_780),
    ("bert", 2, 128, {"heads": 2}, {"task": "classification", "labels": 5}, 4_386_565),
    ("gpt2", 2, 64, {}, {}, 3_382_080),
    ("gpt2", 12, 768, {}, {}, 124_439_808),
    ("gpt2", 3, 96, {"heads": 3, "ffn_size": 100, "vocab_size": 777, "max_positions": 48}, {}, 250_476),
    ("gpt2", 2, 64, {"tied_embeddings": False, "vocab_size": 500}, {}, 229_632),
]  # fmt: skip


def resolved(shape: tuple) -> dict[str, dict]:
    family, layers, width, more, work, _ = shape
    return document({"family": family, "layers": layers, "hidden_size": width} | more, work)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}x{s[2]}")
def test_a_model_has_the_parameters_that_wattlaw_counts(shape: tuple) -> None:
    import torch

    # no weights are drawn, so that large ones are counted as fast as small ones
    with torch.device("meta"):
        built = model.build(parse(resolved(shape)), seed=0, dropout=False)
    assert model.parameters(built) == shape[-1]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}x{s[2]}")
def test_wattlaw_counts_what_is_quoted_here(shape: tuple, tmp_path) -> None:
    wattlaw = os.environ.get("WATTLAW")
    if wattlaw is None:
        pytest.skip("WATTLAW names no wattlaw to ask")
    path = tmp_path / "job.json"
    path.write_text(json.dumps(resolved(shape)))
    done = subprocess.run([wattlaw, "cost", path, "--format", "json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["parameters"]["total"] == shape[-1]


def test_the_seed_draws_the_weights() -> None:
    def weights(seed: int):
        built = model.build(parse(resolved(SHAPES[3])), seed, dropout=False)
        return next(built.parameters())

    assert weights(1).equal(weights(1))
    assert not weights(1).equal(weights(2))


def test_nothing_is_dropped_unless_asked_for() -> None:
    import torch

    for shape in (SHAPES[3], SHAPES[8]):
        for dropout, rates in ((False, {0.0}), (True, {0.1})):
            built = model.build(parse(resolved(shape)), seed=0, dropout=dropout)
            assert {m.p for m in built.modules() if isinstance(m, torch.nn.Dropout)} == rates
