"""One self-test of the tiny base that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def passed(tiny_base: Path):
    from rankwise.selftest.run import run_selftest

    seen = []
    return run_selftest(str(tiny_base), seen.append), seen
