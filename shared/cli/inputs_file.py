"""The inputs of a JSON submission from a file or stdin: a list, `{"inputs": […]}`, or an object in each line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from shared.cli import service

if TYPE_CHECKING:
    from shared.contract.inputs import Input


def read_inputs(file: str) -> list[Input]:
    """The inputs in a file, or in stdin for `-`; raises Usage for any other text. The service checks each input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise service.Usage(
            f"--inputs {file}: {getattr(error, 'strerror', None) or 'no UTF-8 text'}"
        ) from None
    found = _whole(text)
    if found is None:
        found = [
            _line(file, number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()
        ]
    if isinstance(found, dict):
        found = found["inputs"] if {*found} == {"inputs"} else [found]
    if not isinstance(found, list) or not found or not all(isinstance(each, dict) for each in found):
        raise service.Usage(f"--inputs {file}: it holds no list of inputs, and no input in each line")
    return cast("list[Input]", found)


def _whole(text: str) -> object:
    """The text as one JSON document; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _line(file: str, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise service.Usage(f"--inputs {file}: line {number} is no JSON: {error}") from None
