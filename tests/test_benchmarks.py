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


# -- LoRA against full fine-tuning


@pytest.fixture
def compute_recipe(tiny_base: Path, tmp_path: Path) -> Path:
    texts = [f"revenue fell in month {i} {'again ' * (i % 5)}" for i in range(40)]
    rows = [{"text": text, "label": ("bad", "good")[i % 2]} for i, text in enumerate(texts)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {tiny_base}\ndata: {{train: rows.jsonl}}\nshared_prefix: true\n")
    return recipe


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("side", ["ours", "plain"])
def test_operations_are_counted_as_they_are_in_closed_form(side: str, method: str, compute_recipe: Path):
    """Our own functions hide no product from the counter."""
    import compute_side

    plan, prepared, settings = compute_side.planned(compute_recipe, method)
    _, step, attend = compute_side.SIDES[side](plan, prepared, settings)
    attend("eager")
    rows = prepared.corpus.train_rendered[:6]
    found = compute_side.counted(lambda: step(rows))
    closed = compute_side.closed_form(prepared.anatomy, plan, rows, side)
    assert found["weights"] == closed and found["attention"] > 0
    if (side, method) == ("plain", "full"):  # the textbook's 6 N T: layers and head, padding too
        weights = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64) + 32 * prepared.anatomy.vocab_size
        assert closed == 6 * weights * len(rows) * max(len(row.ids) for row in rows)


@pytest.mark.slow
def test_compute_writes_its_page_and_remembers(tiny_base: Path, compute_recipe: Path, tmp_path: Path):
    def run() -> str:
        command = [sys.executable, BENCHMARKS / "compute.py", tmp_path / "rows.jsonl", "--model", tiny_base]
        command += ["--steps", 2, "--work", tmp_path / "work", "--out", tmp_path / "page.md"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=tmp_path, timeout=540)
        assert done.returncode == 0, done.stderr
        return (tmp_path / "page.md").read_text()

    page = run()
    assert page.count("| the same |") == 4 and "98% faster" in page and str(tmp_path) not in page
    assert run() == page
