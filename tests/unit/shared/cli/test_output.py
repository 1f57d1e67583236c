"""Printed text cannot steer a terminal, and progress is drawn once in a while."""

import io

import pytest

from shared.cli.output import Progress, print_table
from shared.cli.skipped import Skipped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_filename_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["file"], [["\x1b[2Jevil\n.jpg"]])
    assert "\x1b" not in capsys.readouterr().out


def test_a_filename_cannot_turn_its_own_order(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["file"], [["a\u202egpj.exe.jpg"]])
    assert capsys.readouterr().out.splitlines()[1] == "a\\u202egpj.exe.jpg"


def test_columns_are_aligned_and_nothing_is_shown_as_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["id", "score"], [["a", 0.5], ["long", None]])
    assert capsys.readouterr().out.splitlines() == ["id    score", "a     0.5", "long  -"]


def test_a_log_gets_few_lines_and_the_last_one_always() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    for step in range(100):
        progress.show(step / 100, f"{step}")
    progress.show(1.0, "done", final=True)
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "100% done"
    assert len(lines) <= 3


def test_a_terminal_gets_one_line_drawn_over() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.show(0.5, "a longer text")
    progress.show(1.0, "end", final=True)
    first, second = stream.getvalue().split("\r")[1:]
    assert len(second.rstrip("\n")) >= len(first)
    assert stream.getvalue().count("\n") == 1


def test_skipped_files_are_counted_by_reason_and_a_few_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = Skipped()
    skipped.say()
    assert capsys.readouterr().err == ""
    for place in range(5):
        skipped.add(f"{place}.txt", "not an image")
    skipped.add("\x1b[2J.db", "hidden")
    skipped.say()
    assert capsys.readouterr().err.splitlines() == [
        "skipped 6 files:",
        "  5 not an image: 0.txt, 1.txt, 2.txt, …",
        "  1 hidden: \N{REPLACEMENT CHARACTER}[2J.db",
    ]
