"""What rules may look at: roles under names that reach them alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rankwise.facts import Anatomy, read_anatomy
from rankwise.plan.situation import names_by_role, said_as, short_targets

CONFIGS = Path(__file__).parents[1] / "facts" / "configs"
SHAPES = sorted(path.stem for path in CONFIGS.glob("*.json"))


def anatomy(name: str, folder: Path) -> Anatomy:
    shutil.copy(CONFIGS / f"{name}.json", folder / "config.json")
    return read_anatomy(folder)


@pytest.mark.parametrize("name", SHAPES)
def test_names_reach_their_role_whole_and_no_other(name: str, tmp_path: Path) -> None:
    found = anatomy(name, tmp_path)
    roles = names_by_role(found)
    assert set(roles) == {module.role for module in found.modules} - {"head"}
    for role, names in roles.items():
        if role in ("expert", "router"):  # no name reaches these
            assert set(names) == {m.leaf for m in found.modules if m.role == role}
            continue
        reached = {m.path for m in found.modules if any(m.matches(end) for end in names)}
        assert reached == {m.path for m in found.modules if m.role == role}, role


def test_names_that_several_layers_share_are_lengthened(tmp_path: Path) -> None:
    roles = names_by_role(anatomy("gpt2", tmp_path))
    assert (roles["attention_output"], roles["down"]) == (("attn.c_proj",), ("mlp.c_proj",))
    roles = names_by_role(anatomy("bert-base-uncased", tmp_path))
    assert roles["attention_output"] == ("attention.output.dense",)
    assert roles["down"][:2] == ("0.output.dense", "1.output.dense") and len(roles["down"]) == 12


def test_many_names_become_few_where_they_reach_the_same(tmp_path: Path) -> None:
    found = anatomy("gpt2", tmp_path)
    every = [name for names in names_by_role(found).values() for name in names]
    assert every == ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"]
    assert short_targets(found, every) == ["c_attn", "c_proj", "c_fc"]
    assert found.targeted(short_targets(found, every)) == found.targeted(every)
    assert short_targets(found, every[:3]) == every[:3]  # `c_proj` would reach more
    assert said_as("lora.target_modules", every, found) == ["c_attn", "c_proj", "c_fc"]
    assert said_as("lora.r", 16, found) == 16


def test_a_leaf_name_that_reaches_into_the_head_is_not_used(tmp_path: Path) -> None:
    found = anatomy("bert-base-uncased", tmp_path)  # whose head has a `dense`, too
    every = [name for names in names_by_role(found).values() for name in names]
    assert short_targets(found, every) == every
