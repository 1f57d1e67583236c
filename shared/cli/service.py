"""Which service a command speaks to, and with which key."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli.embedded.data_dir import admin_key
from shared.errors import GonogoError
from shared.settings import Settings

if TYPE_CHECKING:  # imported when a command opens it, so that `--help` need not wait for http and ssl
    from shared.client.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"


class Usage(GonogoError):
    """The command line asks for something that makes no sense."""

    code = "usage"


def add_options(parser: argparse.ArgumentParser, *, reads: bool = True) -> None:
    """The options of every command that speaks to a service; `reads`: it can print JSON."""
    group = parser.add_argument_group("service")
    group.add_argument("--url", help=f"the service (GONOGO_URL, {DEFAULT_URL})")
    group.add_argument("--key", help="API key (GONOGO_API_KEY, or the admin key in the data dir)")
    group.add_argument(
        "--data-dir", type=Path, help="embedded stack's data dir (GONOGO_DATA_DIR, gonogo-data)"
    )
    if reads:
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def open_client(arguments: argparse.Namespace, *, patience_s: float = 15.0) -> Client:
    """A client for the service that the options or the environment name."""
    from shared.client.client import Client

    url = arguments.url or os.environ.get("GONOGO_URL") or DEFAULT_URL
    key = arguments.key or os.environ.get("GONOGO_API_KEY")
    if not key:
        data_dir = arguments.data_dir or Settings.from_env().data_dir
        key = admin_key(data_dir)
        if not key:
            raise Usage(
                f"no API key: give --key, set GONOGO_API_KEY, or name the data dir (none in {data_dir})"
            )
    return Client(url, key, patience_s=patience_s)
