"""axe finds no violation on any page: one Chromium goes through all of them, in light, in dark and on a phone."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from shared.registry import versions
from shared.store.tables import DriftWindow
from tests.harness.browser import CHROMIUM, DRIVER, Browser, logged, open_browser, sign_in, wait
from tests.harness.processes import until
from tests.harness.site import made_site
from tests.harness.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SHOTS = os.environ.get("GONOGO_SCREENSHOTS")
AXE = importlib.util.find_spec("axe_playwright_python")
_RUN = """
const done = arguments[arguments.length - 1];
const told = (each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`;
axe.run(document, { resultTypes: ["violations"] })
  .then((found) => done(found.violations.map(told)), (error) => done([String(error)]));
"""
_LOOKS = {"light": (1200, "light"), "dark": (1200, "dark"), "phone": (360, "light")}
_IN_REVIEW = {"operating_point": {"threshold": 0.5, "review_band": [0.0, 1.0]}}
_NO_PAGES = {"/static/<path:filename>"}


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe."""
    if CHROMIUM is None or DRIVER is None or AXE is None or AXE.origin is None:
        needs = "needs chromium, chromedriver and the package axe-playwright-python"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(needs)
    return (Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def pages(stack: Stack, images: dict[str, bytes]) -> dict[str, list[str]]:
    """The addresses of each page: of each rule of the application that answers with HTML."""
    files = dict(list(images.items())[:8]) | {"broken.jpg": b"\xff\xd8\xff broken"}
    first = stack.submit(files, {**_IN_REVIEW, "name": "axe", "line": "A3"})["id"]
    stack.finish(first, 60)
    with stack.client() as client:
        model = next(iter(client.models()))["id"]
        candidate = client.upload_model(versions.shipped()[0])["id"]
        until(
            lambda: {each["id"]: each["status"] for each in client.models()}[candidate] == "ready",
            60,
            "ready",
        )
        client.start_shadow(candidate, share=0.5)
        second = client.rerun(first, model=model)["id"]
        stack.finish(second, 60)
        reviewed, waiting = (client.next_review() for _ in range(2))
        assert reviewed is not None and waiting is not None
        client.review_item(reviewed["item"]["id"], "defect", note="a crack", claim=reviewed["claim"])
    windows: list[dict[str, Any]] = [
        {"tenant": "default", "model_id": model, "line": line, "began_at": None, "ended_at": 1e9 + 60 * place,
         "images": 200, "counts": {"score": [], "unfamiliarity": []},
         "distances": {"score": 0.02 * place, "unfamiliarity": 0.03}, "limit": 0.1, "defect_share": 0.02,
         "drifted": place > 5}
        for line in ("A3", "B1") for place in range(8)
    ]  # fmt: skip
    with stack.database.write() as connection:
        connection.execute(DriftWindow.__table__.insert(), windows)  # type: ignore[attr-defined]
    item, free = reviewed["item"]["id"], waiting["item"]["id"]
    return {
        "/": ["/"],
        "/batches/<batch_id>": [f"/batches/{first}", f"/batches/{first}?status=failed", f"/batches/{second}"],
        "/batches/<batch_id>/diff/<other_id>": [
            f"/batches/{first}/diff/{second}",
            f"/batches/{first}/diff/{second}?after=failed",
            f"/batches/{first}/diff/bat_none",
        ],
        "/docs": ["/docs"],
        "/docs/errors": ["/docs/errors"],
        "/docs/errors/<code>": ["/docs/errors/overtaken"],
        "/items/<item_id>": [f"/items/{item}", f"/items/{free}"],
        "/models": ["/models"],
        "/models/<model_id>": [f"/models/{model}?other={model}", f"/models/{candidate}"],
        "/models/<model_id>/drift": [f"/models/{model}/drift", f"/models/{model}/drift?line=none"],
        "/review": ["/review", "/review?empty=1"],
        "/review/<item_id>": ["take"],
        "/sign-in": ["/sign-in"],
    }


# Each look takes as long as the first one: `make test` asks axe in light, and in all three how wide a page is.
@pytest.mark.parametrize(
    "asked", [("light",), pytest.param(("dark", "phone"), marks=pytest.mark.slow)], ids=", ".join
)
def test_axe_finds_no_violation_on_any_page(
    asked: tuple[str, ...], axe: str, stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    known = pages(stack, images)
    with made_site(tmp_path / "site") as site:
        html = {
            rule.rule
            for rule in site.app.url_map.iter_rules()
            if "GET" in (rule.methods or ()) and rule.endpoint.partition(".")[0] in ("pages", "review")
        }
    assert html - _NO_PAGES == {rule for rule in known if not rule.startswith("/docs")}, "a page is forgotten"
    found: dict[str, list[str]] = {}
    with open_browser(tmp_path / "profile") as browser:
        browser.set_script_timeout(120)
        sign_in(browser, stack)
        for place in (each for addresses in known.values() for each in addresses):
            look_at(browser, stack, place)
            browser.execute_script(axe)
            for look, (width, colours) in _LOOKS.items():
                dress(browser, width, colours)
                if look not in asked:
                    continue
                shot(browser, f"{place.strip('/').replace('/', '-').partition('?')[0] or 'home'}-{look}")
                if violations := browser.execute_async_script(_RUN):
                    found[f"{place} {look}"] = violations
        errors = [entry for entry in logged(browser, "browser") if entry["level"] == "SEVERE"]
    assert found == {}
    # A drawing that no worker has made yet is answered with 503, and an address without a page with 404.
    assert [entry for entry in errors if not {"503", "404"} & {*entry["message"].split()}] == []


def look_at(browser: Browser, stack: Stack, place: str) -> None:
    if place != "take":
        browser.get(stack.url + place)
        return
    browser.get(f"{stack.url}/review")
    browser.find_element(By.CSS_SELECTOR, "form .primary").click()
    wait(browser, "#judge")


def dress(browser: Browser, width: int, colours: str) -> None:
    size: dict[str, Any] = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = [{"name": "prefers-color-scheme", "value": colours}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width, f"{browser.current_url} is {wide} wide on a screen of {width}"


def shot(browser: Browser, name: str) -> None:
    """Keep a screenshot where GONOGO_SCREENSHOTS names a folder."""
    if SHOTS:
        browser.save_screenshot(str(Path(SHOTS) / f"{name}.png"))
