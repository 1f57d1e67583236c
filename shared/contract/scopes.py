"""The scopes of an API key: what it may do."""

from collections.abc import Collection

SCOPES = ("submit", "read", "review", "metrics", "admin", "operator")
DEFAULT_SCOPES = ("submit", "read")  # of a key that is made without naming any
INSTALLATION_SCOPES = frozenset({"metrics", "operator"})


def allows(held: Collection[str], wanted: str) -> bool:
    """Whether a key with these scopes may do what takes the scope `wanted`.

    `admin` may do everything in its own tenant, `operator` everything in the installation.
    """
    return wanted in held or "operator" in held or ("admin" in held and wanted not in INSTALLATION_SCOPES)


def may_grant(held: Collection[str], scopes: Collection[str]) -> bool:
    """Whether a key with these scopes may make a key with those: only an operator gives out the installation's."""
    return "operator" in held or not INSTALLATION_SCOPES & set(scopes)
