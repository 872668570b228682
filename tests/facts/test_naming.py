"""Names of other architectures on this one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise.facts import read_anatomy
from rankwise.facts.naming import known_base, names_here


@pytest.mark.parametrize(
    ("kind", "name", "here"),
    [
        ("llama", "q_proj", ("q_proj",)),
        ("llama", "attn.q_proj", ("q_proj",)),
        ("llama", "mlp.up_proj", ("up_proj",)),
        ("llama", "out_lin", ("o_proj",)),
        ("llama", "c_attn", ("q_proj", "k_proj", "v_proj")),
        ("llama", "mlp", ("mlp",)),
        ("llama", "mlp_proj", ()),
        ("llama", "all-linear", ("all-linear",)),
        ("llama", "embed_out", ("lm_head",)),
        ("llama", "router", ()),
        ("gpt2", "k_proj", ("c_attn",)),
        ("gpt2", "o_proj", ("attn.c_proj",)),
        ("gpt2", "down_proj", ("mlp.c_proj",)),
        ("gpt2", "mlp.c_proj", ("mlp.c_proj",)),
        ("gpt2", "gate_proj", ()),
        ("bert", "q_proj", ("query",)),
        ("bert", "attn.o_proj", ("attention.output.dense",)),
        ("bert", "fc1", ("intermediate.dense",)),
        ("bert", "fc2", ("0.output.dense", "1.output.dense")),
        ("distilbert", "gate_proj", ()),
        ("distilbert", "up_proj", ("lin1",)),
        ("t5", "o_proj", ("o",)),
        ("t5", "down_proj", ("wo",)),
        ("mixtral", "q_lin", ("q_proj",)),
        ("mixtral", "up_proj", ("mlp.experts.gate_up_proj",)),
        ("mixtral", "mlp.down_proj", ("mlp.experts.down_proj",)),
        ("mixtral", "w1", ("w1",)),
        ("qwen3_moe", "up_proj", ("up_proj",)),
    ],
)
def test_a_name_means_the_layers_that_do_the_same(
    kind: str, name: str, here: tuple[str, ...], tiny: Callable[[str], Path]
) -> None:
    anatomy = read_anatomy(tiny(kind))
    assert names_here(anatomy, name) == here
    if here and name != "all-linear" and not anatomy.experts_meant(here):
        reached = {module.role for module in anatomy.targeted(anatomy.resolve_targets(here).modules)}
        assert reached and "other" not in reached


def test_every_name_found_reaches_layers_of_one_role_alone(tiny: Callable[[str], Path]) -> None:
    for kind in ("llama", "gpt2", "bert", "distilbert", "t5"):
        anatomy = read_anatomy(tiny(kind))
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"):
            for here in names_here(anatomy, name):
                assert len({module.role for module in anatomy.targeted((here,))}) == 1, (kind, name, here)


def test_what_a_recipes_writing_is_told(tiny: Callable[[str], Path]) -> None:
    qwen, mixtral = (known_base(read_anatomy(tiny(kind))) for kind in ("qwen2", "mixtral"))
    assert (qwen.hidden_size, qwen.experts, mixtral.experts) == (32, 0, 3)
    assert qwen.has_biases(["q_proj", "o_proj"]) and not qwen.has_biases(["o_proj"])
    assert qwen.has_biases(["all-linear"]) and not mixtral.has_biases(["all-linear"])
    assert known_base(read_anatomy(tiny("llama-tied"))).tied_head
    assert not known_base(read_anatomy(tiny("llama"))).tied_head
