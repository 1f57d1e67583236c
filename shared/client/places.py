"""Ids and tenants as they stand in the paths of requests."""

import re
from urllib.parse import quote

from shared.client.errors import UnusableInput

_IDENTIFIER = re.compile(r"[a-z]{3}_[0-9A-Za-z_-]+")


def identifier(given: str) -> str:
    """An id as it stands in a path. Raises UnusableInput for a text that is none."""
    if not _IDENTIFIER.fullmatch(given):
        raise UnusableInput(f"{given!r} is no id; ids look like bat_01m8m8ckxveb6vr73w3p8vpsr9")
    return given


def of_tenant(tenant: str | None) -> str:
    return "" if tenant is None else f"?tenant={quote(tenant, safe='')}"
