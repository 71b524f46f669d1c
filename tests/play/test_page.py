"""The page in a real browser: every tab does what it says, and bad input gets a sentence."""

import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from PIL import Image

from tests.helpers.scripts import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TABS = {  # id -> (button to press, picture or text that must change)
    "ogan": (None, "ogan-pair"),
    "flow": (None, "flow-samples"),
    "energy": ("energy-forward", "energy-picture"),
    "plane": ("plane-step", "plane-picture"),
    "fgan": ("fgan-go", "fgan-picture"),
    "couplet": ("couplet-go", "couplet-answers"),
}
WAIT = 120_000  # milliseconds, on a busy machine
pytestmark = pytest.mark.skipif(
    not CHROMIUM or not all(map(importlib.util.find_spec, ("gradio", "playwright"))),
    reason='gradio, playwright and Chromium are needed: pip install -e ".[play]" playwright',
)


@pytest.fixture(scope="module")
def address():
    """The address of a page that is served by a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"PYTHONPATH": str(ROOT), "KEXUE_LANG": "en"}
    command = [sys.executable, "-m", "play", "--port", str(port)]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if line.startswith("open http"):
            break
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    assert "Traceback" not in server.communicate()[0]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(params=[1300, 400])
def page(browser, address, request):
    """The opened page. At its end: no error in the console, and no request to another machine."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    problems = []
    opened.on("console", lambda message: message.type == "error" and problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda sent: sent.url.startswith(("http", "ws")) and address not in sent.url and
              problems.append(sent.url))  # fmt: skip
    opened.goto(address, wait_until="domcontentloaded", timeout=WAIT)
    opened.wait_for_selector("button[role=tab]", timeout=WAIT)
    yield opened
    width = opened.evaluate("document.documentElement.scrollWidth")
    opened.close()
    assert not problems
    assert width <= request.param


def open_tab(page, name):
    """Show a tab, out of the menu where the window is narrow."""
    from play.words import WORDS

    label = WORDS["en"][f"{name}/tab"]
    tab = page.get_by_role("tab", name=label, exact=True)
    if not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        tab = page.locator(".overflow-dropdown button", has_text=label)
    tab.first.click()


def content(page, name):
    """Return what a picture or text shows: the address of the picture, or the text."""
    image = page.locator(f"#{name} img")
    return image.first.get_attribute("src") if image.count() else page.locator(f"#{name}").first.inner_text()


def wait_for_change(page, name, before):
    """Wait until a picture or text is not what it was, and return what it is."""
    deadline = time.monotonic() + WAIT / 1000
    while (now := content(page, name)) == before or not now:
        assert time.monotonic() < deadline, f"{name} did not change"
        page.wait_for_timeout(200)
    return now


def test_every_tab_does_what_it_says(page):
    for name, (button, shown) in TABS.items():
        open_tab(page, name)
        before = "" if button is None else content(page, shown)
        if button:
            page.locator(f"#{button}").click()
        wait_for_change(page, shown, before)
    assert not page.locator("[data-testid=toast-body]").count()


def test_bad_input_gets_a_sentence(page, tmp_path):
    toast = page.locator("[data-testid=toast-body]")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n")
    page.locator("#ogan-photo input[type=file]").set_input_files(tmp_path / "a.pdf")
    toast.first.wait_for(timeout=WAIT)
    assert "this file cannot be used as a photo: not an image" in toast.first.inner_text()
    open_tab(page, "flow")
    page.locator("#flow-go").click()
    page.get_by_text("the paper is empty").first.wait_for(timeout=WAIT)
    open_tab(page, "couplet")
    page.locator("#couplet-line textarea, #couplet-line input").first.fill("月" * 65)
    page.locator("#couplet-go").click()
    page.get_by_text("give lines of at most 64").first.wait_for(timeout=WAIT)


def test_the_flow_of_faces_takes_the_place_of_the_digits(page):
    open_tab(page, "flow")
    before = wait_for_change(page, "flow-samples", "")
    page.locator("#flow-what").get_by_label("faces", exact=True).click()
    wait_for_change(page, "flow-samples", before)
    assert not page.locator("[data-testid=toast-body]").count()


def test_a_drawn_digit_gets_its_bits(page):
    open_tab(page, "flow")
    paper = page.locator("#flow-paper canvas").first
    paper.wait_for(timeout=WAIT)
    paper.scroll_into_view_if_needed()
    page.locator("#flow-paper").get_by_label("Brush", exact=True).first.click()
    box = paper.bounding_box()
    x, top, bottom = box["x"] + box["width"] / 2, box["y"] + 0.25 * box["height"], box["y"] + 0.75 * box["height"]
    page.mouse.move(x, top)
    page.mouse.down()
    page.mouse.move(x, bottom, steps=12)
    page.mouse.up()
    page.locator("#flow-go").click()
    page.locator("#flow-bits").get_by_text("bits/dim").first.wait_for(timeout=WAIT)
    seen = Image.open(io.BytesIO(page.request.get(content(page, "flow-seen")).body())).convert("L")
    left, top, right, bottom = seen.point(lambda value: 255 * (value > 64)).getbbox()
    assert bottom - top > 2 * (right - left), "the flow sees the line, and no white paper around it"
    assert not page.locator("[data-testid=toast-body]").count()


def test_a_training_runs_until_it_is_paused_and_ten_clicks_are_one(page):
    open_tab(page, "plane")
    for _ in range(10):
        page.locator("#plane-train").click()
    text = wait_for_change(page, "plane-text", content(page, "plane-text"))
    for _ in range(3):
        text = wait_for_change(page, "plane-text", text)
    page.locator("#plane-pause").click()
    page.wait_for_timeout(3000)
    text = content(page, "plane-text")
    page.wait_for_timeout(3000)
    assert content(page, "plane-text") == text
    assert not page.locator("[data-testid=toast-body]").count()
