from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankwise.evaluate.fields import (
    field_counts,
    have_fields,
    normalise_value,
    number_spelling,
    parse_fields,
    parse_json,
)

ORDER = (
    '{"System": "Hydraulic", "part": null, "order": {"no": "007", "lines": [{"qty": 2}, {"qty": 3.50}]}, "tags": []}'
)


def test_an_object_gives_the_paths_of_its_leaves():
    assert parse_fields(ORDER) == {
        "system": "Hydraulic",
        "part": "null",
        "order.no": "007",
        "order.lines[0].qty": "2",
        "order.lines[1].qty": "3.50",
        "tags": "[]",
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Machine: Press 4\nDowntime: 12:30 h", {"machine": "Press 4", "downtime": "12:30 h"}),
        ("machine: Press 4; downtime: 12; ", {"machine": "Press 4", "downtime": "12"}),
        ("Cause: belt; torn\nAction: replaced", {"cause": "belt; torn", "action": "replaced"}),
        ("A: 1; b: 2; and more", {"a": "1", "b": "2; and more"}),
        ("- **Part**: hose\n* **Side:** left", {"part": "hose", "side": "left"}),
        ("Here is the report:\nPart: hose", {"here is the report": "", "part": "hose"}),
        ("Sure, this is what I found\nPart: hose", {"part": "hose"}),
        ("Part: hose\nPart: belt", {"part": "hose", "part[1]": "belt"}),
        ("See: http://example.org/a", {"see": "http://example.org/a"}),
        ("2nd shift: 400", {"2nd shift": "400"}),
        ('```json\n{"a": true}\n```', {"a": "true"}),
        ("{}", {}),
        ("", None),
        ("negative", None),
        ("http://example.org", None),
        ("12: 30", None),
        ("[1, 2]", None),
        ('{"a": 1', None),
        ('{"a": 1, "a": 2}', None),
        ("One line of prose.\nAnother line of prose.\nNote: a pair", None),
        ("{" * 50_000, None),
        ('{"a":' * 900 + "1" + "}" * 900, None),
    ],
)
def test_what_has_fields(text, fields):
    if text.startswith('{"a":{"a"'):  # depth is up to the interpreter; it must only not fail
        assert parse_fields(text) is None or len(parse_fields(text)) == 1
    else:
        assert parse_fields(text) == fields


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200", "1200"),
        ("1200.00", "+1200"),
        ("1.2e3", "1200"),
        ("0.50", "0.5"),
        ("-0", "0"),
        ("Left  Side.", "left side"),
        ("12.", "12"),
        ("null", "NULL"),
    ],
)
def test_values_that_agree(one, other):
    assert normalise_value(one) == normalise_value(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("007", "7"), ("1,20", "120"), ("12 EUR", "12"), ("-5", "5"), ("null", ""), ("1.2", "12"), ("a.b", "ab")],
)
def test_values_that_differ(one, other):
    assert normalise_value(one) != normalise_value(other)


@settings(max_examples=50, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_equal_if_and_only_if_their_spellings_are(one, other):
    assert (number_spelling(one) == number_spelling(other)) == (one == other)
    assert Decimal(number_spelling(one)) == one


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_normalising_a_value_twice_changes_nothing(text):
    assert normalise_value(normalise_value(text)) == normalise_value(text)


def test_counts_by_hand():
    reference = '{"system": "Hydraulic System", "part": null, "action": "Replace", "location": "Left"}'
    assert field_counts(reference, reference) == (4, 0, 0)
    # Same, but one wrong value and one field too many; form and case do not matter.
    assert field_counts(
        reference, "System: hydraulic system.\nPart: hose\nAction: REPLACE\nLocation: left\nNote: x"
    ) == (
        3,
        2,
        1,
    )
    assert field_counts(reference, "no idea") == (0, 0, 4)
    assert field_counts(reference, '{"action": "Replace"}') == (1, 0, 3)
    assert field_counts("{}", '{"action": "Replace"}') == (0, 1, 0)


values = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
objects = st.dictionaries(st.text(max_size=6), values | st.lists(values, max_size=3), max_size=5)


@settings(max_examples=50, deadline=None)
@given(objects, objects)
def test_every_field_is_found_missed_or_extra(reference, answer):
    one, other = json.dumps(reference), json.dumps(answer)
    tp, fp, fn = field_counts(one, other)
    assert tp + fn == len(parse_fields(one))
    assert tp + fp == len(parse_fields(other))
    assert field_counts(other, one) == (tp, fn, fp)
    assert field_counts(one, one) == (len(parse_fields(one)), 0, 0)


def test_fields_need_every_reference_to_parse():
    assert have_fields(['{"a": 1}', "{}", "B: 2"])
    assert not have_fields(['{"a": 1}', "plain text"])
    assert not have_fields(["{}"])
    assert not have_fields([])


@pytest.mark.parametrize("text", ["1", '"a"', "null", "{'a': 1}", '{"a": NaN}', '{"a": 1e99999999999999999999}', ""])
def test_what_is_no_json_object_or_array(text):
    assert parse_json(text) is None


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_parses_to_fields_or_none(text):
    fields = parse_fields(text)
    assert fields is None or all(isinstance(value, str) for value in fields.values())
