"""The contest: the same rows for everybody, counts that add up, and bad news first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from pathlib import Path
from typing import Any

import pytest

from rankwise.data.corpus import asked
from rankwise.data.render import Renderer
from rankwise.data.table import Row
from rankwise.evaluate.rows import EvaluationRows
from rankwise.evaluate.run import Contest, Evaluation
from rankwise.evaluate.task import Task
from rankwise.facts import AdapterFacts
from rankwise.model.open import OpenAdapter

Run = Callable[..., Evaluation]
LABELS = ("bad", "good")
PROMPT = "Sort it."


def label_rows(count: int, first: int = 0) -> list[Row]:
    """Rows whose first word gives the label away."""
    words = {"good": "profit", "bad": "losses"}
    rows = []
    for i in range(first, first + count):
        label = LABELS[i % 2]
        text = f"{words[label]} in month {i}"
        turns = ({"role": "user", "content": text}, {"role": "assistant", "content": label})
        rows.append(asked(Row(f"rows.jsonl:{i + 1}", turns, text, label, label), PROMPT))
    return rows


def open_rows(answers: Sequence[str]) -> list[Row]:
    rows = []
    for i, answer in enumerate(answers):
        turns = ({"role": "user", "content": f"note {10 + i}"}, {"role": "assistant", "content": answer})
        rows.append(Row(f"rows.jsonl:{i + 1}", turns, f"note {10 + i}", answer))
    return rows


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Any:
    """The tiny base with an adapter that was never trained: B is zero."""
    from rankwise.model.attach import LoraSettings, attach_new
    from rankwise.model.load import load_base

    settings = LoraSettings(4, 8, 0.0, ["q_proj", "v_proj"], "none", False, True)
    return attach_new(load_base(tiny_base, "float32", "cpu"), "tiny", settings, 0).eval()


@pytest.fixture
def run(model: Any, tiny_base: Path, tmp_path: Path) -> Run:
    def contest(
        held_out: Sequence[Row],
        train: Sequence[Row] | None,
        labels: tuple[str, ...] = LABELS,
        max_length: int = 2048,
        observer: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> Evaluation:
        facts = AdapterFacts(tmp_path, "", {}, None, {}, {})
        opened = OpenAdapter(model, Renderer(tiny_base), facts, max_length, ())
        rows = EvaluationRows(list(held_out), None if train is None else list(train), "train.jsonl is gone", "rows")
        return Contest(opened, Task(labels, "all"), 0, observer).run(rows)

    return contest


def test_a_cheap_contestant_that_wins_is_said_first(run: Run) -> None:
    found = run(label_rows(60, first=40), label_rows(40))
    assert found.contestants["baseline"].scores["accuracy"] == 1.0
    assert found.contestants["adapter"].scores == found.contestants["base"].scores
    assert found.verdict.startswith("The cheap baseline (1.000) beats the adapter (")
    assert "No difference seen between the adapter" in found.verdict.splitlines()[-1]
    difference = found.differences["baseline"]
    assert difference.value < 0 and difference.interval[1] < 0 and difference.p < 0.001
    assert found.differences["base"].value == 0 and found.flips.gained == found.flips.lost == ()


def test_counts_of_every_contestant_add_up_to_the_rows(run: Run) -> None:
    found = run(label_rows(11, first=40), label_rows(40))
    assert set(found.contestants) == {"base", "few_shot", "baseline", "adapter"} and not found.absent
    for contestant in found.contestants.values():
        assert sum(contestant.counts.values()) == found.rows == 11
    answer = found.as_json()
    keys = ("rows", "base", "few_shot", "baseline", "adapter", "difference", "flips", "verdict", "metric")
    assert all(key in answer for key in keys)
    assert answer["difference"]["against"] == "base"
    assert "bits_per_token" in answer["base"] and "bits_per_token" not in answer["baseline"]


def test_bits_per_token_are_those_of_plain_transformers(run: Run, tiny_base: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    rows = label_rows(6)
    found = run(rows, None)
    plain, renderer = AutoModelForCausalLM.from_pretrained(tiny_base).eval(), Renderer(tiny_base)
    nats, tokens, right = 0.0, 0, 0
    for row in rows:
        scores = {}
        for label in LABELS:
            messages = (*row.messages[:-1], {"role": "assistant", "content": label})
            shown = renderer.render(Row("", messages, "", label), "last")
            with torch.no_grad():
                logp = plain(torch.tensor([shown.ids])).logits[0].log_softmax(-1)
            scores[label] = sum(float(logp[i - 1, shown.ids[i]]) for i in range(shown.prompt, len(shown.ids)))
            if label == row.label:
                tokens += len(shown.ids) - shown.prompt
        nats -= scores[str(row.label)]
        right += max(scores, key=scores.__getitem__) == row.label
    base = found.contestants["base"]
    assert base.scores["bits_per_token"] == pytest.approx(nats / log(2) / tokens, rel=1e-4)
    assert base.scores["accuracy"] == right / len(rows)
    assert base.counts["correct"] == right


def test_without_training_rows_two_are_absent_and_say_why(run: Run) -> None:
    found = run(label_rows(4), None)
    assert found.absent == {"few_shot": "train.jsonl is gone", "baseline": "train.jsonl is gone"}
    assert found.as_json()["few_shot"] is None and found.as_json()["baseline"] is None


def test_rows_over_the_context_are_counted_as_errors_not_left_out(run: Run, tiny_base: Path) -> None:
    rows = label_rows(6)
    longest = max(len(Renderer(tiny_base).render(row, "last").ids) for row in rows)
    long_text = "profit " * 40
    turns = ({"role": "user", "content": long_text}, {"role": "assistant", "content": "good"})
    found = run([*rows, Row("rows.jsonl:7", turns, long_text, "good", "good")], label_rows(20), max_length=longest)
    for name in ("base", "adapter"):
        counts = found.contestants[name].counts
        assert counts["error"] == 1 and sum(counts.values()) == 7
    assert found.contestants["baseline"].counts["error"] == 0
    assert "few_shot" in found.absent and "not one example fits" in found.absent["few_shot"]


def test_a_label_that_does_not_fit_after_a_prompt_is_an_error_of_the_row(run: Run, tiny_base: Path) -> None:
    rows = label_rows(6)
    renderer = Renderer(tiny_base)
    longest = max(len(renderer.render(row, "last").ids) for row in rows)
    labels = (*LABELS, "neither good nor bad")
    assert run(rows, None, labels, max_length=longest + 40).contestants["adapter"].counts["error"] == 0
    assert run(rows, None, labels, max_length=longest).contestants["adapter"].counts["error"] == 6


def test_no_answer_is_generated_beyond_the_context(model: Any, tiny_base: Path, tmp_path: Path) -> None:
    renderer = Renderer(tiny_base)
    rows = open_rows([*["May"] * 3, "a b c d e f g h i j k l m n o p q r s"])
    rows[1] = Row("rows.jsonl:2", ({"role": "user", "content": "note " * 30}, rows[1].messages[1]), "note", "May")
    rendered = [renderer.render(row, "last") for row in rows]
    limit = len(rendered[1].ids)

    def generated(max_length: int) -> dict[int, int]:
        opened = OpenAdapter(model, renderer, AdapterFacts(tmp_path, "", {}, None, {}, {}), max_length, ())
        contest = Contest(opened, Task((), "all"), 0, lambda event: None)
        return {i: len(answer.ids) for i, answer in contest.judge._generated(rendered, range(4), lambda rows: None)}

    free, within = generated(2048), generated(limit)
    assert rendered[1].prompt + free[1] > limit == rendered[1].prompt + within[1]
    assert within == free | {1: within[1]}  # the others have room


def test_open_answers_are_generated_and_compared_by_their_own_metric(run: Run) -> None:
    answers = [f"{i} May" for i in range(8)]
    found = run(open_rows(answers), open_rows(answers), labels=())
    assert found.metric == "exact_match"
    assert found.contestants["baseline"].scores["exact_match"] == 1.0
    for contestant in found.contestants.values():
        assert sum(contestant.counts.values()) == 8
        assert {"exact_match", "rouge_l", "field_f1"} <= contestant.scores.keys()
    assert found.contestants["base"].scores["bits_per_token"] == pytest.approx(
        found.contestants["adapter"].scores["bits_per_token"], abs=1e-6
    )


def test_a_template_that_refuses_examples_leaves_the_others_in_the_contest(
    run: Run, model: Any, tiny_base: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "strict"
    shutil.copytree(tiny_base, folder)
    template = (folder / "chat_template.jinja").read_text()
    guard = "{% if messages | length > 2 %}{{ raise_exception('one question only') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(guard + template)
    opened = OpenAdapter(model, Renderer(folder), AdapterFacts(tmp_path, "", {}, None, {}, {}), 2048, ())
    contest = Contest(opened, Task(LABELS, "all"), 0, lambda event: None)
    found = contest.run(EvaluationRows(label_rows(4), label_rows(20), "", "rows"))
    assert "one question only" in found.absent["few_shot"]
    assert set(found.contestants) == {"base", "baseline", "adapter"}


def test_progress_reaches_the_number_of_rows(run: Run) -> None:
    events: list[dict[str, Any]] = []
    run(label_rows(5), label_rows(20), observer=events.append)
    for name in ("base", "few_shot", "adapter"):
        done = [e["done"] for e in events if e["event"] == "contestant_progress" and e["contestant"] == name]
        assert done == sorted(done) and done[-1] == 5
    ended = [e["contestant"] for e in events if e["event"] == "contestant_end"]
    assert ended == ["base", "few_shot", "baseline", "adapter"]


def test_the_base_is_the_base_where_an_adapter_trained_biases(tiny_base: Path, tmp_path: Path) -> None:
    """PEFT's own switch would leave trained biases in it."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from rankwise.model.attach import LoraSettings, attach_new
    from rankwise.model.load import load_base
    from rankwise.model.open import open_adapter
    from rankwise.model.packing import Packing

    folder = tmp_path / "biased"
    shutil.copytree(tiny_base, folder)
    config = LlamaConfig.from_pretrained(tiny_base)
    config.attention_bias = True
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
    packing = Packing([20], 0)

    @torch.no_grad()
    def logits(model: torch.nn.Module) -> torch.Tensor:
        found = model(input_ids=torch.arange(20)[None], packing=packing, position_ids=packing.positions()).logits
        assert isinstance(found, torch.Tensor)
        return found

    base = load_base(folder, "float32", "cpu")
    before = logits(base)
    adapted = attach_new(base, "biased", LoraSettings(2, 4, 0.0, ["q_proj"], "lora_only", False, True), 0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    trained = logits(adapted.eval())
    adapted.save_pretrained(str(tmp_path / "adapter"))

    opened = open_adapter(tmp_path / "adapter", folder, "float32", "cpu")
    assert torch.equal(logits(opened.model), trained) and not torch.allclose(trained, before)
    with opened.base_alone():
        assert torch.equal(logits(opened.model), before)
    assert torch.equal(logits(opened.model), trained)
