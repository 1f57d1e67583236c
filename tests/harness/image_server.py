"""A server of images on loopback that behaves as a test wants."""

import contextlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.harness.receivers import Reply, status


class ImageServer:
    """Answers a path with its replies in turn, the last one for ever; a path without replies is 404."""

    def __init__(self) -> None:
        self.replies: dict[str, list[Reply]] = {}
        self.gets: list[tuple[str, dict[str, str]]] = []
        self.now = self.most = 0  # requests under way, and the most at once
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                with server.lock:
                    server.gets.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                    replies = server.replies.get(self.path, [status(404)])
                    reply = replies.pop(0) if len(replies) > 1 else replies[0]
                    server.now += 1
                    server.most = max(server.most, server.now)
                with contextlib.suppress(OSError):
                    reply(self)
                with server.lock:
                    server.now -= 1

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            poured = 0
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def asked(self) -> Counter[str]:
        """How often each path was asked for."""
        with self.lock:
            return Counter(path for path, _ in self.gets)

    def serve(self, path: str, *replies: Reply) -> str:
        """Answer a path with these replies; returns its URL."""
        self.replies[path] = list(replies)
        return self.url(path)

    def image(self, path: str, data: bytes) -> str:
        """Serve an image, under a Content-Type that says otherwise; returns its URL."""
        return self.serve(path, status(200, data, content_type="text/html"))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
