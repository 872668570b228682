"""Rows of different adapters in one batch say what each says alone, whenever they join and leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue
from random import Random

import pytest
import torch

from rankwise.data.render import Renderer
from rankwise.facts import read_adapter
from rankwise.model.attach import attach_existing
from rankwise.model.generate import generate
from rankwise.model.load import load_base
from rankwise.serve.batcher import Batcher, Closing, Overloaded
from rankwise.serve.engine import Engine
from rankwise.serve.pool import Pool
from rankwise.serve.requests import Ended, Event, Request, Said
from rankwise.serve.sampling import Sampling
from rankwise.serve.service import Settings, make_engine

NEW_TOKENS = 12
SETTINGS = Settings(slots=6, adapter_bytes=1 << 28, slot_bytes=1 << 24)


@pytest.fixture(scope="module")
def renderer(tiny_base: Path) -> Renderer:
    return Renderer(tiny_base)


@pytest.fixture(scope="module")
def folders(tiny_base: Path, adapter: Callable[..., Path]) -> list[Path]:
    return [adapter(tiny_base, seed, r=r) for seed, r in ((1, 4), (2, 8), (3, 16), (4, 4))]


class Running:
    """An engine with its pool and batcher, and the adapters' seats."""

    def __init__(self, base: Path, renderer: Renderer, folders: Sequence[Path], prefix_bytes: int = 0) -> None:
        self.engine: Engine = make_engine(load_base(base, "float32", "cpu"), SETTINGS, 256)
        self.pool = Pool(self.engine.groups, torch.float32, SETTINGS.adapter_bytes)
        self.batcher = Batcher(self.engine, self.pool, renderer.decode, renderer.stop_ids, prefix_bytes, 512)
        self.facts = [read_adapter(folder) for folder in folders]

    def ask(
        self, asked: Sequence[tuple[Sequence[int], int | None]], sampling: Sampling, at_once: bool = False
    ) -> list[list[Event]]:
        """(prompt, number of the adapter or None) each -> its events, in order. `at_once`: none is begun before all
        wait."""
        queue: Queue[tuple[int, Event]] = Queue()
        requests = []
        for number, (ids, which) in enumerate(asked):
            seat = None if which is None else self.pool.acquire(self.facts[which])
            requests.append(Request(tuple(ids), seat, sampling, lambda event, n=number: queue.put((n, event))))
        for together in [requests] if at_once else [[request] for request in requests]:
            self.batcher.submit(together)
        events: list[list[Event]] = [[] for _ in asked]
        left = len(asked)
        while left:
            number, event = queue.get(timeout=60)
            events[number].append(event)
            left -= isinstance(event, Ended)
        return events


@pytest.fixture
def running(tiny_base: Path, renderer: Renderer, folders: list[Path]) -> Iterator[Running]:
    made = Running(tiny_base, renderer, folders)
    yield made
    assert made.batcher.close(30)
    assert all(not seat.users for seat in made.pool.describe())


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Said))


def prompts(count: int, seed: int) -> list[list[int]]:
    draw = Random(seed)
    return [[draw.randrange(5, 300) for _ in range(draw.randrange(1, 30))] for _ in range(count)]


def test_a_mixed_batch_says_what_each_adapter_says_alone(
    tiny_base: Path, renderer: Renderer, folders: list[Path], running: Running
) -> None:
    """Against `generate` over PEFT's layers, one adapter at a time; float32, greedy, every token."""
    asked = [(ids, (None, 0, 1, 2, 3)[i % 5]) for i, ids in enumerate(prompts(60, 7))]
    greedy = Sampling(NEW_TOKENS, top_logprobs=0)  # so that tokens are told as well
    found = running.ask(asked, greedy)
    different = 0
    for which in (None, 0, 1, 2, 3):
        model = load_base(tiny_base, "float32", "cpu")
        if which is not None:
            model = attach_existing(model, folders[which], trainable=False)
        mine = [i for i, (_, its) in enumerate(asked) if its == which]
        alone = generate(model, [asked[i][0] for i in mine], renderer.stop_ids, NEW_TOKENS)
        for i, expected in zip(mine, alone, strict=True):
            tokens = tuple(c.token for event in found[i] if isinstance(event, Said) for c in event.choices)
            assert tokens == expected.ids
            assert text_of(found[i]) == renderer.decode(expected.ids)
            end = found[i][-1]
            assert isinstance(end, Ended) and end.reason == ("length" if expected.truncated else "stop")
            different += which is not None
    assert different == 48


def test_the_same_on_a_base_with_a_forward_of_its_own(
    tiny_base: Path, renderer: Renderer, folders: list[Path], running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rankwise.serve import service

    asked = [(ids, (None, 0, 2)[i % 3]) for i, ids in enumerate(prompts(9, 8))]
    expected = [text_of(events) for events in running.ask(asked, Sampling(NEW_TOKENS))]
    monkeypatch.setattr(service.Decoder, "of", lambda *_: None)
    own = Running(tiny_base, renderer, folders)
    assert type(own.engine).__name__ == "OwnForward"
    assert [text_of(events) for events in own.ask(asked, Sampling(NEW_TOKENS))] == expected
    assert own.batcher.close(30)


def test_prefixes_are_reused_by_the_same_adapter_alone_and_change_nothing(
    tiny_base: Path, renderer: Renderer, folders: list[Path], running: Running
) -> None:
    start = prompts(1, 3)[0] + list(range(100, 130))
    asked = [([*start, 40 + i], which) for which in (0, 1, None) for i in range(3)]
    expected = [text_of(events) for events in running.ask(asked, Sampling(NEW_TOKENS))]
    keeping = Running(tiny_base, renderer, folders, prefix_bytes=1 << 24)
    reused = []
    for one, text in zip(asked, expected, strict=True):
        events = keeping.ask([one], Sampling(NEW_TOKENS))[0]
        assert text_of(events) == text
        assert isinstance(events[-1], Ended)
        reused.append(events[-1].reused)
    assert reused == [0, len(start), len(start)] * 3
    assert keeping.batcher.prefixes.reused == 6 * len(start)
    assert keeping.batcher.close(30)


def test_prompts_that_come_at_once_and_begin_alike_compute_it_once(
    tiny_base: Path, renderer: Renderer, folders: list[Path], running: Running
) -> None:
    start = list(range(100, 130))
    asked = [([*start, 40 + i], which) for i in range(3) for which in (0, None)]
    expected = [text_of(events) for events in running.ask(asked, Sampling(NEW_TOKENS))]
    keeping = Running(tiny_base, renderer, folders, prefix_bytes=1 << 24)
    answers = keeping.ask(asked, Sampling(NEW_TOKENS), at_once=True)
    assert [text_of(events) for events in answers] == expected
    reused = [event.reused for events in answers for event in events if isinstance(event, Ended)]
    assert reused == [0, 0] + [len(start)] * 4
    assert keeping.batcher.close(30)
    cramped = Running(tiny_base, renderer, folders, prefix_bytes=1)  # room for nothing
    assert [text_of(events) for events in cramped.ask(asked, Sampling(NEW_TOKENS), at_once=True)] == expected
    assert cramped.batcher.prefixes.bytes == cramped.batcher.prefixes.reused == 0
    assert cramped.batcher.close(30)


def test_draws_depend_on_the_seed_alone(running: Running) -> None:
    ids = prompts(1, 5)[0]
    warm = Sampling(NEW_TOKENS, temperature=1.0, top_p=0.9, seed=11)
    alone = text_of(running.ask([(ids, 1)], warm)[0])
    among = running.ask([(other, 0) for other in prompts(4, 6)] + [(ids, 1)], warm)
    assert text_of(among[-1]) == alone
    other = text_of(running.ask([(ids, 1)], Sampling(NEW_TOKENS, temperature=1.0, top_p=0.9, seed=12))[0])
    assert other != alone


def test_logprobs_are_those_of_the_base(tiny_base: Path, running: Running) -> None:
    ids = prompts(1, 9)[0]
    events = running.ask([(ids, None)], Sampling(1, top_logprobs=3))[0]
    choice = next(event for event in events if isinstance(event, Said)).choices[0]
    from tests.serve.test_decoder import own_logits

    logprobs = own_logits(tiny_base, ids)[-1].log_softmax(0)
    assert choice.logprob == pytest.approx(float(logprobs.max()), abs=1e-4)
    assert [each.token for each in choice.top] == logprobs.topk(3).indices.tolist()


def test_a_row_that_nobody_wants_any_more_is_freed(running: Running) -> None:
    events: Queue[Event] = Queue()
    seat = running.pool.acquire(running.facts[0])
    request = Request(tuple(prompts(1, 1)[0]), seat, Sampling(200), events.put)
    running.batcher.submit([request])
    events.get(timeout=60)
    request.cancelled = True
    running.ask([(ids, 1) for ids in prompts(8, 2)], Sampling(4))
    until = time.monotonic() + 30
    while running.batcher.running or any(each.users for each in running.pool.describe()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_more_than_may_wait_is_refused_and_so_is_all_after_the_end(
    tiny_base: Path, renderer: Renderer, folders: list[Path]
) -> None:
    made = Running(tiny_base, renderer, folders)
    one = Request((5,), None, Sampling(1), lambda event: None)
    with pytest.raises(Overloaded):
        made.batcher.submit([one] * 513)
    assert made.batcher.close(30)
    with pytest.raises(Closing):
        made.batcher.submit([one])
