"""What a run came to, in words."""

from __future__ import annotations

import pytest

from rankwise.cli.train import _learnt


@pytest.mark.parametrize(("step", "told"), [(0, "before the first step: training gained nothing"), (7, "after step 7")])
def test_weights_that_were_best_before_the_first_step_are_said_so(step: int, told: str) -> None:
    assert told in _learnt({"bits_per_token": 0.5, "step": step, "ended": "all steps done"})
