"""All that answers: one base in memory, its adapters, its batcher; and a request made ready for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rankwise.data.render import Renderer
from rankwise.errors import BaseError
from rankwise.facts import NO_LIMIT, identify_base, read_anatomy
from rankwise.model.generate import LabelTree
from rankwise.model.load import load_base
from rankwise.serve.batcher import Batcher
from rankwise.serve.chat import as_taught, label_tree, prompt_ids
from rankwise.serve.decoder import Decoder
from rankwise.serve.engine import Engine
from rankwise.serve.names import Names, Served
from rankwise.serve.own_forward import OwnForward
from rankwise.serve.pool import Pool, Seat
from rankwise.serve.protocol import DEFAULT_TOKENS, ChatRequest, CompletionRequest, Generation
from rankwise.serve.refused import Refused
from rankwise.serve.requests import Event, Grammar, Request
from rankwise.serve.sampling import Sampling

Tell = Callable[[int, Event], None]
"""(number of the answer, what happened)."""


@dataclass(frozen=True)
class Settings:
    """What the server may use."""

    slots: int = 48
    """Rows of a batch."""
    adapter_bytes: int = 1 << 30
    slot_bytes: int = 2 << 30
    """Keys and values of all slots; bounds how long a row may be."""
    prefix_bytes: int = 256 << 20
    """Keys and values of prompts kept for others."""
    waiting: int = 512
    """Most answers that wait for a slot."""


@dataclass(frozen=True)
class Job:
    """A request under way: `requests` are its answers."""

    model: str
    requests: tuple[Request, ...]
    labels: tuple[str, ...]
    """What is scored; empty where text is written."""

    @property
    def prompt_tokens(self) -> int:
        return len(self.requests[0].ids)

    def cancel(self) -> None:
        for request in self.requests:
            request.cancelled = True


class Service:
    """Any thread may call any method."""

    def __init__(self, base: Path, name: str, dtype: str, device: str, settings: Settings = Settings()) -> None:
        """Loads the base in folder `base`, which requests call `name`. Raises BaseError."""
        anatomy = read_anatomy(base)
        if anatomy.kind != "causal":
            raise BaseError(f"{base}: it is an {anatomy.kind}, and only causal bases are served; serve one of those")
        self.renderer = Renderer(base)
        self.names = Names(name, identify_base(base), anatomy)
        model = load_base(base, dtype, device)
        self.engine = make_engine(model, settings, anatomy.max_length)
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self.pool = Pool(self.engine.groups, self.engine.dtype, settings.adapter_bytes, self.engine.device)
        self.batcher = Batcher(
            self.engine,
            self.pool,
            self.renderer.decode,
            self.renderer.stop_ids,
            settings.prefix_bytes,
            settings.waiting,
        )
        self._constraints: Any = None

    def chat(self, asked: ChatRequest, tell: Tell) -> Job:
        """Put the conversation to its model. Raises Refused, UnknownModel, DataError, AdapterError, PoolBusy,
        Overloaded and Closing."""
        served = self.names.find(asked.model)
        task = None if served.record is None else served.record.task
        messages = as_taught([turn.message() for turn in asked.messages], task)
        ids = prompt_ids(self.renderer, messages, task)
        if task is not None and task.labels:
            self._refuse_for_labels(asked)
            tree = label_tree(self.renderer, messages, task)
            return self._submit(asked, served, ids, Sampling(1), tell, task.labels, tree)
        grammar = self._grammar(asked)
        top = (asked.top_logprobs or 0) if asked.logprobs else None
        sampling = self._sampling(asked, ids, asked.most_tokens, top)
        return self._submit(asked, served, ids, sampling, tell, grammar=grammar)

    def complete(self, asked: CompletionRequest, tell: Tell) -> Job:
        """Likewise for a text that is to be gone on with, without any template."""
        served = self.names.find(asked.model)
        if isinstance(asked.prompt, str):
            ids = list(self.renderer.tokenizer.encode(asked.prompt, add_special_tokens=True).ids)
        else:
            ids = list(asked.prompt)
        if not ids or not all(0 <= token < self.vocabulary for token in ids):
            message = f"the prompt must hold tokens, each at least 0 and under {self.vocabulary}"
            raise Refused(400, "invalid_prompt", message, "prompt")
        sampling = self._sampling(asked, ids, asked.max_tokens, asked.logprobs)
        return self._submit(asked, served, ids, sampling, tell)

    def _sampling(
        self, asked: Generation, ids: Sequence[int], wanted: int | None, top_logprobs: int | None
    ) -> Sampling:
        room = self.engine.capacity - len(ids)
        if room < (wanted or 1):
            message = f"{len(ids)} tokens and {wanted or 1} of answer: at most {self.engine.capacity} fit here"
            raise Refused(400, "context_length_exceeded", message, "max_tokens" if room > 0 else "messages")
        return Sampling(
            max_tokens=wanted or min(DEFAULT_TOKENS, room),
            temperature=asked.temperature,
            top_p=asked.top_p,
            seed=asked.seed,
            stop=asked.stops,
            top_logprobs=top_logprobs,
        )

    def _submit(
        self,
        asked: Generation,
        served: Served,
        ids: Sequence[int],
        sampling: Sampling,
        tell: Tell,
        labels: tuple[str, ...] = (),
        tree: LabelTree | None = None,
        grammar: Callable[[], Grammar] | None = None,
    ) -> Job:
        if tree is not None and len(ids) + tree.num_nodes > self.engine.capacity:
            message = f"{len(ids)} tokens, and at most {self.engine.capacity} fit here with the labels; shorten it"
            raise Refused(400, "context_length_exceeded", message, "messages")
        seats: list[Seat] = []
        try:
            requests = []
            for number in range(asked.n):
                seat = None if served.facts is None else self.pool.acquire(served.facts)
                if seat is not None:
                    seats.append(seat)
                requests.append(
                    Request(
                        tuple(ids),
                        seat,
                        sampling.of_answer(number),
                        partial(tell, number),
                        tree,
                        None if grammar is None else grammar(),
                    )
                )
            self.batcher.submit(requests)
        except BaseException:
            for seat in seats:
                self.pool.release(seat)
            raise
        return Job(served.id, tuple(requests), labels)

    def _refuse_for_labels(self, asked: ChatRequest) -> None:
        """What means nothing where labels are scored."""
        no = {"n": asked.n > 1, "logprobs": asked.logprobs, "response_format": _wants_json(asked)}
        for param, given in no.items():
            if given:
                message = f"{param} means nothing to a model that answers with one of its labels; leave it out"
                raise Refused(400, "not_for_labels", message, param)

    def _grammar(self, asked: ChatRequest) -> Callable[[], Grammar] | None:
        wanted = asked.response_format
        if wanted is None or not _wants_json(asked):
            return None
        from rankwise.serve.constrain import ANY_OBJECT, Constraints

        if self._constraints is None:
            self._constraints = Constraints(self.renderer, self.vocabulary)
        if wanted.type == "json_object":
            return partial(self._constraints.of_schema, ANY_OBJECT)
        assert wanted.json_schema is not None  # its own check sees to it
        return partial(self._constraints.of_schema, wanted.json_schema.json_schema)


def make_engine(model: Any, settings: Settings, max_length: int) -> Engine:
    """The fast forward where the base allows it, else its own."""
    each = Decoder.slot_bytes(model, 1) * settings.slots
    longest = min(max_length, NO_LIMIT - 1, settings.slot_bytes // each)
    return Decoder.of(model, settings.slots, longest) or OwnForward(model, settings.slots, longest)


def _wants_json(asked: ChatRequest) -> bool:
    return asked.response_format is not None and asked.response_format.type != "text"
