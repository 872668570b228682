"""How many labels a text may have, in transformers' own words: one of them, or any number."""

from __future__ import annotations

from rankwise.data.corpus import Corpus
from rankwise.facts import Anatomy
from rankwise.facts.classifier import MULTI, SINGLE, THRESHOLD
from rankwise.plan.ledger import Ledger
from rankwise.recipe.schema import ProblemType


def problem_type_of(corpus: Corpus) -> ProblemType:
    """What the rows were written for."""
    return MULTI if corpus.shape == "label_lists" else SINGLE


def decide_problem_type(ledger: Ledger, anatomy: Anatomy, corpus: Corpus) -> None:
    """Of a sequence classifier, by its rows. What does not go together is an error: another base, other rows."""
    key, first = "problem_type", corpus.train[0].where
    asked = ledger.asked_value(key)
    if anatomy.task != "seq_cls":
        if asked != "auto":
            message = (
                f"it is of task seq_cls, and {anatomy.architecture} is trained for {anatomy.task}; leave it out, or "
                "take an encoder (minilm-l6)"
            )
            ledger.report("error", "problem-type-of-another-task", ledger.asked.where(key), message)
        if corpus.shape == "label_lists":
            message = (
                f"these rows have lists of labels, and {anatomy.architecture} has no head that gives several: take an "
                'encoder (minilm-l6), or write each list as a text, under "output" beside "instruction", that the '
                "base learns to write"
            )
            ledger.report("error", "label-lists-without-head", first, message)
        return
    found = problem_type_of(corpus)
    if asked not in ("auto", found):
        has = "a list of labels" if found == MULTI else "one label"
        other = (
            "write one label a text, as a string, or leave problem_type out"
            if found == MULTI
            else 'write every label as a list, ["..."], in a .jsonl or .parquet file, or leave problem_type out'
        )
        message = f"it is {asked}, and every row has {has} ({first}); {other}"
        ledger.report("error", "problem-type-of-other-rows", ledger.asked.where(key), message)
    ledger.given(key, found, _reason(corpus))


def _reason(corpus: Corpus) -> str:
    if corpus.shape != "label_lists":
        return "every row has one label: softmax over the labels, cross-entropy"
    counts = [len(row.own_labels) for row in corpus.train]
    return (
        f"the rows have lists of labels, {sum(counts) / len(counts):.1f} on average and none in {counts.count(0)}: "
        f"each label has a sigmoid of its own (BCEWithLogitsLoss) and is given where that is over {THRESHOLD}"
    )
