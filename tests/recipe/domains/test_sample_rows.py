"""The bundled rows: what they hold, that held-out differs from train, and that cheap contestants do not solve them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from rankwise.files import home, read_json
from rankwise.recipe.domains import DOMAINS
from rankwise.recipe.domains.profiles import ROWS
from tools.sample_rows import financial, healthcare, legal_bank, manufacturing
from tools.sample_rows.__main__ import COUNTS, GENERATORS
from tools.sample_rows.financial_bank import BANKS as FINANCIAL
from tools.sample_rows.healthcare_bank import BANKS as HEALTHCARE
from tools.sample_rows.manufacturing_bank import BANKS as MANUFACTURING
from tools.sample_rows.measure import five_grams, linear_scores, nearest_field_f1, overlap, question, read_rows
from tools.sample_rows.phrases import SPLITS, Row, Split, fill, sentence, source, spread

ROOT = Path(__file__).parents[3]
LABELS = ("legal", "healthcare", "customer_support", "insurance")
FIELDS = ("financial", "manufacturing", "human_resources", "education", "retail", "marketing", "real_estate")
CALLS = ("technology",)
FIELD_NAMES = {
    "financial": ["Revenue", "Growth", "Operating margin", "Net income", "Guidance"],
    "manufacturing": [
        "Line", "Best machine", "Most scrap", "Machines stopped", "Downtime", "Main cause", "Status", "Summary",
    ],
    "education": ["Plan", "Step 1", "Step 2", "Answer"],
    "marketing": ["Headline", "For", "Body", "Promise", "Offer", "Call"],
    "real_estate": ["Type", "Bedrooms", "Condition", "Raises value", "Lowers value", "Band"],
    "retail": ["Product", "Overall", "Liked", "Disliked", "Would buy again"],
    "human_resources": ["Topic", "Clause", "Condition", "Answer"],
}  # fmt: skip
OPTIONAL = {"education": "Step 2"}


def bundled(domain: str, split: Split) -> list[Row]:
    return read_rows(ROWS / f"{domain}.{split}.jsonl")


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    subprocess.run([sys.executable, "-m", "tools.sample_rows", str(folder)], cwd=ROOT, check=True)
    return folder


def test_there_is_one_generator_per_domain_with_rows() -> None:
    assert list(GENERATORS) == [name for name, domain in DOMAINS.items() if domain.train]
    assert COUNTS["train"] >= 400 and COUNTS["held_out"] >= 150
    assert len(list(ROWS.iterdir())) == 2 * len(GENERATORS)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("domain", GENERATORS)
def test_the_generator_writes_the_bundled_bytes(rewritten: Path, domain: str, split: Split) -> None:
    name = f"{domain}.{split}.jsonl"
    assert (rewritten / name).read_bytes() == (ROWS / name).read_bytes()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("domain", LABELS)
def test_label_rows(domain: str, split: Split) -> None:
    rows = bundled(domain, split)
    assert len(rows) == COUNTS[split] and all(list(row) == ["text", "label"] for row in rows)
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == set(DOMAINS[domain].labels), "every label occurs and no other"
    assert max(counts.values()) <= 0.35 * len(rows) and min(counts.values()) >= 8


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("domain", FIELDS)
def test_field_rows(domain: str, split: Split) -> None:
    rows = bundled(domain, split)
    assert len(rows) == COUNTS[split] and all(list(row) == ["instruction", "input", "output"] for row in rows)
    assert {row["instruction"] for row in rows} == {DOMAINS[domain].instruction}
    for row in rows:
        named = [line.split(": ")[0] for line in row["output"].splitlines()]
        assert named == [name for name in FIELD_NAMES[domain] if name in named or name != OPTIONAL.get(domain)]


@pytest.mark.parametrize("domain", GENERATORS)
def test_texts_are_clean_and_none_repeats(domain: str) -> None:
    texts = [question(row) for split in SPLITS for row in bundled(domain, split)]
    assert len({" ".join(text.lower().split()) for text in texts}) == len(texts)
    for text in texts:
        assert text == text.strip() and "{" not in text and "}" not in text
        assert "  " not in text and ".." not in text and " ." not in text


@pytest.mark.parametrize("domain", GENERATORS)
def test_held_out_rows_are_phrased_anew(domain: str) -> None:
    share, most = overlap(bundled(domain, "train"), bundled(domain, "held_out"))
    assert share < 0.02, "word 5-grams of held-out rows that train rows hold"
    assert most < 0.2, "largest share of a held-out row found in one train row"


def test_the_overlap_can_be_seen() -> None:
    row = {"text": "one two three four five six", "label": "x"}
    assert five_grams(row) == {("one", "two", "three", "four", "five"), ("two", "three", "four", "five", "six")}
    assert overlap([row], [row]) == (1.0, 1.0)
    assert overlap([row], [{"text": "zero two three four five six", "label": "x"}]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        (FINANCIAL["train"].companies, FINANCIAL["held_out"].companies),
        (FINANCIAL["train"].periods, FINANCIAL["held_out"].periods),
        (MANUFACTURING["train"].machines, MANUFACTURING["held_out"].machines),
        (MANUFACTURING["train"].lines, MANUFACTURING["held_out"].lines),
        (MANUFACTURING["train"].layouts, MANUFACTURING["held_out"].layouts),
        (HEALTHCARE["train"].nurse, HEALTHCARE["held_out"].nurse),
        (legal_bank.TRAIN.parties, legal_bank.HELD_OUT.parties),
        (legal_bank.TRAIN.tails, legal_bank.HELD_OUT.tails),
        (
            [stem for stem, _ in legal_bank.TRAIN.frames + legal_bank.KINDRED],
            [stem for stem, _ in legal_bank.HELD_OUT.frames],
        ),
    ],
)
def test_banks_share_nothing(train: object, held_out: object) -> None:
    assert not set(train) - {""} & set(held_out) - {""}  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_findings_are_named_alike_and_worded_apart(kind: int) -> None:
    train, held_out = HEALTHCARE["train"].findings, HEALTHCARE["held_out"].findings
    assert list(train) == list(held_out)
    for name in train:
        assert not set(train[name][kind]) & set(held_out[name][kind]), name


def test_every_legal_stem_leads_to_an_acceptable_clause_and_to_a_risk() -> None:
    for frames in (legal_bank.TRAIN.frames, legal_bank.KINDRED, legal_bank.HELD_OUT.frames):
        for stem, endings in frames:
            assert "acceptable" in endings and len(endings) >= 2, stem


def test_pictures_of_diagnoses_can_be_told_apart() -> None:
    assert tuple(healthcare.PICTURES) == DOMAINS["healthcare"].labels
    findings = set(HEALTHCARE["train"].findings)
    for name, picture in healthcare.PICTURES.items():
        assert {*picture.typical, *picture.shared, *picture.denied} <= findings
        assert not set(picture.denied) & {*picture.typical, *picture.shared}, name
        for other, rival in healthcare.PICTURES.items():
            if other != name:
                shown = {*rival.typical, *rival.shared}
                assert len(set(picture.typical) & shown) < healthcare.TYPICAL, (name, other)


@pytest.mark.parametrize(
    ("domain", "floor", "bound"),
    [("legal", 0.3, 0.7), ("healthcare", 0.3, 0.7), ("customer_support", 0.3, 0.7), ("insurance", 0.3, 0.7)],
)
def test_a_linear_model_is_above_chance_and_far_from_right(domain: str, floor: float, bound: float) -> None:
    accuracy, macro = linear_scores(bundled(domain, "train"), bundled(domain, "held_out"))
    assert floor <= accuracy <= bound and macro <= bound


def test_a_linear_model_learns_what_words_decide() -> None:
    rows = [{"text": f"the {word} thing {i}", "label": word} for i in range(20) for word in ("red", "blue")]
    assert linear_scores(rows, rows) == (1.0, 1.0)


@pytest.mark.parametrize("domain", (*FIELDS, *CALLS))
def test_the_nearest_answer_is_mostly_wrong(domain: str) -> None:
    assert nearest_field_f1(bundled(domain, "train"), bundled(domain, "held_out")) < 0.4


def test_the_nearest_answer_to_a_known_text_is_right() -> None:
    rows = bundled("financial", "train")[:20]
    assert nearest_field_f1(rows, rows) == 1.0


@pytest.mark.parametrize("split", SPLITS)
def test_financial_answers_agree_with_their_texts(split: Split) -> None:
    unsaid = Counter[str]()
    for row in bundled("financial", split):
        answer = dict(line.split(": ") for line in row["output"].splitlines())
        assert re.fullmatch(r"\$\d+(\.\d)?M", answer["Revenue"])
        assert re.fullmatch(r"[+-]\d+%|0%|not stated", answer["Growth"])
        assert answer["Guidance"] in financial.GUIDANCE
        millions = float(answer["Revenue"][1:-1])
        spellings = {f"{millions:,.0f}", f"{millions:,.1f}", f"{millions / 1000:.2f}".rstrip("0").rstrip(".")}
        assert any(spelling in row["input"] for spelling in spellings), row
        if answer["Operating margin"] != "not stated":
            assert answer["Operating margin"] in row["input"]
        unsaid.update(field for field, value in answer.items() if value == "not stated")
    for field in ("Growth", "Operating margin", "Net income", "Guidance"):
        assert 0.1 <= unsaid[field] / COUNTS[split] <= 0.45, field


def test_a_manufacturing_report_by_hand() -> None:
    records = [
        manufacturing.Record("Press 1", 400, 19, 15, "jam"),
        manufacturing.Record("Mill 3", 620, 3, 0, "none"),
        manufacturing.Record("Saw 1", 390, 7, 45, "power"),
    ]
    assert manufacturing.report("Line 6", records).splitlines() == [
        "Line: 6",
        "Best machine: Mill 3",
        "Most scrap: Press 1, 19",
        "Machines stopped: 2",
        "Downtime: 60 min",
        "Main cause: power",
        "Status: hold",
        "Summary: Mill 3 made most; the longest stop was 45 min at Saw 1.",
    ]


@pytest.mark.parametrize(
    ("scrap", "stop", "status"),
    [(14, 25, "ok"), (15, 0, "watch"), (2, 30, "watch"), (19, 55, "watch"), (20, 0, "hold"), (2, 60, "hold")],
)
def test_the_status_follows_scrap_and_downtime(scrap: int, stop: int, status: str) -> None:
    record = manufacturing.Record("Press 1", 400, scrap, stop, "jam" if stop else "none")
    assert f"Status: {status}" in manufacturing.report("Line 1", [record])


def test_shares_are_met_exactly() -> None:
    names = spread(Random(0), {"a": 1, "b": 1, "c": 2}, 10)
    counts = Counter(names)
    assert sum(counts.values()) == 10 and counts["c"] == 5 and {counts["a"], counts["b"]} == {2, 3}


def test_slots_are_filled_also_inside_slots() -> None:
    assert fill(Random(0), "a {b} d", {"b": ("{c}!",), "c": "c"}) == "a c! d"
    assert sentence(" two  words ") == "Two words."
    assert source("x", "train").random() != source("x", "held_out").random()


@pytest.mark.parametrize("split", SPLITS)
def test_financial_rows_are_about_150_to_180_tokens_long(split: Split) -> None:
    folder = home() / "models" / "smollm2-135m"
    rows = bundled("financial", split)
    if not (folder / "tokenizer.json").is_file():
        letters = sum(len(part) for row in rows for part in row.values()) / len(rows)
        assert 330 <= letters <= 450
        return
    import jinja2
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    template = jinja2.Environment().from_string((folder / "chat_template.jinja").read_text())
    lengths = []
    for row in rows:
        turns = [
            {"role": "user", "content": f"{row['instruction']}\n{row['input']}"},
            {"role": "assistant", "content": row["output"]},
        ]
        lengths.append(len(tokenizer.encode(template.render(messages=turns), add_special_tokens=False).ids))
    assert 150 <= sum(lengths) / len(lengths) <= 180
    assert max(lengths) <= read_json(folder / "config.json")["max_position_embeddings"]


def test_rows_are_plain_json_lines() -> None:
    for file in ROWS.iterdir():
        data = file.read_bytes()
        assert data.endswith(b"}\n") and b"\r" not in data and not data.startswith(b"\xef\xbb\xbf")
        assert all(isinstance(json.loads(line), dict) for line in data.decode("utf-8").splitlines())
