"""A quality engineer moves the threshold on the histogram of a batch: headless Chromium, by keyboard and by mouse."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.test_model_page import AWAY
from tests.harness.browser import CHROMIUM, DRIVER, Browser, logged, open_browser, sign_in, wait
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("GONOGO_SCREENSHOTS")
AT_ONE_POINT = {"operating_point": {"threshold": 0.02, "review_band": [0.02, 0.02]}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    if CHROMIUM is None or DRIVER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium and chromedriver on the PATH")
    with running(tmp_path_factory.mktemp("rescoring"), [artifact], workers=1) as made:
        yield made


def open_batch(browser: Browser, stack: Stack, batch_id: str) -> None:
    """Sign in, and open the page of a batch with its histogram."""
    sign_in(browser, stack)
    browser.get(f"{stack.url}/batches/{batch_id}")
    wait(browser, "#scores[data-ready]")


def said(browser: Browser) -> str:
    return str(browser.find_element(By.ID, "change").text)


def counted(browser: Browser, text: str) -> None:
    """Wait until the service has counted exactly, and the page says so."""
    WebDriverWait(browser, 20).until(
        lambda _: browser.find_element(By.ID, "scores").get_attribute("data-exact") and text in said(browser)
    )


def test_a_moved_threshold_is_previewed_applied_and_kept_in_the_history(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    names = list(images)[:12]
    batch_id = stack.submit({name: images[name] for name in names}, AT_ONE_POINT)["id"]
    assert stack.finish(batch_id, 60)["verdicts"]["defect"] == 12
    top = max(item["score"] for item in stack.items(batch_id))
    with open_browser(tmp_path / "profile") as browser:
        open_batch(browser, stack, batch_id)
        bars = browser.find_elements(By.CSS_SELECTOR, "#bars .part.defect")
        assert bars
        slider = browser.find_element(By.NAME, "threshold")
        # By keyboard: a thousandth a step, twenty with Page Up.
        slider.send_keys(Keys.ARROW_RIGHT)
        assert slider.find_element(By.XPATH, "following-sibling::output").text == "0.021"
        for _ in range(int((top - 0.02) * 50) + 2):
            slider.send_keys(Keys.PAGE_UP)
        assert "12 defect → no defect" in said(browser)
        took = browser.find_element(By.ID, "scores").get_attribute("data-took-ms")
        assert float(took or "inf") <= 50, "what changes is shown within 50 ms"
        counted(browser, "Images: 12 defect → no defect")
        assert not browser.find_elements(By.CSS_SELECTOR, "#bars .part.defect")
        shot(browser, "rescore")
        # By mouse: the bounds lie on each other, and the threshold takes them along, back below all scores.
        field = browser.find_element(By.CSS_SELECTOR, ".histogram")
        wide = field.size["width"]
        at = round(float(slider.get_attribute("value") or 0) * wide)
        drag = ActionChains(browser).move_to_element_with_offset(field, at - wide // 2, 0).click_and_hold()
        drag.move_by_offset(round(0.03 * wide) - at, 0).release().perform()
        WebDriverWait(browser, 10).until(lambda _: "no change" in said(browser))
        for _ in range(int(top * 50) + 2):
            slider.send_keys(Keys.PAGE_UP)
        counted(browser, "12 defect → no defect")
        browser.find_element(By.CSS_SELECTOR, "#rescore .primary").click()
        rescored(browser)
        assert "12" in browser.find_element(By.CSS_SELECTOR, ".tabs .no_defect").text
        assert len(browser.find_elements(By.CSS_SELECTOR, ".tile.no_defect")) == 12
        errors = [entry for entry in logged(browser, "browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert errors == []
    status, history = stack.get(f"/v1/batches/{batch_id}/rescorings")[:2]
    assert status == 200
    assert history["data"][0]["items"] == [{"before": "defect", "after": "no_defect", "count": 12}]


_SWEEP = """
const bound = (name) => document.querySelector(`#rescore [name=${name}]`);
for (const value of arguments[0]) {
  bound("threshold").value = value;
  bound("threshold").dispatchEvent(new Event("input", { bubbles: true }));
}
return ["low", "threshold", "high"].map((name) => Number(bound(name).value));
"""


def test_bounds_that_the_threshold_pushed_come_back_behind_it(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    point = {"operating_point": {"threshold": 0.5, "review_band": [0.2, 0.8]}}
    batch = stack.submit(dict(list(images.items())[:2]), point)
    stack.finish(batch["id"])
    with open_browser(tmp_path / "profile") as browser:
        open_batch(browser, stack, batch["id"])
        assert browser.execute_script(_SWEEP, [0.6, 0.95]) == [0.2, 0.95, 0.95]
        assert browser.execute_script(_SWEEP, [0.1, 0.05]) == [0.05, 0.05, 0.8]
        assert browser.execute_script(_SWEEP, [0.5]) == [0.2, 0.5, 0.8]


def test_bounds_that_nobody_moved_make_no_rescoring(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    point = {"operating_point": {"threshold": 1 / 11, "review_band": [1 / 70, 7 / 9]}}
    batch = stack.submit(dict(list(images.items())[:2]), point)
    stack.finish(batch["id"])
    with open_browser(tmp_path / "profile") as browser:
        open_batch(browser, stack, batch["id"])
        button = browser.find_element(By.CSS_SELECTOR, "#rescore .primary")
        button.click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(staleness_of(button))
        wait(browser, "#scores[data-ready]")
    assert stack.get(f"/v1/batches/{batch['id']}/rescorings")[1]["data"] == []


def test_the_histogram_and_its_form_need_no_script(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    batch = stack.submit(dict(list(images.items())[:3]), AT_ONE_POINT)
    stack.finish(batch["id"])
    with open_browser(tmp_path / "profile", 360, script=False) as browser:
        sign_in(browser, stack)
        browser.get(f"{stack.url}/batches/{batch['id']}")
        assert browser.find_elements(By.CSS_SELECTOR, "#bars .part.defect")
        shot(browser, "rescore-phone")
        wide = browser.find_element(By.CSS_SELECTOR, ".scores").size["width"]
        assert wide <= 360
        slider = browser.find_element(By.NAME, "low")
        slider.send_keys(Keys.HOME)
        browser.find_element(By.CSS_SELECTOR, "#rescore .primary").click()
        rescored(browser)


def rescored(browser: Browser) -> None:
    """Wait for the page that follows."""
    WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
        lambda _: "Rescored 1 time" in browser.find_element(By.ID, "scores").text
    )


def shot(browser: Browser, name: str) -> None:
    """Keep a screenshot where GONOGO_SCREENSHOTS names a folder."""
    if SHOTS:
        wide, high = browser.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        size = {"width": wide, "height": min(high, 3000), "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.save_screenshot(str(Path(SHOTS) / f"{name}.png"))
