"""The page of a run in a browser: Debian's Chromium, headless, driven by selenium."""

import base64
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.test_page import folder, written

pytestmark = pytest.mark.slow

DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 120  # seconds, on a machine that is busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs a Chromium and its chromedriver: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages of one run, and of two compared."""
    root = tmp_path_factory.mktemp("pages")
    runs = folder(root / "one"), folder(root / "two", seed=1)
    pages = {"one": written(runs[0]), "two": written(*runs)}
    for name, text in pages.items():
        (root / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (root / f"{name}.html").as_uri() for name in pages}


@pytest.fixture
def shown(browser: Any, addresses: dict[str, str]) -> Callable[..., Any]:
    """Open a page at a width, in light or dark, with its charts drawn."""

    def opened(name: str, width: int = 1200, scheme: str = "light") -> Any:
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        wished = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wished)
        browser.get(addresses[name])
        browser.execute_async_script(
            "const done = arguments[0], state = document.getElementById('charts-state');"
            "const ended = () => state.hidden || state.textContent.includes('cannot');"
            "const look = () => ended() ? done() : setTimeout(look, 50); look();"
        )
        return browser

    return opened


def complaints(browser: Any) -> list[str]:
    return [line["message"] for line in browser.get_log("browser")]


@pytest.mark.parametrize(
    ("name", "width", "scheme"), [("one", 1200, "dark"), ("one", 360, "light"), ("two", 360, "dark")]
)
def test_it_loads_without_complaints_and_fits_the_screen(shown: Callable[..., Any], name: str, width: int, scheme: str):
    browser = shown(name, width, scheme)
    assert complaints(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    drawn = (
        "return [...document.querySelectorAll('.chart')].map(c => [c.id, !c.hidden, !!c.querySelector('.main-svg')])"
    )
    assert browser.execute_script(drawn) == [[c, True, True] for c in ("metrics", "curves", "clouds", "walks")]
    ground, ink = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color].map(c => +c.match(/\\d+/)[0])"
    )
    assert ground < 40 < 200 < ink if scheme == "dark" else ink < 40 < 200 < ground


def test_headings_sort_by_mouse_and_by_keyboard(shown: Callable[..., Any]):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser = shown("one")
    table = browser.find_elements(By.CSS_SELECTOR, "#results table")[0]
    button = table.find_elements(By.CSS_SELECTOR, "thead button")[1]

    def state() -> tuple[list[str], str]:
        names = [row.text for row in table.find_elements(By.CSS_SELECTOR, "tbody th")]
        return names, table.find_elements(By.TAG_NAME, "th")[1].get_attribute("aria-sort")

    assert state() == (["ddpm", "robust-adv", "exact-clean"], None)
    button.click()
    assert state() == (["exact-clean", "robust-adv", "ddpm"], "ascending")
    button.send_keys(Keys.ENTER)
    assert state() == (["ddpm", "robust-adv", "exact-clean"], "descending")
    assert complaints(browser) == []


def test_slider_methods_and_choices_change_what_is_drawn(shown: Callable[..., Any]):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    browser = shown("one")

    def places() -> Any:
        return browser.execute_script("return [...document.querySelector('#walks .plot').data.at(-1).x]")

    slider, before = browser.find_element(By.ID, "level"), places()
    slider.send_keys(Keys.ARROW_RIGHT)
    moved = places()
    assert moved != before
    assert slider.get_attribute("aria-valuetext").startswith("t = 0.98")
    slider.send_keys(Keys.END)
    assert slider.get_attribute("aria-valuetext") == "t = 0, data"
    label = browser.execute_script("return arguments[0].labels[0].textContent", slider)
    assert label == "Noise level, from noise to data: t = 0, data"
    select = Select(browser.find_element(By.CSS_SELECTOR, "#walks label:nth-of-type(2) select"))
    at_the_end = places()
    select.select_by_visible_text("robust-adv")
    assert places() != at_the_end
    traces = "return document.querySelector('#metrics .plot').data.map(trace => trace.name)"
    assert browser.execute_script(traces) == ["ddpm", "robust-adv", "exact-clean"]
    browser.find_element(By.CSS_SELECTOR, "#methods input[value=ddpm]").send_keys(Keys.SPACE)
    assert browser.execute_script(traces) == ["robust-adv", "exact-clean"]
    assert complaints(browser) == []


def test_it_prints_in_light_with_all_that_was_folded(shown: Callable[..., Any]):
    browser = shown("one", scheme="dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF-")
    ink = browser.execute_script(
        "dispatchEvent(new Event('beforeprint'));"
        "const found = [document.querySelectorAll('details:not([open]):not(.shown-numbers)').length,"
        " document.querySelector('#metrics .plot').data[0].marker.color];"
        "dispatchEvent(new Event('afterprint')); return found"
    )
    assert ink == [0, "#0173b2"]
    assert complaints(browser) == []
