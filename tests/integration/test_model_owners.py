"""A model version belongs to a tenant or to the installation: no tenant's upload changes what another one gets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.access.keys import InvalidTenant
from shared.lifecycle import workers
from shared.lifecycle.workers import Identity, Progress
from tests.harness.application import Application, application
from tests.harness.artifacts import write_untrained
from tests.harness.databases import migrated_database_url
from tests.harness.forged import forge, renamed
from tests.harness.forms import image_parts, options_part

OCTETS = {"content_type": "application/octet-stream"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, artifact: Path, broker_url: str
) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("installation")
    with (
        migrated_database_url(request.param, folder) as url,
        application(folder, artifact, broker_url, url) as made,
    ):
        yield made


class Tenant:
    """A tenant with an admin key of its own, which is no operator's."""

    def __init__(self, app: Application, name: str) -> None:
        self.app, self.name = app, name
        self.key = app.make_key(name, "admin")

    def call(self, method: str, path: str, **options: Any) -> Any:
        return self.app.call(method, path, key=self.key, **options)

    def ready(self, data: bytes, query: str = "") -> str:
        """The id of a version that this tenant uploaded and a worker has tried."""
        answer = self.call("POST", f"/v1/models{query}", data=data, **OCTETS)
        assert answer.status_code == 201, answer.text
        identifier: str = answer.get_json()["id"]
        self.app.try_model(identifier)
        return identifier

    def active(self) -> list[str]:
        models = self.app.get("/v1/models", key=self.key)["data"]
        return [model["id"] for model in models if model["active"]]

    def used(self, images: dict[str, bytes], asked: dict[str, Any] | None = None) -> str:
        """The id of the model that a new batch uses."""
        files = dict(list(images.items())[:1])
        model: str = self.app.submit(files, asked, key=self.key)["model"]["id"]
        return model


@pytest.fixture
def app(shared_app: Application) -> Iterator[Application]:
    """The installation's default is the same before each test."""
    yield shared_app
    shared_app.work()
    assert shared_app.call("POST", f"/v1/models/{shared_app.model_id}/activate?tenant=*").status_code == 200


_made = iter(range(1000))


@pytest.fixture
def tenants(app: Application) -> tuple[Tenant, Tenant]:
    number = next(_made)
    return Tenant(app, f"plant-{number}-a"), Tenant(app, f"plant-{number}-b")


def made(folder: Path, seed: int, name: str = "bolts") -> bytes:
    return write_untrained(folder / f"{seed}.gonogo", seed=seed, name=name).read_bytes()


def test_another_tenants_version_does_not_exist(
    tenants: tuple[Tenant, Tenant], tmp_path: Path, images: dict[str, bytes]
) -> None:
    ours, theirs = tenants
    foreign = theirs.ready(made(tmp_path, 31))
    assert foreign not in [model["id"] for model in ours.app.get("/v1/models", key=ours.key)["data"]]
    for method, path in (("GET", "card"), ("POST", "activate"), ("POST", "rollback")):
        assert ours.call(method, f"/v1/models/{foreign}/{path}").status_code == 404
    files = dict(list(images.items())[:1])
    form = ours.app.submit(files, {"model": foreign}, key=theirs.key)
    assert form["model"]["id"] == foreign
    refused = ours.app.post_form(
        "/v1/batches", options_part({"model": foreign}), *image_parts(files), key=ours.key
    )
    assert (refused.status_code, refused.get_json()["code"]) == (422, "unknown_model")


def test_an_activation_is_the_tenants_own(
    tenants: tuple[Tenant, Tenant], tmp_path: Path, images: dict[str, bytes]
) -> None:
    ours, theirs = tenants
    own = theirs.ready(made(tmp_path, 32))
    assert theirs.call("POST", f"/v1/models/{own}/activate").status_code == 200
    assert (ours.active(), theirs.active()) == ([ours.app.model_id], [own])
    assert (ours.used(images), theirs.used(images)) == (ours.app.model_id, own)


def test_a_name_is_the_version_active_under_it_for_the_tenant_else_for_the_installation(
    tenants: tuple[Tenant, Tenant], tmp_path: Path, images: dict[str, bytes]
) -> None:
    ours, theirs = tenants
    # The installation's model is called `untrained`; an upload of that name changes nothing for anybody.
    same_name = theirs.ready(made(tmp_path, 33, "untrained"))
    assert theirs.used(images, {"model": "untrained"}) == theirs.app.model_id
    assert ours.used(images, {"model": "untrained"}) == ours.app.model_id
    assert theirs.call("POST", f"/v1/models/{same_name}/activate").status_code == 200
    assert theirs.used(images, {"model": "untrained"}) == same_name
    assert ours.used(images, {"model": "untrained"}) == ours.app.model_id
    assert theirs.used(images, {"model": same_name}) == same_name


def test_the_same_bytes_are_one_version_for_each_owner(
    tenants: tuple[Tenant, Tenant], tmp_path: Path
) -> None:
    ours, theirs = tenants
    data = made(tmp_path, 34)
    mine, foreign = ours.ready(data), theirs.ready(data)
    assert mine != foreign
    assert ours.ready(data) == mine


def test_an_operator_sets_the_installations_default_for_tenants_that_have_none(
    app: Application, tenants: tuple[Tenant, Tenant], tmp_path: Path, images: dict[str, bytes]
) -> None:
    ours, theirs = tenants
    own = theirs.ready(made(tmp_path, 35))
    theirs.call("POST", f"/v1/models/{own}/activate")
    answer = app.call("POST", "/v1/models?tenant=*", data=made(tmp_path, 36, "nuts"), **OCTETS)
    common = answer.get_json()
    assert (common["tenant"], common["status"]) == ("*", "testing")
    app.try_model(common["id"])
    assert app.call("POST", f"/v1/models/{common['id']}/activate?tenant=*").status_code == 200
    assert (ours.used(images), theirs.used(images)) == (common["id"], own)
    assert theirs.used(images, {"model": "nuts"}) == common["id"]
    back = app.call("POST", f"/v1/models/{app.model_id}/rollback?tenant=*")
    assert (back.status_code, ours.active()) == (200, [app.model_id])


def test_a_tenants_own_version_cannot_be_the_installations_default(
    app: Application, tenants: tuple[Tenant, Tenant], tmp_path: Path
) -> None:
    own = tenants[0].ready(made(tmp_path, 37))
    assert app.call("POST", f"/v1/models/{own}/activate?tenant=*").status_code == 404


def test_the_list_of_workers_names_no_model_of_another_tenant(
    app: Application, tenants: tuple[Tenant, Tenant], tmp_path: Path, images: dict[str, bytes]
) -> None:
    ours, theirs = tenants
    own = theirs.ready(made(tmp_path, 38))
    theirs.used(images, {"model": own})
    app.work()
    app.runtime.heartbeat.register()
    assert own in app.runtime.models.ids
    shown = {tenant.name: app.get("/v1/workers", key=tenant.key)["data"][0]["models"] for tenant in tenants}
    assert own in shown[theirs.name]
    assert own not in shown[ours.name]


def test_only_an_operator_sees_the_host_and_the_process_of_a_worker(
    app: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    who = Identity("wrk_here", "press-7.plant.example/boot/pid:[1]", 4711, ("normal",), 1.0)
    with app.database.write() as connection:
        workers.register(connection, who, Progress((), 9, 50.0, None), device="cpu", engine="e", threads=1)
    keys = {scope: app.make_key(tenants[0].name, scope) for scope in ("read", "admin", "operator")}
    listed = {scope: app.get("/v1/workers", key=key)["data"] for scope, key in keys.items()}
    seen = {scope: next(row for row in rows if row["id"] == who.id) for scope, rows in listed.items()}
    places = {scope: (row.pop("host"), row.pop("pid")) for scope, row in seen.items()}
    nowhere = (None, None)
    assert places == {"read": nowhere, "admin": nowhere, "operator": ("press-7.plant.example", 4711)}
    assert seen["read"] == seen["admin"] == seen["operator"], "lanes, device and rates are for every key"
    assert (seen["read"]["device"], seen["read"]["items_per_second"]) == ("cpu", 50.0)


def test_nobody_is_the_installation(app: Application) -> None:
    for name in ("*", "", "x" * 65, "a\nb"):
        with pytest.raises(InvalidTenant):
            app.make_key(name, "admin")


def test_only_an_operator_names_a_tenant(app: Application, tenants: tuple[Tenant, Tenant]) -> None:
    ours, theirs = tenants
    for method, path in (
        ("GET", "/v1/models"),
        ("POST", f"/v1/models/{app.model_id}/activate"),
        ("POST", f"/v1/models/{app.model_id}/rollback"),
        ("GET", f"/v1/models/{app.model_id}/card"),
    ):
        for named in ("*", theirs.name):
            answer = ours.call(method, f"{path}?tenant={named}")
            assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
    assert ours.call("GET", f"/v1/models?tenant={ours.name}").status_code == 200
    assert app.call("GET", f"/v1/models?tenant={ours.name}").status_code == 200


def test_an_admin_of_a_tenant_gives_out_no_scope_of_the_installation(
    app: Application, tenants: tuple[Tenant, Tenant]
) -> None:
    for scope in ("operator", "metrics"):
        asked = {"name": "more", "scopes": ["read", scope]}
        assert tenants[0].call("POST", "/v1/api-keys", json=asked).status_code == 403
        assert app.call("POST", "/v1/api-keys", json=asked).status_code == 201


@pytest.mark.parametrize("name", ["mdl_01k", "mdl_", "*", "", " bolts", "two\nlines", "x" * 101])
def test_a_name_that_looks_like_an_id_or_like_nothing_is_refused(
    tenants: tuple[Tenant, Tenant], artifact: Path, tmp_path: Path, name: str
) -> None:
    data = forge(artifact, tmp_path / "named.gonogo", renamed(name)).read_bytes()
    answer = tenants[0].call("POST", "/v1/models", data=data, **OCTETS)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "invalid_model_name")
