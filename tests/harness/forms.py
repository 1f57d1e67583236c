"""Bodies of multipart submissions, whole and stopped half way."""

import json
import threading
from typing import Any

Part = tuple[str, str | None, bytes]


def image_parts(files: dict[str, bytes]) -> list[Part]:
    return [("images", name, data) for name, data in files.items()]


def options_part(asked: Any) -> Part:
    return ("options", None, json.dumps(asked).encode())


def as_form(*parts: Part, boundary: str = "a-boundary") -> dict[str, Any]:
    """`data` and `content_type` of a multipart body with these parts in this order."""
    body = bytearray()
    for name, filename, data in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return {"data": bytes(body), "content_type": f"multipart/form-data; boundary={boundary}"}


def multipart(
    files: dict[str, bytes], options: dict[str, Any] | None = None, manifest: bytes | None = None
) -> tuple[str, bytes]:
    """(content type, body) of a submission: its options, its manifest, its images."""
    before: list[Part] = [] if options is None else [options_part(options)]
    before += [] if manifest is None else [("manifest", "manifest.csv", manifest)]
    form = as_form(*before, *image_parts(files))
    return form["content_type"], form["data"]


class HalfwayBody:
    """A request body that stops in the middle: it sets `reached` there and goes on after `go` is set."""

    def __init__(self, form: dict[str, Any]) -> None:
        self._blocks = [form["data"][: len(form["data"]) // 2], form["data"][len(form["data"]) // 2 :]]
        self._content_type, self._length = form["content_type"], len(form["data"])
        self.reached, self.go = threading.Event(), threading.Event()

    def read(self, _size: int = -1) -> bytes:
        if len(self._blocks) == 1:
            self.reached.set()
            self.go.wait(60)
        return self._blocks.pop(0) if self._blocks else b""

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `Application.call` that send this body."""
        environ = {
            "wsgi.input": self,
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": str(self._length),
            "CONTENT_TYPE": self._content_type,
        }
        return {"environ_overrides": environ}
