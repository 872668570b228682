"""Which of the known formats a file has, by its keys, and each record as a `Row`."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rankwise.data.conversation import answer_text, check_turns, last_user_text, read_messages, read_tools
from rankwise.data.json_records import Report
from rankwise.data.label_lists import labels_text, read_labels, report_mixed, report_written_list
from rankwise.data.table import Faults, Message, Record, Row, kind_of, quoted

Fields = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """One way of writing rows, known by its required keys."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    build: Callable[[Fields, str, Report], Row | None]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.required + self.optional


def build_rows(records: Sequence[Record], faults: Faults, header: int | None = None) -> tuple[Row, ...]:
    """The rows of `records`, all of one format; every fault goes to `faults`.

    `header`: for a table with columns, the line they are named on (0: none), where a missing one is reported once.
    """
    fits = [_fitting(record.fields) for record in records]
    chosen = _choose(records, fits, faults)
    if chosen is None:
        return ()
    if header is not None and (missing := [key for key in chosen.required if key not in records[0].fields]):
        faults.error("missing-key", _missing(chosen, missing, records[0].fields, "column"), header)
        return ()
    rows: list[Row] = []
    extra: Counter[str] = Counter()
    for record, fit in zip(records, fits, strict=True):
        report = partial(faults.error, line=record.line)
        if len(fit) > 1:
            report("ambiguous-format", _ambiguous(fit))
        elif not fit:
            missing = [key for key in chosen.required if key not in record.fields]
            report("missing-key", _missing(chosen, missing, record.fields, "key"))
        elif fit[0].build is not chosen.build:
            report(
                "mixed-formats",
                f"format {fit[0].name} (keys {quoted(fit[0].required)}) in a file of {chosen.name} rows; "
                "keep one format per file",
            )
        else:
            extra.update(key for key in record.fields if key not in fit[0].keys)
            row = fit[0].build(record.fields, faults.where(record.line), report)
            rows += [row] if row else []
    if chosen.build is _labels:
        report_mixed(records, faults)
    faults.note("format-detected", f"{chosen.name} rows, by the keys {quoted(chosen.required)}")
    if extra:
        listed = ", ".join(f'"{key}" {count}' for key, count in extra.most_common(10))
        more = f" and {len(extra) - 10} more keys" if len(extra) > 10 else ""
        faults.warning("extra-keys", f"keys that {chosen.name} rows do not use are ignored (key, rows): {listed}{more}")
    return tuple(rows)


def _fitting(fields: Fields) -> list[Format]:
    """Formats whose required keys are all there with a value; if none, all there."""
    given = {key for key, value in fields.items() if value is not None}
    return [f for f in FORMATS if given.issuperset(f.required)] or [
        f for f in FORMATS if fields.keys() >= set(f.required)
    ]


def _choose(records: Sequence[Record], fits: Sequence[list[Format]], faults: Faults) -> Format | None:
    """The format of most rows; else the one whose keys come closest."""
    tally = Counter(fit[0].name for fit in fits if len(fit) == 1)
    if tally:
        return next(f for f in FORMATS if f.name == tally.most_common(1)[0][0])
    several = [(record, fit) for record, fit in zip(records, fits, strict=True) if len(fit) > 1]
    if several:
        record, fit = several[0]
        more = f" ({len(several) - 1} more rows alike)" if len(several) > 1 else ""
        faults.error("ambiguous-format", _ambiguous(fit) + more, record.line)
        return None
    present = Counter(key for record in records for key in record.fields)
    closest = max(FORMATS, key=lambda f: sum(present[key] for key in f.required))
    if any(present[key] for key in closest.required):
        return closest
    known = "; ".join(f"{quoted(f.required)} ({f.name})" for f in FORMATS)
    got = quoted(records[0].fields) or "none"
    faults.error("unknown-format", f"keys {got} are of no known format; expected one of: {known}", records[0].line)
    return None


def _ambiguous(fit: Sequence[Format]) -> str:
    both = " and ".join(f"{f.name} ({quoted(f.required)})" for f in fit)
    return f"the keys fit more than one format: {both}; keep the keys of one"


def _missing(chosen: Format, missing: list[str], fields: Fields, word: str) -> str:
    unused = {key.lower().strip(): key for key in fields if key not in chosen.keys}
    close = [unused[k] for name in missing for k in difflib.get_close_matches(name, unused, 1)]
    hint = f"; rename {quoted(close)}?" if close else ""
    return (
        f"{word} {quoted(missing)} missing: {chosen.name} rows need {quoted(chosen.required)}, "
        f"got {quoted(fields) or 'none'}{hint}"
    )


def _text(fields: Fields, key: str, report: Report, optional: bool = False) -> str | None:
    """The string under `key`; None (and a fault, unless it may be left out) when there is none."""
    value = fields.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        if optional:
            return ""
        report("null-value", f'"{key}" is null, expected a string')
    else:
        report("wrong-type", f'"{key}" is {kind_of(value)}, expected a string')
    return None


def _answer(fields: Fields, key: str, report: Report) -> str | None:
    text = _text(fields, key, report)
    if text is not None and not text.strip():
        report("empty-answer", f'"{key}" is {"blank" if text else "empty"}; write the answer or drop the row')
        return None
    return text


def _labels(fields: Fields, where: str, report: Report) -> Row | None:
    text = _text(fields, "text", report)
    if text is not None and not text.strip():
        report("empty-question", f'"text" is {"blank" if text else "empty"}; write it or drop the row')
        text = None
    label = fields["label"]
    if isinstance(label, list):
        return _label_list(text, label, where, report)
    if label is None:
        report("null-label", '"label" is null; write the label or drop the row')
    elif isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    elif not isinstance(label, str):
        report("wrong-type", f'"label" is {kind_of(label)}, expected a string or a whole number')
        label = None
    else:
        label = _answer(fields, "label", report)
        report_written_list(label, report)
    if text is None or label is None:
        return None
    return Row(where, (_turn("user", text), _turn("assistant", label)), question=text, answer=label, label=label)


def _label_list(text: str | None, given: list[Any], where: str, report: Report) -> Row | None:
    labels = read_labels(given, report)
    if text is None or labels is None:
        return None
    answer = labels_text(labels)
    return Row(where, (_turn("user", text), _turn("assistant", answer)), question=text, answer=answer, labels=labels)


def _alpaca(fields: Fields, where: str, report: Report) -> Row | None:
    instruction = _text(fields, "instruction", report)
    given = _text(fields, "input", report, optional=True)
    system = _text(fields, "system", report, optional=True)
    output = _answer(fields, "output", report)
    if instruction is None or given is None or system is None or output is None:
        return None
    parts = [part for part in (instruction, given) if part.strip()]
    if not parts:
        report("empty-question", '"instruction" and "input" are both empty; write one or drop the row')
        return None
    messages = (*_system(system), _turn("user", "\n".join(parts)), _turn("assistant", output))
    return Row(where, messages, question=parts[-1], answer=output, instruction=instruction)


def _prompt_completion(fields: Fields, where: str, report: Report) -> Row | None:
    prompt = _side(fields, "prompt", "user", report)
    completion = _side(fields, "completion", "assistant", report)
    tools = read_tools(fields["tools"], report) if fields.get("tools") is not None else None
    if prompt is None or completion is None:
        return None
    return _conversation([*prompt, *completion], where, tools, report, completion_start=len(prompt))


def _side(fields: Fields, key: str, role: str, report: Report) -> list[Message] | None:
    value = fields[key]
    if isinstance(value, str):
        return [_turn(role, value)]
    if value is None:
        report("null-value", f'"{key}" is null, expected a string or a list of messages')
        return None
    if not isinstance(value, list):
        report("wrong-type", f'"{key}" is {kind_of(value)}, expected a string or a list of messages')
        return None
    return read_messages(value, key, report)


def _chat(key: str, fields: Fields, where: str, report: Report) -> Row | None:
    messages = read_messages(fields[key], key, report)
    system = _text(fields, "system", report, optional=True) if key == "conversations" else ""
    tools = read_tools(fields["tools"], report) if fields.get("tools") is not None else None
    if messages is None or system is None:
        return None
    return _conversation([*_system(system), *messages], where, tools, report)


def _messages(fields: Fields, where: str, report: Report) -> Row | None:
    return _chat("messages", fields, where, report)


def _sharegpt(fields: Fields, where: str, report: Report) -> Row | None:
    return _chat("conversations", fields, where, report)


def _conversation(
    messages: list[Message],
    where: str,
    tools: tuple[dict[str, Any], ...] | None,
    report: Report,
    completion_start: int | None = None,
) -> Row | None:
    if not check_turns(messages, report):
        return None
    return Row(
        where,
        tuple(messages),
        question=last_user_text(messages),
        answer=answer_text(messages[-1]),
        tools=tools,
        completion_start=completion_start,
    )


def _preference(fields: Fields, where: str, report: Report) -> Row | None:
    """A prompt (or an instruction, perhaps with an input) with a better and a worse answer."""
    prompt = _asked_of_both(fields, report)
    chosen, rejected = _one_answer(fields, "chosen", report), _one_answer(fields, "rejected", report)
    if prompt is None or chosen is None or rejected is None:
        return None
    if chosen.strip() == rejected.strip():
        report("no-preference", '"chosen" and "rejected" are the same answer, which teaches nothing; drop the row')
        return None
    row = _conversation([*prompt, _turn("assistant", chosen)], where, None, report)
    return row and replace(row, rejected=rejected)


def _asked_of_both(fields: Fields, report: Report) -> list[Message] | None:
    """The conversation that both answers continue."""
    system = _text(fields, "system", report, optional=True)
    if (fields.get("prompt") is None) == (fields.get("instruction") is None):
        report("missing-key", 'give either "prompt" or "instruction" (perhaps with "input") beside the two answers')
        return None
    if fields.get("prompt") is not None:
        prompt = _side(fields, "prompt", "user", report)
        if isinstance(fields["prompt"], str) and not fields["prompt"].strip():
            report("empty-question", '"prompt" is empty; write it or drop the row')
            return None
        return None if prompt is None or system is None else [*_system(system), *prompt]
    parts = [_text(fields, "instruction", report), _text(fields, "input", report, optional=True)]
    if system is None or None in parts:
        return None
    written = [part for part in parts if part and part.strip()]
    if not written:
        report("empty-question", '"instruction" and "input" are both empty; write one or drop the row')
        return None
    return [*_system(system), _turn("user", "\n".join(written))]


def _one_answer(fields: Fields, key: str, report: Report) -> str | None:
    """The text under `key`, which may be written as a list of one assistant message."""
    value = fields[key]
    if not isinstance(value, list):
        return _answer(fields, key, report)
    messages = read_messages(value, key, report)
    if messages is None:
        return None
    if len(messages) != 1 or messages[0]["role"] != "assistant" or messages[0].get("tool_calls"):
        report("wrong-type", f'"{key}" must be a text or one assistant message with a text; put the rest into "prompt"')
        return None
    return _answer({key: messages[0]["content"]}, key, report)


def _turn(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _system(text: str) -> list[Message]:
    return [_turn("system", text)] if text.strip() else []


FORMATS = (
    Format("text/label", ("text", "label"), (), _labels),
    Format("Alpaca", ("instruction", "output"), ("input", "system"), _alpaca),
    Format("prompt/completion", ("prompt", "completion"), ("tools",), _prompt_completion),
    Format("chat", ("messages",), ("tools",), _messages),
    Format("ShareGPT chat", ("conversations",), ("system", "tools"), _sharegpt),
    Format("preference", ("chosen", "rejected"), ("prompt", "instruction", "input", "system"), _preference),
)
"""The formats that are read; no two share a required key."""
