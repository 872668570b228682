"""Every claim has a verdict, each for its own reason; what is not seen stays undecided."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from rankwise.events import Event
from rankwise.experiment import check_claims
from rankwise.experiment.arithmetic import COMPUTATIONS
from rankwise.experiment.bench import Bench, Run
from rankwise.experiment.claims import _against, _decided, _time_saved, design_claims, foreign_rows
from rankwise.experiment.claims_cells import BASE, claim_cells
from rankwise.experiment.claims_list import CLAIMS, Compared, Computed
from rankwise.experiment.claims_report import Judged
from rankwise.experiment.results import Result
from rankwise.experiment.statistics import Estimate
from rankwise.plan.advise import weigh
from rankwise.recipe import Asked

AskedFor = Callable[..., Asked]
BenchOf = Callable[..., Bench]
EPOCHS = (
    "training: {num_train_epochs: 2, per_device_train_batch_size: 4, gradient_accumulation_steps: 1, bf16: false}\n"
)


def test_every_claim_can_be_followed_up(bench_of: BenchOf):
    """Each computed one has its function, and each compared one cells that exist or are said to be absent."""
    bench = bench_of()
    situation = weigh(bench.asked, bench.prepared, bench.machine, bench.measured).situation
    cells, absent = claim_cells(bench, situation)
    known = {cell.name for cell in cells} | {f"{cell.name}, batch x4" for cell in cells} | set(absent) | {BASE}
    assert len(CLAIMS) >= 50 and len({claim.document for claim in CLAIMS}) == 5
    for claim in CLAIMS:
        if isinstance(claim.test, Computed):
            assert claim.test.function in COMPUTATIONS
        elif isinstance(claim.test, Compared):
            assert {name for _, name in claim.test.terms} <= known, claim
            assert claim.test.low < claim.test.high


def test_end_to_end_and_again(asked_for: AskedFor, tmp_path: Path):
    asked, events, folder = asked_for(), list[Event](), tmp_path / "lab"
    report, _ = check_claims(asked, folder, seeds=1, budget=None, observer=events.append)
    assert len(report.judged) == len(CLAIMS) and not report.left_out and not report.failed
    verdicts = {one.claim.says: one for one in report.judged}
    fewer = verdicts["queries alone have 70% fewer parameters than attention"]
    assert fewer.basis == "by arithmetic" and "% fewer" in fewer.evidence
    gain = verdicts["LoRA gains 20 to 40 points over the base"]
    assert gain.value is not None and gain.verdict == "undecided here" and "3 seeds" in gain.evidence
    assert verdicts["full fine-tuning forgets more"].value is not None and report.foreign_rows > 20
    head = verdicts["adapting the unembedding too is best"]
    assert head.basis == "not here" and "tied" in head.evidence
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert "wrong as written" in page and "wrong as written" in text
    assert len((folder / "report.csv").read_text().splitlines()) == len(CLAIMS) + 1
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["judged"]

    events.clear()
    again, _ = check_claims(asked, folder, seeds=1, budget=None, observer=events.append)
    assert not [event for event in events if event["event"] == "experiment"]
    assert again.judged == report.judged


def test_a_budget_gives_up_larger_batches_before_other_cells(bench_of: BenchOf):
    bench = bench_of(EPOCHS, train=400, held_out=200)
    whole = design_claims(bench, 3, None, None)
    assert whole.seconds is not None
    least = design_claims(bench, 1, 200, None)
    assert least.seconds is not None
    lost = list[str]()
    for share in (0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25):
        small = design_claims(bench, 3, None, share * least.seconds)
        lost = [what.removeprefix("cell: ") for what in small.gave_up if what.startswith("cell: ")]
        if lost:
            break
    assert lost and lost[0].endswith("batch x4") and small.seconds is not None
    assert not [cell for cell in small.cells if cell.name in lost]


def test_rows_of_other_domains_are_under_their_own_prompts(bench_of: BenchOf):
    bench = bench_of()
    shown = list(foreign_rows(bench))
    assert len(shown) >= 50 and all(row.num_supervised for row in shown)


def judged(value: float, low: float, high: float, bounds: tuple[float, float], seeds: int = 3) -> Judged:
    claim = next(claim for claim in CLAIMS if isinstance(claim.test, Compared) and claim.test.measure == "loss")
    inside = bounds[0] <= value <= bounds[1]
    found = Estimate(value, (low, high), seeds, 0.001)
    return Judged(claim, "measured here", "undecided here", "", found, *bounds, inside, 0.001)


@pytest.mark.parametrize(
    ("value", "low", "high", "bounds", "said"),
    [
        (0.2, 0.1, 0.3, (0.0, inf), "holds here"),
        (-0.2, -0.3, -0.1, (0.0, inf), "contradicted here"),
        (0.1, -0.1, 0.3, (0.0, inf), "undecided here"),
        (0.005, -0.01, 0.015, (-0.02, 0.02), "holds here"),
        (0.005, -0.03, 0.04, (-0.02, 0.02), "undecided here"),
        (0.05, 0.03, 0.07, (-0.02, 0.02), "contradicted here"),
        (0.05, 0.01, 0.09, (-0.02, 0.02), "undecided here"),
    ],
)
def test_a_verdict_excludes_the_opposite(
    bench_of: BenchOf, value: float, low: float, high: float, bounds: tuple[float, float], said: str
):
    made = design_claims(bench_of(), 1, None, None)
    assert _decided(judged(value, low, high, bounds), 0.01, made).verdict == said
    assert _decided(judged(value, low, high, bounds), 0.2, made).verdict == "undecided here"
    assert _decided(judged(value, low, high, bounds, seeds=2), 0.01, made).verdict == "undecided here"


def test_the_p_is_of_the_nearer_opposite():
    p = {0.2: 0.04, 0.4: 0.01}
    found = Estimate(0.3, (0.25, 0.35), 3, 1.0)
    assert _against(found, 0.2, 0.4, p.__getitem__) == (True, 0.04)
    assert _against(found, 0.4, inf, p.__getitem__) == (False, 0.01)


def test_time_saved_is_of_rows_a_second():
    def runs(speeds: tuple[float, ...]) -> dict[int, Result]:
        rest = (None, 1, 1.0, 1.0, None, None, None)
        return {seed: Result(Run("a", 1.0, seed, 1.0), 1.0, 1.0, 1, speed, *rest) for seed, speed in enumerate(speeds)}

    found = _time_saved(runs((10.0, 10.0, 10.0)), runs((4.0, 5.0, 6.0)))
    assert found.value == pytest.approx(0.5)
    assert found.interval == pytest.approx((0.5 - 0.2484, 0.5 + 0.2484), abs=1e-3)  # 4.303 x 0.1 / sqrt(3)
