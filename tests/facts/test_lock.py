"""One process owns a run, for as long as it lives."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rankwise.errors import RunError
from rankwise.facts.lock import owned

HOLD = """\
import sys, time
from pathlib import Path
from rankwise.facts.lock import owned

with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_at_once_and_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError) as caught, owned(tmp_path):
            pass
        [problem] = caught.value.problems
        assert (problem.code, problem.where) == ("run-in-use", str(tmp_path))
        assert f"process {holder.pid}" in problem.message
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with owned(tmp_path):
        pass
    with owned(tmp_path), pytest.raises(RunError), owned(tmp_path):
        pass
