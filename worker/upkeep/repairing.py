"""`python -m worker.upkeep.repair [--dry-run]`: one run over all steps, without the sweep's bounds.

Prints a line of JSON for each step: how many damages it found and how many of them it mended. It may run while the
service works, or while another repair runs.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import redis
from sqlalchemy.exc import SQLAlchemyError

from shared.errors import SettingsError
from shared.programs import starting
from shared.settings import Settings
from worker.upkeep.site import Site, open_site
from worker.upkeep.steady import NotNow
from worker.upkeep.steps.every import LOSSES, STEPS
from worker.upkeep.steps.step import Look, Step

_MOST = 100_000  # at a time; a step is repeated while it makes progress


@dataclass(frozen=True)
class Finding:
    """The run of a step. `error` says why it was not possible, or why the mending broke off; `put_off` why it waits."""

    name: str
    detail: str
    found: int = 0
    mended: int = 0
    error: str = ""
    put_off: str = ""


def repair(site: Site, *, dry_run: bool) -> Iterator[Finding]:
    """Each step in turn; one that fails keeps no other from running."""
    for step in STEPS:
        yield _run(site, step, None if dry_run else step)
    for look in LOSSES:
        yield _run(site, look, None)


def _run(site: Site, look: Look, step: Step | None) -> Finding:
    found = left = 0
    error = put_off = ""
    try:
        damages = look.find(site, _MOST)
        found = left = len(damages)
        while damages and step is not None:
            step.mend(site, damages)
            damages = step.find(site, _MOST)
            before, left = left, len(damages)
            if left >= before:
                break
    except NotNow as doubt:
        put_off = str(doubt)
    except (SQLAlchemyError, redis.RedisError, OSError) as trouble:
        error = f"{type(trouble).__name__}: {trouble}".splitlines()[0]
    return Finding(look.NAME, look.ABOUT, found, max(0, found - left), error, put_off)


def main() -> None:
    """Print the findings in the installation that the environment names."""
    parser = argparse.ArgumentParser(prog="python -m worker.upkeep.repair", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="look only, change nothing")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    try:
        with starting():
            site = open_site(Settings.from_env())
    except SettingsError as error:
        raise SystemExit(f"gonogo: {error}") from error
    for finding in repair(site, dry_run=asked.dry_run):
        sys.stdout.write(json.dumps(asdict(finding)) + "\n")
        sys.stdout.flush()
