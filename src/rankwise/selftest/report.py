"""What the self-test found: one line a promise, a difference held against its tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One promise, as far as it can be told by one number."""

    promise: str
    measure: str
    """What `difference` is of."""
    difference: float
    """Largest found; not a number where there was nothing to compare, which holds no promise."""
    tolerance: float
    detail: str = ""
    decides: bool = True
    """False: for information; the self-test passes without it."""

    @property
    def ok(self) -> bool:
        return self.difference <= self.tolerance

    def as_json(self) -> dict[str, Any]:
        return {
            "promise": self.promise,
            "measure": self.measure,
            "difference": self.difference if math.isfinite(self.difference) else None,
            "tolerance": self.tolerance,
            "ok": self.ok,
            "decides": self.decides,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class SelfTest:
    """All checks of one base on one machine."""

    model: str
    device: str
    threads: int
    rows: int
    tokens: int
    seconds: float
    versions: Mapping[str, str]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks if check.decides)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "model": self.model,
            "device": self.device,
            "threads": self.threads,
            "rows": self.rows,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "versions": dict(self.versions),
            "checks": [check.as_json() for check in self.checks],
        }
