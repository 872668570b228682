"""One JSON object on standard output, all else on standard error; and values as people read them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from rankwise.cli.check import BAR, bar, show_preview
from rankwise.cli.screen import answering, end, refuse, table, whole_first_column
from rankwise.cli.text import size_text, time_text, value_text, visible
from rankwise.errors import Problem, RecipeError, RunError, TrainingError


def test_only_the_json_object_reaches_standard_output(capsys: pytest.CaptureFixture[str]):
    with answering(True) as screen:
        print("a library speaks")
        screen.tables.print("a table")
        screen.write("text")
        screen.answer({"a": 1})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert "a library speaks" in err


def test_without_json_the_tables_are_the_answer(capsys: pytest.CaptureFixture[str]):
    with answering(False) as screen:
        screen.tables.print("a table")
        screen.answer({"a": 1})
    assert capsys.readouterr().out == "a table\n"
    assert sys.stdout is not None


def test_every_problem_is_printed_whole_and_in_json(capsys: pytest.CaptureFixture[str]):
    problems = [
        Problem("error", "unknown-key", "recipe.yaml:3", "[bold]rnak[/bold] " + "long " * 60 + "end"),
        Problem("warning", "absent-target", "", "mlp_proj is nowhere"),
    ]
    with pytest.raises(typer.Exit) as left, answering(True):
        raise RecipeError(problems=problems)
    assert left.value.exit_code == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"problems": [problem.as_json() for problem in problems]}
    assert err.splitlines() == [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("error", "code"), [(TrainingError("no"), "training-error"), (RunError("no"), "run-error")], ids=str
)
def test_an_error_of_one_sentence_is_a_problem_too(error, code: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit), answering(True):
        raise error
    assert json.loads(capsys.readouterr().out)["problems"] == [
        {"severity": "error", "code": code, "where": "", "message": "no"}
    ]


def test_our_own_faults_are_not_hidden():
    with pytest.raises(KeyError), answering(False):
        raise KeyError("bug")


def test_what_the_system_refuses_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    missing = tmp_path / "nowhere" / "file"
    with pytest.raises(typer.Exit) as left, answering(True):
        missing.write_text("")
    assert left.value.exit_code == 2
    out, err = capsys.readouterr()
    [problem] = json.loads(out)["problems"]
    assert (problem["severity"], problem["code"], problem["where"]) == ("error", "os-error", str(missing))
    assert problem["message"].startswith("No such file or directory;")
    assert err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_a_problem(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit), answering(True):
        Path("/dev/full").write_text("x")
    [problem] = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "os-error" and problem["message"].startswith("No space left on device;")


def test_a_reader_that_went_away_is_no_problem(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(BrokenPipeError), answering(False):
        raise BrokenPipeError
    assert capsys.readouterr() == ("", "")


def test_warnings_alone_pass():
    end([Problem("warning", "w", "", "m"), Problem("note", "n", "", "m")])
    with pytest.raises(typer.Exit) as left:
        end([Problem("error", "e", "", "m")])
    assert left.value.exit_code == 2


def test_refuse_makes_an_error_of_one_problem():
    error = refuse(RecipeError, "code", "where", "message")
    assert isinstance(error, RecipeError)
    assert [problem.code for problem in error.problems] == ["code"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (41.4, "41 s"), (60, "1:00"), (725, "12:05"), (3729, "1:02:09")],
)
def test_time(seconds: float, text: str):
    assert time_text(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(12, "12 B"), (92_871_040, "93 MB"), (2_500_000_000, "2.5 GB")])
def test_size(count: int, text: str):
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-05, "1e-05"),
        (16, "16"),
        (["q_proj", "v_proj"], "q_proj, v_proj"),
        ("a", "a"),
    ],
)
def test_value(value: object, text: str):
    assert value_text(value) == text


def test_control_characters_are_spelled_out():
    assert visible("a\x1b[2Jb\tc\nü") == "a\\x1b[2Jb\tc\nü"


@pytest.mark.parametrize(("value", "length"), [(0, 0), (1, 1), (50, BAR / 2), (100, BAR)])
def test_bars_are_as_long_as_their_share(value: int, length: float):
    assert len(bar(value, 100)) == length
    assert bar(1, 10_000) != ""


def test_the_preview_shows_the_mask_with_and_without_colour():
    row = [("user: hi\n", False), ("yes<end>", True)]
    plain, coloured = io.StringIO(), io.StringIO()
    show_preview(Console(file=plain, color_system=None), row)
    show_preview(Console(file=coloured, force_terminal=True, color_system="truecolor"), row)
    assert plain.getvalue().startswith("user: hi\n[[yes<end>]]")
    assert "[[" not in coloured.getvalue() and "\x1b[1;32myes<end>" in coloured.getvalue()


@pytest.mark.parametrize("width", [20, 60, 100])
def test_what_is_to_be_copied_is_never_wrapped(width: int):
    ids = ["financial/0123456789ab", f"a-rather-long-name-of-a-domain-{'x' * 60}/0123456789ab"]
    shown = table("adapter", "base", "score", "made")
    for name in ids:
        shown.add_row(name, "smollm2-135m", "accuracy 0.731", "2026-11-24T10:00:00+00:00")
    stream = io.StringIO()
    whole_first_column(Console(file=stream, width=width), shown)
    assert all(any(name in line for line in stream.getvalue().splitlines()) for name in ids)
