"""Files and folders that are whole or absent, and what killed processes leave."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from rankwise.files import clear_drafts, is_disk_full, new_folder, remove_folder, user_path, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def anything(name: str) -> bool:
    return True


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "adapter"
    with new_folder(target) as draft:
        (draft / "old").write_text("old")
    replace = os.replace
    for failing in (1, 2):
        calls = 0

        def fail(source: Path, place: Path) -> None:
            nonlocal calls
            calls += 1
            if calls == failing:  # noqa: B023
                raise OSError(errno.EIO, "no")
            replace(source, place)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail)
            with pytest.raises(OSError, match="no"), new_folder(target) as draft:
                (draft / "new").write_text("new")
        assert (names(tmp_path), names(target)) == (["adapter"], ["old"])
    with new_folder(target) as draft:
        (draft / "new").write_text("new")
    assert (names(tmp_path), names(target)) == (["adapter"], ["new"])


def test_drafts_are_cleared_and_what_was_about_to_be_replaced_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".step-00000002.abcd_123").mkdir()
    (tmp_path / ".step-00000004.old.abcd1234" / "step-00000004").mkdir(parents=True)
    (tmp_path / ".step-00000006.old.abcd1234" / "step-00000006").mkdir(parents=True)
    (tmp_path / "step-00000006").mkdir()
    (tmp_path / ".step-00000001.gone.abcd1234" / "step-00000001").mkdir(parents=True)
    (tmp_path / ".result.json.abcd1234").write_text("{")
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".prettier.override").write_text("theirs")
    cleared = clear_drafts(tmp_path, lambda name: name.startswith("step-") or name == "result.json")
    assert len(cleared) == 5
    assert names(tmp_path) == [".lock", ".prettier.override", "step-00000004", "step-00000006"]
    assert clear_drafts(tmp_path / "absent", anything) == []


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_text(tmp_path / "folder" / "file", "text")
    write_text(tmp_path / "file", "text")
    remove_folder(tmp_path / "folder")
    remove_folder(tmp_path / "file")
    assert names(tmp_path) == []


def test_a_full_disk_is_known_by_whichever_library_says_it() -> None:
    outer = RuntimeError("could not write")
    outer.__cause__ = OSError(errno.ENOSPC, "full")
    full = [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "quota"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        outer,
    ]
    assert all(map(is_disk_full, full))
    assert not is_disk_full(OSError(errno.EIO, "Input/output error"))


def test_a_home_of_nobody_is_a_path_like_any_other() -> None:
    assert user_path("~").is_absolute()
    assert user_path("~nobody-of-this-name/rows.jsonl") == Path("~nobody-of-this-name/rows.jsonl")
