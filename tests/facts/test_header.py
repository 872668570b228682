"""The header of a safetensors file, whatever its length happens to look like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankwise.facts.header import HeaderError, read_header
from rankwise.facts.verify import verify_adapter


def safetensors_of_header_length(length: int) -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return length.to_bytes(8, "little") + header.ljust(length) + bytes(4)


@pytest.mark.parametrize("length", [0x0280, 0x0480, 0x10480, 0x4B50], ids=hex)
def test_a_header_length_that_begins_like_a_pickle_is_a_length(length: int, tmp_path: Path) -> None:
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(safetensors_of_header_length(length))
    assert file.read_bytes()[:2] in (b"\x80\x02", b"\x80\x04", b"PK")
    [tensor] = read_header(file)
    assert (tensor.name, tensor.shape, tensor.offset) == ("weight", (1,), 8 + length)
    assert "adapter-pickle" not in {problem.code for problem in verify_adapter(tmp_path)}


@pytest.mark.parametrize("start", [b"\x80\x04\x95", b"\x80\x02}q\x00", b"PK\x03\x04"])
def test_a_pickle_is_still_called_one(start: bytes, tmp_path: Path) -> None:
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(start.ljust(64, b"\0"))
    with pytest.raises(HeaderError, match="is a pickle"):
        read_header(file)


def test_a_file_too_short_for_a_header(tmp_path: Path) -> None:
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(bytes(8))
    with pytest.raises(HeaderError, match="8 bytes, too few"):
        read_header(file)
