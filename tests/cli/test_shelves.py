"""Promotion by figures: two adapters really trained, one of which learnt nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rankwise.cli import app

LEARNS = ["--set", "training.max_steps=40", "--set", "lora.r=8", "--set", "training.learning_rate=0.01"]
ANSWER = "high"
"""What nearly all rows are labelled, and the base by itself does not say."""


def write_rows(path: Path, numbers: range, rare: int = 0) -> None:
    labels = [("low", "medium")[i % 2] if i < rare else ANSWER for i in range(len(numbers))]
    rows = [{"text": f"clause {i} of part {i % 7}", "label": label} for i, label in zip(numbers, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def shelf(tiny_base: Path, tmp_path_factory) -> Iterator[dict[str, Any]]:
    """A home of its own with a `good` and a `bad` adapter of one shelf, and how to ask there, in this process."""
    home = tmp_path_factory.mktemp("shelf")
    write_rows(home / "train.jsonl", range(48), rare=4)
    write_rows(home / "test.jsonl", range(100, 112))
    (home / "recipe.yaml").write_text(
        f"model: {json.dumps(str(tiny_base))}\ndata: {{train: train.jsonl, held_out: test.jsonl}}\nlora: {{r: 2}}\n"
        "training: {max_steps: 4, per_device_train_batch_size: 4, gradient_accumulation_steps: 1}\n"
    )

    def ask(*arguments: object, expect: int = 0) -> Any:
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert result.exit_code == expect, result.output
        return json.loads(result.stdout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKWISE_HOME", str(home))
        patch.chdir(home)
        good = ask("train", "recipe.yaml", "--output", home / "good", *LEARNS)["catalogue"]["id"]
        bad = ask("train", "recipe.yaml", "--output", home / "bad", "--set", "training.learning_rate=1e-6")
        yield {"ask": ask, "good": good, "bad": bad["catalogue"]["id"], "home": home}


@pytest.fixture
def ask(shelf):
    """Nothing is in production when a test begins."""
    for file in (shelf["home"] / "adapters").glob("*/production.json"):
        file.unlink()
    return shelf["ask"]


def alias(ask) -> dict[str, str | None]:
    return {entry["id"]: entry["alias"] for entry in ask("adapters", "list")["adapters"]}


def test_a_worse_adapter_is_refused_with_the_figures(ask, shelf):
    good, bad = shelf["good"], shelf["bad"]
    first = ask("adapters", "promote", good)
    assert first == {"adapter": good, "replaced": None, "promoted": True, "pair": None}
    refused = ask("adapters", "promote", bad, expect=1)
    assert (refused["adapter"], refused["replaced"], refused["promoted"]) == (bad, good, False)
    pair = refused["pair"]
    assert pair["rows"] == 12 and pair["metric"] == "accuracy"
    assert pair["difference"]["value"] < 0 and pair["difference"]["interval"][1] < 0
    assert pair["first"]["accuracy"] - pair["second"]["accuracy"] == pytest.approx(pair["difference"]["value"])
    assert len(pair["flips"]["lost"]) - len(pair["flips"]["gained"]) == round(-12 * pair["difference"]["value"])
    assert all(where.startswith("test.jsonl:") for where in pair["flips"]["lost"])
    assert alias(ask) == {good: "production", bad: None}


def test_a_better_one_moves_and_the_figures_are_kept(ask, shelf):
    good, bad = shelf["good"], shelf["bad"]
    ask("adapters", "promote", bad)
    assert ask("adapters", "promote", good)["promoted"]
    moves = json.loads(next((shelf["home"] / "adapters").glob("*/production.json")).read_text())
    assert [move["digest"] for move in moves] == [bad.split("/")[1], good.split("/")[1]]
    assert moves[1]["figures"]["value"] > 0 and moves[1]["figures"]["rows"] == 12 and moves[1]["forced"] is None
    domain = good.split("/")[0]
    assert ask("adapters", "rollback", domain) == {"adapter": bad, "replaced": good}
    assert alias(ask) == {good: None, bad: "production"}
    assert ask("adapters", "rollback", domain, expect=2)["problems"][0]["code"] == "nothing-before"


def test_force_moves_it_unasked_and_says_why(ask, shelf):
    ask("adapters", "promote", shelf["good"])
    assert ask("adapters", "promote", shelf["bad"], "--force", "a rehearsal")["pair"] is None
    (file,) = (shelf["home"] / "adapters").glob("*/production.json")
    assert json.loads(file.read_text())[-1]["forced"] == "a rehearsal"
    shown = ask("adapters", "show", shelf["bad"])
    assert (shown["id"], shown["alias"], shown["lineage"]) == (shelf["bad"], "production", [])


def test_rows_that_the_other_was_trained_on_do_not_count(ask, shelf):
    ask("adapters", "promote", shelf["good"])
    told = ask("adapters", "promote", shelf["bad"], "--data", "train.jsonl", expect=2)
    assert told["problems"][0]["code"] == "too-few-rows"
    assert "0 rows are left of train.jsonl, of which 48 are training rows" in told["problems"][0]["message"]


def test_rows_given_are_used_for_both(ask, shelf):
    rows = [
        *(shelf["home"] / "test.jsonl").read_text().splitlines(),
        (shelf["home"] / "train.jsonl").read_text().splitlines()[0],
    ]
    (shelf["home"] / "more.jsonl").write_text("".join(row + "\n" for row in rows))
    ask("adapters", "promote", shelf["bad"])
    done = ask("adapters", "promote", shelf["good"], "--data", shelf["home"] / "more.jsonl")
    assert (done["pair"]["rows"], done["pair"]["left_out"]) == (12, 1)


def test_removal(ask, shelf):
    ask("adapters", "promote", shelf["good"])
    assert ask("adapters", "remove", shelf["good"], expect=2)["problems"][0]["code"] == "in-production"
    domain = shelf["good"].split("/")[0]
    assert ask("adapters", "remove", domain, "--force", expect=2)
    assert ask("adapters", "remove", shelf["good"], "--force")["removed"] == shelf["good"]
    assert alias(ask) == {shelf["bad"]: None}


def test_merge_says_what_it_lost(shelf):
    """On a float32 base: nothing but rounding."""
    output = shelf["home"] / "whole"
    done = shelf["ask"]("adapters", "merge", "good/adapter", "--output", output)
    parity = done["parity"]
    assert parity["rows"] == parity["logit_rows"] == 12 and parity["same_first"] == 1.0
    assert 0 < parity["logits_difference"] < 1e-5
    assert parity["merged_bits"] == pytest.approx(parity["adapter_bits"], rel=1e-5)
    assert (done["quantization"], done["head_untied"]) == ("none", False)
    assert json.loads((output / "rankwise_merge.json").read_text())["parity"] == parity
    told = shelf["ask"]("adapters", "merge", "good/adapter", "--output", output, expect=2)
    assert told["problems"][0]["code"] == "output-exists"


def test_merging_what_was_trained_on_a_quantised_base_is_measured(shelf):
    """The adapter made up for errors of the quantised base that the whole one does not have."""
    ask, home = shelf["ask"], shelf["home"]
    ask("train", "recipe.yaml", "--output", home / "four-bits", "--set", "method=qlora", *LEARNS)
    done = ask("adapters", "merge", "four-bits/adapter", "--output", home / "whole-of-four-bits")
    assert done["quantization"] == "nf4"
    shown = CliRunner().invoke(app, ["adapters", "show", "four-bits/adapter"])
    words = " ".join(shown.stdout.split())
    assert "method qlora" in words and ", kept in nf4" in words
    parity = done["parity"]
    assert parity["logits_difference"] > 1e-3
    assert parity["adapter_bits"] != parity["merged_bits"] and parity["merged_bits"] > 0


def test_a_merge_that_fails_leaves_nothing(shelf):
    ask, home = shelf["ask"], shelf["home"]
    (home / "no-rows.jsonl").write_text('{"text": "one", "label": "never heard"}\n')
    told = ask("adapters", "merge", "good/adapter", "--output", home / "none", "--data", "no-rows.jsonl", expect=2)
    assert told["problems"][0]["code"] == "unknown-label"
    assert not (home / "none").exists() and not list(home.glob(".none*"))


def test_compare_tells_scores_flips_and_geometry(ask, shelf):
    good, other = "good/adapter", "bad/adapter"
    told = ask("adapters", "compare", good, other)
    assert told["pair"]["difference"]["value"] > 0 and len(told["pair"]["flips"]["gained"]) > 5
    modules = told["geometry"]["modules"]
    assert len(modules) == 14 and all(each["norms"][0] > each["norms"][1] > 0 for each in modules)
    assert told["geometry"]["only_first"] == told["geometry"]["only_second"] == []
    shown = CliRunner().invoke(app, ["adapters", "compare", good, other], env={"COLUMNS": "250"})
    words = " ".join(shown.stdout.split())  # a long path of the rows makes the table narrower
    assert shown.exit_code == 0 and "alone is right on" in words and "outputs shared" in words
