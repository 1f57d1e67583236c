"""The bounds on an image that the settings give: training leaves out what the service of this installation refuses."""

from dataclasses import dataclass
from pathlib import Path

from shared.errors import ItemError
from shared.settings import Settings
from shared.vision.accepted import Limits, limits_of


@dataclass(frozen=True)
class Accepted:
    """At most so many bytes, and the decoder's limits."""

    most_bytes: int
    limits: Limits

    def read(self, path: Path) -> bytes:
        """The bytes of an image. Raises ItemError, and reads nothing, where they are too many; OSError passes."""
        size = path.stat().st_size
        if size > self.most_bytes:
            raise ItemError("too_large", f"{size} bytes, an image may have {self.most_bytes}")
        return path.read_bytes()


def accepted() -> Accepted:
    """By the environment; raises SettingsError."""
    settings = Settings.from_env()
    return Accepted(settings.max_item_bytes, limits_of(settings))
