"""Packed rows against transformers' and PEFT's own forward of each row alone, for every shape of model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, PreTrainedModel

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model import blocks, packing
from rankwise.model.attach import LoraSettings, attach_new
from rankwise.model.generate import generate, score_labels
from rankwise.model.load import load_base
from rankwise.model.lora import _fused_forward
from rankwise.model.loss import mean_loss, target_losses
from rankwise.model.packing import Packing

ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "mistral")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BaseOf = Callable[[str], Path]


def own_forward(folder: Path, implementation: str = "eager") -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=implementation).eval()


def random_ids(*lengths: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 256, (length,), generator=generator).tolist() for length in lengths]


def rows_after(prefix: int, *lengths: int) -> list[Rendered]:
    """Rows that begin alike, each supervised on its last half."""
    start = random_ids(prefix, seed=1)[0]
    rows = []
    for own in random_ids(*lengths):
        ids = tuple(start + own)
        first = prefix + len(own) // 2
        rows.append(Rendered(ids, tuple(i >= first for i in range(len(ids))), first, True))
    return rows


@pytest.fixture(params=["whole", "cut", "computed again"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Attention in one block, in many, and with weights that are not kept for the backward pass."""
    if request.param == "cut":
        monkeypatch.setattr(packing, "SCORES", 1)
        monkeypatch.setattr(packing, "QUERIES", 5)
    if request.param == "computed again":
        monkeypatch.setattr(blocks, "WEIGHTS_KEPT", 0)
    return str(request.param)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix", [0, 20])
def test_logits_of_packed_rows_are_those_of_each_row_alone(
    architecture: str, prefix: int, path: str, base_of: BaseOf
) -> None:
    rows = rows_after(prefix, 12, 3, 25, 1)
    batch = pack(rows, share=prefix > 0)
    assert batch.prefix == (prefix if prefix else 0)
    packed = Packing(batch.lengths, batch.prefix)
    model = load_base(base_of(architecture), "float32", "cpu")
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor([batch.ids]), position_ids=packed.positions(), packing=packed, use_cache=False
        ).logits[0]
        start = batch.prefix
        for implementation in ("eager", "sdpa"):
            own = own_forward(base_of(architecture), implementation)
            start = batch.prefix
            for row, length in zip(rows, batch.lengths, strict=True):
                alone = own(torch.tensor([row.ids])).logits[0]
                torch.testing.assert_close(logits[start : start + length], alone[prefix:], rtol=1e-4, atol=1e-4)
                if batch.prefix:
                    torch.testing.assert_close(logits[:prefix], alone[:prefix], rtol=1e-4, atol=1e-4)
                start += length


def adapted_pair(folder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The same adapter, B not zero, on packed fused layers and on PEFT's own over transformers' own attention."""
    ours = attach_new(
        load_base(folder, "float32", "cpu"), "tiny", LoraSettings(4, 8, 0.0, TARGETS, "none", False, True), seed=0
    )
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=TARGETS)
    theirs = get_peft_model(own_forward(folder).requires_grad_(False), config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert name == other
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
            q.copy_(p)
    fused = [m for m in ours.modules() if getattr(getattr(m, "forward", None), "__func__", None) is _fused_forward]
    assert len(fused) == 3 * len(TARGETS)
    return ours, theirs


def row_losses(model: torch.nn.Module, row: Rendered) -> torch.Tensor:
    logits = model(torch.tensor([row.ids])).logits[0, :-1]
    chosen = torch.tensor(row.supervised[1:])
    return F.cross_entropy(logits[chosen], torch.tensor(row.ids[1:])[chosen], reduction="none")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix", [0, 20])
def test_losses_and_gradients_are_those_of_pefts_own_forward_row_by_row(
    architecture: str, prefix: int, path: str, base_of: BaseOf
) -> None:
    ours, theirs = adapted_pair(base_of(architecture))
    rows = rows_after(prefix, 12, 4, 25, 2)
    losses = target_losses(ours, pack(rows, share=True))
    expected = torch.cat([row_losses(theirs, row) for row in rows])
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    losses.mean().backward()
    expected.mean().backward()
    compared = 0
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if "lora" in name:
            assert p.grad is not None and q.grad is not None
            error = float((p.grad - q.grad).norm() / q.grad.norm())
            assert error < 1e-4, (name, error)
            compared += 1
        else:
            assert p.grad is None, name
    assert compared == 3 * 2 * len(TARGETS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activations_computed_again_change_no_gradient(architecture: str, base_of: BaseOf) -> None:
    ours, _ = adapted_pair(base_of(architecture))
    rows = rows_after(20, 12, 4, 25, 2)
    trained = [p for p in ours.parameters() if p.requires_grad]

    def step() -> tuple[float, list[torch.Tensor]]:
        for p in trained:
            p.grad = None
        loss = target_losses(ours, pack(rows, share=True)).mean()
        loss.backward()
        return float(loss), [p.grad for p in trained if p.grad is not None]

    calls = 0

    def count(module: torch.nn.Module, inputs: object) -> None:
        nonlocal calls
        calls += 1

    ours.train()
    kept, gradients = step()
    ours.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    ours.get_base_model().base_model.layers[1].mlp.register_forward_pre_hook(count)
    again, others = step()
    assert calls == 2  # forward, and once more in the backward pass
    assert again == pytest.approx(kept, abs=1e-6) and len(others) == len(trained)
    for mine, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_mean_loss_does_not_depend_on_how_rows_are_packed(base_of: BaseOf) -> None:
    rows = rows_after(20, 12, 3, 25, 2, 7, 9)
    model = load_base(base_of("llama"), "float32", "cpu")
    own = own_forward(base_of("llama"))
    with torch.no_grad():
        expected = float(torch.cat([row_losses(own, row) for row in rows]).mean())
    for batch_rows in (1, 2, 4, 6):
        for share in (False, True):
            assert mean_loss(model, rows, batch_rows, share) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix", [0, 18])
def test_generate_writes_what_transformers_writes(architecture: str, prefix: int, base_of: BaseOf) -> None:
    start = random_ids(prefix, seed=1)[0]
    prompts = [start + own for own in random_ids(5, 1, 14, 9, 2, 30)]
    own = own_forward(base_of(architecture))
    expected = []
    for prompt in prompts:
        out = own.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=24,
            eos_token_id=None,
        )
        expected.append(out[0, len(prompt) :].tolist())
    # Stop at a token some of the rows write early, so that rows leave the batch at different times.
    stops = frozenset({expected[0][3], expected[3][10]})
    model = load_base(base_of(architecture), "float32", "cpu")
    answers = generate(model, prompts, stops, 24)
    ends = 0
    for answer, whole in zip(answers, expected, strict=True):
        cut = next((i for i, token in enumerate(whole) if token in stops), None)
        assert list(answer.ids) == whole[:cut]
        assert answer.truncated is (cut is None)
        ends += cut is not None
    assert ends >= 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("prefix", [0, 18])
def test_label_scores_are_the_sums_of_each_tokens_log_probability(
    architecture: str, prefix: int, path: str, base_of: BaseOf
) -> None:
    start = random_ids(prefix, seed=1)[0]
    prompts = [start + own for own in random_ids(11, 2, 6)]
    # Labels that begin alike, one that is another's beginning, one of a single token.
    answers = [[5, 6, 7, 257], [5, 6, 257], [5, 8, 9, 10, 11, 257], [12, 257], [5, 6, 7, 13, 257], [257]]
    scores = score_labels(load_base(base_of(architecture), "float32", "cpu"), prompts, answers)
    own = own_forward(base_of(architecture))
    for i, prompt in enumerate(prompts):
        for j, answer in enumerate(answers):
            with torch.no_grad():
                logits = own(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            expected = float(logits.log_softmax(-1)[range(len(answer)), answer].sum())
            assert float(scores[i, j]) == pytest.approx(expected, abs=2e-4)
