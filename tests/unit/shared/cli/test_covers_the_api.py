"""The CLI has a command for each operation of the API, whatever is added later; exceptions give their reason."""

import io
import json
from pathlib import Path

import click
import pytest

from shared.cli.commands.items import items
from shared.cli.inputs_file import read_inputs
from shared.cli.model_card import print_card
from shared.cli.program import gonogo, main
from shared.contract.queries import ItemListQuery
from shared.registry.artifact import read_artifact
from shared.registry.versions import shipped
from tests.harness.site import made_site

COMMANDS = {
    "rerun_batch": "rerun", "diff_batches": "diff",
    "submit": "submit", "append_items": "submit", "put_manifest": "submit", "finalize_batch": "submit",
    "predict": "predict", "list_batches": "status", "get_batch": "status", "follow_batch": "watch",
    "cancel_batch": "cancel", "pause_batch": "pause", "resume_batch": "resume", "retry_batch": "retry",
    "delete_batch": "delete", "rescore_batch": "rescore", "list_rescorings": "rescore",
    "list_items": "items", "get_item": "item", "get_thumbnail": "item", "get_image": "item",
    "get_heatmap": "item", "get_results": "results", "list_batch_parts": "parts", "list_parts": "parts",
    "list_reviews": "review list", "take_next_review": "review next", "review_item": "review give",
    "export_reviews": "review export", "get_agreement": "review agreement",
    "skip_review": "review skip", "take_back_review": "review undo",
    "list_models": "models list", "upload_model": "models upload", "activate_model": "models activate",
    "rollback_model": "models rollback", "get_card": "models card", "list_drift": "drift",
    "list_shadows": "shadow list", "get_shadow": "shadow show",
    "start_shadow": "shadow start", "stop_shadow": "shadow stop",
    "list_workers": "workers", "list_audit": "audit list", "show_quotas": "quotas show",
    "set_quotas": "quotas set", "list_keys": "keys list", "create_key": "keys create",
    "rotate_key": "keys rotate", "revoke_key": "keys delete",
    "list_webhook_endpoints": "webhooks list", "get_webhook_endpoint": "webhooks list",
    "create_webhook_endpoint": "webhooks create", "change_webhook_endpoint": "webhooks update",
    "delete_webhook_endpoint": "webhooks delete", "rotate_webhook_secret": "webhooks rotate",
    "ping_webhook_endpoint": "webhooks test", "replay_webhooks": "webhooks replay",
    "list_endpoint_deliveries": "webhooks deliveries", "list_webhook_deliveries": "webhooks deliveries",
    "get_webhook_delivery": "webhooks deliveries", "redeliver_webhook": "webhooks redeliver",
}  # fmt: skip
NOT_BY_HAND = {
    "get_scores": "for the histogram of a page; `gonogo rescore --dry-run` tells how many verdicts change",
    "predict_alias": "another path of /v1/predict",
    "create_session": "for browsers",
    "delete_session": "for browsers",
    "metrics": "for Prometheus",
    "livez": "for probes; `gonogo doctor` asks",
    "readyz": "for probes; `gonogo doctor` asks",
}


def leaves(group: click.Group, before: str = "") -> dict[str, click.Command]:
    context, found = click.Context(group), dict[str, click.Command]()
    for name in group.list_commands(context):
        command, words = group.get_command(context, name), f"{before} {name}".strip()
        assert command is not None
        found |= leaves(command, words) if isinstance(command, click.Group) else {words: command}
    return found


def test_each_operation_has_a_command_or_a_reason_for_none(tmp_path: Path) -> None:
    with made_site(tmp_path) as site:
        paths = site.client.get("/openapi.json").get_json()["paths"]
    operations = {each["operationId"] for methods in paths.values() for each in methods.values()}
    assert operations == {*COMMANDS, *NOT_BY_HAND}
    assert {*COMMANDS.values()} <= {*leaves(gonogo)}


def test_every_command_that_asks_the_service_prints_json_on_request() -> None:
    options = {
        words: {flag for each in command.params for flag in each.opts}
        for words, command in leaves(gonogo).items()
    }
    asking = {words for words, flags in options.items() if "--url" in flags}
    assert len(asking) > 40
    assert {words for words in asking if "--json" not in options[words]} == set()


def test_the_list_of_items_has_a_flag_for_each_filter_of_the_api() -> None:
    assert {str(each.name) for each in items.params} >= {*ItemListQuery.__annotations__} - {"cursor"}


INPUTS = [{"url": "https://images.example/a.jpg", "part_id": "SN-1"}, {"data": "data:;base64,AAAA"}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(INPUTS),
        json.dumps({"inputs": INPUTS}, indent=1),
        "\n".join(map(json.dumps, INPUTS)) + "\n\n",
    ],
)
def test_inputs_are_a_list_an_object_with_it_or_lines(text: str, tmp_path: Path) -> None:
    (tmp_path / "inputs").write_text(text)
    assert read_inputs(str(tmp_path / "inputs")) == INPUTS


def test_a_line_alone_is_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(INPUTS[0])))
    assert read_inputs("-") == INPUTS[:1]


@pytest.mark.parametrize(
    ("text", "said"), [("", "no list"), ("[]", "no list"), ("[1]", "no list"), ("{}\n{", "line 2")]
)
def test_other_inputs_are_a_usage_error(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inputs").write_text(text)
    assert (
        main(["submit", "--inputs", str(tmp_path / "inputs"), "--url", "http://127.0.0.1:1", "--key", "k"])
        == 2
    )
    assert said in capsys.readouterr().err


def test_a_card_is_shown_with_its_rates_and_their_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    for path in shipped():
        card = read_artifact(path).card
        print_card(card)
        shown = capsys.readouterr().out
        assert str(card["operating_point"]["threshold"]) in shown
        assert f"{card['test']['escape_rate']['high']:.4g}" in shown
        assert " ".join(card["limits"].split())[:60] in " ".join(shown.split())
    print_card({})
    assert capsys.readouterr().out == ""


def test_a_rate_of_no_images_has_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    none = {"value": None, "low": 0.0, "high": 1.0}
    print_card(
        {"test": {"escape_rate": none, "false_reject_rate": {"value": 0.5, "low": 0.25, "high": 0.75}}}
    )
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "_rate" in line]
    assert rows == [["false_reject_rate", "-", "0.5", "(0.25", "to", "0.75)"]]
