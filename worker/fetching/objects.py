"""An object of an S3 store, read with the operator's credentials.

The operator names the endpoint and the buckets, so no client chooses a host here (`shared.blobs.buckets`). Credentials
come from the environment of this process as AWS's own tools read them, such as AWS_ACCESS_KEY_ID, or a role.
"""

import logging
import time
from collections.abc import Generator
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from shared.blobs import buckets
from shared.settings import Settings
from worker.fetching.failed import FetchFailed
from worker.fetching.urls import too_large

if TYPE_CHECKING:
    from obstore.store import S3Store

_BLOCK = 2**18
_CONNECT_S = 10.0
log = logging.getLogger(__name__)


def blocks(source: str, tenant: str, settings: Settings) -> Generator[bytes, None, None]:
    """The bytes of an object, block by block; at most as many as an image may have. Raises FetchFailed."""
    try:
        # Asked again: since the submission, the operator may have closed the bucket to the tenant.
        buckets.check(settings.s3_buckets, tenant, source)
    except (buckets.ForbiddenObject, buckets.NoObjectStore) as error:
        raise FetchFailed(error.detail) from error
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield from _blocks(source, settings)
    except FileNotFoundError as error:
        raise FetchFailed("there is no such object") from error
    except (PermissionError, PermissionDeniedError, UnauthenticatedError) as error:
        log.warning("%s could not be read: %s", source, error)
        raise FetchFailed("the store refused the operator's credentials for this object") from error
    except (BaseError, OSError) as error:
        # For the operator alone: the text names hosts and requests of the operator's network.
        log.warning("%s could not be read: %s", source, error)
        raise FetchFailed("the object store could not be read", may_mend=True) from error


def _blocks(source: str, settings: Settings) -> Generator[bytes, None, None]:
    bucket, key = buckets.split(source)
    ends_at = time.monotonic() + settings.fetch_timeout_s
    store = _store(bucket, settings.s3_endpoint_url, settings.fetch_timeout_s, settings.fetch_silence_s)
    found = store.get(key)
    most, received = settings.max_item_bytes, 0
    if found.meta["size"] > most:
        raise too_large(most)
    for block in found.stream(min_chunk_size=_BLOCK):
        received += len(block)
        if received > most:
            raise too_large(most)
        if time.monotonic() > ends_at:
            raise FetchFailed(f"it took longer than {settings.fetch_timeout_s:g} s", may_mend=True)
        yield bytes(block)
    if received != found.meta["size"]:
        raise FetchFailed(f"the object broke off after {received} bytes", may_mend=True)
    if received == 0:
        raise FetchFailed("the object is empty")


@cache
def _store(bucket: str, endpoint: str, timeout_s: float, silence_s: float) -> "S3Store":
    """The store of a bucket. The tries are ours: it makes none of its own."""
    from obstore.store import S3Store

    return S3Store(
        bucket,
        **({"endpoint": endpoint} if endpoint else {}),  # type: ignore[arg-type]
        client_options={
            "timeout": timedelta(seconds=timeout_s),
            "read_timeout": timedelta(seconds=silence_s),
            "connect_timeout": timedelta(seconds=min(_CONNECT_S, timeout_s)),
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config={"max_retries": 0},
    )
