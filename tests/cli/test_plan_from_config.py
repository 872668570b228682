"""Golden plans for bases of which only config.json is at hand: no weights, no tokenizer, no torch.

Every number stands as a closed form of what config.json says.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from math import ceil, log2, sqrt
from pathlib import Path

import pytest

from .conftest import PROGRAM, Cli
from .test_light import HEAVY, modules_after

CONFIGS = Path(__file__).parents[1] / "facts" / "configs"
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LABELS = ("low", "medium", "high")
ROWS, HELD_OUT = 200, 20
ANSWER = 100 + 1
"""Tokens of an answer: 350 bytes, one token for 3.5 of them, and the stop token; T5's may have two special ones."""


@dataclass(frozen=True)
class Golden:
    all_linear: int
    """In + out of every projection that a name reaches, times layers: r times this is what LoRA trains."""
    hidden: int
    r: int
    """16 under a billion parameters, else 32."""
    targets: list[str]
    task: str = "causal_lm"
    head: int = 0
    """Parameters of a sequence classifier's head for three labels."""
    status: str = "WASTEFUL"
    codes: tuple[str, ...] = ("no-chat-template",)
    """Of the warnings, but for those about this machine's memory."""
    experts: int = 0
    """Parameters on fused experts, at their own rank."""


def llama(layers: int, hidden: int, kv: int, inner: int, query: int | None = None) -> int:
    """q and o, k and v, gate, up and down."""
    return layers * (2 * (hidden + (query or hidden)) + 2 * (hidden + kv) + 3 * (hidden + inner))


def bert(layers: int, hidden: int, inner: int) -> int:
    """q, k, v and o; up and down."""
    return layers * (4 * 2 * hidden + 2 * (hidden + inner))


BERT = ["query", "key", "value", "attention.output.dense", "intermediate.dense"]
BERT += [f"{layer}.output.dense" for layer in range(6)]
"""`output.dense` alone would reach `attention.output.dense`, and `dense` the pooler."""
GOLDEN = {
    "llama-3.1-8b": Golden(llama(32, 4096, 1024, 14336), 4096, 32, LLAMA),
    "llama-3.1-70b": Golden(llama(80, 8192, 1024, 28672), 8192, 32, LLAMA),
    "qwen3-8b": Golden(llama(36, 4096, 1024, 12288), 4096, 32, LLAMA),
    "qwen3-30b-a3b": Golden(
        48 * (2 * (2048 + 4096) + 2 * (2048 + 512)),
        2048,
        32,
        LLAMA[:4],
        experts=4 * 48 * 128 * ((2048 + 2 * 768) + (768 + 2048)),  # 32 / 8 active
    ),
    "mixtral-8x7b": Golden(
        32 * (2 * 2 * 4096 + 2 * (4096 + 1024)),
        4096,
        32,
        LLAMA[:4],
        experts=16 * 32 * 8 * ((4096 + 2 * 14336) + (14336 + 4096)),  # 32 / 2 active
    ),
    "gemma-3-1b": Golden(llama(26, 1152, 256, 6912, query=1024), 1152, 16, LLAMA),
    "smollm2-135m": Golden(llama(30, 576, 192, 1536), 576, 16, LLAMA, status="AMPLE"),
    "distilbert-base-uncased": Golden(
        bert(6, 768, 3072),
        768,
        16,
        ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
        "seq_cls",
        (768 + 1) * 768 + (768 + 1) * 3,  # pre_classifier and classifier
        codes=(),
    ),
    "minilm-l6": Golden(bert(6, 384, 1536), 384, 16, BERT, "seq_cls", (384 + 1) * 3, codes=()),
    "t5-small": Golden(
        # q, k, v and o, of the decoder twice; wi and wo
        6 * 3 * 4 * (512 + 512) + 12 * 2 * (512 + 2048),
        512,
        16,
        ["q", "k", "v", "o", "wi", "wo"],
        "seq_2_seq_lm",
        status="AMPLE",
        codes=(),
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of configs alone, open and labelled rows, and a recipe for each base."""
    made = tmp_path_factory.mktemp("shapes")
    answers = [f"Revenue of unit {i:03d} rose. ".ljust(350, "x") for i in range(ROWS)]
    assert {len(answer) for answer in answers} == {350}
    rows = [{"instruction": f"Sum up report {i}", "output": answer} for i, answer in enumerate(answers)]
    labelled = [{"text": f"clause {i} about payment", "label": LABELS[i % 3]} for i in range(ROWS)]
    for name, content in (("open", rows), ("labelled", labelled)):
        (made / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    for name, golden in GOLDEN.items():
        (made / name).mkdir()
        shutil.copy(CONFIGS / f"{name}.json", made / name / "config.json")
        file = "labelled" if golden.task == "seq_cls" else "open"
        (made / f"{name}.yaml").write_text(f"model: ./{name}\ndata: {{train: {file}.jsonl}}\n")
    return made


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_plan(name: str, folder: Path, cli: Cli) -> None:
    golden = GOLDEN[name]
    done = cli("plan", f"{name}.yaml", "--json", cwd=folder)
    assert done.code == 0, done.err
    plan = done.json
    decided = plan["decisions"]
    assert decided["task"]["value"] == golden.task
    assert (decided["lora.r"]["value"], decided["lora.lora_alpha"]["value"]) == (golden.r, 2 * golden.r)
    assert decided["lora.target_modules"]["value"] == golden.targets
    adapter = golden.r * golden.all_linear + golden.experts
    assert bool(decided["lora.target_parameters"]["value"]) == bool(golden.experts)
    assert plan["trainable_parameters"] == adapter + golden.head

    rate = 5e-4 * (2000 / golden.hidden) ** 0.781 * sqrt(32 / golden.r)
    encoder = golden.task == "seq_cls"
    assert decided["training.learning_rate"]["value"] == float(f"{0.4 * float(f'{rate:.2g}') if encoder else rate:.2g}")
    formula = f"0.0005 x (2000 / {golden.hidden})^0.781 x sqrt(32 / {golden.r}){' x 0.4' if encoder else ''}: "
    assert decided["training.learning_rate"]["reason"].startswith(formula)

    answer = {"causal_lm": ANSWER, "seq_2_seq_lm": ANSWER + 1, "seq_cls": log2(len(LABELS))}[golden.task]
    capacity = plan["capacity"]
    assert capacity["capacity_bits"] == 2 * adapter
    assert capacity["required_bits"] == ceil((ROWS - HELD_OUT) * answer)
    assert capacity["status"] == golden.status
    assert (2 * adapter > 1000 * capacity["required_bits"]) is (golden.status == "WASTEFUL")

    assert plan["seconds"] is None
    found = {p["code"]: p["severity"] for p in plan["problems"]}
    assert found["base-without-weights"] == found["tokens-estimated"] == "note"
    warned = {code for code, severity in found.items() if severity == "warning"}
    assert warned - {"does-not-fit", "evaluation-does-not-fit"} == set(golden.codes)


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "minilm-l6", "t5-small"])
def test_what_does_not_write_by_itself_is_not_spoken_of_as_if_it_did(name: str, folder: Path, cli: Cli) -> None:
    plan = cli("plan", f"{name}.yaml", "--json", cwd=folder).json
    decided = plan["decisions"]
    assert decided["chat_template"]["value"] is None and decided["shared_prefix"]["value"] is False
    spoken = json.dumps([decision["reason"] for decision in decided.values()])
    for word in ("causal base", "generates the answer", "conversation", "was taught", "default prompt"):
        assert word not in spoken


def test_open_rows_on_an_encoder_are_refused_with_advice(folder: Path, cli: Cli) -> None:
    done = cli("plan", "minilm-l6.yaml", "--set", "data.train=open.jsonl", "--json", cwd=folder)
    assert done.code == 2
    [problem] = [p for p in done.json["problems"] if p["severity"] == "error"]
    assert problem["code"] == "encoder-needs-labels"
    assert "text/label rows" in problem["message"] and "BertModel" in problem["message"]


def test_a_task_of_another_kind_of_base_is_refused(folder: Path, cli: Cli) -> None:
    done = cli("plan", "minilm-l6.yaml", "--set", "task=causal_lm", "--json", cwd=folder)
    assert done.code == 2 and done.codes == ["task-of-another-base"]


def test_a_causal_base_gets_no_classification_head(folder: Path, cli: Cli) -> None:
    done = cli("plan", "smollm2-135m.yaml", "--set", "task=seq_cls", "--json", cwd=folder)
    assert done.code == 2 and done.codes == ["task-of-another-base"]
    [problem] = done.json["problems"]
    assert "is a causal base" in problem["message"] and "scores every label" in problem["message"]


def test_what_an_encoder_does_not_read_is_said(folder: Path, cli: Cli) -> None:
    keys = ["--set", "data.instruction=Which risk?", "--set", "shared_prefix=true"]
    done = cli("plan", "minilm-l6.yaml", *keys, "--json", cwd=folder)
    assert done.code == 0
    assert {"instruction-not-used", "prefix-not-shared"} <= set(done.codes)
    assert done.json["decisions"]["data.instruction"]["value"] is None


def test_nothing_is_trained_without_weights_and_tokenizer(folder: Path, cli: Cli) -> None:
    for name in ("t5-small", "minilm-l6"):
        for verb in (["train", "--output", "run"], ["check"]):
            done = cli(*verb, f"{name}.yaml", "--json", cwd=folder)
            assert done.code == 2
            said = " ".join(problem["message"] for problem in done.json["problems"])
            assert "base-no-weights" in done.codes
            assert "no tokenizer.json" in said
            assert not (folder / "run").exists()


def test_a_rank_per_expert_is_the_doctrines(folder: Path, cli: Cli) -> None:
    plan = cli("plan", "mixtral-8x7b.yaml", "--doctrine", "without-regret", "--json", cwd=folder).json
    assert not [p for p in plan["problems"] if p["code"] == "advice-not-built"]
    r, decision = plan["decisions"]["lora.r"]["value"], plan["decisions"]["lora.rank_per_expert"]
    assert decision["value"] == r // 2 and decision["reason"].startswith("each expert its own")


def test_what_cannot_be_made_to_fit_is_an_error_that_lists_what_was_tried(folder: Path, cli: Cli) -> None:
    done = cli("plan", "llama-3.1-70b.yaml", "--fit", "--json", cwd=folder)
    assert (done.code, done.json["fit"]["fits"]) == (2, False)
    [problem] = [p for p in done.json["problems"] if p["severity"] == "error"]
    assert problem["code"] == "cannot-fit"
    for tried in ("1 rows a forward pass", "only gate_proj, up_proj, down_proj", "rank 4", "no qlora yet"):
        assert tried in problem["message"]
    without = cli("plan", "llama-3.1-70b.yaml", "--json", cwd=folder)
    assert without.code == 0 and "does-not-fit" in without.codes
    fits = cli("plan", "minilm-l6.yaml", "--fit", "--json", cwd=folder)
    assert (fits.code, fits.json["fit"]["changes"]) == (0, [])


def test_a_large_shape_needs_no_torch(folder: Path) -> None:
    for name in ("llama-3.1-70b", "minilm-l6", "mixtral-8x7b"):
        modules = modules_after(["plan", f"{name}.yaml", "--json"], folder)
        assert "rankwise" in modules
        assert modules & HEAVY == set()


def test_a_large_shape_is_planned_about_as_fast_as_a_small_one(folder: Path) -> None:
    """Processor time, as a ratio of what a small shape takes here: seconds would be a test of the machine."""
    (folder / "few.jsonl").write_text("".join((folder / "open.jsonl").read_text().splitlines(keepends=True)[:12]))

    def spent(name: str) -> float:
        command = [str(PROGRAM), "plan", f"{name}.yaml", "--set", "data.train=few.jsonl", "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**os.environ})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    spent("gemma-3-1b")  # may have to compile the modules
    small, large, experts = (
        min(spent(name) for _ in range(3)) for name in ("gemma-3-1b", "llama-3.1-70b", "qwen3-30b-a3b")
    )
    assert large < 1.5 * small and experts < 3 * small, (small, large, experts)  # the last has 18,673 layers
