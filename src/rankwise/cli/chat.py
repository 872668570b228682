"""`rankwise chat`: base and adapter answer side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankwise.cli.options import Adapter, AsJson
from rankwise.cli.screen import answering, table
from rankwise.cli.text import visible

if TYPE_CHECKING:
    from rich.console import Console

    from rankwise.api import Reply

SIDES = ("base", "adapter")


def chat(
    adapter: Adapter,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One prompt; without it, every line of standard input is one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask base and adapter the same, side by side."""
    with answering(as_json) as screen:
        from rankwise import api

        with screen.watching() as observer:
            conversation = api.chat(adapter, observer)
        if prompt is None and sys.stdin.isatty():
            screen.note("one prompt a line; Ctrl-D ends")
        said: list[dict[str, Any]] = []
        for asked in [prompt] if prompt is not None else _lines(sys.stdin):
            replies = conversation.ask(asked)
            show_replies(screen.tables, asked, replies)
            said.append({"prompt": asked, **{side: reply_json(replies[side]) for side in SIDES}})
        screen.answer({"adapter": adapter, "replies": said})


def show_replies(console: Console, prompt: str, replies: Mapping[str, Reply]) -> None:
    console.print(f"\n{visible(prompt)}", style="bold", soft_wrap=True)
    shown = table(*SIDES)
    shown.add_row(*(_told(replies[side]) for side in SIDES))
    console.print(shown)


def reply_json(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "probability": reply.probability, "seconds": reply.seconds}


def _told(reply: Reply) -> str:
    text = visible(reply.text)
    return text if reply.probability is None else f"{text} ({reply.probability:.0%})"


def _lines(stream: Iterable[str]) -> Iterable[str]:
    return (line.strip() for line in stream if line.strip())
