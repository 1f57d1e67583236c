"""RFC 9110: a write whose condition is not met does nothing."""

import pytest

from tests.harness.application import Application
from tests.integration.test_http_keys import api_rules


@pytest.mark.parametrize("name", ["If_Match", "If_None_Match", "If_Unmodified_Since"])
def test_a_write_with_a_condition_does_nothing(app: Application, images: dict[str, bytes], name: str) -> None:
    batch = app.finished(dict(list(images.items())[:1]))
    writes = [(method, rule) for method, rule in api_rules(app) if method != "GET"]
    assert len(writes) > 20
    for method, rule in writes:
        path = rule.replace("<batch_id>", batch["id"]).replace("<", "").replace(">", "")
        response = app.call(method, path, **{name: '"nope"'})
        assert (response.status_code, response.get_json()["code"]) == (412, "precondition_unsupported"), rule
    assert app.get(f"/v1/batches/{batch['id']}")["status"] == "completed"


def test_a_write_on_whatever_is_there_is_done(app: Application, images: dict[str, bytes]) -> None:
    batch = app.finished(dict(list(images.items())[:1]))
    assert app.call("DELETE", f"/v1/batches/{batch['id']}", If_Match="*").status_code == 204
