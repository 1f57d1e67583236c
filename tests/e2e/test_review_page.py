"""A person reviews at the line: headless Chromium, by keyboard, and by forms alone."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.test_model_page import AWAY
from tests.harness.browser import CHROMIUM, DRIVER, Browser, logged, open_browser, sign_in, wait
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.browser
ALL_IN_REVIEW = {"operating_point": {"threshold": 0.5, "review_band": [0.0, 1.0]}}
SHOTS = os.environ.get("GONOGO_SCREENSHOTS")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    if CHROMIUM is None or DRIVER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium and chromedriver on the PATH")
    with running(tmp_path_factory.mktemp("review"), [artifact], workers=1) as made:
        yield made


def press(browser: Browser, key: str, *, drawn: bool = True) -> str:
    """Press a key, once the image is drawn; returns the address of the page that follows."""
    if drawn:
        wait(browser, "#judge[data-seen]")
    before = browser.current_url
    browser.find_element(By.TAG_NAME, "body").send_keys(key)
    WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(lambda _: browser.current_url != before)
    wait(browser, "h1")
    return browser.current_url


def begin(browser: Browser, stack: Stack, batch_id: str) -> None:
    """Take the first item of a batch's queue."""
    browser.get(f"{stack.url}/review?batch_id={batch_id}")
    wait(browser, ".primary").click()


def item_of(address: str) -> str:
    return address.split("/review/")[1].partition("?")[0]


def test_ten_items_are_reviewed_by_keyboard_and_one_is_taken_back(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    batch_id = stack.submit(dict(list(images.items())[:12]), ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        browser.get(f"{stack.url}/review?batch_id={batch_id}")
        shot(browser, "review-start")
        wait(browser, ".primary").click()
        wait(browser, "[data-key=d]")
        drawn = "return [...document.querySelectorAll('.look img')].every((each) => each.naturalWidth > 0)"
        WebDriverWait(browser, 30).until(lambda _: browser.execute_script(drawn))
        shot(browser, "review")
        given = {}
        for number in range(10):
            key, verdict = ("d", "defect") if number % 3 == 0 else ("n", "no_defect")
            item = item_of(browser.current_url)
            press(browser, key)
            given[item] = verdict
        assert len(given) == 10
        last = item
        assert item_of(press(browser, "u")) == last
        assert stack.get(f"/v1/items/{last}")[1]["review"] is None
        browser.find_element(By.ID, "note").send_keys("dust, no dent")  # its letters are no verdict
        browser.find_element(By.ID, "note").send_keys(Keys.ESCAPE)
        press(browser, "n")
        given[last] = "no_defect"
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.CONTROL, "z")
        WebDriverWait(browser, 20).until(lambda _: item_of(browser.current_url) == last)
        browser.find_element(By.ID, "note").send_keys("dust, no dent")
        browser.find_element(By.ID, "note").send_keys(Keys.ESCAPE)
        skipped = item_of(press(browser, "n"))
        assert item_of(press(browser, " ")) != skipped
        press(browser, "n")
        assert item_of(browser.current_url) == skipped
        assert "Nothing waits" not in browser.page_source
        errors = [entry for entry in logged(browser, "browser") if entry["level"] == "SEVERE"]
        assert [entry for entry in errors if "503" not in entry["message"]] == []
    items = {item["id"]: item for item in stack.items(batch_id)}
    reviews = {item: items[item]["review"] for item in given}
    assert {item: review["verdict"] for item, review in reviews.items()} == given
    assert reviews[last]["note"] == "dust, no dent"
    assert [round["undone_at"] is None for round in reviews[last]["rounds"]] == [False, False, True]
    assert sum(item["review"] is not None for item in items.values()) == 11


# A press in the moment when the image is there, before a person can have looked at it.
_EARLY = """
    document.addEventListener("load", (event) => {
        if (event.target.className !== "whole") return;
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
        document.body.dataset.pressed = "";
    }, true);
"""


def test_a_second_press_gives_no_verdict_on_the_next_item(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    batch_id = stack.submit(dict(list(images.items())[:4]), ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _EARLY})
        begin(browser, stack, batch_id)
        for given in range(2):
            wait(browser, "body[data-pressed] #judge[data-seen]")
            assert sum(item["review"] is not None for item in stack.items(batch_id)) == given
            press(browser, "n")


def test_no_verdict_is_sent_of_an_image_that_is_not_there(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    batch_id = stack.submit(dict(list(images.items())[:2]), ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/items/*/image"]})
        begin(browser, stack, batch_id)
        assert "verdicts wait for it" in wait(browser, "#no-image").text
        time.sleep(0.5)  # longer than a second press takes
        first = item_of(browser.current_url)
        browser.find_element(By.TAG_NAME, "body").send_keys("n")
        assert item_of(press(browser, " ", drawn=False)) != first
        assert [item["review"] for item in stack.items(batch_id)] == [None, None]
        wait(browser, "#no-image")
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        press(browser, "n")
    assert sum(item["review"] is not None for item in stack.items(batch_id)) == 1


def test_a_session_that_ended_leads_back_to_the_item(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    batch_id = stack.submit(dict(list(images.items())[:2]), ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        begin(browser, stack, batch_id)
        wait(browser, "#judge")
        item = item_of(browser.current_url)
        browser.delete_all_cookies()
        assert "/sign-in" in press(browser, "d")
        wait(browser, "#key").send_keys(stack.key)
        browser.find_element(By.CSS_SELECTOR, "main .primary").click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
            lambda _: browser.current_url.startswith(f"{stack.url}/review/{item}")
        )
        assert stack.get(f"/v1/items/{item}")[1]["review"] is None


def test_reviewing_needs_no_script(stack: Stack, images: dict[str, bytes], tmp_path: Path) -> None:
    batch_id = stack.submit(dict(list(images.items())[:2]), ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile", 360, script=False) as browser:
        sign_in(browser, stack)
        begin(browser, stack, batch_id)
        for _ in range(2):
            button = wait(browser, "button.verdict.defect")
            button.click()
            WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(staleness_of(button))
        assert "Nothing waits for a review" in wait(browser, "#queue").text
    assert [item["review"]["verdict"] for item in stack.items(batch_id)] == ["defect"] * 2


def test_a_person_chooses_a_line_and_why_items_are_looked_at(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    one, other = list(images.items())[:2]
    for line, (name, data) in (("L-1", one), ("L-2", other)):
        stack.finish(stack.submit({name: data}, {**ALL_IN_REVIEW, "line": line})["id"], 60)
    with open_browser(tmp_path / "profile", script=False) as browser:
        sign_in(browser, stack)
        browser.get(f"{stack.url}/review")
        wait(browser, "#line").send_keys("L-2")
        browser.find_element(By.CSS_SELECTOR, "#source option[value=band]").click()
        browser.find_element(By.CSS_SELECTOR, "main .primary").click()
        button = wait(browser, "button.verdict.no_defect")
        assert other[0] in wait(browser, "h1").text
        button.click()
        wait(browser, "#queue")
        assert "Nothing waits" in browser.page_source
        assert browser.find_element(By.ID, "line").get_attribute("value") == "L-2"


def test_the_pages_of_reviews_fit_a_phone(stack: Stack, images: dict[str, bytes], tmp_path: Path) -> None:
    batch_id = stack.submit({"x" * 200 + ".jpg": next(iter(images.values()))}, ALL_IN_REVIEW)["id"]
    stack.finish(batch_id, 60)
    with open_browser(tmp_path / "profile", 360) as browser:
        sign_in(browser, stack)
        # A verdict waits for the image.
        for css in (".primary", "#judge[data-seen] [data-key=d]", "#queue"):
            if css == ".primary":
                browser.get(f"{stack.url}/review?batch_id={batch_id}")
            shown = wait(browser, css)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 360, css
            shot(browser, f"review-phone-{css.strip('.#[]').replace('=', '-').rpartition('[')[2]}")
            if css != "#queue":
                shown.click()


def shot(browser: Browser, name: str) -> None:
    """Keep an image of the page, where the person who runs the test asks for it."""
    if SHOTS:
        height = browser.execute_script("return document.documentElement.scrollHeight")
        width = browser.execute_script("return window.innerWidth")
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        browser.save_screenshot(str(Path(SHOTS) / f"{name}.png"))
