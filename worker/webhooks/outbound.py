"""Connections to hosts that a client chose.

A name is resolved once, every address is judged, and the connection goes to an address that was judged: a name that
resolves differently a moment later (DNS rebinding) gains nothing. No proxy setting is read.
"""

import io
import ipaddress
import math
import queue
import socket
import ssl
import threading
import time
from typing import Any

from typing_extensions import Buffer

from shared.webhooks.addresses import Target, check_url, judge

_Answer = tuple[Any, ...]  # family, type, protocol, canonical name, socket address


class Stream(io.RawIOBase):
    """A connection whose reads and writes share one deadline, and which yields at most `most` bytes.

    A timeout for each read alone would let a receiver send a byte a second without end. `silence_s` bounds each read
    in addition.
    """

    def __init__(self, raw: socket.socket, deadline: float, most: int, silence_s: float = math.inf) -> None:
        self._socket, self._deadline, self._left = raw, deadline, most
        self._silence_s = silence_s

    @property
    def is_exhausted(self) -> bool:
        """Whether as many bytes have come as may come: the end that a reader saw may not be the sender's."""
        return self._left == 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        room = memoryview(buffer)[: self._left]
        if not room:
            return 0
        self._socket.settimeout(min(_remaining(self._deadline), self._silence_s))
        count = self._socket.recv_into(room)
        self._left -= count
        return count

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(_remaining(self._deadline))
            view = view[self._socket.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The method of a socket that http.client.HTTPResponse calls."""
        return io.BufferedReader(self)

    def close(self) -> None:
        super().close()
        self._socket.close()


def connect(
    url: str, *, allowed: str = "", timeout_s: float, most: int, silence_s: float = math.inf
) -> tuple[Target, Stream]:
    """Connect to a URL that a client chose. Resolving, connecting, TLS and all later reads and writes share
    `timeout_s` seconds, and no read waits longer than `silence_s`.

    Raises ForbiddenAddress, or OSError (TimeoutError, ssl.SSLError among them).
    """
    target = check_url(url, allowed)
    deadline = time.monotonic() + timeout_s
    answers = _resolve(target, timeout_s)
    judge([ipaddress.ip_address(answer[4][0]) for answer in answers], target.host, allowed)
    raw = _first_that_answers(answers, deadline)
    try:
        if target.scheme == "https":
            raw.settimeout(_remaining(deadline))
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=target.host)
    except BaseException:
        raw.close()
        raise
    return target, Stream(raw, deadline, most, silence_s)


def _resolve(target: Target, timeout_s: float) -> list[_Answer]:
    """getaddrinfo's answers, in bounded time: it has no timeout, so a thread calls it and may be left behind."""
    answer: queue.SimpleQueue[list[_Answer] | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(list(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)))
        except UnicodeError as error:
            answer.put(OSError(str(error)))
        except BaseException as error:  # whatever it is: the caller would else wait for its whole time
            answer.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        got = answer.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(got, BaseException):
        raise got
    return got


def _first_that_answers(answers: list[_Answer], deadline: float) -> socket.socket:
    trouble: OSError = OSError("the name has no address")
    for place, (family, kind, protocol, _, address) in enumerate(answers):
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(_remaining(deadline) / (len(answers) - place))
            raw.connect(address)
        except OSError as error:
            raw.close()
            trouble = error
        else:
            return raw
    raise trouble


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for the whole exchange is over")
    return left
