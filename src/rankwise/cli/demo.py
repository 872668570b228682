"""`rankwise demo`: the whole way on the embedded base and a bundled domain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rankwise.cli.chat import SIDES, reply_json, show_replies
from rankwise.cli.check import show_check
from rankwise.cli.evaluate import show_evaluation
from rankwise.cli.options import AsJson, Overrides
from rankwise.cli.plan import show_plan
from rankwise.cli.screen import answering, end, refuse
from rankwise.cli.text import time_text
from rankwise.cli.train import ending_on_signal, show_trained

if TYPE_CHECKING:
    from rankwise.data.read import Row

DOMAIN = "legal"
RECIPE = f"""\
# The recipe of `rankwise demo`: a bundled domain on the embedded base; the plan decides the rest.
domain: {DOMAIN}
"""


def demo(overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Go the whole way once, on a bundled domain."""
    with answering(as_json) as screen:
        from rankwise import api
        from rankwise.recipe import parse_recipe

        began = time.monotonic()
        asked = parse_recipe(RECIPE, "<demo>", Path.cwd(), overrides or ())
        row = _unseen_row(asked.recipe.domain or DOMAIN)

        screen.step("check: recipe and data")
        with screen.watching() as observer:
            checked = api.check(asked, observer)
        show_check(screen.tables, checked)
        screen.problems(checked.problems)
        end(checked.problems)

        screen.step("plan: every value with its reason")
        with screen.watching() as observer:
            made = api.plan(asked, observer)
        show_plan(screen.tables, made)
        screen.problems(made.problems)
        end(made.problems)

        screen.step("train")
        with ending_on_signal(screen), screen.watching() as observer:
            trained = api.train(asked, None, observer)
        show_trained(screen.tables, trained)
        adapter = str(trained.adapter)

        screen.step("evaluate: base, few-shot base, cheap baseline and adapter on the same held-out rows")
        with screen.watching() as observer:
            judged = api.evaluate(adapter, None, observer)

        screen.step("ask: base and adapter on a row that was held out")
        with screen.watching() as observer:
            conversation = api.chat(adapter, observer)
        replies = conversation.ask(row.question)
        show_replies(screen.tables, row.question, replies)
        screen.tables.print(f"Right answer: {row.answer}\n")

        show_evaluation(screen.tables, judged)
        seconds = time.monotonic() - began
        screen.tables.print(f"adapter: {adapter}", soft_wrap=True)
        screen.tables.print(f"It took {time_text(seconds)}. All adapters: rankwise adapters list")
        screen.answer(
            {
                "check": checked.as_json(),
                "plan": made.as_json(),
                "train": trained.as_json(),
                "evaluate": judged.as_json(),
                "chat": {"prompt": row.question, **{side: reply_json(replies[side]) for side in SIDES}},
                "seconds": round(seconds, 1),
            }
        )


def _unseen_row(domain: str) -> Row:
    from rankwise.data.read import read_table
    from rankwise.errors import RecipeError
    from rankwise.recipe.domains import find_domain

    held_out = find_domain(domain).held_out
    if held_out is None:
        message = f"{domain} has no sample rows yet; `rankwise init --list` shows which domains do"
        raise refuse(RecipeError, "no-sample-rows", "domain", message)
    return read_table(held_out).rows[0]
