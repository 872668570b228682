"""Names, types and shapes of the tensors in a safetensors file, from its header alone; values by memory map.

The format: 8 bytes of header length (little endian), a JSON header, then the tensors' bytes.
Everything in a header is checked against the file's real size before it is believed.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_HEADER = 100 << 20
"""Most bytes a header may have; the limit of the reference implementation."""

DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}


class HeaderError(ValueError):
    """The file is no safetensors file, or is torn."""


@dataclass(frozen=True)
class Weight:
    """Name, type and shape of one tensor of a model, wherever they were learnt."""

    name: str
    dtype: str
    """torch's name, such as `bfloat16`."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Tensor(Weight):
    """One tensor as its file's header describes it."""

    file: Path
    offset: int
    """First byte, counted from the start of the file."""


def looks_like_header(start: bytes) -> bool:
    """Whether a file that starts so may be safetensors: its length may happen to begin as a pickle does (0x80 0x04)."""
    return start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] <= MAX_HEADER


def read_header(path: Path) -> tuple[Tensor, ...]:
    """All tensors of a safetensors file, in the order of their names.

    Raises HeaderError (what is wrong with the file) and OSError.
    """
    total = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(9)
        if (start[:2] == b"PK" or start[:1] == b"\x80") and not looks_like_header(start):
            raise HeaderError(f"{path.name} is a pickle, not a safetensors file")
        if len(start) < 9:
            raise HeaderError(f"{path.name} has {total} bytes, too few for a safetensors file")
        (length,) = struct.unpack("<Q", start[:8])
        if length > min(MAX_HEADER, total - 8):
            raise HeaderError(
                f"{path.name} claims a header of {length} bytes in a file of {total}: torn, or another format"
            )
        try:
            stream.seek(8)
            header = json.loads(stream.read(length))
        except (ValueError, RecursionError) as error:
            raise HeaderError(f"{path.name} has a header that is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise HeaderError(f"{path.name} has a header that is not a JSON object")
    header.pop("__metadata__", None)
    return tuple(_tensor(path, name, header[name], 8 + length, total) for name in sorted(header))


def _tensor(path: Path, name: str, entry: Any, data_start: int, total: int) -> Tensor:
    try:
        dtype, width = DTYPES[entry["dtype"]]
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (KeyError, TypeError, ValueError):
        raise HeaderError(f"{path.name}: tensor {name!r} has a type, shape or place that cannot be read") from None
    if not whole or end - begin != math.prod(shape) * width:
        raise HeaderError(f"{path.name}: tensor {name!r} has a shape and a length that do not agree")
    if data_start + end > total:
        raise HeaderError(f"{path.name}: tensor {name!r} ends at byte {data_start + end}, the file at {total}: torn")
    return Tensor(name, dtype, shape, path, data_start + begin)


def read_values(tensor: Tensor) -> npt.NDArray[np.generic]:
    """The tensor's values, memory-mapped; bfloat16 comes widened to float32."""
    import numpy as np

    stored = "uint16" if tensor.dtype == "bfloat16" else tensor.dtype
    if tensor.size == 0:
        return np.zeros(tensor.shape, dtype=np.float32)
    values = np.memmap(tensor.file, dtype=stored, mode="r", offset=tensor.offset, shape=tensor.shape)
    if tensor.dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values
