"""Keys and rates; what each route refuses is tried in test_app."""

from __future__ import annotations

import pytest

from rankwise.errors import RunError
from rankwise.serve import auth
from rankwise.serve.auth import Rate, keys_file, new_key, read_keys


def test_a_key_is_told_once_and_kept_as_a_digest() -> None:
    secret = new_key("chat")
    other = new_key("admin")
    keys = read_keys()
    assert [key.scope for key in keys] == ["chat", "admin"] and secret != other
    assert secret not in keys_file().read_text() and keys_file().stat().st_mode & 0o077 == 0
    keys_file().write_text("[{]")
    with pytest.raises(RunError, match="cannot be read"):
        read_keys()
    keys_file().unlink()
    assert read_keys() == ()


def test_requests_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now)
    rate = Rate(60)
    assert [rate.allows("one") for _ in range(61)] == [True] * 60 + [False]
    assert rate.allows("other")
    now = 2.0
    assert [rate.allows("one") for _ in range(3)] == [True, True, False]
