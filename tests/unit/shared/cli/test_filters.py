"""Each query parameter of a list or export has a flag of its command, whatever is added later."""

from pathlib import Path

import click
import pytest

from shared.cli.pairs import pairs
from shared.cli.program import gonogo, main
from shared.cli.service import Usage
from tests.harness.site import made_site
from tests.unit.shared.cli.test_covers_the_api import COMMANDS, NOT_BY_HAND

# Parameters under another name, and those that a command sets by itself.
NAMED = {
    ("review export", "window"): "days", ("review agreement", "window"): "days", ("diff", "all"): "every",
    ("status", "origin"): "predictions",
    **{(command, f"created_{side}"): side for command in ("audit list", "webhooks deliveries")
       for side in ("after", "before")},
}  # fmt: skip
SET_BY_ITSELF = {"cursor", "wait", "draft", "part_number", "limit"}


def flags(words: str) -> set[str]:
    command: click.Command = gonogo
    for word in words.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return {str(each.name) for each in command.params}


def test_each_query_parameter_has_a_flag(tmp_path: Path) -> None:
    with made_site(tmp_path) as site:
        paths = site.client.get("/openapi.json").get_json()["paths"]
    missing = []
    for operation in (each for methods in paths.values() for each in methods.values()):
        name = operation["operationId"]
        if name in NOT_BY_HAND:
            continue
        command = COMMANDS[name]
        queries = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
        for query in queries - SET_BY_ITSELF:
            if NAMED.get((command, query), query) not in flags(command):
                missing.append(f"gonogo {command}: {query}")
    assert missing == []


def test_pairs_are_named_once_and_have_a_value() -> None:
    assert pairs("--metadata", ["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(Usage, match="--metadata"):
            pairs("--metadata", wrong)


def test_a_batch_is_named_or_the_list_is_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "bat_1", "--lot", "4711", "--url", "http://127.0.0.1:1", "--key", "k"]) == 2
    assert "filters of the list" in capsys.readouterr().err
