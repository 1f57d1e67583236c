"""`gonogo predict`: the verdict of one image, at once."""

from __future__ import annotations

from pathlib import Path

import click

from shared.cli import service
from shared.cli.output import print_json, printable


@click.command(short_help="the verdict of one image, at once")
@click.argument("image", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", help="A model version's id or name; the active one where absent.")
@service.options
@service.as_json
def predict(where: service.Where, as_json: bool, image: Path, model: str | None) -> None:
    """Send one image through the interactive lane and print its verdict."""
    with service.open_client(where) as client:
        answer = client.predict(image, model=model)
    if as_json:
        print_json(answer)
        return
    item = answer["item"]
    print(f"{printable(item['filename'])}  {item['verdict']}  {item['score']}")
