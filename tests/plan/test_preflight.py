"""Before training: what would stop the run at its end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rankwise.plan import Plan
from rankwise.plan.preflight import preflight


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_all_is_well_in_an_ordinary_folder(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    assert preflight(plan_of(), tmp_path / "runs" / "new", tmp_path / "home") == ()


def test_a_full_disk_is_said_once_for_both_folders(
    plan_of: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of()
    needed = sum(plan.on_disk()[:2])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, needed))
    assert preflight(plan, tmp_path / "run", tmp_path / "home") == ()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, needed - 1))
    [problem] = preflight(plan, tmp_path / "run", tmp_path / "home")
    assert (problem.severity, problem.code) == ("error", "disk-full")
    assert str(tmp_path / "run") in problem.where and str(tmp_path / "home") in problem.where


def test_folders_that_cannot_be_written_are_both_named(
    plan_of: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    problems = preflight(plan_of(), tmp_path / "file" / "run", tmp_path / "home")
    assert [problem.code for problem in problems] == ["not-writable", "not-writable"]
    assert "--output" in problems[0].message and "RANKWISE_HOME" in problems[1].message
