"""A wall clock that a test moves in a running process."""

import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock_shift.c")


class ShiftedClock:
    """`environment` gives a process this clock; `shift` moves it for all processes that have it."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError without a C compiler."""
        self._file, library = folder / "clock-shift", folder / "clock_shift.so"
        self._file.write_bytes(bytes(8))
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE)], check=True)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(self._file)}

    def shift(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
