"""What a cheap contestant scores on the sample rows: `python -m tools.sample_rows.measure [DOMAIN ...]`.

Printed per domain: for labels the majority share and the held-out accuracy and macro-F1 of TF-IDF (1,2)-grams + linear
SVM; for fields the field F1 of the nearest train answer (TF-IDF cosine); for both the share of held-out word 5-grams
that train rows hold, and the largest share of one held-out row's 5-grams that stands in one train row.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from rankwise.evaluate.fields import field_counts
from rankwise.recipe.domains import DOMAINS, Domain
from tools.sample_rows.phrases import Row


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def question(row: Row) -> str:
    return row["text"] if "text" in row else row["input"]


def linear_scores(train: list[Row], held_out: list[Row]) -> tuple[float, float]:
    """(accuracy, macro-F1) on `held_out` of a linear SVM over TF-IDF (1,2)-grams."""
    grams = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LinearSVC().fit(grams.fit_transform(map(question, train)), [row["label"] for row in train])
    guesses = model.predict(grams.transform(map(question, held_out)))
    labels = [row["label"] for row in held_out]
    accuracy = sum(guess == label for guess, label in zip(guesses, labels, strict=True)) / len(labels)
    return accuracy, float(f1_score(labels, guesses, average="macro"))


def nearest_field_f1(train: list[Row], held_out: list[Row]) -> float:
    """Micro F1 over fields when each row is answered by the nearest train row's answer."""
    grams = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = grams.fit_transform(map(question, train))
    nearest = (grams.transform(map(question, held_out)) @ known.T).toarray().argmax(axis=1)
    counts = [field_counts(row["output"], train[index]["output"]) for row, index in zip(held_out, nearest, strict=True)]
    right, extra, missed = map(sum, zip(*counts, strict=True))
    return 2 * right / (2 * right + extra + missed)


def five_grams(row: Row) -> set[tuple[str, ...]]:
    """Word 5-grams of the question, every number read as `#`."""
    words = re.sub(r"\d[\d.,:]*", "#", question(row).lower())
    tokens = re.findall(r"[a-z']+|#", words)
    return {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)}


def overlap(train: list[Row], held_out: list[Row]) -> tuple[float, float]:
    """(share of held-out 5-grams that train holds, largest share of one held-out row's that one train row holds)."""
    known = [five_grams(row) for row in train]
    anywhere = set().union(*known)
    own = [grams for row in held_out if (grams := five_grams(row))]
    share = sum(len(grams & anywhere) for grams in own) / sum(map(len, own))
    return share, max(len(grams & other) / len(grams) for grams in own for other in known)


def measure(domain: Domain) -> str:
    assert domain.train and domain.held_out, "only domains with rows can be measured"
    train, held_out = read_rows(domain.train), read_rows(domain.held_out)
    share, most = overlap(train, held_out)
    if domain.kind == "labels":
        accuracy, macro = linear_scores(train, held_out)
        majority = max(Counter(row["label"] for row in held_out).values()) / len(held_out)
        cheap = f"majority {majority:.3f}, linear SVM accuracy {accuracy:.3f} macro-F1 {macro:.3f}"
    else:
        cheap = f"nearest train answer field F1 {nearest_field_f1(train, held_out):.3f}"
    sizes = f"{len(train)} train, {len(held_out)} held-out"
    return f"{domain.name}: {sizes}; {cheap}; 5-grams known {share:.3f}, most in one row {most:.3f}"


if __name__ == "__main__":
    for name in sys.argv[1:] or [name for name, domain in DOMAINS.items() if domain.train]:
        print(measure(DOMAINS[name]))
