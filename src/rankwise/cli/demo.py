"""`rankwise demo`: the whole way on the embedded base and a bundled domain."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rankwise.cli.chat import SIDES, reply_json, show_replies
from rankwise.cli.check import show_check
from rankwise.cli.evaluate import show_evaluation
from rankwise.cli.options import AsJson, Overrides
from rankwise.cli.plan import show_plan
from rankwise.cli.screen import answering, end
from rankwise.cli.text import time_text
from rankwise.cli.train import ending_on_signal, show_trained

if TYPE_CHECKING:
    from rankwise.data.read import Row

DOMAIN = "financial"
TRAIN_ROWS, HELD_OUT_ROWS = 240, 40
"""What five minutes on two cores leave room for; on these rows the held-out loss was lowest after 240."""
RECIPE = """\
# The recipe of `rankwise demo`: a bundled domain on the embedded base. One pass over the first of its rows, scored on
# the first of its held-out rows, so that the whole way takes minutes; the plan decides the rest.
domain: {domain}
data: {{train: rows/train.jsonl, held_out: rows/held_out.jsonl}}
training: {{num_train_epochs: 1, eval_steps: 5}}
"""


def demo(overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Go the whole way once, on a bundled domain."""
    with answering(as_json) as screen:
        from rankwise import api
        from rankwise.recipe import parse_recipe

        began = time.monotonic()
        run = Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
        row = _lay_out_rows(run / "rows")
        asked = parse_recipe(RECIPE.format(domain=DOMAIN), "<demo>", run.absolute(), overrides or ())

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
            trained = api.train(asked, run, observer)
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


def _lay_out_rows(folder: Path) -> Row:
    """Write the demo's rows into its run; returns a row that is neither trained on nor scored."""
    from rankwise.data.read import read_table
    from rankwise.files import write_text
    from rankwise.recipe.domains import DOMAINS

    domain = DOMAINS[DOMAIN]
    assert domain.train is not None and domain.held_out is not None
    for source, count in ((domain.train, TRAIN_ROWS), (domain.held_out, HELD_OUT_ROWS)):
        lines = source.read_text(encoding="utf-8").splitlines(keepends=True)[:count]
        write_text(folder / source.name.removeprefix(f"{DOMAIN}."), "".join(lines))
    return read_table(domain.held_out).rows[HELD_OUT_ROWS]
