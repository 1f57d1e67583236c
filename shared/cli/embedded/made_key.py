"""A key made straight in the database of an installation, which needs neither a key nor a running service."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded import private, stack
from shared.errors import GonogoError
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.contract.keys import ApiKeyPayload


class NotMade(GonogoError):
    """The database could not be prepared, or the key is refused."""

    code = "usage"


@dataclass(frozen=True, slots=True)
class Asked:
    """A key as the command line asks for it. `may_be_first`: the first key of an installation is called `admin` and
    has every scope unless the command says otherwise."""

    tenant: str
    name: str | None
    scopes: list[str] | None
    expires_at: str | None
    may_be_first: bool


def make(settings: Settings, asked: Asked) -> ApiKeyPayload:
    """Bring the database to the newest schema and make the key in it; raises NotMade.

    A key that may do everything is kept in the data dir if that keeps none yet.
    """
    from shared.access.keys import check_tenant  # `--help` needs no database library

    try:
        check_tenant(asked.tenant)
    except GonogoError as error:
        raise NotMade(f"--tenant: {error.detail}") from error
    if not settings.database_url:
        for line in private.prepare(settings.data_dir):
            print(line, file=sys.stderr)
    environment = stack.environment(settings)
    if subprocess.run(stack.MIGRATIONS, env=environment, check=False).returncode != 0:
        raise NotMade("the database could not be prepared")
    argv = [*stack.CREATE_KEY, f"--tenant={asked.tenant}"]
    argv += [] if asked.name is None else [f"--name={asked.name}"]  # values may begin with a dash
    argv += [] if asked.scopes is None else [f"--scopes={','.join(asked.scopes)}"]
    argv += [] if asked.expires_at is None else [f"--expires-at={asked.expires_at}"]
    argv += ["--may-be-first"] if asked.may_be_first else []
    done = subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no key could be made"])[-1]
        raise NotMade(said.removeprefix("gonogo: "))
    key = cast("ApiKeyPayload", json.loads(done.stdout))
    if (
        "operator" in key["scopes"]
        and not settings.database_url
        and not data_dirs.admin_key(settings.data_dir)
    ):
        data_dirs.keep_admin_key(settings.data_dir, key["secret"])
    return key
