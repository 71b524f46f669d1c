"""Sliders of the page: pictures of a run that differ in one thing, chosen by radio buttons, without a script."""

import imageio.v3 as iio
import numpy as np

from common.reproduce import report
from common.reproduce.page import WORDS
from common.reproduce.sliders import KINDS, MOST, sliders_of
from tests.helpers.page import Page


def draw(path, size=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.zeros((size, size, 3), "uint8"))


def test_pictures_are_found_in_order_and_thinned(tmp_path):
    for step in range(0, 2000, 50):
        draw(tmp_path / f"samples/step-{step:07d}.png")
    for name in ("0.5", "1.0", "0.75"):
        draw(tmp_path / f"figures/temperatures/{name}.png")
    draw(tmp_path / "figures/code-scales/0.90.png")
    sliders = sliders_of(tmp_path)
    assert list(sliders) == ["training", "temperature"], "one picture is no slider"
    steps = list(sliders["training"])
    assert len(steps) == MOST and (steps[0], steps[-1]) == ("0", "1,950")
    assert [*sliders["temperature"].items()] == [
        (value, tmp_path / f"figures/temperatures/{value}.png") for value in ("0.5", "0.75", "1.0")
    ]


def test_damaged_and_foreign_files_are_left_out(tmp_path):
    for step in (1, 2, 3):
        draw(tmp_path / f"samples/step-{step}.png")
    (tmp_path / "samples/step-2.png").write_bytes(b"no picture")
    draw(tmp_path / "samples/step-4.png", size=8)
    draw(tmp_path / "samples/other.png")
    assert list(sliders_of(tmp_path)["training"]) == ["1", "3"]
    assert sliders_of(tmp_path / "nothing") == {}


def test_every_kind_has_its_words():
    assert all(f"slider_{kind}" in words for kind in KINDS for words in WORDS.values())


def test_the_page_has_a_group_of_buttons_and_one_picture_for_each(tmp_path):
    run_dir = tmp_path / "ogan/mine"
    for step in (0, 100, 200):
        draw(run_dir / f"samples/step-{step:07d}.png")
    draw(run_dir / "figures/samples.png")
    page = Page(report.render(tmp_path))
    buttons = [attrs for _, attrs in page.all("input") if attrs["name"] != "show"]
    assert len(buttons) == 3 and len({button["name"] for button in buttons}) == 1
    assert ["checked" in button for button in buttons] == [False, False, True]
    labelled = {attrs["for"] for _, attrs in page.all("label")}
    assert {button["id"] for button in buttons} <= labelled
    shown = {attrs["src"] for _, attrs in page.all("img")}
    assert {f"../ogan/mine/samples/step-{step:07d}.png" for step in (0, 100, 200)} <= shown


def test_every_article_begins_with_a_picture_and_every_verdict_has_a_link(tmp_path):
    html = report.render(tmp_path)
    starts = [attrs for tag, attrs in Page(html).all("a") if attrs.get("class") == "start"]
    assert len(starts) == len({attrs["href"] for attrs in starts}) == html.count("<section ") > 10
    assert html.count('class="start-picture"') == len(starts), "each has a committed picture"
    verdicts = [attrs["href"] for tag, attrs in Page(html).all("a") if attrs.get("class") == "verdict"]
    assert len(verdicts) > 20 and all("README" in href and "#" in href for href in verdicts if not href.startswith("#"))
