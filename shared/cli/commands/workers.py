"""`gonogo workers`."""

import click

from shared.cli import service
from shared.cli.output import print_json, print_table


@click.command(short_help="the live workers")
@service.options
@service.as_json
def workers(where: service.Where, as_json: bool) -> None:
    """The live workers: lanes, engine, device, items judged."""
    with service.open_client(where) as client:
        found = list(client.workers())
    if as_json:
        print_json(found)
        return
    rows = [
        (one["host"], one["pid"], ",".join(one["lanes"]), one["engine"], one["device"], one["items"],
         one["last_seen_at"])
        for one in found
    ]  # fmt: skip
    print_table(["host", "pid", "lanes", "engine", "device", "items", "last seen"], rows)
