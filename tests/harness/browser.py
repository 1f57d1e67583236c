"""Headless Chromium, driven by Selenium."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.harness.stack import Stack

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
Browser = webdriver.Chrome


@contextlib.contextmanager
def open_browser(profile: Path, width: int = 1200, *, script: bool = True) -> Iterator[Browser]:
    """A Chromium that has never been used and notes its console and its requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if not script:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Browser(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield browser
    finally:
        browser.quit()


def logged(browser: Browser, kind: str) -> list[dict[str, Any]]:
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def requested(browser: Browser) -> list[str]:
    """Every address that the browser's pages asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    sent = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [each["request"]["url"] for each in sent if not each["documentURL"].startswith("chrome")]


def sign_in(browser: Browser, stack: Stack, url: str = "") -> None:
    browser.get(url or stack.url)
    browser.find_element(By.ID, "key").send_keys(stack.key)
    browser.find_element(By.CSS_SELECTOR, "form .primary").click()
    wait(browser, "#live")


def wait(browser: Browser, css: str, seconds: float = 30) -> Any:
    """The first element that matches, once it is there and shown."""
    return WebDriverWait(browser, seconds).until(
        lambda _: next(
            (each for each in browser.find_elements(By.CSS_SELECTOR, css) if each.is_displayed()), None
        )
    )
