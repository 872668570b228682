"""What an encoder-decoder must say of itself to be trained."""

from __future__ import annotations

from pathlib import Path

from rankwise.facts.folder import base_error, read_config


def require_start(base: Path) -> None:
    """BaseError unless config.json names the token that every answer begins after (T5, mT5 and BART do; mBART begins
    with the code of a language, which differs from row to row)."""
    if not isinstance(read_config(base).get("decoder_start_token_id"), int):
        fault = "config.json names no decoder_start_token_id, the token that the decoder begins an answer after"
        raise base_error("base-without-start", base, f"{fault}; add it there, or choose T5, mT5 or BART")
