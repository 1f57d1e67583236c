"""Runs the peers: each with 1 and 2 processes and 1 and 2 threads, the best of them against our bulk speed."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import cpu
from bench.peers.load import Load
from bench.table import Row
from shared.cli.embedded.stack import valkey_binary
from tests.harness.processes import ROOT, free_port, until

_UVICORN = ["-m", "uvicorn", "bench.peers.fastapi_app:app", "--port", "{port}", "--workers", "{processes}",
            "--log-level", "warning"]  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """A service that people would build. `commands` are arguments of Python; {…} are filled in."""

    name: str
    reach: float
    commands: tuple[list[str], ...]
    kind: str = ""
    clients: int = 8
    poll: bool = False


PEERS = (
    Peer("the original design", 35, (_UVICORN,), kind="original"),
    Peer("FastAPI, our network in eager torch", 7, (_UVICORN,), kind="eager"),
    Peer("FastAPI, our engine", 2.5, (_UVICORN,), kind="engine"),
    Peer(
        "the tutorial: Flask + Celery, our engine",
        7,
        (
            ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "--threads", "8", "bench.peers.tutorial_app:flask_app"],
            ["-m", "celery", "-A", "bench.peers.tutorial_app:celery_app", "worker", "-c", "{processes}",
             "--loglevel", "ERROR"],
        ),
        clients=32,
        poll=True,
    ),
    Peer("LitServe, our engine", 2, (["-m", "bench.peers.litserve_app"],), clients=64),
    Peer(
        "BentoML, our engine",
        2,
        (["-m", "bentoml", "serve", "bench.peers.bentoml_app:Inspection", "--host", "127.0.0.1", "--port", "{port}"],),
        clients=64,
    ),
    Peer("Ray Serve, our engine", 2, (["-m", "bench.peers.rayserve_app"],), clients=64),
)  # fmt: skip


@contextlib.contextmanager
def serving(
    peer: Peer, python: str, artifact: Path, folder: Path, processes: int, threads: int
) -> Iterator[int]:
    """The peer's processes; yields their port. Everything they started is ended with them."""
    port = free_port()
    folder.mkdir(parents=True)
    broker = folder / "broker.sock"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GONOGO_")},
        "PEER_KIND": peer.kind, "PEER_THREADS": str(threads), "PEER_PROCESSES": str(processes),
        "PEER_PORT": str(port), "PEER_ARTIFACT": str(artifact), "PEER_BROKER": f"redis+socket://{broker}",
        "PEER_BACKEND": f"redis+socket://{broker}", "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0",
    }  # fmt: skip
    commands = [
        [python, *(part.format(port=port, processes=processes) for part in one)] for one in peer.commands
    ]
    if peer.poll:
        valkey = [
            str(valkey_binary()),
            "--port",
            "0",
            "--unixsocket",
            str(broker),
            "--dir",
            str(folder),
            "--save",
            "",
        ]
        commands.insert(0, valkey)
    started = []
    try:
        for command in commands:
            with (folder / "log").open("ab") as log:
                started.append(
                    subprocess.Popen(
                        command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )  # fmt: skip
            if command is commands[0] and peer.poll:
                until(broker.exists, 20, "the tutorial's broker")
        until(lambda: _listens(port) or _ended(started), 120, f"{peer.name} listens; see {folder / 'log'}")
        yield port
    finally:
        for process in reversed(started):
            _end(process)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ended(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    if any(process.poll() is not None for process in processes):
        raise RuntimeError("a peer's process ended")
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Gently, then with everything that it has started, in whatever sessions."""
    below = cpu.family(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)


def fastest(
    peer: Peer, python: str, artifact: Path, images: Sequence[bytes], folder: Path, *, seconds: float = 5.0
) -> dict[str, float]:
    """Images a second with 1 and 2 processes and 1 and 2 threads."""
    speeds = {}
    for processes in (1, 2):
        for threads in (1, 2):
            with serving(
                peer, python, artifact, folder / f"{processes}x{threads}", processes, threads
            ) as port:
                load = Load(port, images, clients=peer.clients)
                _warm(load, peer)
                speeds[f"{processes}x{threads}"] = load.run(seconds, poll=peer.poll)
    return speeds


def _warm(load: Load, peer: Peer) -> None:
    """Until it answers: some listen before they can."""
    deadline = time.monotonic() + 60
    while True:
        try:
            load.run(1.0, poll=peer.poll)
        except (RuntimeError, OSError, EOFError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def measure(
    peer: Peer, python: str, artifact: Path, images: Sequence[Path], folder: Path, *,
    ours: float, bare: float, seconds: float,
) -> list[Row]:  # fmt: skip
    """Our bulk speed over the peer's best. `bare` over the peer is the ceiling. A peer that does not run has no row."""
    sources = [path.read_bytes() for path in images[:200]]
    try:
        speeds = fastest(peer, python, artifact, sources, folder, seconds=seconds)
    except (RuntimeError, AssertionError, OSError, EOFError) as error:
        print(f"# {peer.name} did not run: {error}", flush=True)
        return []
    best = max(speeds.values())
    note = ", ".join(f"{cell} {speed:.0f}" for cell, speed in speeds.items())
    return [
        Row(f"against {peer.name}", best, "images/s", ratio=ours / best, ceiling=bare / best, reach=peer.reach,
            note=f"processes x threads: {note}; ours {ours:.0f}, bare {bare:.0f}")
    ]  # fmt: skip
