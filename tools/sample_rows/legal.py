"""Legal rows: a contract clause -> its main risk to the party that pays (rules in README.md).

Knobs: how many kindred stems the train rows use (on the linear model: 0 gives 0.36 accuracy, 5 0.44, 10 0.54, 15 0.63),
the shares of the labels, how often a lead or a tail without risk surrounds the clause (blanks in the bank).
"""

from __future__ import annotations

import random

from tools.sample_rows.legal_bank import BANKS, KINDRED, A, C, L, N, U, X
from tools.sample_rows.phrases import Row, Split, fill, sentence, spread

KINDRED_USED = 10
SHARES = {A: 0.32, N: 0.16, C: 0.15, U: 0.13, L: 0.13, X: 0.11}


def rows(split: Split, count: int, rng: random.Random) -> list[Row]:
    """`count` text/label rows, all different."""
    made: dict[str, str] = {}
    for label in spread(rng, SHARES, count):
        text = _clause(rng, split, label)
        while text in made:
            text = _clause(rng, split, label)
        made[text] = label
    return [{"text": text, "label": label} for text, label in made.items()]


def _clause(rng: random.Random, split: Split, label: str) -> str:
    bank = BANKS[split]
    frames = bank.frames + (KINDRED[:KINDRED_USED] if split == "train" else ())
    stem, endings = rng.choice([frame for frame in frames if label in frame[1]])
    payer, supplier = rng.choice(bank.parties)
    slots = {**bank.slots, "P": payer, "S": supplier}
    clause = fill(rng, rng.choice(bank.leads) + stem + rng.choice(endings[label]), slots)
    return " ".join(filter(None, (sentence(clause), rng.choice(bank.tails))))
