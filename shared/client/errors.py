"""The client's errors, and the typed error of an answer."""

import http.client
import json
from collections.abc import Mapping

from shared.errors import GonogoError


class ApiError(GonogoError):
    """The service answered with an error: `status`, the stable `code`, and `errors` for the bad parts."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, object]] | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail, code=code)
        self.status = status
        self.errors = errors or []
        self.retry_after_s = retry_after_s
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.detail} ({self.status} {self.code})"


class Unreachable(GonogoError):
    """No service answers at this address, or it stopped answering for longer than the tries last."""

    code = "unreachable"


class ResultsCut(Unreachable):
    """A result file broke off before its end: the batch was deleted meanwhile, or the service stopped."""

    code = "results_cut"


class OtherImages(GonogoError):
    """The draft that a submission would go on with holds other images than the files of this submission, or has other
    options; it is left as it is."""

    code = "other_images"


class UnusableInput(GonogoError):
    """A file to be sent is missing, unreadable, or changed while it was being sent."""

    code = "unusable_input"


def read_problem(status: int, headers: Mapping[str, str], data: bytes) -> ApiError:
    """The typed error of an answer, whether or not its body is problem+json."""
    try:
        problem = json.loads(data)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    reason = http.client.responses.get(status, "error")
    if status == 413 and not problem:
        reason = "a proxy in front of the service refuses so large a body: its operator can raise the limit"
    retry_after = headers.get("Retry-After", "")
    return ApiError(
        status,
        str(problem.get("code") or f"http_{status}"),
        str(problem.get("detail") or problem.get("title") or reason),
        errors=[error for error in problem.get("errors") or [] if isinstance(error, dict)],
        retry_after_s=float(retry_after) if retry_after.replace(".", "", 1).isdigit() else None,
        request_id=problem.get("request_id") or headers.get("X-Request-Id"),
    )
