"""The address that the embedded stack's web process listens on."""

import http.client
import json
import socket

from shared.errors import SettingsError
from shared.settings import Settings


def url(settings: Settings) -> str:
    """The URL at which this machine reaches the service."""
    host = _reachable(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def lacks(settings: Settings) -> str | None:
    """The parts that /readyz misses, such as `broker: away: TimeoutError`; None if the service is ready."""
    connection = http.client.HTTPConnection(_reachable(settings), settings.port, timeout=5.0)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        if answer.status == 200:
            return None
        checks = json.loads(answer.read())["checks"]
        return ", ".join(f"{part}: {state}" for part, state in checks.items() if state != "ok")
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return f"web: {error}"
    finally:
        connection.close()


def check_port(settings: Settings) -> None:
    """Raise SettingsError where the web process could not listen on its port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error


def _reachable(settings: Settings) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
