"""The speed benchmark goes through, remembers what it has done, and its arithmetic is right. No timing is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def speed(work: Path, *arguments: object) -> tuple[dict, str]:
    command = [sys.executable, BENCHMARKS / "train_speed.py", "--json", "--work", work, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=work, timeout=540)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_our_side_on_the_tiny_base(tiny_base: Path, tmp_path: Path):
    out = tmp_path / "out"
    asked = ("--case", "a", "--model", tiny_base, "--ours-only", "--rounds", 1, "--steps", 2, "--rows", 4)
    answer, told = speed(tmp_path, *asked, "--out", out)
    case = answer["cases"]["a"]
    assert set(case["sides"]) == {"ours float32", "ours bfloat16"}
    assert all(len(side["losses"]) == 2 and side["rows_per_second"] > 0 for side in case["sides"].values())
    assert set(case["bound"]) == {"float32", "bfloat16"} and case["ratio"] is None
    assert "--ours-only" in told
    page = (out / "speed.md").read_text()
    assert str(tmp_path) not in page and "left out" in page
    plots = sorted(out.glob("*.svg"))
    assert len(plots) == 2 and all(plot.stat().st_size < 100_000 for plot in plots)

    again, told = speed(tmp_path, *asked)
    assert again["cases"] == answer["cases"] and told.count("done before") == 4
    _, told = speed(tmp_path, *asked, "--fresh")
    assert "done before" not in told


@pytest.mark.slow
def test_growth_on_the_tiny_base_stays_beside_the_cases(tiny_base: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "speed.md").write_text("# Training speed\n\nthe cases\n")
    answer, _ = speed(tmp_path, "--growth", "--model", tiny_base, "--steps", 1, "--out", out)
    assert {(g["rows"], g["r"]) for g in answer["growth"]} == {
        (4, 16),
        (16, 16),
        (64, 16),
        (16, 4),
        (16, 64),
        (16, 256),
    }
    assert len(answer["growth"]) == 14
    page = (out / "speed.md").read_text()
    assert "the cases" in page and "## Growth" in page


@pytest.mark.slow
def test_the_peer_trains_the_same_rows_to_the_same_losses(embedded_base: Path, tmp_path: Path):
    from speed_cells import find_peer

    peer, reason = find_peer(None)
    if peer is None:
        pytest.skip(reason)
    answer, _ = speed(tmp_path, "--case", "a", "--peer", peer, "--rounds", 1, "--steps", 2, "--rows", 2)
    case = answer["cases"]["a"]
    assert case["ids"]["same"] == case["ids"]["rows"] == 4
    assert case["loss"]["float32"]["mean"] < 1e-3 and case["loss"]["bfloat16"]["mean"] < 0.05


def test_the_first_step_counts_only_where_it_is_no_slower():
    from speed_summary import steady

    assert steady([9.0, 1.0, 1.1, 1.2]) == steady([1.0, 1.0, 1.1, 1.2]) == [1.0, 1.1, 1.2]
    assert steady([1.05, 1.0]) == [1.05, 1.0]
    assert steady([1.2, 1.0]) == [1.0]
    assert steady([3.0]) == [3.0]


def test_the_peers_batches_multiply_to_the_step():
    from speed_cells import micro_batch

    assert [micro_batch(16, longest, 4096) for longest in (165, 256, 257, 610, 5000)] == [16, 16, 8, 4, 1]


def test_rows_laid_out_for_the_loop_are_drawn_in_their_own_order():
    from speed_ours import as_drawn

    from rankwise.data.batch import steps

    laid_out = as_drawn(list(range(12)), seed=3)
    assert sorted(laid_out) == list(range(12)) and laid_out != list(range(12))
    drawn = [laid_out[i] for step in steps(12, 4, 3, 0, 3) for i in step]
    assert drawn == list(range(12))


def test_ratios_are_against_the_faster_peer():
    from speed_summary import summarize

    def cell(seconds: float, memory: int) -> dict:
        times = {"seconds": [9.0, seconds, seconds, seconds], "tokens": [40] * 4, "losses": [2.0, 1.0, 0.5, 0.25]}
        return {**times, "peak_memory_bytes": memory, "threads": 2}

    bound = {"seconds": [0.5, 0.5], "packed_tokens": 30, "supervised": 9, "products": 7}
    found = summarize(
        {
            ("peer", "float32"): [cell(8.0, 100)],
            ("peer", "bfloat16"): [cell(4.0, 80)],
            ("ours", "float32"): [cell(2.0, 50)],
            ("ours", "bfloat16"): [cell(1.0, 20)],
            ("bound", "bfloat16"): [bound],
        },
        rows=16,
    )
    assert found["ratio"] == 4.0 and found["sides"]["ours float32"]["ratio"] == 2.0
    assert found["fraction_of_bound"] == {"bfloat16": 0.5}
    assert found["memory_ratio"] == {"float32": 0.5, "bfloat16": 0.25}
    assert found["sides"]["ours bfloat16"]["tokens_per_second"] == 40
    assert found["loss"]["float32"] == {"mean": 0.0, "most": 0.0}
