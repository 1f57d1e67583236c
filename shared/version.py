"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """The version of the `gonogo` distribution; `0` where the code runs without being installed."""
    try:
        return version("gonogo")
    except PackageNotFoundError:
        return "0"
