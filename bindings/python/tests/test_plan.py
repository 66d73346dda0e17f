"""Plans and their launch files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import wattlaw as wl

JOB: dict[str, Any] = {"model": "gpt2", "tokens": "100M", "seq_len": 1024, "global_batch": 64, "gpu": ["a100", "h100"], "gpus": range(1, 3)}


def test_plans_are_ranked_and_are_jobs() -> None:
    plans = wl.plan(JOB | {"gpu": None, "gpus": None}, gpu=["a100", "h100"], gpus=[1, 2], top=5)
    assert [plan.rank for plan in plans.plans] == [1, 2, 3, 4, 5]
    expected = [plan.expected("energy") for plan in plans.plans]
    assert expected == sorted(expected)
    assert all(plan.expected("duration") > plan.duration_s for plan in plans.plans)
    with pytest.raises(wl.UnknownError, match="unknown quantity `power`"):
        plans.best.expected("power")
    assert wl.predict(plans.best.job).energy_j == plans.best.energy_j
    assert plans.left_out[0].number > 0 and 0 < plans.evaluated <= plans.searched
    assert {plan.rank for plan in plans.pareto} == set(plans.to_dict()["pareto"])


def test_limits_are_numbers_times_or_text() -> None:
    seconds = wl.plan(**JOB).best.duration_s
    assert seconds is not None
    for deadline in (seconds * 0.8, timedelta(seconds=seconds * 0.8), f"{seconds * 0.8:.0f}s"):
        best = wl.plan(**JOB, deadline=deadline).best.duration_s
        assert best is not None and best <= seconds * 0.81


def test_a_plan_writes_its_launch_files(tmp_path: Path) -> None:
    made = wl.plan(**JOB).best.emit("accelerate", "slurm", tmp_path / "out")
    assert {of.name for of in made} == {path.name for path in (tmp_path / "out").iterdir()}
    assert "accelerate.yaml" in {of.name for of in made}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"deadline": "soon"}, "deadline: `soon` is not a positive duration"),
        ({"deadline": "1s"}, "--deadline is 1 s, but the least expected of any plan is"),
        ({"max_energy": "3"}, "max_energy: `3` is not an energy"),
        ({"gpus": "8..2"}, "gpus is `8..2`, but"),
        ({"gpus": object()}, "gpus is of type object"),
        ({"gpus": []}, "gpus is ``, but"),
        ({"minimise": "joy"}, "unknown objective `joy`"),
        ({"pareto": ["energy", "energy"]}, "pareto takes two different objectives"),
        ({"keep": ["colour"]}, "unknown choice `colour`"),
        ({"level": 2}, "level is 2, but it must lie between 0 and 1"),
        ({"calibration": "bert-2026"}, "calibration is `bert-2026`, but a plan needs a roofline law"),
    ],
)
def test_a_wrong_question_is_one_sentence(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(wl.Error) as raised:
        wl.plan(**JOB | asked)
    assert str(raised.value).startswith(sentence)


def test_a_plan_that_is_emitted_wrongly_is_one_sentence(tmp_path: Path) -> None:
    best = wl.plan(**JOB).best
    with pytest.raises(wl.UnknownError, match="unknown launcher `nothing`"):
        best.emit("nothing", tmp_path)
    with pytest.raises(wl.InvalidError, match="emit takes at least one launcher"):
        best.emit("accelerate")
