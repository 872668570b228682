"""What the closed forms of `facts/shapes` are written with: typed look-ups in a config, and the common layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""(name, shape) of weights, as the files name them."""


class ConfigFault(ValueError):
    """A key that the shapes depend on is missing, or is no size."""


class Settings:
    """Typed look-ups in a config; the message of a fault names the key."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    def size(self, key: str, default: int | None = None, also: str = "") -> int:
        """The positive whole number under `key`, or under `also`, another name that config versions use for it."""
        value = self._config.get(key) if self._config.get(key) is not None else self._config.get(also)
        if value is None and default is not None:
            return default
        if type(value) is not int or value < 1:
            got = "is missing" if value is None else f"is {value!r}"
            raise ConfigFault(f"{key} {got}, a positive whole number is needed")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._config.get(key)
        return default if value is None else bool(value)

    def word(self, key: str, default: str) -> str:
        return str(self._config.get(key) or default)

    def numbers(self, key: str) -> list[int]:
        return [n for n in self._config.get(key) or [] if isinstance(n, int)]

    @property
    def labels(self) -> int:
        return len(self._config.get("id2label") or {}) or 2


def linear(path: str, in_features: int, out_features: int, bias: bool = False) -> Shapes:
    yield f"{path}.weight", (out_features, in_features)
    if bias:
        yield f"{path}.bias", (out_features,)


def norm(path: str, size: int) -> Shapes:
    """A LayerNorm; an RMSNorm has a weight alone."""
    yield f"{path}.weight", (size,)
    yield f"{path}.bias", (size,)
