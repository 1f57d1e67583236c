"""The data dir of an embedded stack: its lock, its running processes, its first key and its URL."""

import fcntl
import hashlib
import json
import os
import re
import signal
import stat
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from shared.blobs.files import sync_folder
from shared.cli.embedded import disposable
from shared.cli.embedded.processes import Identity, boot_id, kill, members, wait_until
from shared.errors import GonogoError
from shared.settings import Settings, socket_url

_SOCKET_PATH_BYTES = 107  # the room in sockaddr_un, less the closing zero
_SURVIVOR_GRACE_S = 8.0
_CUT_KEY = re.compile(r"gn?g?_?[0-9a-f]{0,12}(_[0-9a-f]{0,63})?")


class DataDirInUse(GonogoError):
    """Another supervisor runs in this data dir."""

    code = "data_dir_in_use"


class DataDirUnusable(GonogoError):
    """The data dir cannot be made or written."""

    code = "data_dir_unusable"


def lock(data_dir: Path) -> int:
    """Make the data dir if need be and hold it until this process ends; raises DataDirInUse."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        disposable.clear(data_dir / "lock")
        held = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirUnusable(f"{error.filename}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(held, 32).decode(errors="replace").strip() or "unknown"
        os.close(held)
        raise DataDirInUse(f"{data_dir} is in use by process {holder}") from error
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held


def is_locked(data_dir: Path) -> bool:
    """Whether a supervisor runs in this data dir now."""
    try:
        held = os.open(data_dir / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(held)
    return False


def mark(data_dir: Path) -> str:
    """The variable that every process of this stack has in its environment."""
    return f"GONOGO_DATA_DIR={data_dir}"


def record(data_dir: Path, running: dict[str, Identity]) -> None:
    """Write down the running processes, so that the next start can end those that a killed supervisor left."""
    known = {name: asdict(one) for name, one in running.items()}
    target = data_dir / "pids.json"
    written = target.with_suffix(".new")
    disposable.clear(written)
    written.write_text(json.dumps({"boot_id": boot_id(), "processes": known}, indent=1))
    written.replace(target)


def survivors(data_dir: Path) -> dict[str, list[Identity]]:
    """The recorded processes that still run, by name, with their descendants."""
    try:
        known = json.loads((data_dir / "pids.json").read_text())
        if known["boot_id"] != boot_id():
            return {}
        leaders = {name: Identity(**one) for name, one in known["processes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    found = {name: list(members(leader, mark(data_dir))) for name, leader in leaders.items()}
    return {name: alive for name, alive in found.items() if alive}


def end_survivors(data_dir: Path) -> list[str]:
    """End the processes that a killed supervisor left, with SIGTERM and then SIGKILL; returns their names."""
    names = list(survivors(data_dir))
    for number, grace_s in ((signal.SIGTERM, _SURVIVOR_GRACE_S), (signal.SIGKILL, 2.0)):
        for alive in survivors(data_dir).values():
            for one in alive:
                kill(one, number)
        if wait_until(lambda: not survivors(data_dir), grace_s):
            break
    disposable.discard(data_dir / "pids.json")
    return names


def with_broker(settings: Settings) -> tuple[Settings, Path | None]:
    """The settings for the stack's processes, and the embedded Valkey's socket (None: a broker is given).

    The path of a Unix socket is short; a data dir too deep for it has its socket in a private temporary folder.
    """
    if settings.broker_url:
        return settings, None
    socket = settings.data_dir / "valkey" / "valkey.sock"
    if len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES:
        return settings, socket
    name = hashlib.sha256(os.fsencode(settings.data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"gonogo-{os.getuid()}-{name}"
    socket = folder / "valkey.sock"
    return replace(settings, broker_url=socket_url(socket)), socket


def make_private(folder: Path) -> None:
    """Make the socket's folder, or check that it is this user's alone; raises DataDirUnusable."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DataDirUnusable(f"{folder} is not ours alone: remove it, or use a data dir with a shorter path")


def admin_key(data_dir: Path) -> str | None:
    """The key that the first start left here; None for one that was cut off."""
    kept = _kept_line(data_dir / "admin-key")
    return None if kept is None or _CUT_KEY.fullmatch(kept) else kept


def keep_admin_key(data_dir: Path, key: str) -> None:
    """Keep the first key where only its owner can read it."""
    written = data_dir / "admin-key.new"
    disposable.discard(written)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())  # it is shown once and stands nowhere else
    written.replace(data_dir / "admin-key")
    sync_folder(data_dir)


def keep_service_url(data_dir: Path, url: str) -> None:
    """Note where the service of this data dir listens, for commands that are given the data dir."""
    (data_dir / "service-url").write_text(f"{url}\n")


def service_url(data_dir: Path) -> str | None:
    """Where the service of this data dir listens; None unless it runs."""
    return _kept_line(data_dir / "service-url") if is_locked(data_dir) else None


def _kept_line(file: Path) -> str | None:
    """The text of a small file; None without it, or if it holds the zeros that a power cut may leave."""
    try:
        kept = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return kept if kept and kept.isprintable() else None
