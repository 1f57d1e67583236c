"""Which objects of an S3 store a tenant may name: the operator's credentials read them, so the operator lists them.

GONOGO_S3_BUCKETS is a list of `TENANT=BUCKET` or `TENANT=BUCKET/FOLDER`, comma-separated; the tenant `*` is
every tenant.
"""

import importlib.util
from typing import NamedTuple
from urllib.parse import unquote

from shared.errors import GonogoError, SettingsError

SCHEME = "s3://"
_EVERY_TENANT = "*"


class ForbiddenObject(GonogoError):
    """The object is in no bucket and folder that the operator has opened to the tenant."""

    code = "forbidden_object"


class NoObjectStore(GonogoError):
    """This installation reads from no object store."""

    code = "no_object_store"


class Opened(NamedTuple):
    """A folder of a bucket that a tenant may read; the empty folder is the whole bucket."""

    tenant: str
    bucket: str
    folder: str


def opened(text: str) -> tuple[Opened, ...]:
    """The entries of GONOGO_S3_BUCKETS; raises SettingsError for anything else."""
    found = []
    for entry in filter(None, (each.strip() for each in text.split(","))):
        tenant, sign, place = entry.partition("=")
        bucket, _, folder = place.partition("/")
        if not (tenant and sign and bucket):
            raise SettingsError(f"GONOGO_S3_BUCKETS: {entry!r} is not TENANT=BUCKET or TENANT=BUCKET/FOLDER")
        # A folder ends with a slash: `line-a` must not open `line-ab`.
        found.append(Opened(unquote(tenant), bucket, folder.strip("/") + "/" if folder.strip("/") else ""))
    return tuple(found)


def split(source: str) -> tuple[str, str]:
    """(bucket, key) of `s3://BUCKET/KEY`."""
    bucket, _, key = source.removeprefix(SCHEME).partition("/")
    return bucket, key


def check(buckets: str, tenant: str, source: str) -> None:
    """Raise ForbiddenObject unless the tenant may read the object, and NoObjectStore where none is set up."""
    known = opened(buckets)
    if not known:
        raise NoObjectStore(
            "this service reads from no object store: the operator names buckets in GONOGO_S3_BUCKETS"
        )
    if importlib.util.find_spec("obstore") is None:
        raise NoObjectStore(
            "this service lacks the package that reads objects: the operator installs gonogo[s3]"
        )
    bucket, key = split(source)
    # An S3 key is any text, but stores and proxies resolve such steps: the folder would not hold.
    if {"", ".", ".."} & {*key.split("/")}:
        raise ForbiddenObject("a key has no empty step, `.` or `..` between its slashes")
    for entry in known:
        if (
            entry.tenant in (tenant, _EVERY_TENANT)
            and entry.bucket == bucket
            and key.startswith(entry.folder)
        ):
            return
    # The same sentence for a bucket that is not there and for one of another tenant.
    raise ForbiddenObject(f"the operator has not opened {SCHEME}{bucket}/ at this key to your tenant")
