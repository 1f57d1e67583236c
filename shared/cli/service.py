"""The service that a command speaks to, and the key it uses."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shared.cli.embedded import data_dir as data_dirs
from shared.errors import GonogoError
from shared.settings import Settings

if TYPE_CHECKING:  # imported by open_client: `--help` needs no HTTP library
    from shared.client.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
as_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
_OPTIONS = (
    click.option(
        "--url", help=f"The service (default: GONOGO_URL, the data dir's service, or {DEFAULT_URL})."
    ),
    click.option("--key", help="API key (default: GONOGO_API_KEY, or the admin key in the data dir)."),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Data dir of an embedded stack: its service and its admin key (GONOGO_DATA_DIR, gonogo-data).",
    ),
)


def seconds(text: str) -> float:
    """The value of an option that takes seconds: 0 or more, and finite. Raises click.BadParameter."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{text!r} is no number of seconds from 0 on")
    return value


class Usage(GonogoError):
    """The command line asks for something that makes no sense."""

    code = "usage"


@dataclass(frozen=True, slots=True)
class Where:
    """--url, --key and --data-dir as given."""

    url: str | None
    key: str | None
    data_dir: Path | None


def options(command: Callable[..., object]) -> Callable[..., object]:
    """Add --url, --key and --data-dir to a command, which receives them as one `where`."""

    @functools.wraps(command)
    def called(*, url: str | None, key: str | None, data_dir: Path | None, **rest: object) -> object:
        return command(where=Where(url, key, data_dir), **rest)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


def data_dir_option(help: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """--data-dir alone, for a command that does not speak to a service."""
    return click.option("--data-dir", type=click.Path(path_type=Path), help=help)


def open_client(where: Where, *, patience_s: float = 15.0) -> Client:
    """A client for the service that the options or else the environment name; raises Usage without a key.

    A data dir names the service that runs in it and its admin key. An option comes before the environment, so that
    `--data-dir` wins over GONOGO_URL and GONOGO_API_KEY.
    """
    from shared.client.client import Client

    set_url, set_key = os.environ.get("GONOGO_URL"), os.environ.get("GONOGO_API_KEY")
    url = where.url or (None if where.data_dir else set_url)
    key = where.key or (None if where.data_dir else set_key)
    if not (url and key):
        data_dir = where.data_dir or Settings.from_env().data_dir
        key = key or data_dirs.admin_key(data_dir) or set_key
        if not key:
            raise Usage(
                f"no API key: give --key, set GONOGO_API_KEY, or name the data dir (none in {data_dir})"
            )
        url = url or data_dirs.service_url(data_dir)
        # Any program could listen at the default address: it must not get the key.
        if url is None and where.data_dir:
            raise Usage(
                f"no service runs in {data_dir}: start it (gonogo up), or name its address with --url"
            )
        url = url or set_url
    return Client(url or DEFAULT_URL, key, patience_s=patience_s)
