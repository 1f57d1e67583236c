"""The address that the embedded stack's web process listens on."""

import http.client
import json

from shared.programs import bound
from shared.settings import Settings


def url(settings: Settings) -> str:
    """The URL at which this machine reaches the service."""
    host = _reachable(settings).replace("%", "%25")  # the sign before the zone of an IPv6 address (RFC 6874)
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
    bound(settings.host, settings.port).close()


def _reachable(settings: Settings) -> str:
    host = settings.host.removeprefix("[").removesuffix("]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
