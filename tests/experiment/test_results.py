"""What an experiment keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankwise.evaluate.task import Task
from rankwise.experiment.bench import Run
from rankwise.experiment.results import Result, Results

ANSWERS = (("yes", False, None), ("no", False, None), ("ye", True, None), ("", False, "too long"))
RUN = Run("Default", 3e-4, 1, 0.5)
DONE = Result(RUN, 3e-4, 0.25, 7, 12.5, None, 99, 3.0, None, 0.5, ANSWERS, None)


def test_what_is_added_is_read_again(tmp_path: Path):
    results = Results(tmp_path)
    results.add(DONE)
    probe = Result(Run("Default", None, 1, 0.5), 1e-3, 0.5, 7, 12.5, 1, 99, 2.0, 1.0, None, None, None)
    results.add(probe)
    results.close()
    again = Results(tmp_path)
    assert again.found == {RUN.key: DONE, probe.run.key: probe} and again.seconds == 5.0
    again.close()


def test_the_last_line_of_a_run_counts(tmp_path: Path):
    """One that failed in one call, and was done in a later one."""
    results = Results(tmp_path)
    results.add(Result(RUN, 3e-4, None, 0, 0.0, None, 99, 1.0, None, None, None, "out of memory"))
    results.add(DONE)
    results.close()
    again = Results(tmp_path)
    assert again.found == {RUN.key: DONE}
    again.close()


def test_answers_are_scored_as_they_were_given():
    """Right, wrong, cut off, an error: one of four."""
    tally = DONE.tally(Task(("no", "yes"), "all"), ["yes"] * 4)
    assert tally is not None and (tally.metric, tally.value) == ("accuracy", 0.25)


@pytest.mark.parametrize("run", [RUN, Run("Default", None, 1, 0.5), Run("Default", 3e-4, 2, 0.5), Run("X", 3e-4, 1, 1)])
def test_keys_tell_runs_apart(run: Run):
    others = [RUN, Run("Default", None, 1, 0.5), Run("Default", 3e-4, 2, 0.5), Run("X", 3e-4, 1, 1)]
    assert sum(other.key == run.key for other in others) == 1
