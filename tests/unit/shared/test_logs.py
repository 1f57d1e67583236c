"""A line per event, whatever a client put into it."""

import logging
from collections.abc import Iterator

import pytest

from shared import logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    noisy = {
        name: logging.getLogger(name).level
        for name in ("alembic", "celery.app.trace", "celery.worker.strategy")
    }
    yield root
    root.handlers[:], root.level = handlers, level
    for name, was in noisy.items():
        logging.getLogger(name).setLevel(was)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_has_time_level_name_and_message(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info")
    logging.getLogger("web.app").info("began %s", "well")
    (line,) = lines(capsys)
    stamp, rest = line.split(" ", 1)
    assert stamp.endswith("Z")
    assert rest == "INFO web.app began well"


def test_a_line_break_in_a_name_forges_no_line(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    logging.getLogger("x").info("image %s", "a.jpg\n2026-01-01T00:00:00.000Z INFO web.app all is well")
    first, *others = lines(capsys)
    assert first.endswith("INFO x image a.jpg")
    assert others
    assert all(line.startswith("    ") for line in others)


def test_control_characters_are_made_visible(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    logging.getLogger("x").info("image %s", "a\x1b[2J\rb\x00.jpg")
    (line,) = lines(capsys)
    assert line.endswith(r"image a\x1b[2J\x0db\x00.jpg")


def test_a_traceback_is_kept_under_its_line(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("x").exception("it failed")
    first, *others = lines(capsys)
    assert first.endswith("ERROR x it failed")
    assert others[-1] == "    ValueError: boom"


def test_configuring_twice_does_not_double_the_lines(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("INFO")
    logs.configure("INFO")
    logging.getLogger("x").info("once")
    assert len(lines(capsys)) == 1


@pytest.mark.parametrize(
    ("level", "status", "written"), [("INFO", 200, 0), ("INFO", 503, 1), ("DEBUG", 200, 1)]
)
def test_requests_are_written_where_they_failed_or_all_were_asked_for(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], level: str, status: int, written: int
) -> None:
    logs.configure(level)
    logs.log_requests_as(logging.getLogger("web.app"), "GET", "/v1/x\n", status, None, "r1")
    found = lines(capsys)
    assert len(found) == written
    assert all(r"GET '/v1/x\n'" in line and line.endswith("r1") for line in found)
