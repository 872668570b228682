"""What a verb writes: its answer on standard output, all else on standard error; and how it ends."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from rankwise.cli.text import visible
from rankwise.errors import Problem, RankwiseError
from rankwise.events import Observer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

INPUT_IS_WRONG = 2
PIPE_WIDTH = 140
"""Columns of a table that no terminal bounds."""
STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


class Screen:
    """The two streams of one verb. With `as_json`, tables go nowhere and the answer is one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._output = sys.stdout
        self.tables = _console(self._output, quiet=as_json)
        self.aside = _console(sys.stderr)

    @contextmanager
    def watching(self) -> Iterator[Observer]:
        """An observer that shows progress on standard error for the block."""
        from rankwise.cli.progress import watch

        with watch(self.aside) as observer:
            yield observer

    def problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.aside.print(visible(str(problem)), style=STYLES[problem.severity], soft_wrap=True)

    def note(self, text: str) -> None:
        self.aside.print(visible(text), soft_wrap=True)

    def step(self, text: str) -> None:
        """A heading, where a verb does several things in turn."""
        self.aside.print(f"\n{text}", style="bold", soft_wrap=True)

    def write(self, text: str) -> None:
        """Text for people, just as it is, on standard output."""
        if not self._json:
            self._output.write(text)
            self._output.flush()

    def answer(self, value: Mapping[str, Any]) -> None:
        """The JSON object, if that was asked for."""
        if self._json:
            self._output.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
            self._output.flush()


@contextmanager
def answering(as_json: bool) -> Iterator[Screen]:
    """The screen of one verb. A RankwiseError ends it with exit code 2, its problems printed, no traceback; so does
    what the operating system refuses (an unwritable folder, a full disk), but for a reader that went away.

    What libraries print meanwhile goes to standard error; what they say to programmers only (FutureWarning) is dropped
    unless Python was started with -W.
    """
    screen = Screen(as_json)
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
    with redirect_stdout(sys.stderr):
        try:
            yield screen
        except BrokenPipeError:
            raise
        except RankwiseError as error:
            from rankwise.plan import problems_of  # here, for the sake of verbs that need no plan

            _refuse(screen, problems_of(error))
        except OSError as error:
            message = f"{error.strerror or error}; see that the path is right and writable and its disk has room"
            _refuse(screen, (Problem("error", "os-error", str(error.filename or ""), message),))


def _refuse(screen: Screen, problems: Sequence[Problem]) -> NoReturn:
    screen.problems(problems)
    screen.answer({"problems": [problem.as_json() for problem in problems]})
    raise typer.Exit(INPUT_IS_WRONG) from None


def refuse(kind: type[RankwiseError], code: str, where: str, message: str) -> RankwiseError:
    """An error of one problem, to raise."""
    return kind(problems=[Problem("error", code, where, message)])


def end(problems: Iterable[Problem]) -> None:
    """Leave with exit code 2 if a problem is an error; warnings alone pass."""
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(INPUT_IS_WRONG)


def table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """An empty table; the columns in `numbers` are set flush right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made


def whole_first_column(console: Console, shown: Table) -> None:
    """Print a table whose first column is to be copied: it is never wrapped, even where the screen is too narrow."""
    from rich.measure import Measurement

    shown.columns[0].no_wrap = True
    least = Measurement.get(console, console.options.update(width=10_000), shown).minimum
    width = console.width
    console.width = max(width, least)
    console.print(shown)
    console.width = width


def listing(rows: Mapping[str, str]) -> Table:
    """A table of names and values without a head."""
    from rich.table import Table

    made = Table.grid("", "", padding=(0, 2))
    for name, value in rows.items():
        made.add_row(name, value)
    return made


def _console(stream: TextIO, quiet: bool = False) -> Console:
    from rich.console import Console

    console = Console(file=stream, quiet=quiet, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console
