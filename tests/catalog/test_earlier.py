"""Adapter folders as earlier releases wrote them, one for each format version, stay loadable and keep their digest.

A new `format_version` brings its own folder; the ones that are here are never written again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from rankwise.catalog import list_entries, rebuild, register
from rankwise.facts import AdapterRecord, read_adapter, verify_adapter

FOLDERS = sorted((Path(__file__).parent / "folders").glob("format-*/*"))


def test_every_format_version_is_here():
    formats = get_args(AdapterRecord.model_fields["format_version"].annotation)
    assert {folder.parent.name for folder in FOLDERS} == {f"format-{number}" for number in formats}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_it_is_read_verified_and_catalogued(folder, tmp_path, own_home):
    facts = read_adapter(folder)
    assert facts.digest == folder.name, "an adapter's id may never change"
    assert facts.record is not None and facts.record.base.quantization == "none"
    assert [problem.code for problem in verify_adapter(folder)] == []
    assert register(folder).id == f"financial/{folder.name}"
    shutil.rmtree(own_home)
    shutil.copytree(folder, own_home / "adapters" / "financial" / folder.name)
    (listed,) = list_entries()
    assert (listed.r, listed.parameters, listed.domain) == (1, 64, "financial")
    assert rebuild().problems == ()
