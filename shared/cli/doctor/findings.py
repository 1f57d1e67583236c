"""A finding of the doctor: one part of a setup and its state."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "skipped", "mended"]


@dataclass(frozen=True)
class Finding:
    """`skipped`: there was nothing to look at. `mend`: how to mend a problem."""

    name: str
    state: Literal["ok", "problem", "skipped", "mended"]
    detail: str
    mend: str = ""
