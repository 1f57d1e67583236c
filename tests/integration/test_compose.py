"""The compose file: valid by its schema, hardened, and its parts run for real: each command, the proxy, the broker with
its users, and the database with its two roles."""

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml
from sqlalchemy import make_url

from shared.broker.queues import prefix
from shared.settings import Settings
from tests.harness.broker_walk import walk
from tests.harness.compose import (
    NGINX,
    Proxy,
    broker_of_compose,
    make_roles,
    make_secrets,
    proxy_of_compose,
)
from tests.harness.databases import empty_database_url
from tests.harness.processes import ROOT, free_port, until
from tests.harness.stack import FAST, Stack

COMPOSE = ROOT / "docker-compose.yml"
OURS = ("migrate", "web", "worker-cpu", "worker-interactive", "worker-webhooks", "sweeper")
OTHERS = ("worker-gpu", "proxy", "valkey", "postgres")
# Sent where a worker gives messages in hand back to the queue.
SELDOM = {"watch", "unwatch", "hget", "rpush", "smembers"}
FILE = yaml.safe_load(COMPOSE.read_text())


def services() -> dict[str, Any]:
    return dict(FILE["services"])


def command_of(name: str) -> list[str]:
    """A service's command with this environment's interpreter for `python`."""
    command = services()[name]["command"]
    words = shlex.split(command) if isinstance(command, str) else list(command)
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


def test_the_compose_file_follows_the_compose_schema() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_compose_file_has_every_process_of_the_service() -> None:
    assert set(services()) == {*OURS, *OTHERS}
    assert services()["worker-gpu"]["profiles"] == ["gpu"]
    assert services()["worker-gpu"]["environment"]["GONOGO_DEVICE"] == "cuda"
    assert "maxmemory-policy noeviction" in (ROOT / "deploy" / "valkey.conf").read_text()


def test_every_setting_in_the_compose_file_is_known() -> None:
    for name in (*OURS, "worker-gpu"):
        environment = {
            key: re.sub(r"\$\{\w+(:-(\w*))?[^}]*\}", r"\2", str(value))
            for key, value in services()[name]["environment"].items()
        }
        environment.pop("TMPDIR")
        Settings.from_env(environment)


@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_a_container_has_no_more_than_it_needs(name: str) -> None:
    here = services()[name]
    assert here["read_only"] is True
    assert here["cap_drop"] == ["ALL"]
    assert not {"cap_add", "privileged", "devices", "pid", "ipc", "network_mode"} & set(here)
    assert here["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(here)
    assert all(":ro" in volume for volume in here["volumes"] if volume.startswith("./"))
    waits_for = [other for each in services().values() for other in each.get("depends_on", {})]
    assert name == "migrate" or name not in waits_for or "healthcheck" in here


def test_every_image_is_pinned_and_no_secret_has_a_default() -> None:
    for name, here in services().items():
        tag = here["image"].rpartition(":")[2]
        ours = here["image"].startswith("gonogo:${GONOGO_VERSION:-local}")
        assert ours or re.match(r"\d+\.\d+", tag), f"{name}: {here['image']}"
    for variable in re.findall(r"\$\{(\w+PASSWORD\w*)([^}]*)\}", COMPOSE.read_text()):
        assert variable[1].startswith(":?"), variable


def test_the_proxy_alone_is_open_to_others_and_the_webhooks_alone_reach_out() -> None:
    assert FILE["networks"]["inside"]["internal"] is True
    trusted = services()["web"]["environment"]["GONOGO_TRUSTED_PROXIES"]
    assert trusted == services()["proxy"]["networks"]["inside"]["ipv4_address"] + "/32"
    assert [name for name, here in services().items() if "ports" in here] == ["proxy"]
    outside = {name for name, here in services().items() if "outside" in here["networks"]}
    assert outside == {"proxy", "worker-webhooks"}


@pytest.mark.skipif(NGINX is None, reason="needs nginx (apt-get install nginx-light)")
@pytest.mark.timeout(200)
def test_the_parts_of_the_compose_file_serve_a_batch_behind_tls(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    secrets = make_secrets(tmp_path)
    acl = tmp_path / "deploy" / "secrets" / "valkey.acl"
    commands = set(re.findall(r"\+(\S+)", acl.read_text().splitlines()[-1]))
    acl.write_text(f"{acl.read_text()}user looker on >looker -@all +acl|log +info\n")
    with (
        empty_database_url("postgresql", tmp_path) as url,
        make_roles(url, secrets) as (as_owner, as_service),
        broker_of_compose(tmp_path, secrets) as broker,
    ):
        settings = replace(
            Settings(),
            data_dir=tmp_path,
            database_url=as_service,
            broker_url=f"redis://gonogo:{secrets['BROKER_PASSWORD']}@127.0.0.1:{broker}/0",
            port=free_port(),
            trusted_proxies="127.0.0.1",
            metrics_address=f"127.0.0.1:{free_port()}",
            min_free_bytes=0,
            workers=1,
            webhook_allowed_networks="127.0.0.0/8",
            fetch_allowed_networks="127.0.0.0/8",
            **FAST,
        )
        stack = Stack(tmp_path, settings)
        try:
            stack.spawn("migrate", command_of("migrate"), {"GONOGO_DATABASE_URL": as_owner})
            assert stack.processes.pop("migrate").wait(60) == 0, (tmp_path / "migrate.log").read_text()
            stack.prepare([])
            for name in OURS[1:]:
                stack.spawn(name, command_of(name))
            stack.wait_ready()
            with proxy_of_compose(tmp_path, stack.settings.port) as proxy:
                serves_a_batch(stack, proxy, images)
            keeps_its_metrics_inside(stack)
            walk(stack, "worker-cpu", command_of("worker-cpu"))
            sends_its_commands_and_no_other(broker, commands)
            obeys_no_stranger(stack, broker)
        finally:
            stack.stop()
        alters_nothing(as_service)


def serves_a_batch(stack: Stack, proxy: Proxy, images: dict[str, bytes]) -> None:
    """Through TLS: an upload of some megabytes, a waiting poll, results, and the proxy's own answers."""
    large = {name: data + bytes(200_000) for name, data in images.items()}
    batch = proxy.submit(stack.key, large)
    assert batch["links"]["self"] == f"https://localhost:{proxy.tls}/v1/batches/{batch['id']}"
    ended = proxy.finish(stack.key, batch["id"])
    assert ended["counts"]["succeeded"] == len(images)
    assert ended["model"]["name"] == "rendered-parts"
    status, headers, body = proxy.request("GET", f"/v1/batches/{batch['id']}/results", key=stack.key)
    assert (status, len(body.splitlines())) == (200, len(images))
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "nginx/" not in headers["server"]
    assert proxy.request("GET", "/metrics", key=stack.key)[0] == 404
    status, headers = proxy.plain("/batches?x=1")
    assert (status, headers["location"]) == (308, "https://localhost/batches?x=1")


def keeps_its_metrics_inside(stack: Stack) -> None:
    assert stack.request("GET", "/metrics", Authorization="Bearer none")[0] == 401
    port = stack.settings.metrics_address.rpartition(":")[2]
    inside = replace(stack.settings, port=int(port), metrics_address="")
    scraper = replace(stack, settings=inside, key="none")
    status, _, body = scraper.request("GET", "/metrics")
    assert status == 200
    assert b"gonogo_workers 2.0" in body
    assert scraper.request("GET", "/livez")[0] == 404


def sends_its_commands_and_no_other(broker: int, allowed: set[str]) -> None:
    """The broker has refused nothing that a program sent, and the service's user may send nothing that none sends."""
    looker: Any = redis.Redis(port=broker, username="looker", password="looker")

    def unused() -> set[str]:
        sent = looker.info("commandstats")
        return allowed - {name.removeprefix("cmdstat_") for name, each in sent.items() if each["calls"]}

    # Every ten seconds a worker looks for messages that no worker has acknowledged.
    until(lambda: unused() <= SELDOM, 30, f"everything has been sent but {unused()}")
    assert [each for each in looker.acl_log() if each["username"] == "gonogo"] == []


def obeys_no_stranger(stack: Stack, broker: int) -> None:
    """The service's user of the broker reaches its own keys, and was refused nothing that the service needs."""
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=broker).ping()
    user = redis.Redis.from_url(stack.settings.broker)
    assert user.llen(prefix(stack.settings) + "normal") == 0
    for command in (
        "FLUSHALL",
        "CONFIG GET *",
        "KEYS *",
        "ACL LIST",
        "SHUTDOWN",
        "GET other:key",
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command.split())  # type: ignore[no-untyped-call]
    health = redis.Redis(port=broker, username="health", password="health")
    assert health.ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        health.get("gonogo:key")
    logs = "".join(path.read_text() for path in stack.folder.glob("*.log"))
    assert "NOPERM" not in logs
    assert "no permissions" not in logs


def alters_nothing(as_service: str) -> None:
    """The service's role writes rows; it can change no table and make none."""
    url = make_url(as_service).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM batches").fetchone() == (True,)
        for statement in (
            "ALTER TABLE items ADD COLUMN extra int",
            "DROP TABLE items",
            "TRUNCATE items",
            "CREATE TABLE extra (x int)",
            "CREATE INDEX extra ON items (sha256)",
            "CREATE SCHEMA extra",
            "CREATE ROLE extra",
            "COPY items TO PROGRAM 'id'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
