"""The server's own description of itself, /openapi.json, and whatever requests may be made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rankwise import api, catalog
from rankwise.serve.plans import Plans
from rankwise.serve.service import Service, Settings
from tests.serve.test_app import Site

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DRAWS = 40
"""Requests to each route, of each kind."""


@pytest.fixture(scope="module")
def site(own_home: Path, tiny_base: Path, adapter: Callable[..., Path]) -> Iterator[Site]:
    catalog.register(adapter(tiny_base, 1, domain="legal", labels=("low", "high")))
    service = Service(tiny_base, "tiny", "float32", "cpu", Settings(slots=6, slot_bytes=1 << 24))
    made = Site(
        service,
        Plans(str(tiny_base), lambda asked: api.plan(asked).as_json(), lambda asked: api.check(asked).as_json()),
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def operations(site: Site) -> list[Any]:
    described = schemathesis.openapi.from_url(f"http://127.0.0.1:{site.port}/openapi.json")
    return [found.ok() for found in described.get_all_operations()]


@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_asked_of_a_route_makes_it_fail(operations: list[Any], mode: GenerationMode) -> None:
    """`positive` keeps to the description, `negative` breaks it somewhere."""
    assert len(operations) > 10
    for operation in operations:
        ask(operation, mode, lambda case: None)


@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_asked_of_a_model_that_is_there_makes_it_fail(operations: list[Any], mode: GenerationMode) -> None:
    """A name that is drawn is nobody's."""

    def name(case: schemathesis.Case) -> None:
        if isinstance(case.body, dict):
            case.body["model"] = ("tiny", "legal")[len(str(case.body)) % 2]

    posts = [each for each in operations if each.path.endswith("completions")]
    assert len(posts) == 2
    for operation in posts:
        ask(operation, mode, name)


def ask(operation: Any, mode: GenerationMode, change: Callable[[schemathesis.Case], None]) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except Unsatisfiable:
        return

    @given(case=cases)
    @settings(max_examples=DRAWS, derandomize=True, deadline=None, database=None, suppress_health_check=HealthCheck)
    def answered(case: schemathesis.Case) -> None:
        change(case)
        case.call_and_validate(checks=CHECKS, timeout=60)

    with suppress(Unsatisfiable):  # a route that takes nothing cannot be asked wrongly
        answered()
