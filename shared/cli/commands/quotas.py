"""`gonogo quotas`: what a tenant uses and what it may; an operator sets bounds."""

import click

from shared.cli import service
from shared.cli.output import print_json, print_table
from shared.contract.quotas import QuotaChange, QuotasPayload

_TENANT = click.option("--tenant", help="This tenant in place of the key's own, for an operator.")


class _Bound(click.ParamType[float | str]):
    """A number from 0 on, or `default` for the installation's bound."""

    name = "N|default"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        text = str(value)
        if text == "default":
            return text
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < 2**62:
            self.fail(f"{text!r} is neither a number from 0 on nor `default`", param, ctx)
        return number


@click.group(short_help="show and set the bounds of a tenant")
def quotas() -> None:
    """Show and set the bounds of a tenant, and show how much of them it uses."""


@quotas.command("show")
@_TENANT
@service.options
@service.as_json
def show(where: service.Where, as_json: bool, tenant: str | None) -> None:
    """Use and bounds of a tenant; a bound of 0 bounds nothing."""
    with service.open_client(where) as client:
        _print(client.quotas(tenant=tenant), as_json)


@quotas.command("set")
@_TENANT
@click.option("--stored-bytes", type=_Bound(), help="Bytes of the images of all batches that are kept.")
@click.option("--stored-items", type=_Bound(), help="Items of all batches that are kept.")
@click.option("--retention", "retention_s", type=_Bound(), help="The longest retention, in seconds.")
@click.option("--open-items", type=_Bound(), help="Items without a verdict or an error.")
@click.option("--open-bytes", type=_Bound(), help="Bytes of the images of open items.")
@service.options
@service.as_json
def set_(where: service.Where, as_json: bool, tenant: str | None, **asked: float | str | None) -> None:
    """Set bounds of a tenant, with an operator's key: 0 for none, `default` for the installation's."""
    change = QuotaChange()
    for name, value in asked.items():
        if value is not None:
            number = None if isinstance(value, str) else value
            change[name] = number if name == "retention_s" or number is None else int(number)  # type: ignore[literal-required]
    if not change:
        raise service.Usage("name at least one bound, such as --stored-bytes 1000000000")
    with service.open_client(where) as client:
        _print(client.set_quotas(change, tenant=tenant), as_json)


def _print(found: QuotasPayload, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        (
            name,
            found["used"].get(name, ""),
            bound or "none",
            "tenant" if name in found["own"] else "installation",
        )
        for name, bound in found["bounds"].items()
    ]
    print_table(["quota", "used", "bound", "set for"], rows)
