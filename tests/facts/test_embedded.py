from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from rankwise.errors import BaseError
from rankwise.facts.digest import file_digest
from rankwise.facts.embedded import EMBEDDED, fetch_base, locate_base
from rankwise.facts.lock import locked


def test_embedded_bases_lie_under_home(own_home, tmp_path):
    for name in ("smollm2-135m", "minilm-l6"):
        located = locate_base(name, tmp_path)
        assert (located.kind, located.path, located.ready) == ("embedded", own_home / "models" / name, False)
        located.path.mkdir(parents=True)
        (located.path / "config.json").write_text("{}")
        assert locate_base(name, tmp_path).ready
        assert fetch_base(locate_base(name, tmp_path)) == located.path
    assert set(EMBEDDED) == {"smollm2-135m", "minilm-l6"}


def test_a_folder_is_read_from_where_the_recipe_stands(tmp_path, monkeypatch):
    (tmp_path / "recipes" / "mine").mkdir(parents=True)
    monkeypatch.chdir("/")
    for written in ("mine", "./mine", str(tmp_path / "recipes" / "mine")):
        located = locate_base(written, tmp_path / "recipes")
        assert (located.kind, located.name, located.ready) == ("folder", "mine", True)
        assert located.path == (tmp_path / "recipes" / "mine").resolve()


def test_a_gguf_is_named_by_its_content(own_home, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"one")
    located = locate_base("a.gguf", tmp_path)
    digest = file_digest(tmp_path / "a.gguf")[:12]
    assert (located.kind, located.ready) == ("gguf", False)
    assert located.path == own_home / "models" / f"a-{digest}"
    (tmp_path / "a.gguf").write_bytes(b"two")
    assert locate_base("a.gguf", tmp_path).path != located.path


def test_a_hub_id_has_a_place_too(own_home, tmp_path):
    located = locate_base("Some-Org/model_1.5", tmp_path)
    assert (located.kind, located.path.name, located.ready) == ("hub", "Some-Org--model_1.5", False)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("smollm2", 'did you mean "smollm2-135m"\\? Give an embedded base \\(smollm2-135m, minilm-l6\\)'),
        ("zzz", 'no base is called "zzz". Give an embedded base .* a hub id \\(owner/name\\)'),
        ("", 'no base is called ""'),
        ("a/b/c", 'no base is called "a/b/c"'),
        ("./missing", "there is no folder .*missing; a relative path is read from the recipe's folder"),
        ("missing.gguf", "there is no .gguf file .*missing.gguf"),
    ],
)
def test_an_unknown_base_says_what_there_is(model, message, tmp_path):
    with pytest.raises(BaseError, match=message) as caught:
        locate_base(model, tmp_path)
    assert [p.code for p in caught.value.problems] == ["unknown-base"]


def hold(path: Path, seconds: float, log: Path) -> None:
    with locked(path), log.open("a") as stream:
        stream.write("in ")
        stream.flush()
        time.sleep(seconds)
        stream.write("out ")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_lock_keeps_others_out_and_dies_with_its_holder(tmp_path):
    start = multiprocessing.get_context("spawn").Process
    log = tmp_path / "log"
    processes = [start(target=hold, args=(tmp_path / "lock", 0.2, log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert log.read_text() == "in out in out in out "
    holder = start(target=hold, args=(tmp_path / "lock", 60, log))
    log.write_text("")
    holder.start()
    while "in" not in log.read_text():
        time.sleep(0.01)
    waited = []
    holder.kill()
    holder.join()
    with locked(tmp_path / "lock", lambda: waited.append(1)):
        assert waited == []
