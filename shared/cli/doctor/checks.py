"""The doctor's looks at a setup: each is bounded in time, changes nothing, and says how to mend a problem."""

import argparse
import os
import resource
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from shared.cli import service
from shared.cli.embedded import data_dir as data_dirs
from shared.cli.embedded.stack import valkey_binary
from shared.cli.output import megabytes
from shared.errors import GonogoError
from shared.registry.artifact import read_artifact
from shared.settings import Settings

_PATIENCE_S = 3
_LEAST_FILES = 1024


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `skipped` where there was nothing to look at."""

    name: str
    state: Literal["ok", "problem", "skipped", "mended"]
    detail: str
    mend: str = ""


def look_at_all(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Every check in turn; one that fails in an unforeseen way is itself a problem and stops no other."""
    yield from packages()
    try:
        settings = Settings.from_env()
    except GonogoError as error:
        yield Finding("settings", "problem", str(error), "correct or unset the variable")
        return
    yield Finding("settings", "ok", "every GONOGO_ variable is known and of its type")
    if arguments.data_dir:
        settings = replace(settings, data_dir=arguments.data_dir)
    settings = replace(settings, data_dir=settings.data_dir.expanduser().resolve())
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("data dir", lambda: data_dir(settings)),
        ("disk", lambda: disk(settings)),
        ("open files", open_files),
        ("database", lambda: database(settings)),
        ("broker", lambda: broker(settings)),
        ("model", lambda: models(settings)),
        ("service", lambda: running_service(arguments, settings)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Finding(name, "problem", f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0])


def packages() -> Iterator[Finding]:
    """Python and every package that the distribution asks for, in a version that it accepts."""
    from packaging.requirements import InvalidRequirement, Requirement

    running = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", "ok", f"{running} at {sys.executable}")
    try:
        asked = metadata.requires("gonogo") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "problem", "gonogo is not installed here", "pip install -e . in its folder")
        return
    wrong: list[str] = []
    right: list[str] = []
    for line in asked:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        (right if fits else wrong).append(f"{requirement.name} {version}")
    if wrong:
        yield Finding("packages", "problem", ", ".join(wrong), "pip install -e . in gonogo's folder")
    else:
        yield Finding("packages", "ok", f"gonogo {metadata.version('gonogo')}, {', '.join(right)}")


def data_dir(settings: Settings) -> Iterator[Finding]:
    """That it is ours, writable and private, as the key in it must be."""
    folder = settings.data_dir
    if not folder.exists():
        yield Finding("data dir", "skipped", f"{folder} does not exist yet", "`gonogo up` makes it")
        return
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        mend = f"chown -R {os.getuid()} {folder} && chmod u+rwx {folder}"
        yield Finding("data dir", "problem", f"{folder} is not a folder that this user may write", mend)
        return
    if folder.stat().st_mode & 0o022:
        yield Finding("data dir", "problem", f"{folder} may be written by others", f"chmod go-w {folder}")
    else:
        yield Finding("data dir", "ok", f"{folder}")
    key = folder / "admin-key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        yield Finding("admin key", "problem", f"{key} may be read by others", f"chmod 600 {key}")
    _, socket = data_dirs.with_broker(settings)
    if socket is not None:
        valkey_binary()
        yield Finding("socket", "ok", f"{socket} ({len(os.fsencode(socket))} bytes of 107)")


def disk(settings: Settings) -> Iterator[Finding]:
    """Room for blobs: submissions are refused below the least free space."""
    folder = settings.blobs
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    free, least = found.f_bavail * found.f_frsize, settings.min_free_bytes
    said = f"{megabytes(free)} free for {settings.blobs}, submissions are refused below {megabytes(least)}"
    mend = "free some space, or move the data dir"
    yield Finding("disk", "ok", said) if free >= 2 * least else Finding("disk", "problem", said, mend)
    if found.f_favail and found.f_favail < 10_000:
        yield Finding("inodes", "problem", f"only {found.f_favail} files can still be made", mend)


def open_files() -> Iterator[Finding]:
    """The limit that one web process with many connections meets first."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"limit {soft}"
    if 0 <= soft < _LEAST_FILES:
        yield Finding("open files", "problem", said, f"ulimit -n {_LEAST_FILES} before the start")
    else:
        yield Finding("open files", "ok", said)


def database(settings: Settings) -> Iterator[Finding]:
    """That it answers, is whole (SQLite), and has been migrated."""
    if settings.database.startswith("sqlite:///"):
        file = Path(settings.database.removeprefix("sqlite:///"))
        if not file.exists():
            yield Finding("database", "skipped", f"{file} does not exist yet", "`gonogo up` makes it")
            return
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=_PATIENCE_S)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error as error:
            yield Finding("database", "problem", f"{file}: {error}", "stop the stack, restore a backup")
            return
        finally:
            connection.close()
        if verdict != "ok":
            yield Finding("database", "problem", f"{file}: {verdict}", "stop the stack, restore a backup")
            return
        yield Finding("database", "ok", f"{file}, schema {version[0] if version else 'unknown'}")
        return
    import sqlalchemy

    url = sqlalchemy.make_url(settings.database)
    shown = url.render_as_string(hide_password=True)
    bounded = {"connect_timeout": _PATIENCE_S} if url.get_backend_name() == "postgresql" else {}
    engine = sqlalchemy.create_engine(url, connect_args=bounded)
    try:
        with engine.connect() as connected:
            found = connected.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
    except sqlalchemy.exc.ProgrammingError:
        yield Finding("database", "problem", f"{shown} has no tables", "python -m shared.store.migrations")
    except sqlalchemy.exc.SQLAlchemyError as error:
        said = str(error).split("\n", maxsplit=1)[0]
        yield Finding("database", "problem", f"{shown}: {said}", "start it, or correct GONOGO_DATABASE_URL")
    else:
        yield Finding("database", "ok", f"{shown}, schema {found}")
    finally:
        engine.dispose()


def broker(settings: Settings) -> Iterator[Finding]:
    """That it answers, and never throws messages away when it is full."""
    import redis

    wired, socket = data_dirs.with_broker(settings)
    if socket is not None and not data_dirs.is_locked(settings.data_dir):
        yield Finding("broker", "skipped", "embedded, and the stack does not run", "`gonogo up` starts it")
        return
    url = wired.broker
    shown = url.rpartition("@")[2] if "@" in url else url
    client = redis.Redis.from_url(url, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S)
    try:
        client.ping()
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.ResponseError:
        policy = None  # a managed broker may hide its configuration
    except (redis.RedisError, OSError) as error:
        mend = "see logs/valkey.log" if socket else "start it, or correct GONOGO_BROKER_URL"
        yield Finding("broker", "problem", f"{shown}: {error}", mend)
        return
    finally:
        client.close()
    if policy not in {None, "noeviction"}:
        mend = "CONFIG SET maxmemory-policy noeviction"
        yield Finding("broker", "problem", f"{shown} drops messages when full: policy {policy}", mend)
    else:
        yield Finding("broker", "ok", f"{shown}, policy {policy or 'not shown'}")


def models(settings: Settings) -> Iterator[Finding]:
    """That the shipped artifacts are whole and run in this machine's ONNX Runtime."""
    import numpy
    import onnxruntime

    shipped = sorted((Path(__file__).parents[2] / "registry" / "published").glob("*/*.gonogo"))
    if not shipped:
        yield Finding("model", "problem", "no model is shipped with this installation", "install it again")
    for path in shipped:
        try:
            artifact = read_artifact(path)
            engine = onnxruntime.InferenceSession(artifact.onnx(), providers=["CPUExecutionProvider"])
            size = artifact.preprocessing
            picture = numpy.zeros((1, size.height, size.width, size.channels), dtype=numpy.uint8)
            engine.run(["logit"], {"images": picture})
        except Exception as error:
            said = str(error).split("\n", maxsplit=1)[0]
            yield Finding("model", "problem", f"{path.name} does not load: {said}", "install gonogo again")
        else:
            detail = f"{artifact.name} {artifact.sha256[:12]} runs (onnxruntime {onnxruntime.__version__})"
            yield Finding("model", "ok", detail)


def running_service(arguments: argparse.Namespace, settings: Settings) -> Iterator[Finding]:
    """That somebody answers, takes our key, and has a live worker."""
    from shared.client.client import ApiError, Unreachable

    runs_here = data_dirs.is_locked(settings.data_dir)
    try:
        client = service.open_client(arguments, patience_s=0.0)
    except service.Usage as error:
        yield Finding("service", "skipped", str(error), "`gonogo up` makes the first key")
        return
    with client:
        try:
            workers = list(client.workers())
        except Unreachable as error:
            state: Literal["problem", "skipped"] = "problem" if runs_here or arguments.url else "skipped"
            mend = "see logs/web.log, or give --url" if runs_here else "`gonogo up` starts it"
            yield Finding("service", state, str(error), mend)
            return
        except ApiError as error:
            mend = "use a key of this service" if error.status in {401, 403} else "see logs/web.log"
            yield Finding("service", "problem", str(error), mend)
            return
        yield Finding("service", "ok", f"{client.url} answers and takes the key")
        lanes = sorted({lane for worker in workers for lane in worker["lanes"]})
        if not workers:
            yield Finding("workers", "problem", "no live worker", "see logs/worker-bulk.log")
        else:
            yield Finding("workers", "ok", f"{len(workers)} live, lanes {', '.join(lanes)}")
        if client.ready():
            yield Finding("ready", "ok", "/readyz")
        else:
            yield Finding("ready", "problem", "/readyz says no", "see the lines above and DATA_DIR/logs")
