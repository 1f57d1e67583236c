"""Hooks of the whole suite: reruns for tests that depend on the machine's pace, and a statement of what is left out."""

import os
import shutil
from collections import Counter

import pytest

_LEFT_OUT = pytest.StashKey[Counter[str]]()
HOW = {
    "slow": "run them with `make test-slow`, and the fault rows among them with `make faults`",
    "pace": "they depend on the machine's pace: `make test` runs them by themselves, at its end",
}


# Files of few tests that take long, the longest first.
_LONG = (
    "tests/integration/test_http_document.py",
    "tests/integration/lifecycle/test_walks.py",
    "tests/integration/test_training",
    "tests/e2e/",
)


def _place(file: str) -> int:
    return next((place for place, prefix in enumerate(_LONG) if file.startswith(prefix)), len(_LONG))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `pace` may fail once: a defect fails twice, a stall of the machine does not.

    The longest files begin first, then those of many tests: no process waits for the last one at the end.
    """
    files = {item: item.nodeid.partition("::")[0] for item in items}
    sizes = Counter(files.values())
    items.sort(key=lambda item: (_place(files[item]), -sizes[files[item]]))
    for item in items:
        # The rows of faults hunt for races, and a race may fail one time in twelve: they get no second try.
        if item.get_closest_marker("pace") and not item.get_closest_marker("row"):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        left_out = items[0].config.stash.setdefault(_LEFT_OUT, Counter())
        left_out.update(mark for item in items for mark in HOW if item.get_closest_marker(mark))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its counts to the controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(_LEFT_OUT, None) or {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    # Every worker collects all tests, so the counts of one worker are the counts of the run.
    config.stash[_LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, None) or Counter[str]()
    lines = [f"{count} tests marked {mark}: {HOW[mark]}" for mark, count in sorted(left_out.items())]
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        lines.append("the tests in a browser: install chromium and chromium-driver (apt-get install)")
    if not (shutil.which("node") and shutil.which("curl")):
        lines.append("the recipes in Node and curl: install nodejs and curl (apt-get install)")
    if not os.path.exists("/dev/nvidia0"):
        lines.append("the tests on a GPU: they need an NVIDIA GPU")
    if lines:
        terminalreporter.section("left out")
        for line in lines:
            terminalreporter.line(line)
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        seed = config.getoption("randomly_seed", None)
        terminalreporter.line(f"to repeat this order: --randomly-seed={seed}")
