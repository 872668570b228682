from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from rankwise.errors import BaseError
from rankwise.facts.digest import file_digest
from rankwise.facts.identity import compare_identity, identify_base, read_chat_template
from rankwise.files import sha256_file


@pytest.fixture
def base(tiny, tmp_path) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(tiny("llama"), folder)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def rewrite_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def flip_last_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


def test_a_copy_is_the_same_base(base, tmp_path):
    shutil.copytree(base, tmp_path / "copy")
    rewrite_config(tmp_path / "copy", transformers_version="99", _name_or_path="/elsewhere")
    assert compare_identity(identify_base(base), identify_base(tmp_path / "copy")) == []


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda f: flip_last_byte(f / "model.safetensors"), ["base-weights-differs"]),
        (lambda f: (f / "tokenizer.json").write_text("{ }"), ["base-tokenizer-differs"]),
        (lambda f: (f / "chat_template.jinja").write_text("{{ x }}"), ["base-chat-template-differs"]),
        (lambda f: (f / "chat_template.jinja").unlink(), ["base-chat-template-differs"]),
        (lambda f: rewrite_config(f, rms_norm_eps=0.5), ["base-config-differs"]),
    ],
)
def test_each_part_that_differs_is_named(change, codes, base):
    before = identify_base(base)
    change(base)
    problems = compare_identity(before, identify_base(base))
    assert [p.code for p in problems] == codes
    assert [p.severity for p in problems] == ["warning" if codes == ["base-config-differs"] else "error"]


def test_the_template_of_the_tokenizer_config_counts_too(base):
    (base / "chat_template.jinja").unlink()
    assert read_chat_template(base) is None
    (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ a }}"}))
    assert read_chat_template(base) == "{{ a }}"
    named = [{"name": "tool_use", "template": "{{ t }}"}, {"name": "default", "template": "{{ d }}"}]
    (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_chat_template(base) == "{{ d }}"
    (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": named[:1]}))
    assert read_chat_template(base) == "{{ t }}"
    (base / "tokenizer_config.json").write_text("[")
    with pytest.raises(BaseError, match="chat template cannot be read"):
        identify_base(base)


def test_a_file_is_digested_once_and_again_after_a_change(tmp_path, own_home):
    file = tmp_path / "large"
    file.write_bytes(bytes(64 << 20))
    first = file_digest(file)
    assert first == sha256_file(file)
    start = time.perf_counter()
    assert file_digest(file) == first
    assert time.perf_counter() - start < 0.02
    stat = file.stat()
    flip_last_byte(file)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time of change
    assert file_digest(file) == sha256_file(file) != first
    for note in (own_home / "digests").iterdir():
        note.write_text("torn")
    assert file_digest(file) == sha256_file(file)
