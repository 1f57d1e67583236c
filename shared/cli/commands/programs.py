"""`gonogo train`, `evaluate`, `publish`, …: the training program, started as a child process."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

TRAINING = {
    "render": "draw pictures of parts whose defects are known",
    "check": "look at a data set before training on it",
    "train": "train a model",
    "evaluate": "measure a published artifact",
    "publish": "make the artifact that the service runs",
}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Names for `gonogo --help`; what follows such a name is the program's own, and never parsed here."""
    for name, about in TRAINING.items():
        commands.add_parser(name, help=f"{about} (python -m training {name})", add_help=False)


def become(argv: Sequence[str]) -> NoReturn:
    """Become the training program: its exit status and its signals are ours."""
    os.execv(sys.executable, [sys.executable, "-m", "training", *argv])  # noqa: S606 - no shell is wanted
