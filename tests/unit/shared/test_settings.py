"""The environment is read once, strictly, and a child reads the same."""

import os
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
import redis

from shared.environment import PREFIX
from shared.errors import SettingsError
from shared.settings import Settings
from shared.store.engine import Database


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_each_value_has_the_type_of_its_default() -> None:
    read = Settings.from_env(
        {
            "GONOGO_PORT": "81",
            "GONOGO_LEASE_S": "12.5",
            "GONOGO_DATA_DIR": "/x",
            "GONOGO_DEVICE": "cpu",
            "HOME": "/root",
        }
    )
    assert (read.port, read.lease_s, read.data_dir, read.device) == (81, 12.5, Path("/x"), "cpu")


@pytest.mark.parametrize("name", ["GONOGO_MAX_ITEM_BYTE", "GONOGO_", "GONOGO_port"])
def test_an_unknown_name_stops_the_start_and_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: "1"})


def test_what_the_command_line_reads_is_no_unknown_name() -> None:
    Settings.from_env(
        {"GONOGO_API_KEY": "k", "GONOGO_URL": "u", "GONOGO_FAILPOINTS": "", "GONOGO_FAILPOINTS_DIR": ""}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GONOGO_PORT", "eighty"),
        ("GONOGO_PORT", "80.5"),
        ("GONOGO_LEASE_S", ""),
        ("GONOGO_LEASE_S", "nan"),
        ("GONOGO_CHUNK_ITEMS", "-1"),
        ("GONOGO_MICRO_BATCH", "0"),
        ("GONOGO_DEVICE", "tpu"),
        ("GONOGO_PRECISION", "fp8"),
        ("GONOGO_LOG_LEVEL", "LOUD"),
        ("GONOGO_TOLERATED_IMAGE_FAULTS", "jpeg_missing_end,everything"),
        ("GONOGO_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/99"),
        ("GONOGO_METRICS_ADDRESS", "9100"),
        ("GONOGO_METRICS_ADDRESS", ":9100"),
        ("GONOGO_METRICS_ADDRESS", "127.0.0.1:http"),
        ("GONOGO_METRICS_ADDRESS", "127.0.0.1:70000"),
        ("GONOGO_METRICS_ADDRESS", "127.0.0.1:8000"),
        ("GONOGO_CORS_ORIGINS", "*"),
        ("GONOGO_CORS_ORIGINS", "null"),
        ("GONOGO_CORS_ORIGINS", "parts.example"),
        ("GONOGO_CORS_ORIGINS", "https://parts.example/"),
        ("GONOGO_CORS_ORIGINS", "https://parts.example,https://Parts.example"),
        ("GONOGO_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("GONOGO_TRUSTED_PROXIES", "proxy.example"),
        ("GONOGO_PUBLIC_URL", "parts.example"),
        ("GONOGO_PUBLIC_URL", "ftp://parts.example"),
        ("GONOGO_PUBLIC_URL", "https://parts.example/gonogo?x=1"),
        ("GONOGO_PUBLIC_URL", "https://user@parts.example"),
        ("GONOGO_PUBLIC_URL", "https://parts.example//evil"),
    ],
)
def test_a_value_that_cannot_be_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({name: value})


def test_a_child_process_reads_the_same_settings() -> None:
    changed = replace(
        Settings(),
        port=1,
        lease_s=10.25,
        data_dir=Path("/srv/parts"),
        webhook_allowed_networks="10.0.0.0/8,127.0.0.0/8",
    )
    assert Settings.from_env(changed.to_env()) == changed
    assert set(changed.to_env()) == {PREFIX + entry.name.upper() for entry in fields(Settings)}


def test_settings_do_not_change_under_a_running_process() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_everything_is_in_the_data_dir_unless_it_is_put_elsewhere() -> None:
    inside = Settings(data_dir=Path("/srv/gonogo"))
    assert inside.database == "sqlite:////srv/gonogo/gonogo.db"
    assert inside.broker == "unix:///srv/gonogo/valkey/valkey.sock"
    assert inside.blobs == Path("/srv/gonogo/blobs")
    outside = Settings(
        database_url="postgresql://h/d", broker_url="redis://h:6379/0", blob_url="file:///mnt/blobs"
    )
    assert (outside.database, outside.broker) == ("postgresql://h/d", "redis://h:6379/0")
    assert outside.blobs == Path("/mnt/blobs")


def test_a_relative_data_dir_means_the_same_in_every_child() -> None:
    assert (
        Path(Settings(data_dir=Path("here")).database.removeprefix("sqlite:///"))
        == Path.cwd() / "here" / "gonogo.db"
    )


def test_a_blob_url_spells_odd_characters_as_a_url_does() -> None:
    assert Settings(blob_url="file:///mnt/a%23b%3Fc%25d").blobs == Path("/mnt/a#b?c%d")


@pytest.mark.parametrize("url", ["s3://bucket", "file://relative/path", "/plain/path"])
def test_a_blob_url_that_is_no_folder_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="GONOGO_BLOB_URL"):
        _ = Settings(blob_url=url).blobs


@pytest.mark.parametrize("folder", ["a?b", "a#b", "a%41b", "a;b", "a b", "bücher", "a\"b'c", "a\nb", "a\\b"])
def test_a_data_dir_of_any_name_holds_its_database_and_its_socket(tmp_path: Path, folder: str) -> None:
    settings = Settings(data_dir=tmp_path / folder)
    settings.data_dir.mkdir()
    database = Database(settings.database)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    database.dispose()
    assert (settings.data_dir / "gonogo.db").is_file()
    assert settings.sqlite_file == settings.data_dir / "gonogo.db"
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    client = redis.Redis.from_url(settings.broker)
    assert client.connection_pool.connection_kwargs["path"] == str(
        settings.data_dir / "valkey" / "valkey.sock"
    )


@pytest.mark.parametrize("service", ["", "WEB_"])
def test_the_variables_that_kubernetes_sets_for_a_service_of_our_name_are_no_settings(service: str) -> None:
    set_by_kubernetes = {
        f"GONOGO_{service}PORT": "tcp://10.0.0.1:8000",
        f"GONOGO_{service}SERVICE_HOST": "10.0.0.1",
        f"GONOGO_{service}SERVICE_PORT": "8000",
        f"GONOGO_{service}SERVICE_PORT_HTTP": "8000",
        f"GONOGO_{service}PORT_8000_TCP": "tcp://10.0.0.1:8000",
        f"GONOGO_{service}PORT_8000_TCP_PROTO": "tcp",
        f"GONOGO_{service}PORT_8000_TCP_PORT": "8000",
        f"GONOGO_{service}PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    assert Settings.from_env(set_by_kubernetes) == Settings()
    assert Settings.from_env({"GONOGO_PORT": "8001"}).port == 8001
    with pytest.raises(SettingsError, match="GONOGO_PORTS"):
        Settings.from_env({"GONOGO_PORTS": "8001"})


def test_the_metrics_address_is_a_host_and_a_port() -> None:
    assert Settings().metrics_at is None
    assert replace(Settings(), metrics_address="127.0.0.1:9100").metrics_at == ("127.0.0.1", 9100)
    assert replace(Settings(), metrics_address="[::1]:9100").metrics_at == ("::1", 9100)


@pytest.mark.parametrize("name", [entry.name.upper() for entry in fields(Settings)])
def test_a_service_named_after_a_setting_is_no_setting(name: str) -> None:
    """Kubernetes gives each container variables for each Service: one called `gonogo-data-dir` is not a data dir."""
    start = f"GONOGO_{name}"
    injected = {
        f"{start}_SERVICE_HOST": "10.0.0.1",
        f"{start}_SERVICE_PORT": "80",
        f"{start}_SERVICE_PORT_HTTP": "80",
        f"{start}_PORT": "tcp://10.0.0.1:80",
        f"{start}_PORT_80_TCP": "tcp://10.0.0.1:80",
        f"{start}_PORT_80_TCP_PROTO": "tcp",
        f"{start}_PORT_80_TCP_PORT": "80",
        f"{start}_PORT_80_TCP_ADDR": "10.0.0.1",
        f"{start}_PORT_53_UDP": "udp://10.0.0.1:53",
        f"{start}_PORT_53_UDP_ADDR": "10.0.0.1",
    }
    assert Settings.from_env(injected) == Settings()


def test_a_line_feed_at_the_end_of_a_mounted_secret_is_no_part_of_it() -> None:
    read = Settings.from_env(
        {
            "GONOGO_DATABASE_URL": "postgresql://u:p@h/db\n",
            "GONOGO_BROKER_URL": " redis://h:6379/0\r\n",
            "GONOGO_PORT": "8080\n",
            "GONOGO_DATA_DIR": "/data\n",
        }
    )
    assert (read.database_url, read.broker_url, read.port, read.data_dir) == (
        "postgresql://u:p@h/db", "redis://h:6379/0", 8080, Path("/data")
    )  # fmt: skip


NUMBERS = [entry.name for entry in fields(Settings) if isinstance(entry.default, int | float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", str(10**40), "-1"])
def test_no_number_is_taken_that_a_column_or_a_date_cannot_hold(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"GONOGO_{name.upper()} must be"):
        Settings.from_env({f"GONOGO_{name.upper()}": value})


def test_a_path_that_no_url_can_hold_is_refused() -> None:
    with pytest.raises(SettingsError, match="GONOGO_DATA_DIR must be UTF-8"):
        Settings(data_dir=Path(os.fsdecode(b"/data/\xff")))
    with pytest.raises(SettingsError, match="GONOGO_DATA_DIR is empty"):
        Settings.from_env({"GONOGO_DATA_DIR": ""})
