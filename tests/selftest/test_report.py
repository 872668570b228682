"""A difference holds its promise up to the tolerance, and what is for information decides nothing."""

from __future__ import annotations

import json
import math

from rankwise.selftest.report import Check, SelfTest


def test_a_check_holds_up_to_its_tolerance():
    assert Check("p", "loss", 0.1, 0.1).ok
    assert not Check("p", "loss", 0.11, 0.1).ok
    assert not Check("p", "loss", math.nan, 0.1).ok
    assert not Check("p", "loss", math.inf, 0.1).ok


def test_the_whole_is_as_good_as_what_decides():
    def whole(*checks: Check) -> SelfTest:
        return SelfTest("base", "cpu", 1, 8, 900, 1.23, {}, checks)

    held, failed = Check("p", "loss", 0, 0), Check("q", "loss", math.nan, 0)
    told = Check("r", "loss", 1, 0, decides=False)
    assert whole(held, told).ok and not whole(held, failed).ok
    answer = json.loads(json.dumps(whole(held, failed).as_json(), allow_nan=False))
    assert answer["ok"] is False and answer["checks"][1]["difference"] is None
