"""The corpus: everything of the user's rows that training and evaluation need, validated, split and rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rankwise.data.inspect import Inspection, inspect_rows
from rankwise.data.read import Row, Shape, Table, read_table
from rankwise.data.render import AssistantTurns, Rendered, Renderer, TooLong
from rankwise.data.split import split_rows
from rankwise.data.table import LABELLED, raise_data_errors
from rankwise.errors import DataError, Problem, raise_if_errors

DEFAULT_HELD_OUT = 0.1
ROWS_NAMED = 4
"""Most rows that are named one by one for the same fault."""
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
    """All labels of the training rows that are left, sorted; empty for open answers."""
    instruction: str | None
    """The prompt before every row's text: of label rows always, of others where all rows share one."""
    system: str | None
    """The system message that every training row begins with."""
    tools: tuple[dict[str, Any], ...] | None
    """The tools that every training row has."""
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
        return [row.length for row in self.train_rendered]


@dataclass(frozen=True)
class Fitted:
    """Rows within a limit of tokens, and what became of the others."""

    rows: list[Row]
    rendered: list[Rendered]
    over: tuple[str, ...]
    """Places of the rows over the limit."""
    faults: list[Problem]
    """Rows that must not be over the limit, or cannot be cut to it; they are not in `rows`."""


def default_instruction(labels: Sequence[str]) -> str:
    if len(labels) <= LABELS_LISTED:
        return f"Classify the text. Answer with one of: {', '.join(labels)}."
    return "Classify the text. Answer with its label."


def asked(row: Row, instruction: str | None) -> Row:
    """The row with its prompt: text/label rows get the instruction before the text; others already hold theirs."""
    if row.shape not in LABELLED:
        return row
    prompt = f"{instruction}\n{row.question}" if instruction else row.question
    return replace(row, messages=({"role": "user", "content": prompt}, *row.messages[1:]))


def build_corpus(request: CorpusRequest, renderer: Renderer, base_max_length: int) -> Corpus:
    """Read, split and render; every fault of every file and row at once as a DataError."""
    table, held = _read_both(request)
    train, held_out, problems = _split(request, table, held)
    if request.max_length is not None and request.max_length > base_max_length:
        message = f"{request.max_length} is more than the {base_max_length} tokens the base takes; lower it"
        problems.append(Problem("error", "max-length-over-base", "data.max_length", message))
    sides = _fit_sides(renderer, train, held_out, request, base_max_length, problems)
    limit, instruction = sides.limit, sides.instruction
    train, rendered_train = sides.train.rows, sides.train.rendered
    held_out, rendered_held = sides.held_out.rows, sides.held_out.rendered
    if table.shape not in LABELLED:
        instruction = _common_instruction(train)
    over, held_over = (*(row.where for row in sides.lost), *sides.train.over), sides.held_out.over
    problems += [*sides.train.faults, *sides.held_out.faults, *_lost_labels(sides.lost, sides.labels, limit)]
    problems += _over_limit("training", table.path, over, limit, request.too_long)
    problems += _over_limit("held-out", (held or table).path, held_over, limit, request.too_long)
    inspection = inspect_rows(
        train,
        held_out,
        [r.length for r in rendered_train],
        [r.length for r in rendered_held],
        limit,
        (*over, *held_over),
    )
    problems += inspection.problems
    problems += _untrainable(request.train, renderer, sides.train, sides.held_out)
    raise_data_errors(problems, request.train)
    return Corpus(
        request=request,
        shape=table.shape,
        labels=sides.labels,
        instruction=instruction,
        system=_common_system(train),
        tools=_common_tools(train),
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


def _split(request: CorpusRequest, table: Table, held: Table | None) -> tuple[list[Row], list[Row], list[Problem]]:
    """Training and held-out rows, and the tables' problems. Raises DataError where the two are not of one kind."""
    if held is None:
        assert isinstance(request.held_out, float)
        return *split_rows(table.rows, request.held_out, request.seed), list(table.problems)
    problems = [*table.problems, *held.problems]
    if held.shape != table.shape:
        message = f"these are {held.shape} rows and {table.path} has {table.shape} rows; both must be of one kind"
        raise DataError(problems=[*problems, Problem("error", "held-out-shape", held.path, message)])
    return list(table.rows), list(held.rows), problems


def _untrainable(file: str, renderer: Renderer, train: Fitted, held_out: Fitted) -> Iterator[Problem]:
    """Rows without an answer, answers without an end, and too few rows."""
    for row, shown in zip(train.rows + held_out.rows, train.rendered + held_out.rendered, strict=True):
        if not shown.num_supervised:
            yield _fault(row, "nothing-supervised", "no token of it is trained on; is its answer empty?")
    if train.rendered and not any(shown.stops for shown in train.rendered):
        message = (
            "no answer ends in a stop token under the base's chat template, so the model would never learn to "
            f"stop; stop tokens known: {sorted(renderer.stop_ids) or 'none'} (eos_token_id)"
        )
        yield Problem("error", "stop-never-supervised", file, message)
    if not train.rows or not held_out.rows:
        message = f"{len(train.rows)} training and {len(held_out.rows)} held-out rows are left; both are needed"
        yield Problem("error", "too-few-rows", file, message)


@dataclass(frozen=True)
class _Sides:
    """Both sides under one prompt and one limit."""

    labels: tuple[str, ...]
    instruction: str | None
    limit: int
    train: Fitted
    held_out: Fitted
    lost: list[Row]
    """Training rows with a label of which not one row was short enough."""


def _fit_sides(
    renderer: Renderer,
    train: Sequence[Row],
    held_out: Sequence[Row],
    request: CorpusRequest,
    base_max_length: int,
    problems: list[Problem],
) -> _Sides:
    """Ask, render and fit the rows. A label left without a training row is given up: the prompt must not offer it."""
    labels, lost = _labels(train), list[Row]()
    while True:
        instruction = _instruction(renderer, request, labels)
        sides = [[asked(row, instruction) for row in rows] for rows in (train, held_out)]
        rendered = [_render_all(renderer, rows, request, problems) for rows in sides]
        raise_data_errors(problems, request.train)
        limit = request.max_length or min(max(shown.length for side in rendered for shown in side), base_max_length)
        fitted, fitted_held = (
            fit_rows(renderer, rows, shown, limit, request.too_long, request.assistant_turns)
            for rows, shown in zip(sides, rendered, strict=True)
        )
        left = _labels(fitted.rows)
        if request.too_long != "drop" or left == labels or not left:
            return _Sides(labels, instruction, limit, fitted, fitted_held, lost)
        # Again without those labels: the prompt is shorter, and may let more rows of the others in.
        lost += [row for row in train if not set(row.own_labels) <= set(left)]
        train = [row for row in train if set(row.own_labels) <= set(left)]
        labels = left


def _instruction(renderer: Renderer, request: CorpusRequest, labels: Sequence[str]) -> str | None:
    """What stands before the text of every label row."""
    if not renderer.takes_prompt:
        return None
    return default_instruction(labels) if labels and request.instruction is None else request.instruction


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


def _labels(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(sorted({label for row in rows for label in row.own_labels}))


def _common_instruction(rows: Sequence[Row]) -> str | None:
    seen = Counter(row.instruction for row in rows)
    return next(iter(seen)) if len(seen) == 1 else None


def _common_system(rows: Sequence[Row]) -> str | None:
    first = [row.messages[0] for row in rows]
    seen = {str(message["content"]) if message["role"] == "system" else None for message in first}
    return seen.pop() if len(seen) == 1 else None


def _common_tools(rows: Sequence[Row]) -> tuple[dict[str, Any], ...] | None:
    return rows[0].tools if all(row.tools == rows[0].tools for row in rows) else None


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


def fit_rows(
    renderer: Renderer,
    rows: Sequence[Row],
    rendered: Sequence[Rendered],
    limit: int,
    too_long: TooLong,
    assistant_turns: AssistantTurns,
) -> Fitted:
    """Apply `data.too_long` to the rows of more than `limit` tokens."""
    long = list[tuple[Row, int]]()
    fitted = Fitted([], [], tuple(r.where for r, s in zip(rows, rendered, strict=True) if s.length > limit), [])
    for row, shown in zip(rows, rendered, strict=True):
        if shown.length > limit:
            if too_long == "drop":
                continue
            if too_long == "error":
                long.append((row, shown.length))
                continue
            try:
                row, shown = renderer.shorten(row, limit, assistant_turns)
            except DataError as fault:
                fitted.faults.extend(fault.problems)
                continue
        fitted.rows.append(row)
        fitted.rendered.append(shown)
    if long:
        fitted.faults.append(_too_long(long, limit))
    return fitted


def _too_long(long: Sequence[tuple[Row, int]], limit: int) -> Problem:
    """One line for all of them, the first few by name."""
    most = max(length for _, length in long)
    named = [f"{row.where} ({length})" for row, length in long[1:ROWS_NAMED]]
    more = f", and so are {len(long) - 1} more rows: {', '.join(named)}" if named else ""
    more += ", ..." if len(long) > ROWS_NAMED else ""
    message = (
        f"{long[0][1]} tokens, over the limit of {limit}{more}; raise data.max_length (to {most} for all), or choose "
        "data.too_long: drop or truncate"
    )
    return _fault(long[0][0], "row-too-long", message)


def _over_limit(side: str, file: str, over: Sequence[str], limit: int, too_long: TooLong) -> list[Problem]:
    """The warning that rows of one side were left out or cut, if any were."""
    if not over or too_long == "error":
        return []
    done = {"drop": "left out", "truncate": "cut at the end of their question"}[too_long]
    message = (
        f"{len(over)} {side} {'row' if len(over) == 1 else 'rows'} over {limit} tokens "
        f"{'was' if len(over) == 1 else 'were'} {done}, as data.too_long says; the first is {over[0]}"
    )
    return [Problem("warning", "rows-over-limit", file, message)]


def _lost_labels(lost: Sequence[Row], labels: Sequence[str], limit: int) -> list[Problem]:
    return [
        Problem(
            "warning",
            "label-left-out",
            next(row.where for row in lost if label in row.own_labels),
            f'label "{label}" is no answer of this adapter: all its training rows ({count}) are over {limit} tokens '
            "and were left out; raise data.max_length or choose data.too_long: truncate",
        )
        for label, count in Counter(label for row in lost for label in row.own_labels).items()
        if label not in labels
    ]
