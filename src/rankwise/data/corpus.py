"""The corpus: everything of the user's rows that training and evaluation need, validated, split and rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rankwise.data.inspect import Inspection, inspect_rows
from rankwise.data.read import Row, Shape, Table, read_table
from rankwise.data.render import AssistantTurns, Rendered, Renderer, TooLong
from rankwise.data.split import split_rows
from rankwise.data.table import raise_data_errors
from rankwise.errors import DataError, Problem, raise_if_errors

DEFAULT_HELD_OUT = 0.1
LABELS_LISTED = 30
"""Most labels the default prompt lists; more would cost more tokens than the text itself."""


@dataclass(frozen=True)
class CorpusRequest:
    """Which rows, and how they are read; enough to build the same corpus again."""

    train: str
    held_out: str | float
    instruction: str | None
    """For text/label rows; None: the default prompt."""
    max_length: int | None
    """None: the longest row, within what the base takes."""
    too_long: TooLong
    assistant_turns: AssistantTurns
    seed: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Corpus:
    request: CorpusRequest
    shape: Shape
    labels: tuple[str, ...]
    """All labels of the training rows, sorted; empty for open answers."""
    instruction: str | None
    """The prompt before every row's text: of label rows always, of others where all rows share one."""
    max_length: int
    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    train_rendered: tuple[Rendered, ...]
    held_out_rendered: tuple[Rendered, ...]
    train_sha256: str
    held_out_sha256: str
    """Of the file the held-out rows came from."""
    inspection: Inspection
    problems: tuple[Problem, ...]

    @property
    def supervised_tokens(self) -> int:
        return sum(row.num_supervised for row in self.train_rendered)

    @property
    def train_lengths(self) -> list[int]:
        return [len(row.ids) for row in self.train_rendered]


def default_instruction(labels: Sequence[str]) -> str:
    if len(labels) <= LABELS_LISTED:
        return f"Classify the text. Answer with one of: {', '.join(labels)}."
    return "Classify the text. Answer with its label."


def asked(row: Row, instruction: str | None) -> Row:
    """The row with its prompt: text/label rows get the instruction before the text; others already hold theirs."""
    if row.label is None:
        return row
    prompt = f"{instruction}\n{row.question}" if instruction else row.question
    return replace(row, messages=({"role": "user", "content": prompt}, *row.messages[1:]))


def build_corpus(request: CorpusRequest, renderer: Renderer, base_max_length: int) -> Corpus:
    """Read, split and render; every fault of every file and row at once as a DataError."""
    table, held = _read_both(request)
    problems = list(table.problems) + (list(held.problems) if held else [])
    if held is not None and held.shape != table.shape:
        problems.append(
            Problem(
                "error",
                "held-out-shape",
                held.path,
                f"these are {held.shape} rows and {table.path} has {table.shape} rows; both must be of one kind",
            )
        )
        raise DataError(problems=problems)
    if held is not None:
        train, held_out = list(table.rows), list(held.rows)
    else:
        assert isinstance(request.held_out, float)
        train, held_out = split_rows(table.rows, request.held_out, request.seed)
    labels = tuple(sorted({row.label for row in train if row.label is not None}))
    instruction = request.instruction
    if table.shape == "labels":
        instruction = default_instruction(labels) if instruction is None else instruction
    else:
        instruction = _common_instruction(train)
    train = [asked(row, instruction) for row in train]
    held_out = [asked(row, instruction) for row in held_out]

    rendered_train = _render_all(renderer, train, request, problems)
    rendered_held = _render_all(renderer, held_out, request, problems)
    raise_data_errors(problems, request.train)
    lengths = [len(row.ids) for row in rendered_train + rendered_held]
    if request.max_length is not None and request.max_length > base_max_length:
        message = f"{request.max_length} is more than the {base_max_length} tokens the base takes; lower it"
        raise DataError(problems=[*problems, Problem("error", "max-length-over-base", "data.max_length", message)])
    limit = request.max_length or min(max(lengths), base_max_length)
    train, rendered_train = _fit(renderer, train, rendered_train, limit, request, problems)
    held_out, rendered_held = _fit(renderer, held_out, rendered_held, limit, request, problems)
    inspection = inspect_rows(
        train, held_out, [len(r.ids) for r in rendered_train], [len(r.ids) for r in rendered_held], limit
    )
    problems += inspection.problems
    for row, shown in zip(train + held_out, rendered_train + rendered_held, strict=True):
        if not shown.num_supervised:
            problems.append(_fault(row, "nothing-supervised", "no token of it is trained on; is its answer empty?"))
    if rendered_train and not any(r.stops for r in rendered_train):
        problems.append(
            Problem(
                "error",
                "stop-never-supervised",
                request.train,
                "no answer ends in a stop token under the base's chat template, so the model would never learn to "
                f"stop; stop tokens known: {sorted(renderer.stop_ids) or 'none'} (eos_token_id)",
            )
        )
    if not train or not held_out:
        problems.append(
            Problem(
                "error",
                "too-few-rows",
                request.train,
                f"{len(train)} training and {len(held_out)} held-out rows are left; both are needed",
            )
        )
    raise_data_errors(problems, request.train)
    return Corpus(
        request=request,
        shape=table.shape,
        labels=labels,
        instruction=instruction,
        max_length=limit,
        train=tuple(train),
        held_out=tuple(held_out),
        train_rendered=tuple(rendered_train),
        held_out_rendered=tuple(rendered_held),
        train_sha256=table.sha256,
        held_out_sha256=held.sha256 if held else table.sha256,
        inspection=inspection,
        problems=tuple(problems),
    )


def _read_both(request: CorpusRequest) -> tuple[Table, Table | None]:
    """Both files, or every fault of both."""
    tables: list[Table] = []
    faults: list[Problem] = []
    for source in (request.train, request.held_out):
        if isinstance(source, str):
            try:
                tables.append(read_table(source))
            except DataError as fault:
                faults += fault.problems
    raise_if_errors(DataError, faults)
    return tables[0], tables[1] if len(tables) > 1 else None


def _common_instruction(rows: Sequence[Row]) -> str | None:
    seen = Counter(row.instruction for row in rows)
    return next(iter(seen)) if len(seen) == 1 else None


def _fault(row: Row, code: str, message: str) -> Problem:
    return Problem("error", code, row.where, message)


def _render_all(
    renderer: Renderer, rows: Sequence[Row], request: CorpusRequest, problems: list[Problem]
) -> list[Rendered]:
    rendered = []
    for row in rows:
        try:
            rendered.append(renderer.render(row, request.assistant_turns))
        except DataError as fault:
            problems += fault.problems
    return rendered


def _fit(
    renderer: Renderer,
    rows: Sequence[Row],
    rendered: Sequence[Rendered],
    limit: int,
    request: CorpusRequest,
    problems: list[Problem],
) -> tuple[list[Row], list[Rendered]]:
    """Apply the chosen policy to rows over the limit, and count them."""
    kept_rows: list[Row] = []
    kept: list[Rendered] = []
    over = 0
    for row, shown in zip(rows, rendered, strict=True):
        if len(shown.ids) <= limit:
            kept_rows.append(row)
            kept.append(shown)
            continue
        over += 1
        if request.too_long == "error":
            problems.append(
                _fault(
                    row,
                    "row-too-long",
                    f"{len(shown.ids)} tokens, over the limit of {limit}; raise data.max_length, or choose "
                    "data.too_long: drop or truncate",
                )
            )
        elif request.too_long == "truncate":
            try:
                row, shown = renderer.shorten(row, limit, request.assistant_turns)
                kept_rows.append(row)
                kept.append(shown)
            except DataError as fault:
                problems += fault.problems
    if over and request.too_long != "error":
        done = {"drop": "left out", "truncate": "cut at the end of their question"}[request.too_long]
        problems.append(
            Problem(
                "warning", "rows-over-limit", "", f"{over} rows over {limit} tokens were {done}, as data.too_long says"
            )
        )
    return kept_rows, kept
