"""A person with a browser: headless Chromium on a running stack."""

import contextlib
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.harness.browser import (
    CHROMIUM,
    DRIVER,
    Browser,
    logged,
    open_browser,
    requested,
    sign_in,
    wait,
)  # fmt: skip
from tests.harness.nginx import in_front, needs_nginx
from tests.harness.stack import Stack, running

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artifact: Path) -> Iterator[Stack]:
    if CHROMIUM is None or DRIVER is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs chromium and chromedriver on the PATH")
    with running(tmp_path_factory.mktemp("page"), [artifact], workers=1, trusted_proxies="127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def chromium(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for the file, since its start takes seconds."""
    with open_browser(tmp_path_factory.mktemp("chromium") / "profile") as made:
        yield made


@pytest.fixture
def browser(chromium: Browser, stack: Stack) -> Iterator[Browser]:
    """It remembers nothing and is signed in; at the end it must have met no error and asked no other host."""
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": stack.url, "storageTypes": "all"})
    for kind in ("browser", "performance"):
        logged(chromium, kind)
    sign_in(chromium, stack)
    yield chromium
    errors = [entry for entry in logged(chromium, "browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []
    asked = {
        url for url in requested(chromium) if not url.startswith((stack.url, "data:", "blob:", "about:"))
    }
    assert asked == set()


def written(folder: Path, images: dict[str, bytes]) -> list[Path]:
    folder.mkdir()
    for name, data in images.items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


def drop(browser: Browser, paths: list[Path]) -> None:
    """Drop files on the page, by the browser's own drag and drop."""
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 200, "data": data})
    wait(browser, "#ready")


def send(browser: Browser) -> None:
    browser.find_element(By.ID, "go").click()
    WebDriverWait(browser, 30).until(lambda _: "/batches/" in browser.current_url)


@contextlib.contextmanager
def no_worker(stack: Stack) -> Iterator[None]:
    """A time in which nothing is decided."""
    stack.kill("bulk")
    try:
        yield
    finally:
        stack.start("bulk")


def shown_scores(browser: Browser) -> list[float]:
    return [float(each.text) for each in browser.find_elements(By.CSS_SELECTOR, ".tile .score")]


def test_dropped_images_come_back_with_verdicts_worst_first(
    browser: Browser, stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    names = list(images)[:40]
    some = {name: images[name] for name in names} | {"broken <b>.jpg": b"not an image"}
    drop(browser, written(tmp_path / "parts", some))
    assert "41 images" in browser.find_element(By.ID, "chosen").text
    browser.find_element(By.ID, "name").send_keys("Line A3")
    send(browser)
    assert wait(browser, ".state.partial").text == "Done, 1 without a verdict"

    batch = stack.get(f"/v1/batches/{browser.current_url.rsplit('/', 1)[1]}")[1]
    assert batch["counts"]["succeeded"] == 40
    assert batch["name"] == "Line A3"
    truth = {item["filename"]: item for item in stack.items(batch["id"])}
    tiles = browser.find_elements(By.CSS_SELECTOR, ".tile")
    shown = [tile.find_element(By.CSS_SELECTOR, ".file").text for tile in tiles]
    assert shown == sorted(truth, key=lambda name: -(truth[name]["score"] or -1))
    assert shown_scores(browser) == sorted(shown_scores(browser), reverse=True)
    words = {"defect": "Defect", "no_defect": "No defect", "review": "Review", None: "Failed"}
    for tile, name in zip(tiles, shown, strict=True):
        assert tile.find_element(By.CSS_SELECTOR, ".chip").text == words[truth[name]["verdict"]]

    browser.execute_script(
        "document.querySelectorAll('.tile img').forEach((each) => { each.loading = 'eager'; })"
    )
    drawn = (
        "return [...document.querySelectorAll('.tile img')].filter((each) => each.naturalWidth > 0).length"
    )
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(drawn) == 40)


@pytest.mark.row(42)
def test_below_a_prefix_of_a_proxy_a_person_sends_images_and_sees_them(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    needs_nginx()
    with in_front(tmp_path, {"prefix": stack.url}) as urls, open_browser(tmp_path / "profile") as browser:
        url = urls["prefix"]
        sign_in(browser, stack, f"{url}/")
        drop(browser, written(tmp_path / "parts", dict(list(images.items())[:3])))
        send(browser)
        wait(browser, ".state.completed", 60)
        drawn = "return [...document.querySelectorAll('.tile img')].every((each) => each.naturalWidth > 0)"
        WebDriverWait(browser, 30).until(lambda _: browser.execute_script(drawn))
        assert len(browser.find_elements(By.CSS_SELECTOR, ".tile img")) == 3
        assert [entry for entry in logged(browser, "browser") if entry["level"] == "SEVERE"] == []
        assert {each for each in requested(browser) if not each.startswith((url, "data:", "blob:"))} == set()


def test_progress_moves_by_itself_and_the_end_is_announced(
    browser: Browser, stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    with no_worker(stack):
        drop(browser, written(tmp_path / "parts", images))
        send(browser)
        assert "No verdict yet" in browser.find_element(By.ID, "live").text
        requested(browser)
        time.sleep(3)  # nothing changes meanwhile, so nothing but the one held poll may be under way
        assert len([url for url in requested(browser) if "/batches/" in url]) <= 1
    wait(browser, ".state.completed", 60)
    said = browser.find_element(By.ID, "announce").get_attribute("textContent")
    assert said is not None and said.startswith("Done: ")
    assert "100" in browser.find_element(By.CSS_SELECTOR, ".big").text


def test_cancelling_is_asked_for_once_more_and_then_done(
    browser: Browser, stack: Stack, images: dict[str, bytes]
) -> None:
    with no_worker(stack):
        batch = stack.submit(images)
        browser.get(f"{stack.url}/batches/{batch['id']}")
        wait(browser, ".danger").click()
        browser.switch_to.alert.dismiss()
        assert stack.get(f"/v1/batches/{batch['id']}")[1]["status"] == "queued"
        browser.find_element(By.CSS_SELECTOR, ".danger").click()
        browser.switch_to.alert.accept()
        wait(browser, ".state.cancelled")


def test_a_filter_and_the_failed_items_are_one_click_away(
    browser: Browser, stack: Stack, images: dict[str, bytes]
) -> None:
    batch = stack.finish(stack.submit({**dict(list(images.items())[:5]), "cut.jpg": b"\xff\xd8\xff"})["id"])
    browser.get(f"{stack.url}/batches/{batch['id']}")
    browser.find_element(By.CSS_SELECTOR, ".tabs .failed").click()
    row = wait(browser, "tbody tr")
    assert "cut.jpg" in row.text
    row.find_element(By.TAG_NAME, "a").click()
    assert browser.current_url.startswith(f"{stack.url}/docs/errors/")


def test_an_archive_is_sent_as_one(browser: Browser, images: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "parts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in list(images)[:7]:
            archive.writestr(f"tray/{name}", images[name])
    browser.find_element(By.ID, "files").send_keys(str(path))
    wait(browser, "#ready")
    send(browser)
    wait(browser, ".state.completed")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".tile")) == 7


def test_a_folder_is_sent_without_what_is_no_image_and_the_page_says_so(
    browser: Browser, stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    first, second, third = list(images)[:3]
    tray = tmp_path / "tray"
    written(
        tray,
        {"a.jpg": images[first], "b.jfif": images[second], "noextension": images[third]}
        | {"notes.txt": b"no image", "Thumbs.db": b"x", ".hidden.jpg": images[first]},
    )
    drop(browser, [tray])
    said = wait(browser, "#skipped").text
    assert said.startswith("3 files are not sent: ")
    assert "tray/notes.txt (not a JPEG, PNG, WebP, BMP or TIFF image)" in said
    assert "3 images" in browser.find_element(By.ID, "chosen").text
    send(browser)
    wait(browser, ".state.completed")
    batch_id = browser.current_url.rsplit("/", 1)[1]
    assert {item["filename"] for item in stack.items(batch_id)} == {
        "tray/a.jpg",
        "tray/b.jfif",
        "tray/noextension",
    }


def test_the_pages_fit_a_narrow_screen(stack: Stack, images: dict[str, bytes], tmp_path: Path) -> None:
    batch = stack.finish(stack.submit({"x" * 200 + ".jpg": next(iter(images.values()))})["id"])
    with open_browser(tmp_path / "profile", 360) as browser:
        sign_in(browser, stack)
        for path in (
            "/",
            f"/batches/{batch['id']}",
            f"/batches/{batch['id']}?status=failed",
            "/docs",
            "/docs/errors",
        ):
            browser.get(stack.url + path)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 360, path


def test_a_page_outlives_a_restart_of_the_service(
    stack: Stack, images: dict[str, bytes], tmp_path: Path
) -> None:
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        with no_worker(stack):
            batch = stack.submit(dict(list(images.items())[:5]))
            browser.get(f"{stack.url}/batches/{batch['id']}")
            time.sleep(1)  # the poll is held by now
            stack.kill("web", signal.SIGTERM)
            assert "can't be reached" in wait(browser, "#connection", 10).text
            stack.start("web")
        wait(browser, ".state.completed", 60)
        assert not browser.find_element(By.ID, "connection").is_displayed()


def test_reading_needs_no_script(stack: Stack, images: dict[str, bytes], tmp_path: Path) -> None:
    batch = stack.finish(stack.submit(dict(list(images.items())[:3]))["id"])
    with open_browser(tmp_path / "profile", script=False) as browser:
        sign_in(browser, stack)
        assert "needs JavaScript" in browser.find_element(By.TAG_NAME, "main").text
        browser.find_element(By.CSS_SELECTOR, f"#{batch['id']} .name").click()
        assert len(browser.find_elements(By.CSS_SELECTOR, ".tile .chip")) == 3
        assert "3 of 3" in browser.find_element(By.TAG_NAME, "main").text


def test_signing_out_ends_the_session_and_every_copy_of_its_cookie(stack: Stack, tmp_path: Path) -> None:
    with open_browser(tmp_path / "profile") as browser:
        sign_in(browser, stack)
        cookie = browser.get_cookie("gonogo")
        assert cookie is not None
        assert cookie["httpOnly"]
        browser.find_element(By.CSS_SELECTOR, "form.who button").click()
        wait(browser, "#key")
        assert browser.get_cookie("gonogo") is None
        browser.add_cookie(cookie)
        browser.get(stack.url)
        wait(browser, "#key")


def test_an_item_page_shows_the_image_under_its_heatmap_and_arrow_keys_go_on(
    browser: Browser, stack: Stack, images: dict[str, bytes]
) -> None:
    files = dict(list(images.items())[:3])
    names = list(files)
    batch_id = stack.post_batch(files)[1]["location"].rsplit("/", 1)[1]
    stack.finish(batch_id, 60)
    items = {item["filename"]: item for item in stack.items(batch_id)}
    browser.get(f"{stack.url}/batches/{batch_id}")
    wait(browser, f"#{items[names[0]]['id']} a").click()
    for css in (".whole", ".heat"):
        width = f"return document.querySelector('{css}').naturalWidth == 64"
        WebDriverWait(browser, 30).until(lambda _, script=width: bool(browser.execute_script(script)))  # type: ignore[misc]
    heat = browser.find_element(By.CSS_SELECTOR, ".heat")
    size = browser.find_element(By.CSS_SELECTOR, ".whole").size
    assert heat.size == size
    for name, value, what, expected in (
        ("opacity", "20", lambda: heat.value_of_css_property("opacity"), "0.2"),
        ("zoom", "200", lambda: heat.size["width"], 2 * size["width"]),
    ):
        browser.execute_script(
            "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
            "slider.dispatchEvent(new Event('input'))", name, value,
        )  # fmt: skip
        assert what() == expected
    evidence = browser.find_element(By.CSS_SELECTOR, ".facts").text
    first = items[names[0]]
    assert first["worker"] in evidence
    assert f"{first['score']:.4f}" in evidence
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    WebDriverWait(browser, 10).until(lambda _: items[names[1]]["id"] in browser.current_url)
    wait(browser, "a[rel=prev]")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_LEFT)
    WebDriverWait(browser, 10).until(lambda _: first["id"] in browser.current_url)
