"""PEFT's patterns over layers, against PEFT's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.recipe.patterns import PatternError, compiled, first_match, value_at

PATHS = [f"model.layers.{n}.{part}" for n in (0, 1, 10) for part in ("self_attn.q_proj", "mlp.down_proj", "mlp.q_proj")]
PATTERNS = st.lists(
    st.sampled_from(
        [
            *("q_proj", "_proj", "mlp.q_proj", "self_attn", "0.self_attn.q_proj", r".*\.mlp\..*", r"layers\.1\..*"),
            *(".*", "q_proj|down_proj", r"(?P<n>\d+)\.mlp\.down_proj", "mlp.down_pro", "model.layers.10.mlp.q_proj"),
        ]
    ),
    max_size=5,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.sampled_from(PATHS))
def test_the_first_that_matches_counts_as_in_peft(patterns: list[str], path: str) -> None:
    from peft.utils.other import get_pattern_key

    theirs = get_pattern_key(patterns, path)
    assert first_match(patterns, path) == (theirs if theirs in patterns else None)
    ranks = {pattern: place for place, pattern in enumerate(patterns)}
    assert value_at(ranks, path, -1) == ranks.get(theirs, -1)


@pytest.mark.parametrize("pattern", ["a(", "*", "(?i)q_proj", "a{99999999999}", "[", "(?P<n>x)(?P<n>y)"])
def test_what_is_no_expression_where_peft_puts_it_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError, match="no regular expression"):
        compiled(pattern)
