"""Settings: one frozen, typed object, read from the environment.

Every setting is an environment variable `GONOGO_<NAME>`. An unknown name with that prefix stops the start, since a
mistyped limit that is silently ignored is worse than no limit. The table in docs/settings.md is generated from the
fields here. A test names the few other readers of the environment.
"""

import codecs
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from shared import environment
from shared.blobs import buckets
from shared.environment import PREFIX, check_number, check_text
from shared.errors import SettingsError

# Read by shared/failpoints.py and by the command line.
_NOT_SETTINGS = {"GONOGO_FAILPOINTS", "GONOGO_FAILPOINTS_DIR", "GONOGO_API_KEY", "GONOGO_URL"}

_PUBLIC_URL = re.compile(r"https?://([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?(/[\w.~-]+)*/?", re.ASCII)
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII)
_CHOICES = {
    "device": ("auto", "cpu", "cuda"),
    "precision": ("fp32", "fp16"),
    "cache": ("on", "off"),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
}


# Faults of an image file that GONOGO_TOLERATED_IMAGE_FAULTS may name; docs/images.md says what each lets through.
IMAGE_FAULTS = (
    "jpeg_bytes_before_end",
    "jpeg_missing_end",
    "png_ancillary_checksum",
)


def _quoted(path: Path) -> str:
    """A path as a part of a URL: a folder may be called `a?b#c%d`."""
    return quote(str(path), safe="/")


def socket_url(socket: Path) -> str:
    """The broker URL of a Unix socket."""
    return "unix://" + _quoted(socket)


def _setting(default: Any, about: str, *, at_least: int = 0, at_most: int | None = None) -> Any:
    return field(default=default, metadata={"about": about, "at_least": at_least, "at_most": at_most})


@dataclass(frozen=True)
class Settings:
    """Everything that may differ between two installations."""

    data_dir: Path = _setting(Path("gonogo-data"), "where the embedded stack keeps everything")
    database_url: str = _setting(
        "", "SQLAlchemy URL, with `?pgbouncer=true` behind PgBouncer; empty: SQLite in the data dir"
    )
    broker_url: str = _setting(
        "", "Redis, Valkey or Sentinel URL (docs/operations.md); empty: the embedded Valkey in the data dir"
    )
    blob_url: str = _setting("", "where image bytes are kept (file:///…); empty: `blobs/` in the data dir")
    installation: str = _setting(
        "", "name of this installation in the broker's keys; empty: an id kept in the database"
    )
    host: str = _setting("127.0.0.1", "address the web service listens on")
    port: int = _setting(8000, "port the web service listens on", at_least=1, at_most=65535)
    public_url: str = _setting(
        "", "address at which clients reach the service, such as https://parts.plant.example/gonogo"
    )
    trusted_proxies: str = _setting(
        "", "networks of proxies whose X-Forwarded-* headers count: CIDRs, comma-separated"
    )
    cors_origins: str = _setting(
        "", "origins whose pages may call the API with a key: https://host:port, comma-separated; empty: none"
    )
    max_wait_s: float = _setting(
        60.0, "longest time that a poll is held; less than the read timeout of a proxy in front"
    )
    metrics_address: str = _setting(
        "", "host:port of a second listener that serves /metrics without a key, and nothing else; empty: none"
    )
    web_threads: int = _setting(
        64, "requests one web process answers at a time; a waiting one does not count", at_least=1
    )
    workers: int = _setting(2, "inference processes that one `gonogo up` starts", at_least=1)
    lanes: str = _setting("interactive,normal,low", "lanes one inference process serves, comma-separated")
    decode_threads: int = _setting(0, "threads that decode ahead of the engine; 0: CPU 0, CUDA 8")
    device: str = _setting("auto", "auto, cpu or cuda")
    engine_threads: int = _setting(1, "threads one inference process computes with", at_least=1)
    precision: str = _setting("fp32", "fp32, or fp16 on CUDA")
    micro_batch: int = _setting(32, "images one forward pass takes", at_least=1)
    cache: str = _setting("on", "on, or off: judge the same bytes again though the model has judged them")
    chunk_s: float = _setting(0.7, "seconds of work in a chunk, by the speed that workers report")
    interactive_chunk_s: float = _setting(
        0.05,
        "seconds of work in a chunk of the lane `interactive`: another tenant's prediction waits so long",
    )
    chunk_items: int = _setting(4096, "most items in a chunk, whatever the speed", at_least=1)
    chunk_bytes: int = _setting(64 * 2**20, "bytes after which a chunk is closed", at_least=1)
    lease_s: float = _setting(30.0, "seconds a worker may hold a chunk without a heartbeat")
    heartbeat_s: float = _setting(10.0, "seconds between two heartbeats")
    sweep_s: float = _setting(5.0, "seconds between two sweeps")
    review_passed_share: float = _setting(
        0.01, "share of the items with the verdict no_defect that persons are asked to review", at_most=1
    )
    review_refused_share: float = _setting(
        0.05, "share of the items with the verdict defect that persons are asked to review", at_most=1
    )
    review_second_share: float = _setting(
        0.0,
        "share of the reviewed items that a second person reviews without seeing the first opinion",
        at_most=1,
    )
    review_lease_s: float = _setting(
        300.0,
        "seconds for which an item to be reviewed is held for the person who asked for it, at most a day",
        at_least=1,
        at_most=86_400,
    )
    clock_settle_s: float = _setting(
        60.0, "seconds that the clock must run evenly before anything is deleted for its age"
    )
    republish_s: float = _setting(10.0, "seconds after which a queued chunk is announced again")
    max_attempts: int = _setting(
        3, "deaths a chunk survives before it is bisected, or its item failed", at_least=1
    )
    chunk_timeout_s: float = _setting(120.0, "seconds after which a hung inference process is killed")
    item_timeout_s: float = _setting(20.0, "seconds one image may take to decode before it fails alone")
    child_memory_bytes: int = _setting(
        4 * 2**30, "memory one CPU inference process may take beyond that of its start; 0: no bound"
    )
    max_item_bytes: int = _setting(64 * 2**20, "largest image accepted", at_least=1)
    filename_encoding: str = _setting(
        "", "encoding of file names that are not UTF-8, such as gbk or cp932; empty: guessed"
    )
    max_request_bytes: int = _setting(8 * 2**30, "largest request body accepted", at_least=1)
    max_batch_items: int = _setting(1_000_000, "most items in one batch", at_least=1)
    max_pixels: int = _setting(50_000_000, "most pixels an image may declare", at_least=1)
    tolerated_image_faults: str = _setting(
        "", "harmless faults of image files to let through, comma-separated (docs/images.md)"
    )
    max_backlog_items: int = _setting(2_000_000, "open items over which submissions are refused with 503")
    max_backlog_bytes: int = _setting(
        200 * 2**30, "stored bytes of open items over which submissions get 503"
    )
    max_tenant_items: int = _setting(1_500_000, "open items of one tenant over which it is refused with 429")
    max_tenant_bytes: int = _setting(
        150 * 2**30, "stored bytes of one tenant's open items over which it gets 429"
    )
    max_tenant_stored_bytes: int = _setting(
        0, "stored bytes of one tenant's batches over which it gets 429; 0: no bound"
    )
    max_tenant_stored_items: int = _setting(0, "kept items of one tenant over which it gets 429; 0: no bound")
    max_tenant_retention_s: float = _setting(
        0.0, "longest retention in seconds that a tenant may ask for; 0: no bound"
    )
    rate_limit_requests: int = _setting(
        120_000, "requests of one key in a window, over which it gets 429; 0: no limit"
    )
    rate_limit_wrong_keys: int = _setting(
        300, "requests with a wrong key from one address in a window, over which they get 429; 0: no limit"
    )
    rate_limit_window_s: int = _setting(60, "seconds of a window of the rate limits", at_least=1)
    min_free_bytes: int = _setting(256 * 2**20, "free disk below which submissions are refused with 503")
    retention_s: float = _setting(30 * 86400.0, "seconds a finished batch and its bytes are kept")
    audit_retention_s: float = _setting(365 * 86400.0, "seconds an entry of the audit trail is kept")
    drift_window: int = _setting(
        200, "judged images of a line that are compared with the model's reference at once", at_least=50
    )
    session_s: float = _setting(12 * 3600.0, "seconds after which a page asks for the key again", at_least=1)
    orphan_s: float = _setting(3600.0, "seconds after which bytes that no batch owns are removed")
    upload_lease_s: float = _setting(20.0, "seconds an unfinished upload holds its idempotency key")
    draft_s: float = _setting(86400.0, "seconds a draft is kept after its newest part, until it is finalized")
    predict_wait_s: float = _setting(30.0, "seconds /v1/predict waits for its verdict")
    trial_s: float = _setting(60.0, "seconds the trial load of an uploaded model may take", at_least=1)
    trial_memory_bytes: int = _setting(2 * 2**30, "memory the trial load of an uploaded model may take")
    drain_s: float = _setting(20.0, "seconds running work may take to end at shutdown")
    webhook_allowed_networks: str = _setting(
        "", "private networks webhooks may reach: CIDRs, comma-separated"
    )
    webhook_timeout_s: float = _setting(15.0, "seconds one delivery attempt may take in all")
    fetch_allowed_networks: str = _setting(
        "", "private networks that the URLs of images may lead to: CIDRs, comma-separated"
    )
    fetch_timeout_s: float = _setting(60.0, "seconds one fetch of an image may take in all", at_least=1)
    fetch_silence_s: float = _setting(
        15.0, "seconds without a byte after which a fetch is given up", at_least=1
    )
    fetch_tries: int = _setting(5, "tries of a fetch that a later try may mend", at_least=1)
    s3_buckets: str = _setting(
        "",
        "objects that tenants may name: TENANT=BUCKET or TENANT=BUCKET/FOLDER, comma-separated; `*`: all tenants",
    )
    s3_endpoint_url: str = _setting("", "address of the S3 API; empty: that of AWS")
    access_log: str = _setting(
        "stderr", "where the web service writes a JSON line a request: stderr, off, or a file"
    )
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise SettingsError(f"{PREFIX}{name.upper()} must be one of {', '.join(allowed)}")
        for fault in filter(None, (name.strip() for name in self.tolerated_image_faults.split(","))):
            if fault not in IMAGE_FAULTS:
                raise SettingsError(
                    f"{PREFIX}TOLERATED_IMAGE_FAULTS: unknown {fault!r}; known are {', '.join(IMAGE_FAULTS)}"
                )
        try:
            codecs.lookup(self.filename_encoding or "utf-8")
        except LookupError as error:
            raise SettingsError(f"{PREFIX}FILENAME_ENCODING: {error}") from error
        for name in ("webhook_allowed_networks", "fetch_allowed_networks", "trusted_proxies"):
            try:
                for network in filter(None, getattr(self, name).split(",")):
                    ipaddress.ip_network(network.strip())
            except ValueError as error:
                raise SettingsError(f"{PREFIX}{name.upper()}: {error}") from error
        buckets.opened(self.s3_buckets)
        if self.s3_endpoint_url and not re.match(r"https?://[^/\s@]+/?$", self.s3_endpoint_url):
            raise SettingsError(
                f"{PREFIX}S3_ENDPOINT_URL must be like https://host:port, not {self.s3_endpoint_url!r}"
            )
        if self.public_url and not _PUBLIC_URL.fullmatch(self.public_url):
            raise SettingsError(
                f"{PREFIX}PUBLIC_URL must be like https://host:port/path, without a query, not {self.public_url!r}"
            )
        wrong = [origin for origin in self.origins if not _ORIGIN.fullmatch(origin)]
        if wrong:
            raise SettingsError(
                f"{PREFIX}CORS_ORIGINS must name origins like https://host:port in lower case, without a path,"
                f" not {wrong[0]!r}"
            )
        if self.metrics_address and self.metrics_at is None:
            raise SettingsError(
                f"{PREFIX}METRICS_ADDRESS must be host:port with a port other than {PREFIX}PORT's, such as"
                f" 127.0.0.1:9100, not {self.metrics_address!r}"
            )
        self._check_each()

    def _check_each(self) -> None:
        for entry in fields(self):
            name, value = PREFIX + entry.name.upper(), getattr(self, entry.name)
            if isinstance(value, int | float):
                check_number(name, value, entry.metadata["at_least"], entry.metadata["at_most"])
            else:
                check_text(name, value)
        if self.heartbeat_s >= self.lease_s:
            raise SettingsError(
                f"{PREFIX}HEARTBEAT_S ({self.heartbeat_s:g}) must be less than {PREFIX}LEASE_S ({self.lease_s:g}):"
                " a lease that no heartbeat renews ends while its worker works"
            )

    @property
    def origins(self) -> frozenset[str]:
        """The origins of other sites whose pages may call the API."""
        return frozenset(each.strip() for each in self.cors_origins.split(",") if each.strip())

    @property
    def metrics_at(self) -> tuple[str, int] | None:
        """Host and port of the metrics address; None where there is none."""
        host, _, port = self.metrics_address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        # The server tells its two addresses apart by their ports.
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16 or int(port) == self.port:
            return None
        return host, int(port)

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or "sqlite:///" + _quoted(self.data_dir.absolute() / "gonogo.db")

    @property
    def sqlite_file(self) -> Path | None:
        """The file of an SQLite database; None where the database is a server."""
        scheme, _, rest = self.database.partition(":///")
        return Path(unquote(rest.partition("?")[0])) if scheme in ("sqlite", "sqlite+pysqlite") else None

    @property
    def broker(self) -> str:
        """The broker URL in force, as redis-py spells it."""
        return self.broker_url or socket_url(self.data_dir.absolute() / "valkey" / "valkey.sock")

    @property
    def public_base(self) -> str:
        """GONOGO_PUBLIC_URL without a slash at its end; empty: links begin with their path."""
        return self.public_url.rstrip("/")

    @property
    def blobs(self) -> Path:
        """The folder of the blob store."""
        if not self.blob_url:
            return self.data_dir.absolute() / "blobs"
        scheme, _, path = self.blob_url.partition("://")
        if scheme != "file" or not path.startswith("/"):
            raise SettingsError(f"GONOGO_BLOB_URL must be file:///an/absolute/path, not {self.blob_url!r}")
        return Path(unquote(path))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment; raises SettingsError for an unknown name or a value of the wrong type."""
        environ = os.environ if environ is None else environ
        known = {PREFIX + entry.name.upper(): entry for entry in fields(cls)}
        environ = {
            name: value for name, value in environ.items() if not environment.is_kubernetes(name, value)
        }
        unknown = sorted(
            name
            for name in environ
            if name.startswith(PREFIX) and name not in known and name not in _NOT_SETTINGS
        )
        if unknown:
            raise SettingsError(f"unknown setting: {', '.join(unknown)}")
        values: dict[str, Any] = {}
        for name, entry in known.items():
            if name in environ:
                values[entry.name] = environment.read(name, environ[name], type(entry.default))
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """The environment that makes a child process read the same settings."""
        return {PREFIX + entry.name.upper(): str(getattr(self, entry.name)) for entry in fields(self)}
