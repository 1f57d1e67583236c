"""Addresses and URLs that the guard on outgoing connections refuses, and a network that a test stubs."""

import ipaddress
import socket
import time
from typing import Any

import pytest

NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::",
    "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::808:808", "100::1", "2001::1",
    "2001:0:808:808::f7f7:f7f7", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
OTHER_SPELLINGS = [
    "2130706433", "0x7f000001", "0x7F.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1",
    "127.0.0.1.", "0", "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
    "10.1", "0xa9fea9fe", "2852039166",
]  # fmt: skip
NO_PLAIN_URLS = [
    "", "hook", "//receiver.example/", "ftp://receiver.example/", "file:///etc/passwd", "gopher://x/", "https:///x",
    "http://user@receiver.example/", "http://user:pw@receiver.example/", "http://receiver.example@127.0.0.1/",
    "http://receiver.example:0/", "http://receiver.example:65536/", "http://receiver.example:x/", "http://[::1/",
    "http://[fe80::1%25eth0]/", "http://a b/", "http://receiver.example/\r\nhost: x", "http://receiver.example/\t",
    "http://receiver.example\\@127.0.0.1/", "http://a..b/", "http://" + "a" * 64 + ".example/", "http://%31/",
]  # fmt: skip
# Spellings of a server on loopback; the guard refuses each of them, some only after the name is resolved.
SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7F.1", "017700000001",
    "0177.0.0.1", "127.0.0.1.", "127.255.255.254", "0", "0.0.0.0", "0x0", "①②⑦.⓪.⓪.①", "１２７.０.０.１",
    "127。0。0。1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::80ff:fffe]", "localhost", "LOCALHOST.",
    "169.254.169.254", "100.64.0.1", "224.0.0.1", "user:pw@127.0.0.1",
]  # fmt: skip


class Net:
    """Name resolution by a table, and a record of every address that anything tried to connect to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self.connected: list[str] = []
        self.delay_s = 0.0
        real_getaddrinfo, real_connect = socket.getaddrinfo, socket.socket.connect

        def getaddrinfo(host: str, port: int, *rest: Any, type: int = 0, **_: Any) -> list[Any]:
            self.asked.append(host)
            time.sleep(self.delay_s)
            if host not in self.names:
                return real_getaddrinfo(host, port, type=type, flags=socket.AI_NUMERICHOST)
            answers = self.names[host]
            chosen = answers.pop(0) if len(answers) > 1 else answers[0]
            kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in chosen]
            return [(k, type, 6, "", (a, port)) for k, a in zip(kinds, chosen, strict=True)]

        def connect(sock: socket.socket, address: Any) -> None:
            if isinstance(address, str):  # a Unix socket, as that of the broker
                real_connect(sock, address)
                return
            self.connected.append(address[0])
            if not ipaddress.ip_address(address[0]).is_loopback:
                raise ConnectionRefusedError("nothing may leave loopback")
            real_connect(sock, address)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", connect)
