"""A run ends at its steps or its time, on all ranks together."""

import pytest

from wattlaw_trainer.budget import Budget, seconds
from wattlaw_trainer.refused import Refused


def test_times_are_read_as_they_are_written() -> None:
    for text, time_s in (("30s", 30.0), ("500ms", 0.5), ("1.5h", 5400.0), ("2min", 120.0), ("2m", 120.0)):
        assert seconds(text) == time_s
    for text in ("", "30", "-3s", "0s", "s", "3 days"):
        with pytest.raises(Refused, match="is no time; give one like 30s"):
            seconds(text)


def test_steps_end_a_run_without_asking_anyone() -> None:
    budget = Budget(3, None)
    assert [budget.spent(done, agree=None) for done in range(4)] == [False, False, False, True]


def test_the_first_rank_says_when_the_time_is_over() -> None:
    over, going_on = Budget(3, 1e-9), Budget(3, 1e9)
    assert not over.spent(0, bool), "one step is done in any case"
    assert over.spent(1, bool)
    assert not going_on.spent(1, bool)
    # another rank's clock does not count
    assert not over.spent(1, lambda _: False)
    assert going_on.spent(1, lambda _: True)
