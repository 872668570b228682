"""The last layer for some tokens against the last layer for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rankwise.model.last_layer import _trimmed_forward, trim_last_layer
from rankwise.model.load import load_base
from rankwise.model.packing import Packing


def last_hidden(model: torch.nn.Module, wanted: list[int] | None) -> tuple[torch.Tensor, bool]:
    packing = Packing([5, 7], 3, wanted=None if wanted is None else torch.tensor(wanted))
    out = model.base_model(
        input_ids=torch.arange(20, 35)[None], position_ids=packing.positions(), packing=packing, use_cache=False
    )
    return out.last_hidden_state[0], packing.selected


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_states_that_are_asked_for_are_those_of_the_whole_layer(
    architecture: str, base_of: Callable[[str], Path]
) -> None:
    model = load_base(base_of(architecture), "float32", "cpu")
    assert model.base_model.layers[-1].forward.__func__ is _trimmed_forward
    whole, selected = last_hidden(model, None)
    assert not selected and len(whole) == 15
    wanted = [2, 2, 7, 14]  # the prefix' end is asked for once a row
    some, selected = last_hidden(model, wanted)
    assert selected
    torch.testing.assert_close(some, whole[wanted], rtol=1e-5, atol=1e-5)


def test_a_layer_of_another_make_computes_all(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("gemma3"), "float32", "cpu")  # four norms a layer
    states, selected = last_hidden(model, [2, 7])
    assert not selected and len(states) == 15


def test_a_layer_that_computes_something_else_is_left_alone(base_of: Callable[[str], Path]) -> None:
    model = load_base(base_of("llama"), "float32", "cpu")
    last = model.base_model.layers[-1]
    del last.forward
    own = type(last)

    class Shifted(own):  # type: ignore[misc, valid-type]
        def forward(self, hidden_states, *args, **kwargs):
            return own.forward(self, hidden_states, *args, **kwargs) + 1

    last.__class__ = Shifted
    assert not trim_last_layer(model)
    assert "forward" not in vars(last)
