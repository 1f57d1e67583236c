"""A stream that breaks off behind a real nginx breaks off for the client, too."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.nginx import in_front, needs_nginx
from tests.unit.web.server.conftest import Site


@pytest.mark.row(42)
def test_a_stream_that_cannot_go_on_breaks_off_for_the_client_of_a_proxy(site: Site, tmp_path: Path) -> None:
    needs_nginx()
    with in_front(tmp_path, {"default": f"http://127.0.0.1:{site.port}"}) as urls:
        connection = http.client.HTTPConnection(urlsplit(urls["default"]).netloc, timeout=10)
        connection.request("GET", "/stream?blocks=3")
        assert len(connection.getresponse().read()) == 3 * 2**20
        for _ in range(5):
            connection.request("GET", "/broken-stream")
            with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
                connection.getresponse().read()
            connection.close()
