"""A person looks at model versions, uploads one, activates it and goes back: headless Chromium on a running stack."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from shared.registry import versions
from tests.harness.browser import CHROMIUM, DRIVER, Browser, logged, open_browser, sign_in, wait
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("GONOGO_SCREENSHOTS")
# Until the page that follows is there, an element may be of the one before, or of none.
AWAY = (WebDriverException,)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    if CHROMIUM is None or DRIVER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium and chromedriver on the PATH")
    with running(tmp_path_factory.mktemp("models"), [artifact], workers=1) as made:
        yield made


def test_a_version_is_uploaded_activated_and_rolled_back(stack: Stack, tmp_path: Path) -> None:
    shipped = versions.shipped()[0]
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        browser.find_element(By.LINK_TEXT, "Models").click()
        first = wait(browser, "td a").get_attribute("href")
        wait(browser, "#artifact").send_keys(str(shipped))
        browser.find_element(By.CSS_SELECTOR, "#upload .primary").click()
        WebDriverWait(browser, 30).until(lambda _: "/models/mdl_" in browser.current_url)
        uploaded = browser.current_url
        WebDriverWait(browser, 60, ignored_exceptions=AWAY).until(lambda _: _is(browser, "ready"))
        assert wait(browser, "#matrix").text.count("\n") == 2
        shot(browser, "model")
        wait(browser, ".title .button.primary").click()
        wait(browser, "#confirm").click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
            lambda _: _is(browser, "active", again=False)
        )
        browser.get(first)
        assert _is(browser, "ready", again=False)
        browser.find_element(By.LINK_TEXT, "Roll back to this version").click()
        wait(browser, "#confirm").click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
            lambda _: _is(browser, "active", again=False)
        )
        browser.get(uploaded)
        wait(browser, "#shadows form button").click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
            lambda _: "also scores 10" in wait(browser, "#shadows .shadow").text
        )
        said = browser.find_element(By.ID, "shadows").text
        assert "0 images scored." in said and "another verdict" not in said
        assert "UTC." in said, "no space before the full stop"
        assert "Start a shadow" not in said, "this version is a candidate already"
        shot(browser, "model-shadow")
        wait(browser, "#shadows .shadow button").click()
        WebDriverWait(browser, 20, ignored_exceptions=AWAY).until(
            lambda _: "stopped" in wait(browser, "#shadows .shadow").text
        )
        browser.get(f"{first}?other={uploaded.rsplit('/', 1)[1]}")
        assert "rendered-parts" in wait(browser, "table").text
        shot(browser, "model-compared")
        errors = [entry for entry in logged(browser, "browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert errors == []
    with open_browser(tmp_path / "phone", 360, script=False) as browser:
        sign_in(browser, stack)
        for path in ("/models", uploaded.removeprefix(stack.url)):
            browser.get(stack.url + path)
            # A page that was just loaded may not have taken up its own viewport yet: it is 980 pixels wide then.
            WebDriverWait(browser, 10).until(
                lambda _: _width(browser) <= 360, f"{path} is wider than a phone"
            )
        shot(browser, "model-phone")


def _width(browser: Browser) -> int:
    """The width of the page's content in CSS pixels, without a script in the page."""
    return int(browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]["width"])


def _is(browser: Browser, state: str, *, again: bool = True) -> bool:
    """Whether the page shows this state; `again`: load it first, since no script follows a trial."""
    if again:
        browser.refresh()
    return bool(wait(browser, ".title .state").text == state)


def shot(browser: Browser, name: str) -> None:
    """Keep a screenshot where GONOGO_SCREENSHOTS names a folder."""
    if SHOTS:
        measured = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        size = {"width": measured["width"], "height": min(measured["height"], 3000), "deviceScaleFactor": 1}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, "mobile": False})
        browser.save_screenshot(str(Path(SHOTS) / f"{name}.png"))
