"""Which base this is: digests of what an adapter depends on, and what differs between two bases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankwise.errors import Problem, Severity
from rankwise.facts.digest import file_digest
from rankwise.facts.folder import base_error, read_config, weight_files
from rankwise.files import read_json, sha256_bytes, sha256_json

ABSENT = "none"
"""The digest of something the base does not have."""

VOLATILE = ("_name_or_path", "transformers_version")
"""Config keys that change when the same model is saved again."""

TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"), ("vocab.txt",))
"""Files that define a tokenizer, the first set that is there counts."""


@dataclass(frozen=True)
class BaseIdentity:
    """Content digests (`sha256:<hex>`, or `none`); two folders of the same model are equal."""

    weights: str
    config: str
    tokenizer: str
    chat_template: str

    def as_json(self) -> dict[str, str]:
        return {
            "weights": self.weights,
            "config": self.config,
            "tokenizer": self.tokenizer,
            "chat_template": self.chat_template,
        }


def identify_base(path: Path) -> BaseIdentity:
    """The identity of the base in folder `path`; the first look reads all its weights, later ones do not.

    Raises BaseError.
    """
    try:
        weights = sorted(file_digest(file) for file in weight_files(path))
        config = {key: value for key, value in read_config(path).items() if key not in VOLATILE}
        template = read_chat_template(path)
        return BaseIdentity(
            weights=f"sha256:{sha256_json(weights)}",
            config=f"sha256:{sha256_json(config)}",
            tokenizer=_tokenizer_digest(path),
            chat_template=ABSENT if template is None else f"sha256:{sha256_bytes(template.encode())}",
        )
    except OSError as error:
        raise base_error("base-unreadable", path, f"cannot be read ({error})") from None


def read_chat_template(path: Path) -> str | None:
    """The base's own chat template, or None; of several named ones `default`, else the first. Raises BaseError."""
    own = path / "chat_template.jinja"
    try:
        if own.is_file():
            return own.read_text(encoding="utf-8")
        config = path / "tokenizer_config.json"
        template: Any = read_json(config).get("chat_template") if config.is_file() else None
        if isinstance(template, list):
            named = {entry["name"]: entry["template"] for entry in template}
            template = named.get("default", next(iter(named.values()), None))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise base_error("base-template", path, f"its chat template cannot be read ({error})") from None
    return template if isinstance(template, str) else None


def compare_identity(recorded: BaseIdentity, present: BaseIdentity) -> list[Problem]:
    """What differs between the base an adapter was trained on (`recorded`) and the one at hand; empty if nothing."""
    severities: dict[str, Severity] = {
        "weights": "error",
        "tokenizer": "error",
        "chat_template": "error",
        "config": "warning",
    }
    then, now = recorded.as_json(), present.as_json()
    return [
        Problem(
            severity,
            f"base-{part.replace('_', '-')}-differs",
            "",
            f"the base's {part.replace('_', ' ')} is {_short(now[part])}, the adapter was trained on "
            f"{_short(then[part])}; load it on the base it was trained on",
        )
        for part, severity in severities.items()
        if then[part] != now[part]
    ]


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]


def _tokenizer_digest(path: Path) -> str:
    for names in TOKENIZERS:
        if all((path / name).is_file() for name in names):
            return f"sha256:{sha256_json([file_digest(path / name) for name in names])}"
    return ABSENT
