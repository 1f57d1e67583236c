"""`gonogo webhooks`: the receivers of events, and the deliveries to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import click

from shared.cli import moments, service
from shared.cli.output import print_json, print_table
from shared.contract.webhook_endpoints import FORMATS

if TYPE_CHECKING:
    from shared.contract.deliveries import DeliveryPayload
    from shared.contract.webhook_endpoints import EndpointPayload

_tenant = click.option("--tenant", help="As an operator: act for this tenant.")
_events = click.option("--event", "events", multiple=True, help="An event to send; may be repeated.")
_filters = (
    click.option("--verdict", multiple=True, help="Only about items of this verdict; may be repeated."),
    click.option("--line", multiple=True, help="Only of this production line; may be repeated."),
    click.option(
        "--metadata", multiple=True, metavar="KEY=VALUE", help="Only with this metadata; may be repeated."
    ),
)


def _filtered(command: Any) -> Any:
    for option in reversed(_filters):
        command = option(command)
    return command


@click.group(short_help="make, change and test webhook endpoints; see and repeat deliveries")
def webhooks() -> None:
    """Make, change and test webhook endpoints; see and repeat deliveries."""


@webhooks.command("list")
@_tenant
@service.options
@service.as_json
def list_(where: service.Where, as_json: bool, tenant: str | None) -> None:
    """The tenant's endpoints."""
    with service.open_client(where) as client:
        found = list(client.webhooks(tenant=tenant))
    print_json(found) if as_json else _print(found)


@webhooks.command()
@click.argument("receiver", metavar="RECEIVER")
@_events
@_filtered
@click.option("--description", help="A name for people.")
@click.option("--format", type=click.Choice(FORMATS), help="How the body is written.")
@_tenant
@service.options
@service.as_json
def create(
    where: service.Where,
    as_json: bool,
    receiver: str,
    events: tuple[str, ...],
    verdict: tuple[str, ...],
    line: tuple[str, ...],
    metadata: tuple[str, ...],
    description: str | None,
    format: str | None,
    tenant: str | None,
) -> None:
    """A new endpoint at the URL RECEIVER; its id and its secret are printed, the secret this once."""
    asked = {"url": receiver, "events": list(events), "filters": _asked_filters(verdict, line, metadata),
             "description": description, "format": format}  # fmt: skip
    given = cast(Any, {name: value for name, value in asked.items() if value})
    with service.open_client(where) as client:
        made = client.create_webhook(given, tenant=tenant)
    print_json(made) if as_json else print(f"{made['id']} {made['secret']}")


@webhooks.command()
@click.argument("endpoint")
@click.option("--receiver", metavar="URL", help="Send to this URL from now on, what waits too.")
@_events
@_filtered
@click.option("--no-filters", is_flag=True, help="Take every filter away.")
@click.option("--description", help="A name for people.")
@click.option("--format", type=click.Choice(FORMATS), help="How the body is written.")
@click.option("--enable", is_flag=True, help="Send to it again, what was held first.")
@click.option("--disable", is_flag=True, help="Hold what it would get.")
@_tenant
@service.options
@service.as_json
def update(
    where: service.Where,
    as_json: bool,
    endpoint: str,
    receiver: str | None,
    events: tuple[str, ...],
    verdict: tuple[str, ...],
    line: tuple[str, ...],
    metadata: tuple[str, ...],
    no_filters: bool,
    description: str | None,
    format: str | None,
    enable: bool,
    disable: bool,
    tenant: str | None,
) -> None:
    """Change an endpoint (its id); options that are absent change nothing."""
    filters = _asked_filters(verdict, line, metadata)
    if no_filters and filters:
        raise service.Usage("--no-filters leaves no --verdict, --line or --metadata")
    if enable and disable:
        raise service.Usage("say --enable or --disable, not both")
    asked = {"url": receiver, "events": list(events) or None, "description": description, "format": format,
             "filters": {} if no_filters else filters or None,
             "enabled": enable if enable or disable else None}  # fmt: skip
    given = cast(Any, {name: value for name, value in asked.items() if value is not None})
    if not given:
        raise service.Usage("say what to change: see gonogo webhooks update --help")
    with service.open_client(where) as client:
        changed = client.change_webhook(endpoint, given, tenant=tenant)
    print_json(changed) if as_json else _print([changed])


def _asked_filters(verdict: Iterable[str], line: Iterable[str], metadata: Iterable[str]) -> dict[str, object]:
    pairs = [each.partition("=") for each in metadata]
    if wrong := [key for key, equals, _ in pairs if not equals or not key]:
        raise service.Usage(f"metadata is KEY=VALUE, not {wrong[0]!r}")
    asked = {
        "verdict": list(verdict),
        "line": list(line),
        "metadata": {key: value for key, _, value in pairs},
    }
    return {name: value for name, value in asked.items() if value}


@webhooks.command()
@click.argument("endpoint")
@_tenant
@service.options
@service.as_json
def delete(where: service.Where, as_json: bool, endpoint: str, tenant: str | None) -> None:
    """Delete an endpoint with its deliveries."""
    with service.open_client(where) as client:
        client.delete_webhook(endpoint, tenant=tenant)
    if as_json:
        print_json({"id": endpoint, "deleted": True})


@webhooks.command()
@click.argument("endpoint")
@click.option(
    "--grace",
    type=moments.duration,
    metavar="DURATION",
    help=f"How long the old secret signs too ({moments.DURATION}); 1d without it.",
)
@click.option("--at-once", is_flag=True, help="Sign with the new secret alone from now on.")
@_tenant
@service.options
@service.as_json
def rotate(
    where: service.Where, as_json: bool, endpoint: str, grace: int | None, at_once: bool, tenant: str | None
) -> None:
    """Replace the secret; the new one is printed, this once."""
    if at_once and grace:
        raise service.Usage("--at-once leaves no --grace")
    with service.open_client(where) as client:
        made = client.rotate_webhook_secret(endpoint, grace=0 if at_once else grace, tenant=tenant)
    print_json(made) if as_json else print(made["secret"])


@webhooks.command()
@click.argument("endpoint")
@_tenant
@service.options
@service.as_json
def test(where: service.Where, as_json: bool, endpoint: str, tenant: str | None) -> None:
    """Send `test.ping` to an endpoint; `deliveries` shows how the try went."""
    with service.open_client(where) as client:
        _show(client.test_webhook(endpoint, tenant=tenant), as_json)


@webhooks.command()
@click.argument("endpoint", required=False)
@click.option("--status", help="Only these: pending, delivered, exhausted, held; comma-separated.")
@click.option("--event", help="Only of these events, comma-separated.")
@click.option("--after", type=moments.moment, metavar="WHEN", help="Owed at this time or later.")
@click.option("--before", type=moments.moment, metavar="WHEN", help="Owed before this time.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, newest first."
)
@_tenant
@service.options
@service.as_json
def deliveries(
    where: service.Where,
    as_json: bool,
    endpoint: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    **asked: str | None,
) -> None:
    """The deliveries of an endpoint, or of the tenant, with the last answer."""
    between = {"created_after": after, "created_before": before}
    with service.open_client(where) as client:
        found = client.webhook_deliveries(endpoint, limit=min(limit, 200), **between, **asked)
        shown = [delivery for _, delivery in zip(range(limit), found, strict=False)]
    print_json(shown) if as_json else _print_deliveries(shown)


@webhooks.command()
@click.argument("delivery")
@_tenant
@service.options
@service.as_json
def redeliver(where: service.Where, as_json: bool, delivery: str, tenant: str | None) -> None:
    """Send a delivery again that was delivered or given up."""
    with service.open_client(where) as client:
        _show(client.redeliver_webhook(delivery, tenant=tenant), as_json)


@webhooks.command()
@click.argument("endpoint")
@click.option(
    "--since", type=moments.moment, required=True, metavar="WHEN", help="Owed at this time or later."
)
@click.option("--until", type=moments.moment, metavar="WHEN", help="Owed before this time.")
@_events
@_tenant
@service.options
@service.as_json
def replay(
    where: service.Where,
    as_json: bool,
    endpoint: str,
    since: str,
    until: str | None,
    events: tuple[str, ...],
    tenant: str | None,
) -> None:
    """Send the deliveries of a time again."""
    with service.open_client(where) as client:
        sent = client.replay_webhooks(
            endpoint, since=since, until=until, events=list(events) or None, tenant=tenant
        )
    print_json(sent) if as_json else print(f"{sent['deliveries']} deliveries are sent again")


def _print(endpoints: Iterable[EndpointPayload]) -> None:
    rows = [(each["id"], _state(each), each["url"], ",".join(each["events"])) for each in endpoints]
    print_table(["id", "state", "url", "events"], rows)


def _state(endpoint: EndpointPayload) -> str:
    if not endpoint["enabled"]:
        return f"disabled ({endpoint['disabled_reason']})"
    return f"failing ({endpoint['failures']})" if endpoint["warnings"] else "enabled"


def _show(delivery: DeliveryPayload, as_json: bool) -> None:
    print_json(delivery) if as_json else _print_deliveries([delivery])


def _print_deliveries(found: Iterable[DeliveryPayload]) -> None:
    rows = []
    for each in found:
        last = each["attempts"][-1] if each["attempts"] else None
        answer = "" if last is None else last["error"] or last["status"]
        rows.append(
            (each["id"], each["event"], each["status"], len(each["attempts"]), answer, each["created_at"])
        )
    print_table(["id", "event", "status", "tries", "last answer", "created"], rows)
