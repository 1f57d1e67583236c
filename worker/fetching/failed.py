"""Why a fetch failed."""

from shared.errors import GonogoError, ItemErrorCode


class FetchFailed(GonogoError):
    """No image came. `may_mend` if a later try may bring it, after `wait_s` seconds where the host asked for a wait."""

    def __init__(
        self,
        detail: str,
        *,
        code: ItemErrorCode = "fetch_failed",
        may_mend: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(detail, code=code)
        self.item_code: ItemErrorCode = code
        self.may_mend, self.wait_s = may_mend, wait_s
