"""No POST ignores an Idempotency-Key: it honours the key, is idempotent by itself and says so, or refuses the key."""

import pytest

from tests.harness.site import Site
from tests.unit.web.test_closed import calls, operator

HONOURED = {
    "submit",
    "create_webhook_endpoint",
    "rotate_webhook_secret",
}  # each tested with its own repetition
KEY = {"Idempotency-Key": "k-1", "Origin": "http://localhost"}


def test_every_post_honours_the_key_or_says_why_it_needs_none_or_refuses_it(site: Site) -> None:
    browser, seen = operator(site), set[str]()
    paths = site.client.get("/openapi.json").get_json()["paths"]
    posts = {made["post"]["operationId"]: made["post"] for made in paths.values() if "post" in made}
    for rule, method, path in calls(site):
        name = rule.endpoint.partition(".")[2]
        if method != "POST" or name not in posts:
            continue
        takes = "Idempotency-Key" in {each["name"] for each in posts[name].get("parameters", [])}
        about = posts[name].get("description", "")
        answer = browser.post(path, headers=KEY, json={})
        refused = answer.is_json and answer.get_json().get("code") == "idempotency_key_not_taken"
        assert takes == (name in HONOURED), name
        assert [takes, "Idempotent by itself:" in about, refused].count(True) == 1, (name, about, answer.text)
        assert refused == ("is refused" in about), name
        if refused:
            assert answer.status_code == 400
            assert [each["pointer"] for each in answer.get_json()["errors"]] == ["/header/Idempotency-Key"]
        seen.add(name)
    assert seen == {*posts}


@pytest.mark.parametrize("step", ["cancel", "pause", "resume"])
def test_a_repeated_step_is_answered_like_the_first(site: Site, step: str) -> None:
    batch = site.submit(["a.png"])
    if step == "resume":
        site.client.post(f"/v1/batches/{batch['id']}/pause", headers=site.bearer)
    answers = [
        site.client.post(f"/v1/batches/{batch['id']}/{step}", headers={**site.bearer, **KEY})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].get_json()["status"] == answers[1].get_json()["status"]
