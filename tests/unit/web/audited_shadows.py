"""The calls that start and stop shadows, for the tests of the audit trail."""

from collections.abc import Callable

from werkzeug.test import TestResponse

from shared.registry import versions
from shared.registry.artifact import read_artifact
from tests.harness.artifacts import write_untrained
from tests.harness.site import ORIGIN, Site
from tests.unit.web.audited_reviews import NAMED, send


def candidate(site: Site) -> str:
    """A ready version that is not the active one."""
    made = read_artifact(write_untrained(site.service.settings.data_dir / "candidate.gonogo", seed=7))
    return versions.register(site.service.database, site.service.blobs, made, tenant="plant")


def start(site: Site) -> TestResponse:
    return send(site, "/v1/shadows", json={"candidate": candidate(site), "share": 0.5})


def stop(site: Site) -> TestResponse:
    return send(site, f"/v1/shadows/{start(site).get_json()['id']}/stop")


def start_on_the_page(site: Site) -> TestResponse:
    path = f"/models/{candidate(site)}/shadow"
    return site.signed_in().post(path, data={"percent": "25"}, headers={**ORIGIN, **NAMED})


def stop_on_the_page(site: Site) -> TestResponse:
    shadow = start(site).get_json()
    path = f"/models/{shadow['candidate_id']}/shadow/{shadow['id']}/stop"
    return site.signed_in().post(path, headers={**ORIGIN, **NAMED})


CALLS: dict[str, tuple[str, Callable[[Site], TestResponse]]] = {
    "POST /v1/shadows": ("shadow.start", start),
    "POST /v1/shadows/<shadow_id>/stop": ("shadow.stop", stop),
    "POST /models/<model_id>/shadow": ("shadow.start", start_on_the_page),
    "POST /models/<model_id>/shadow/<shadow_id>/stop": ("shadow.stop", stop_on_the_page),
}
