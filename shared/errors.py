"""The root of every error the product raises on purpose.

`permanent` says whether trying again can help. The web turns these errors into problems (web/http/problems.py),
the worker turns an ItemError into the failed result of its item (worker/inference/decode.py).
"""

from typing import ClassVar, Literal

ItemErrorCode = Literal[
    "corrupt_image",
    "unsupported_media",
    "too_large",
    "too_many_pixels",
    "unsafe_archive_member",
    "fetch_failed",
    "fetch_forbidden_address",
    "inference_failed",
    "timeout",
    "worker_lost",
    "poison_image",
    "multiple_frames",
    "too_small",
    "too_costly",
]


class GonogoError(Exception):
    """Root. `code` is stable and documented, `detail` is a sentence for a person."""

    code: str = "internal_error"
    permanent: ClassVar[bool] = True
    pointer: str | None = None  # the part of the request that is wrong

    def __init__(self, detail: str = "", *, code: str | None = None, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        if code is not None:
            self.code = code


class ItemError(GonogoError):
    """An image cannot get a verdict; its neighbours can."""

    def __init__(self, code: ItemErrorCode, detail: str) -> None:
        super().__init__(detail, code=code)


class ArtifactError(GonogoError):
    """A model artifact is missing, corrupt, or not what its name or hash says."""

    code = "invalid_artifact"


class SettingsError(GonogoError):
    """The environment holds an unknown or unusable setting: the process must not start."""

    code = "invalid_settings"


class Unavailable(GonogoError):
    """A part the call needs is away for now (database, disk, capacity): try again later."""

    code = "unavailable"
    permanent: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, code: str | None = None, retry_after_s: int = 5) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s
