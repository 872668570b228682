"""The command line, one file per verb. What a verb needs is imported when it runs, so `--help` answers at once."""

from __future__ import annotations

import typer

from rankwise.cli.adapters import adapters
from rankwise.cli.chat import chat
from rankwise.cli.check import check
from rankwise.cli.demo import demo
from rankwise.cli.evaluate import evaluate
from rankwise.cli.experiment import experiment
from rankwise.cli.init import init
from rankwise.cli.models import models
from rankwise.cli.plan import plan
from rankwise.cli.selftest import selftest
from rankwise.cli.serve import serve
from rankwise.cli.shelves import compare, import_, merge, promote, remove, rollback
from rankwise.cli.train import train

app = typer.Typer(
    name="rankwise",
    help="LoRA adapters without regret: plan, train, prove, catalogue and serve one base model's many domains.",
    epilog="RANKWISE_HOME (default ~/.rankwise) holds bases and adapters. "
    "Exit codes: 0 done, 1 a check says no, 2 the input is wrong.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for verb in (demo, init, check, plan, train, evaluate):
    app.command()(verb)
app.add_typer(experiment, name="experiment")
adapters.command()(compare)
adapters.command()(promote)
adapters.command()(rollback)
adapters.command()(remove)
adapters.command("import")(import_)
adapters.command()(merge)
app.add_typer(adapters, name="adapters")
app.command()(chat)
app.command()(serve)
app.add_typer(models, name="models")
app.command()(selftest)
