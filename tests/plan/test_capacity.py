"""Capacity against description length, in closed form; and the calls of "LoRA/QLoRA Doctrine" as it writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rankwise
from rankwise import count_tokens, min_rank_for_dataset, validate_capacity
from rankwise.data.render import Renderer
from rankwise.doctrine.rankwise import HEADROOM, RANKS
from rankwise.errors import BaseError, DataError, PlanError
from rankwise.facts import Anatomy
from rankwise.plan import Capacity
from rankwise.plan.capacity import DescriptionLength, judge_capacity

PER_RANK = 1000
"""Parameters of the targets at rank 1 in these examples: 2,000 bits."""
TINY_PER_RANK = 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
"""Of every linear layer of the tiny Llama: q and o, k and v, gate, up and down, in two layers."""


@pytest.mark.parametrize(
    ("r", "tokens", "status", "capacity", "smallest", "suggested"),
    [
        (1, 2000, "AMPLE", 2000, 1, 8),
        (1, 2001, "UNDERCAPACITY", 2000, 2, 8),
        (4, 8001, "UNDERCAPACITY", 8000, 5, 16),
        (4, 8000, "AMPLE", 8000, 4, 8),
        (16, 32, "AMPLE", 32000, 1, 8),
        (16, 31, "WASTEFUL", 32000, 1, 8),
        (8, 256_000, "UNDERCAPACITY", 16000, 128, 256),
        (8, 256_001, "UNDERCAPACITY", 16000, 129, 256),
        (8, 512_001, "UNDERCAPACITY", 16000, 257, 257),
    ],
)
def test_status_and_ranks_at_the_borders(
    r: int, tokens: int, status: str, capacity: int, smallest: int, suggested: int
) -> None:
    found = judge_capacity(r, lambda rank: rank * PER_RANK, tokens)
    assert (found.status, found.capacity_bits, found.required_bits) == (status, capacity, tokens)
    assert (found.smallest_rank, found.suggested_rank) == (smallest, suggested)
    assert (found.basis, found.required_interval) == ("estimated", None)
    assert f"{tokens:,} supervised tokens" in found.message
    assert (f"lora.r to at least {smallest}" in found.message) == (status == "UNDERCAPACITY")
    assert ("past rank 256" in found.message) == (suggested > 256)


@given(st.integers(1, 1024), st.integers(1, 10**6), st.integers(0, 10**9))
def test_the_smallest_rank_suffices_and_the_suggested_one_has_room(r: int, per_rank: int, tokens: int) -> None:
    def parameters_at(rank: int) -> int:
        return rank * per_rank

    found = judge_capacity(r, parameters_at, tokens)
    rank = found.smallest_rank
    assert judge_capacity(rank, parameters_at, tokens).status != "UNDERCAPACITY"
    assert rank == 1 or judge_capacity(rank - 1, parameters_at, tokens).status == "UNDERCAPACITY"
    assert (r < rank) == (found.status == "UNDERCAPACITY")
    roomy = [each for each in RANKS if 2 * parameters_at(each) >= HEADROOM * tokens]
    assert found.suggested_rank == (min(roomy) if roomy else max(256, rank))


def test_a_measured_length_takes_the_place_of_a_bit_a_token() -> None:
    measured = DescriptionLength(4000.2, 3000.0, 5000.4, 256)
    found = judge_capacity(2, lambda rank: rank * PER_RANK, 100, measured)
    assert (found.required_bits, found.smallest_rank, found.status) == (4001, 3, "UNDERCAPACITY")
    assert (found.basis, found.required_interval) == ("measured", (3000, 5000))
    assert "4,001 bits (95%: 3,000 to 5,000)" in found.message and "256 rows" in found.message
    whole = judge_capacity(2, lambda rank: rank * PER_RANK, 100, DescriptionLength(4000.0, 4000.0, 4000.0, 12))
    assert (whole.required_bits, whole.status, whole.required_interval) == (4000, "AMPLE", None)
    assert "95%" not in whole.message


def test_a_capacity_of_0_1_is_read() -> None:
    """Its one rank was the smallest."""
    old = {"status": "AMPLE", "message": "", "capacity_bits": 8, "required_bits": 7, "suggested_rank": 3}
    assert Capacity.model_validate(old).smallest_rank == 3
    now = judge_capacity(2, lambda rank: rank, 7, DescriptionLength(7.0, 6.0, 8.0, 2))
    assert Capacity.model_validate(json.loads(now.model_dump_json())) == now


# -- the guide's calls


def guide_min_rank(dataset_tokens: int, hidden_dim: int, num_layers: int) -> int:
    """Parameters needed at two bits each, over those of a rank, rounded down, and one."""
    return int(dataset_tokens / 2 / (hidden_dim * 2 * 10 * num_layers)) + 1


@given(st.integers(0, 10**12), st.integers(1, 16384), st.integers(1, 128))
def test_the_smallest_rank_is_the_guides(tokens: int, hidden: int, layers: int) -> None:
    assert min_rank_for_dataset(tokens, hidden, layers) == guide_min_rank(tokens, hidden, layers)
    assert min_rank_for_dataset(dataset_tokens=tokens, hidden_dim=hidden, num_layers=layers) >= 1


def test_validation_as_the_guide_calls_it() -> None:
    """Llama-3.1-8B: ten projections of 4096 by 4096 a layer are its 2,621,440 parameters a rank to the last one."""
    result = validate_capacity(rank=64, hidden_dim=4096, num_layers=32, dataset_tokens=1_000_000)
    assert result["status"] == "AMPLE"
    assert result["capacity_bits"] == 2 * 64 * (1_769_472 + 851_968)
    assert (result["smallest_rank"], result["suggested_rank"]) == (1, 8)
    short = validate_capacity(rank=64, hidden_dim=4096, num_layers=32, dataset_tokens=400_000_000)
    assert (short["status"], short["smallest_rank"], short["suggested_rank"]) == ("UNDERCAPACITY", 77, 256)
    assert "raise lora.r to at least 77 (256 has 3.4 times the room)" in short["message"]


def test_an_anatomy_makes_the_counts_exact(tiny_anatomy: Anatomy) -> None:
    every = validate_capacity(rank=3, dataset_tokens=50, anatomy=tiny_anatomy)
    assert every["capacity_bits"] == 2 * 3 * TINY_PER_RANK
    queries = validate_capacity(rank=3, dataset_tokens=50, anatomy=tiny_anatomy, target_modules=["q_proj"])
    assert queries["capacity_bits"] == 2 * 3 * 2 * (32 + 32)
    sizes = {"hidden_dim": 32, "num_layers": 2}
    assert validate_capacity(rank=3, dataset_tokens=50, anatomy=tiny_anatomy, **sizes) == every
    assert validate_capacity(rank=3, dataset_tokens=50, **sizes)["capacity_bits"] == 2 * 3 * 32 * 2 * 10 * 2


def test_everything_wrong_is_said_at_once(tiny_anatomy: Anatomy) -> None:
    with pytest.raises(PlanError) as caught:
        validate_capacity(rank=0, dataset_tokens=-1, hidden_dim=64, anatomy=tiny_anatomy, target_modules=["nowhere"])
    assert [problem.where for problem in caught.value.problems] == [
        *("rank", "dataset_tokens", "anatomy", "target_modules")
    ]
    with pytest.raises(PlanError, match="give hidden_dim and num_layers, or an anatomy"):
        validate_capacity(rank=1, dataset_tokens=1, hidden_dim=8)
    with pytest.raises(PlanError, match=r"num_layers: error: 2\.5; expected a whole number"):
        validate_capacity(rank=1, dataset_tokens=1, hidden_dim=8, num_layers=2.5)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="hidden_dim"):
        min_rank_for_dataset(1, 0, 1)


# -- counting tokens


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    pairs = [("the tenant pays rent", "good"), ("the supplier may end this", "bad"), ("quarterly revenue", "good")]
    file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs))
    return file


def test_tokens_are_those_of_the_answers_and_their_stop_tokens(rows: Path, tiny_base: Path) -> None:
    renderer = Renderer(tiny_base)
    answers = [*renderer.encode("good"), *renderer.encode("bad"), *renderer.encode("good")]
    assert count_tokens(rows, tokenizer=tiny_base) == len(answers) + 3
    assert count_tokens(str(rows), str(tiny_base)) == len(answers) + 3


def test_all_tokens_are_prompts_and_answers(rows: Path, tiny_base: Path) -> None:
    renderer = Renderer(tiny_base)
    instruction = "Classify the text. Answer with one of: bad, good."
    expected = 0
    for text, label in (json.loads(line).values() for line in rows.read_text().splitlines()):
        asked = renderer.prompt([{"role": "user", "content": f"{instruction}\n{text}"}])
        expected += len(asked) + len(renderer.encode(label)) + 1
    assert count_tokens(rows, tokenizer=tiny_base, supervised=False) == expected


def test_open_answers_are_counted_too(tmp_path: Path, tiny_base: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"instruction": "say", "input": "", "output": "yes no up down"}) + "\n")
    assert count_tokens(file, tokenizer=tiny_base) == len(Renderer(tiny_base).encode("yes no up down")) + 1


def test_without_a_tokenizer_it_is_the_default_bases(rows: Path, tmp_path: Path, tiny_base: Path, monkeypatch) -> None:
    models = tmp_path / "home" / "models"
    models.mkdir(parents=True)
    (models / "smollm2-135m").symlink_to(tiny_base)
    monkeypatch.setenv("RANKWISE_HOME", str(tmp_path / "home"))
    assert count_tokens(rows) == count_tokens(rows, tokenizer=tiny_base)


def test_wrong_files_and_tokenizers_are_told(rows: Path, tmp_path: Path, tiny_base: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        count_tokens(tmp_path / "absent.jsonl", tokenizer=tiny_base)
    with pytest.raises(BaseError, match="no base is called"):
        count_tokens(rows, tokenizer="smollm3")


# -- the package


def test_the_package_itself_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import rankwise; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rankwise"]


def test_the_calls_need_no_torch() -> None:
    code = (
        "import sys; from rankwise import validate_capacity, min_rank_for_dataset, count_tokens; "
        "validate_capacity(rank=1, hidden_dim=8, num_layers=1, dataset_tokens=9); "
        "print(sorted({'torch', 'transformers', 'peft', 'rankwise'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['rankwise']"


def test_the_package_names_what_it_exports() -> None:
    assert set(rankwise.__all__) <= set(dir(rankwise))
    assert not hasattr(rankwise, "nowhere")


def test_layers_with_a_rank_of_their_own_count_as_they_are() -> None:
    """100 parameters a rank follow r, 1,000 are held by a pattern."""
    found = judge_capacity(4, lambda rank: 1000 + 100 * rank, 4000)
    assert (found.status, found.capacity_bits) == ("UNDERCAPACITY", 2800)
    assert (found.smallest_rank, found.suggested_rank) == (10, 32)  # 2000 + 10 * 200; 2000 + 32 * 200 >= 2 * 4000
    assert "lora.r to at least 10 (32 has 2.1 times the room)" in found.message


def test_where_patterns_hold_every_layer_the_rank_is_no_cure() -> None:
    found = judge_capacity(4, lambda rank: 1000, 4000)
    assert (found.status, found.smallest_rank, found.suggested_rank) == ("UNDERCAPACITY", 4, 4)
    assert "raise the ranks in lora.rank_pattern" in found.message
    assert judge_capacity(4, lambda rank: 1000, 1000).status == "AMPLE"
