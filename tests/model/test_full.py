"""A base that is trained whole: the gradient of every weight, and the delta that is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from rankwise.data.batch import pack
from rankwise.data.render import Rendered
from rankwise.errors import AdapterError
from rankwise.facts.payload import DELTA
from rankwise.model.full import add_delta, save_delta, train_every_weight
from rankwise.model.load import load_base
from rankwise.selftest.gradients import gradient_difference, our_step, plain_step

BaseOf = Callable[[str], Path]
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3", "mistral")
"""The first has a tied head, the second biases, the third norms on queries and keys, the fourth a scaled embedding."""
TOLERANCE = 1e-4
"""Of a weight's gradient in float32, relative to its norm: both ways round, and sum in orders of their own."""


@pytest.fixture(scope="module")
def rows() -> list[Rendered]:
    """Five rows of different lengths behind 20 tokens that all of them share."""
    made = []
    for i in range(5):
        ids = (*range(20, 40), *range(50 + i, 54 + 3 * i), *[80 + i] * (2 + i), 257)
        first = len(ids) - 3 - i
        made.append(Rendered(ids, tuple(place >= first for place in range(len(ids))), first, True))
    return made


def plain(base: Path) -> torch.nn.Module:
    """As transformers loads it; nothing of rankwise is in it."""
    read = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    return read.eval()


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_of_every_weight_is_transformers_own(
    architecture: str, share: bool, base_of: BaseOf, rows: list[Rendered]
) -> None:
    theirs_model = plain(base_of(architecture))
    ours_model = train_every_weight(load_base(base_of(architecture), "float32", "cpu"))
    assert (pack(rows, share).prefix > 0) is share
    parts = [rows[:3], rows[3:]]
    ours, theirs = our_step(ours_model, parts, share), plain_step(theirs_model, parts)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert ours.gradient.keys() == dict(theirs_model.named_parameters()).keys()
    assert ("lm_head.weight" in ours.gradient) is (architecture not in ("llama", "gemma3"))  # else tied
    apart, worst = gradient_difference(ours.gradient, theirs.gradient)
    assert 0 < apart < TOLERANCE, worst


def test_activations_computed_again_change_no_gradient(base_of: BaseOf, rows: list[Rendered]) -> None:
    kept = train_every_weight(load_base(base_of("llama"), "float32", "cpu"))
    again = train_every_weight(load_base(base_of("llama"), "float32", "cpu"))
    again.gradient_checkpointing_enable({"use_reentrant": False})
    expected, got = (our_step(model.train(), [rows], True).gradient for model in (kept, again))
    assert gradient_difference(got, expected)[0] < TOLERANCE


# -- the delta


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_delta_on_the_untouched_base_is_what_was_trained(
    architecture: str, base_of: BaseOf, tmp_path: Path
) -> None:
    trained = train_every_weight(load_base(base_of(architecture), "float32", "cpu"))
    with torch.no_grad():
        for p in trained.parameters():
            p.add_(torch.randn_like(p) * 0.01)
    save_delta(trained, load_base(base_of(architecture), "float32", "cpu"), tmp_path)
    delta = load_file(tmp_path / DELTA)
    assert delta.keys() == dict(trained.named_parameters()).keys()
    assert ("lm_head.weight" in delta) is (architecture == "qwen2")  # a tied head is one weight with the embeddings
    again = add_delta(load_base(base_of(architecture), "float32", "cpu"), tmp_path)
    for (name, p), q in zip(trained.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(q, p, rtol=2**-23, atol=0.0, msg=name)  # at most a last place
    head, embeddings = again.get_output_embeddings().weight, again.get_input_embeddings().weight
    assert (head is embeddings) is (architecture == "llama")


def test_a_delta_of_other_weights_is_refused(base_of: BaseOf, tmp_path: Path) -> None:
    save_file({"model.norm.weight": torch.zeros(32)}, tmp_path / DELTA)
    with pytest.raises(AdapterError, match=r"delta.safetensors is of other weights than this base's: model\."):
        add_delta(load_base(base_of("llama"), "float32", "cpu"), tmp_path)
