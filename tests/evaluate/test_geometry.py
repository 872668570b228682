"""Sizes, directions and shared subspaces of two updates, against closed forms and whole matrices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rankwise.evaluate.geometry import Geometry, by_layer, geometry, overlap
from rankwise.facts import AdapterFacts, read_adapter

MODULE = "model.layers.{}.self_attn.q_proj"


def write(
    folder: Path, updates: dict[str, tuple[np.ndarray, np.ndarray]], alpha: float = 4, r: int = 2
) -> AdapterFacts:
    """An adapter of these (B, A)."""
    folder.mkdir()
    tensors = {}
    for module, (b, a) in updates.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = a.astype(np.float32)
        tensors[f"base_model.model.{module}.lora_B.weight"] = b.astype(np.float32)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": r, "lora_alpha": alpha, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return read_adapter(folder)


def unit(size: int, *places: int) -> np.ndarray:
    """Columns that are unit vectors."""
    return np.eye(size)[:, list(places)]


def test_principal_angles_of_known_spaces():
    assert overlap(unit(6, 0, 1), unit(6, 0, 1)) == 1
    assert overlap(unit(6, 0, 1), unit(6, 2, 3)) == 0
    assert overlap(unit(6, 0, 1), unit(6, 1, 2)) == 0.5
    assert overlap(unit(6, 0), unit(6, 0, 1, 2)) == 1
    tilted = np.array([[np.cos(0.3), 0, np.sin(0.3), 0, 0, 0]]).T
    assert overlap(unit(6, 0), tilted) == pytest.approx(np.cos(0.3) ** 2)
    assert overlap(unit(6), unit(6, 0)) == 0


def test_against_the_whole_matrices(tmp_path):
    rng = np.random.default_rng(0)
    draw = lambda r: (rng.standard_normal((12, r)), rng.standard_normal((r, 10)))  # noqa: E731
    one, other = draw(2), draw(3)
    found = geometry(
        write(tmp_path / "one", {MODULE.format(0): one}),
        write(tmp_path / "other", {MODULE.format(0): other}, alpha=6, r=3),
    )
    assert isinstance(found, Geometry)
    (shared,) = found.shared
    first, second = 2 * one[0] @ one[1], 2 * other[0] @ other[1]
    assert shared.norms == pytest.approx((np.linalg.norm(first), np.linalg.norm(second)), rel=1e-6)
    assert shared.inner == pytest.approx((first * second).sum(), rel=1e-5)
    spaces = [np.linalg.svd(whole) for whole in (first, second)]
    assert shared.outputs == pytest.approx(overlap(spaces[0][0][:, :2], spaces[1][0][:, :3]), abs=1e-6)
    assert shared.inputs == pytest.approx(overlap(spaces[0][2][:2].T, spaces[1][2][:3].T), abs=1e-6)
    assert shared.chance == (3 / 12, 3 / 10)


def test_an_adapter_against_itself_its_opposite_and_nothing(tmp_path):
    rng = np.random.default_rng(1)
    b, a = rng.standard_normal((8, 2)), rng.standard_normal((2, 8))
    modules = [MODULE.format(i) for i in range(2)]
    one = write(tmp_path / "one", dict.fromkeys(modules, (b, a)))
    for name, factor, cosine in (("same", 1, 1), ("scaled", 3, 1), ("opposite", -1, -1)):
        found = geometry(one, write(tmp_path / name, dict.fromkeys(modules, (factor * b, a))))
        assert isinstance(found, Geometry)
        for layer in by_layer(found):
            assert (layer.cosine, layer.outputs, layer.inputs) == pytest.approx((cosine, 1, 1), abs=1e-6)
            assert layer.norms[1] == pytest.approx(abs(factor) * layer.norms[0])
    found = geometry(one, write(tmp_path / "zero", {modules[0]: (0 * b, a)}))
    assert isinstance(found, Geometry)
    (layer,) = by_layer(found)
    assert (layer.cosine, layer.outputs, layer.norms[1]) == (None, 0, 0)
    assert found.alone == ((modules[1],), ())
    assert json.dumps(found.as_json(), allow_nan=False)


def test_random_updates_share_what_chance_gives(tmp_path):
    rng = np.random.default_rng(2)
    names = [MODULE.format(i) for i in range(40)]
    made = [
        write(tmp_path / side, {n: (rng.standard_normal((24, 2)), rng.standard_normal((2, 32))) for n in names})
        for side in ("one", "other")
    ]
    found = geometry(*made)
    assert isinstance(found, Geometry)
    layers = by_layer(found)
    assert np.mean([layer.outputs for layer in layers]) == pytest.approx(layers[0].chance[0], abs=0.03)
    assert np.mean([layer.inputs for layer in layers]) == pytest.approx(layers[0].chance[1], abs=0.03)


def test_where_there_is_none_it_says_why(tmp_path):
    b, a = np.ones((8, 2)), np.ones((2, 8))
    one = write(tmp_path / "one", {MODULE.format(0): (b, a)})
    assert geometry(one, write(tmp_path / "other", {MODULE.format(1): (b, a)})) == "they have no layer in common"
    wide = write(tmp_path / "wide", {MODULE.format(0): (np.ones((9, 2)), a)})
    assert geometry(one, wide) == f"they are for bases of other shapes ({MODULE.format(0)})"
