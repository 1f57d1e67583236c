"""`gonogo train`, `evaluate`, `publish`, …: the training program, which replaces this process."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

COMMANDS = {
    "render": "draw images of parts whose defects are known",
    "check": "look at a data set before training on it",
    "train": "train a model",
    "evaluate": "measure a published artifact",
    "publish": "make the artifact that the service runs",
}


def _named(name: str) -> click.Command:
    """A name for `gonogo --help`; `become` takes over before click parses what follows the name."""
    return click.Command(
        name, short_help=f"{COMMANDS[name]} (python -m training {name})", add_help_option=False
    )


render, check, train, evaluate, publish = map(_named, COMMANDS)


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the training program, so that its exit status and signals are ours."""
    os.execv(sys.executable, [sys.executable, "-m", "training", *argv])  # noqa: S606 - no shell is wanted
