"""Browsers send a file field in which nothing was chosen as a part without a file name and without a byte: it is no
image, no archive and no manifest."""

import io
from dataclasses import replace
from typing import Any

import pytest

from tests.harness.forms import Part, as_form
from tests.harness.site import Site
from web.http.problems import HttpProblem
from web.upload.body import Body
from web.upload.intake import Intake
from web.upload.receive import receive

IMAGE: Part = ("images", "a.jpg", b"an image")
UNNAMED: Part = ("images", "", b"an image too")
FIELDS = ("images", "images[]", "image", "file", "files", "archive", "manifest")


def post(site: Site, path: str, *parts: Part) -> tuple[int, Any]:
    answer = site.client.post(path, headers=site.bearer, **as_form(*parts))
    return answer.status_code, answer.get_json()


@pytest.mark.parametrize("name", [None, ""], ids=["no file name", "an empty one"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_in_which_nothing_was_chosen_is_ignored(
    site_of_file: Site, field: str, name: str | None
) -> None:
    unchosen = (field, name, b"")
    status, batch = post(site_of_file, "/v1/batches", unchosen, IMAGE, unchosen, UNNAMED, unchosen)
    assert (status, batch["counts"]["total"], batch["skipped"]) == (202, 2, 0), batch
    items = site_of_file.client.get(
        f"/v1/batches/{batch['id']}/items", headers=site_of_file.bearer
    ).get_json()["data"]
    assert [item["filename"] for item in items] == ["a.jpg", "unnamed"]
    draft = post(site_of_file, "/v1/batches?draft=true", unchosen, IMAGE)[1]
    status, grown = post(
        site_of_file, f"/v1/batches/{draft['id']}/items?part_number=1", unchosen, UNNAMED, unchosen
    )
    assert (status // 100, grown["counts"]["total"]) == (2, 2), grown


def test_a_form_in_which_no_file_was_chosen_holds_no_image(site_of_file: Site) -> None:
    unchosen: list[Part] = [(field, "", b"") for field in FIELDS]
    draft = post(site_of_file, "/v1/batches?draft=true", IMAGE)[1]
    for path in ("/v1/batches", f"/v1/batches/{draft['id']}/items?part_number=1"):
        status, problem = post(site_of_file, path, *unchosen)
        assert (status, problem["code"]) == (400, "no_images"), (path, problem)


def test_a_prediction_without_a_chosen_file_is_refused(site_of_file: Site) -> None:
    status, problem = post(site_of_file, "/v1/predict", ("file", "", b""))
    assert (status, problem["code"]) == (400, "one_image_expected"), problem


def test_an_empty_file_with_a_name_is_still_an_image(site_of_file: Site) -> None:
    status, batch = post(site_of_file, "/v1/batches", ("images", "empty.jpg", b""), IMAGE)
    assert (status, batch["counts"]["total"]) == (202, 2), batch


def test_a_request_has_a_bound_of_ignored_parts(site_of_file: Site) -> None:
    here = site_of_file.service
    bounded = replace(here, settings=replace(here.settings, max_batch_items=3))
    form = as_form(*[("images", "", b"")] * 4)
    body = Body(io.BytesIO(form["data"]), len(form["data"]), "multipart/form-data", "a-boundary")
    with pytest.raises(HttpProblem, match="3 parts without a file") as refused:
        receive(body, Intake(bounded, "plant"), 2**20)
    assert (refused.value.status, refused.value.code) == (413, "too_many_items")
