"""What a request's `model` stands for, as the catalogue changes under a running server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rankwise import catalog
from rankwise.catalog import changes
from rankwise.errors import AdapterError
from rankwise.facts import identify_base, read_anatomy
from rankwise.serve.names import Names, UnknownModel

Adapter = Callable[..., Path]


def names_of(base: Path) -> Names:
    return Names("tiny", identify_base(base), read_anatomy(base))


def test_a_domain_is_its_adapter_in_production_else_its_newest(own_home: Path, tiny_base: Path, adapter: Adapter):
    names = names_of(tiny_base)
    old, new = (catalog.register(adapter(tiny_base, seed, domain="retail")) for seed in (1, 2))
    assert names.find("retail").id == new.id
    changes.promote(old, None, None, {})
    assert names.find("retail").id == old.id
    assert names.find(new.id).id == new.id
    assert [(e.id, e.adapter) for e in names.listed()][:2] == [("tiny", None), ("retail", old.id)]
    newest = catalog.register(adapter(tiny_base, 3, domain="retail"))
    assert names.find("retail").id == old.id
    changes.promote(newest, catalog.find_entry(old.id), None, {})
    assert names.find("retail").id == newest.id
    changes.rollback("retail")
    assert names.find("retail").id == old.id
    changes.remove(catalog.find_entry(old.id), force=True)
    assert names.find("retail").id == newest.id
    with pytest.raises(UnknownModel):
        names.find(old.id)


def test_a_base_of_the_same_shapes_is_another_base(own_home: Path, tiny_base: Path, adapter: Adapter, tmp_path: Path):
    """Other weights: its adapters do not exist here. Another chat template: refused, and the difference named."""
    entry = catalog.register(adapter(tiny_base, 5, domain="legal"))
    weights, template = tmp_path / "weights", tmp_path / "template"
    for other in (weights, template):
        shutil.copytree(tiny_base, other)
    data = bytearray((weights / "model.safetensors").read_bytes())
    data[-3] ^= 1
    (weights / "model.safetensors").write_bytes(bytes(data))
    for file, key in (("chat_template.jinja", None), ("tokenizer_config.json", "chat_template")):
        if (template / file).is_file() and key is None:
            (template / file).write_text((template / file).read_text() + " ")
        elif key and key in (config := json.loads((template / file).read_text())):
            (template / file).write_text(json.dumps({**config, key: config[key] + " "}))
    assert names_of(tiny_base).find("legal").id == entry.id
    with pytest.raises(UnknownModel):
        names_of(weights).find("legal")
    with pytest.raises(
        AdapterError, match=r"the base's chat template is sha256:\w+, the adapter was trained on sha256:"
    ):
        names_of(template).find("legal")
