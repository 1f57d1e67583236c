"""An HTTP GET of an image from a host that a client chose: bounded in time and in bytes, and never redirected.

It goes through the guard of webhooks (`worker.webhooks.outbound`). The Content-Type is not read: the bytes say what the
image is.
"""

import ssl
from collections.abc import Callable, Generator
from contextlib import closing
from http.client import HTTPException, HTTPResponse

from shared.settings import Settings
from shared.version import installed_version
from shared.webhooks.addresses import ForbiddenAddress
from worker.fetching.failed import FetchFailed
from worker.webhooks import outbound
from worker.webhooks.post import visible

_BLOCK = 2**16
_HEAD_BYTES = 2**16  # room for the answer's header
_LONGEST_WAIT_S = 300.0
# The host is not ready, or has too much to do; any other 4xx says that the request itself is wrong.
_MAY_MEND = {408, 425, 429}


def blocks(url: str, settings: Settings) -> Generator[bytes, None, None]:
    """The body at a URL, block by block; at most one block more than an image may have. Raises FetchFailed.

    A body that is shorter than its header says is a failure, even if its bytes are an image.
    """
    try:
        yield from _blocks(url, settings)
    except ForbiddenAddress as error:
        raise FetchFailed(error.detail, code="fetch_forbidden_address") from error
    except TimeoutError as error:
        raise FetchFailed(
            f"nothing came for {settings.fetch_silence_s:g} s, or it took longer than {settings.fetch_timeout_s:g} s",
            may_mend=True,
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise FetchFailed(f"the certificate of the host is not valid: {error.verify_message}") from error
    except (OSError, HTTPException, ValueError) as error:
        # http.client shows what the host sent.
        why = visible(f"{type(error).__name__}: {error}".encode(errors="replace"))[:300]
        raise FetchFailed(f"the connection failed: {why}", may_mend=True) from error


def _blocks(url: str, settings: Settings) -> Generator[bytes, None, None]:
    target, stream = outbound.connect(
        url,
        allowed=settings.fetch_allowed_networks,
        timeout_s=settings.fetch_timeout_s,
        most=settings.max_item_bytes + _BLOCK + _HEAD_BYTES,
        silence_s=settings.fetch_silence_s,
    )
    with closing(stream):
        sent = {
            "host": target.authority,
            "user-agent": f"gonogo/{installed_version()}",
            "accept": "image/*, */*;q=0.5",
            "accept-encoding": "identity",
            "connection": "close",
        }
        lines = [f"GET {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = HTTPResponse(stream, method="GET")  # type: ignore[arg-type]
        with closing(response):
            response.begin()
            _check(response)
            yield from _body(response, lambda: stream.is_exhausted, settings.max_item_bytes)


def _check(response: HTTPResponse) -> None:
    status = response.status
    if 300 <= status < 400:
        raise FetchFailed(f"the host answered {status}: redirects are not followed")
    if status != 200:
        may_mend = status >= 500 or status in _MAY_MEND
        wait = (response.getheader("retry-after") or "").strip()
        wait_s = min(float(wait), _LONGEST_WAIT_S) if wait.isascii() and wait.isdecimal() else 0.0
        raise FetchFailed(f"the host answered {status}", may_mend=may_mend, wait_s=wait_s)
    encoding = (response.getheader("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise FetchFailed("the host compressed the body, although it was asked not to")


def _body(
    response: HTTPResponse, is_exhausted: Callable[[], bool], most: int
) -> Generator[bytes, None, None]:
    length, received = response.length, 0
    if length is not None and length > most:
        raise too_large(most)
    while block := response.read1(_BLOCK):
        received += len(block)
        if received > most:
            raise too_large(most)
        yield block
    # http.client takes a connection that closes early for the end of the body.
    if is_exhausted() or (length is not None and received < length):
        raise FetchFailed(f"the body broke off after {received} bytes", may_mend=True)
    if received == 0:
        raise FetchFailed("the host sent no bytes", may_mend=True)


def too_large(most: int) -> FetchFailed:
    return FetchFailed(f"an image may have {most} bytes", code="too_large")
