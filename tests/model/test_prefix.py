"""A prefix in packed attention: PEFT's logits, its gradients, and no trace of how rows are cut into batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.model.generate import generate, score_labels
from rankwise.model.load import load_base
from rankwise.model.loss import target_losses
from rankwise.model.prefix import PrefixSettings, attach_prefix, continue_prefix, learnt_prefix, prefixed_logits
from rankwise.train.objectives import backward_sft
from tests.model.conftest import ARCHITECTURES

BaseOf = Callable[[str], Path]
ROWS = [[256, *range(5, 40)], [256, 7, 8, 9], [256, *range(60, 160, 2)], [256, 3, 200, 4, 201, 5]]
TOKENS = 5


def attached(folder: Path, projection: bool = False, tokens: int = TOKENS) -> PeftModel:
    hidden = 24 if projection else None
    return attach_prefix(load_base(folder, "float32", "cpu"), "tiny", PrefixSettings(tokens, projection, hidden), 0)


def saved(model: PeftModel, folder: Path) -> Path:
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def plain(base: Path, adapter: Path | None = None) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    return (model if adapter is None else PeftModel.from_pretrained(model, str(adapter))).eval()


def rendered(ids: list[int], answer: int) -> Rendered:
    return Rendered(tuple(ids), (False,) * (len(ids) - answer) + (True,) * answer, len(ids) - answer, True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tokens", [1, 12])  # 12: longer than the windows of gemma3 and mistral
def test_a_packed_row_has_the_logits_of_plain_peft(
    base_of: BaseOf, tmp_path: Path, architecture: str, tokens: int
) -> None:
    model = attached(base_of(architecture), tokens=tokens)
    theirs = plain(base_of(architecture), saved(model, tmp_path / "adapter"))
    with torch.no_grad():
        for row, got in zip(ROWS, prefixed_logits(model, ROWS), strict=True):
            torch.testing.assert_close(got, theirs(torch.tensor([row])).logits[0], atol=2e-5, rtol=1e-4)


def unpacked_losses(model: Any, rows: list[Rendered]) -> torch.Tensor:
    """By PEFT's own forward, row by row."""
    losses = []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
        of_each = F.cross_entropy(logits, torch.tensor(row.ids[1:]), reduction="none")
        losses.append(of_each[torch.tensor(row.supervised[1:])])
    return torch.cat(losses)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("projection", [False, True])
def test_loss_and_gradient_are_those_of_plain_peft(base_of: BaseOf, architecture: str, projection: bool) -> None:
    rows = [rendered(row, 3) for row in ROWS]
    model = attached(base_of(architecture), projection)
    loss = backward_sft(model, [rows], share=False)
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad(set_to_none=True)
    model.get_base_model().set_attn_implementation("eager")
    expected = unpacked_losses(model, rows).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), atol=1e-5, rtol=1e-5)
    assert got and all(name.startswith("prompt_encoder") for name in got)
    for name, p in model.named_parameters():
        if name in got:
            torch.testing.assert_close(got[name], p.grad, atol=2e-5, rtol=2e-4)


def test_how_a_step_is_cut_changes_neither_loss_nor_gradient(base_of: BaseOf) -> None:
    rows, found = [rendered(row, 2 + i) for i, row in enumerate(ROWS)], []
    for parts in ([rows], [rows[:1], rows[1:]], [[row] for row in rows]):
        model = attached(base_of("qwen3"))
        loss = backward_sft(model, parts, share=False)
        found.append((loss, model.prompt_encoder["default"].embedding.weight.grad))
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(gradient, found[0][1], atol=1e-6, rtol=1e-4)


def test_checkpointed_activations_give_the_same_gradient(base_of: BaseOf) -> None:
    rows, found = [rendered(row, 3) for row in ROWS], []
    for again in (False, True):
        base = load_base(base_of("llama"), "float32", "cpu")
        if again:
            base.gradient_checkpointing_enable({"use_reentrant": False})
        model = attach_prefix(base, "tiny", PrefixSettings(TOKENS, False, None), 0)
        assert base.is_activation_checkpointing == again
        backward_sft(model.train(), [rows], share=False)
        found.append(model.prompt_encoder["default"].embedding.weight.grad)
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-5)


def test_a_shared_beginning_is_not_packed_behind_a_prefix(base_of: BaseOf) -> None:
    rows = [rendered([256, *range(30), last], 1) for last in (7, 8)]
    with pytest.raises(ValueError, match="without sharing"):
        target_losses(attached(base_of("llama")), pack(rows, share=True))


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "mistral"])
@pytest.mark.parametrize("beginning", [1, 30])  # 30: computed once for all prompts
def test_answers_are_those_of_plain_peft(base_of: BaseOf, tmp_path: Path, architecture: str, beginning: int) -> None:
    model = attached(base_of(architecture)).eval()
    theirs = plain(base_of(architecture), saved(model, tmp_path / "adapter"))
    prompts = [[256, *range(10, 9 + beginning), *own] for own in ([4, 5], [9, 8, 7, 6], [11])]
    answers = [[65, 257], [65, 66, 257], [70, 257]]
    scores = score_labels(model, prompts, answers)
    for prompt, got in zip(prompts, scores, strict=True):
        for answer, score in zip(answers, got, strict=True):
            with torch.no_grad():
                chances = theirs(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            expected = chances.gather(1, torch.tensor(answer)[:, None]).sum()
            torch.testing.assert_close(score, expected, atol=1e-4, rtol=1e-4)
    for prompt, got in zip(prompts, generate(model, prompts, frozenset({257}), 6), strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 6:
            with torch.no_grad():
                ids.append(int(theirs(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 257:
                break
        assert list(got.ids) == [i for i in ids[len(prompt) :] if i != 257]


def test_switched_off_it_is_the_base(base_of: BaseOf) -> None:
    model, base = attached(base_of("llama")), load_base(base_of("llama"), "float32", "cpu")
    rows = [rendered(row, 3) for row in ROWS]
    alone = target_losses(base, pack(rows, share=False))
    with model.disable_adapter():
        assert learnt_prefix(model) is None
        assert torch.equal(target_losses(model, pack(rows, share=False)), alone)
    assert not torch.allclose(target_losses(model, pack(rows, share=False)), alone, atol=1e-3)


def test_one_seed_gives_one_prefix_and_a_projection_is_kept_as_what_it_makes(base_of: BaseOf, tmp_path: Path) -> None:
    base = base_of("llama")
    again = [attached(base, projection=True), attached(base, projection=True)]
    files = [saved(model, tmp_path / str(i)) / "adapter_model.safetensors" for i, model in enumerate(again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    theirs = plain(base, tmp_path / "0")
    with torch.no_grad():
        expected = theirs(torch.tensor([ROWS[0]])).logits[0]
        torch.testing.assert_close(prefixed_logits(again[0], [ROWS[0]])[0], expected, atol=2e-5, rtol=1e-4)


def test_a_kept_prefix_is_gone_on_with(base_of: BaseOf, tmp_path: Path) -> None:
    base, settings = base_of("llama"), PrefixSettings(TOKENS, False, None)
    adapter = saved(attached(base), tmp_path / "adapter")
    model = continue_prefix(load_base(base, "float32", "cpu"), "tiny", settings, 1, adapter)
    weight = model.prompt_encoder["default"].embedding.weight
    assert weight.requires_grad and torch.equal(weight, attached(base).prompt_encoder["default"].embedding.weight)


def test_a_base_in_bfloat16_has_a_prefix_in_float32(base_of: BaseOf) -> None:
    model = attach_prefix(load_base(base_of("llama"), "bfloat16", "cpu"), "tiny", PrefixSettings(3, False, None), 0)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    backward_sft(model, [[rendered(row, 3) for row in ROWS]], share=False)
    assert model.prompt_encoder["default"].embedding.weight.grad.abs().sum() > 0


def test_the_embedded_base_meets_a_prefix_as_in_peft_in_its_own_precision(embedded_base: Path) -> None:
    """Its logits are half noise there, 30 layers behind random keys and values; the first layers are not."""
    model = load_base(embedded_base, "bfloat16", "cpu")
    assert learnt_prefix(attach_prefix(model, "smollm2-135m", PrefixSettings(20, False, None), 0)) is not None
