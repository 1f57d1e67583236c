"""HTTP receivers on loopback that behave as a test wants."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, text: bytes = b"", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return reply


def dripping(data: bytes, every_s: float) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        for byte in data:
            handler.wfile.write(bytes([byte]))
            time.sleep(every_s)

    return reply


def pouring(head: bytes, chunk: bytes, total: int) -> Reply:
    """Send `total` bytes, and count in `handler.server.poured` how many the other side took."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(head)
        for _ in range(total // len(chunk)):
            handler.wfile.write(chunk)
            handler.server.poured += len(chunk)  # type: ignore[attr-defined]

    return reply


class Receiver:
    """A receiver that answers with `replies` in turn, the last one for ever, and keeps what it was sent."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.replies: list[Reply] = [status(204)]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.posts.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.close_connection = True
                with contextlib.suppress(OSError):
                    (receiver.replies.pop(0) if len(receiver.replies) > 1 else receiver.replies[0])(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            connections = 0
            poured = 0

            def get_request(self) -> Any:
                raw, address = super().get_request()
                self.connections += 1
                return (tls.wrap_socket(raw, server_side=True) if tls else raw), address

            def handle_error(self, *_: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = int(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/hook?line=A3"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
