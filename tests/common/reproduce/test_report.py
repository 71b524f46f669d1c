"""The page that compares the articles with our results: read by a parser, and rendered by Chromium if available."""

import json
import operator
import shutil
import subprocess
from itertools import pairwise
from urllib.parse import unquote

import imageio.v3 as iio
import numpy as np
import pytest

from common.reproduce import plan, report
from tests.helpers.arrays import assert_not_blank
from tests.helpers.page import Page

NASTY = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The path of the page of the real lists before anything was run."""
    out = tmp_path_factory.mktemp("runs")
    report.run(report.make_parser().parse_args(["--out", str(out)]))
    return out / "report/index.html"


@pytest.fixture
def nasty(tmp_path, monkeypatch):
    """The folder of runs of a project with one finished and one missing run, with HTML in names and settings."""
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs/reproduction.toml").write_text(
        f"""
        [article]
        title = "{NASTY}"
        place = 1
        idea = "a & b"
        links = {{ home = "https://kexue.fm" }}
        [[run]]
        name = "done"
        command = "stubs/x.py"
        folder = "x"
        leaves = ["results.json", "a{NASTY.replace("/", "")}.png"]
        minutes = {{ quick = 1 }}
        dataset = "mnist"
        fallback = "toy_faces"
        [[run]]
        name = "later"
        command = "stubs/x.py"
        folder = "x"
        leaves = ["b.png"]
        minutes = 1
        [[figure]]
        caption = "{NASTY}"
        run = "done"
        file = "a{NASTY.replace("/", "")}.png"
        ours = "{NASTY}"
        blog = "https://kexue.fm/x.png"
        [[figure]]
        caption = "later"
        run = "later"
        file = "b.png"
        ours = "later"
        [[number]]
        what = "n"
        published = "1"
        protocol = "p"
        readme = "2"
        run = "done"
        key = "n"
        preset = "quick"
        """
    )
    run_dir = tmp_path / "runs/some where #1"
    run_dir.mkdir(parents=True)
    iio.imwrite(run_dir / "x.png", np.zeros((4, 4, 3), "uint8"))
    (run_dir / "x.png").rename(run_dir / f"a{NASTY.replace('/', '')}.png")
    flags = {"dataset": f"folder:{NASTY}", "data_dir": "/home/someone", "out": "/home/someone/runs"}
    (run_dir / "config.json").write_text(json.dumps({"flags": flags, "versions": {"keras": NASTY}}))
    (run_dir / "results.json").write_text(json.dumps({"metrics": {"n": 1.23456789}}))
    record = {"state": "finished", "directory": "some where #1", "command": f"python x {NASTY}", "seconds": 130}
    record |= {"log": "some where #1/log.txt", "preset": "smoke", "dataset": "toy_faces", "fallback": True, "why": ""}
    document = {"preset": "smoke", "runs": {"stubs/done": record}}
    (tmp_path / "runs/reproduction.json").write_text(json.dumps(document))
    return tmp_path / "runs"


def test_every_figure_has_a_picture_or_the_command_that_makes_it(empty):
    page = Page(empty.read_text())
    listed = [(folder, figure) for folder, content in plan.read_lists().items() for figure in content["figure"]]
    declared = {f"{folder}/{f['run']}/{f['file']}": f for folder, f in listed if "run" in f}
    assert page.figures.keys() == declared.keys()
    for name, figure in declared.items():
        assert "missing" in page.figures[name]["text"]
        assert f"make reproduce-all PRESET=quick ONLY={'/'.join(name.split('/')[:2])}" in page.figures[name]["text"]
        assert len(page.figures[name]["pictures"]) >= ("committed" in figure)
    shown = [attrs["src"] for _, attrs in page.all("img", "video") if attrs["src"].startswith("https://kexue.fm/")]
    linked = [attrs["href"] for _, attrs in page.all("a")]
    blog = [figure["blog"] for _, figure in listed if "blog" in figure]
    assert shown == [address for address in blog if "/uploads/" in address]
    assert set(blog) <= set(linked)
    assert {attrs["src"] for _, attrs in page.all("video")} == {a for a in blog if a.endswith(".mp4")}


def test_a_finished_run_is_shown_with_its_caveats(nasty):
    page = Page(report.render(nasty))
    done, later = page.figures.values()
    assert [unquote(path) for path in done["pictures"]] == [f"../some where #1/a{NASTY.replace('/', '')}.png"]
    assert "missing" not in done["text"] and "ONLY=stubs/later" in later["text"] and not later["pictures"]
    assert "1.2346 not comparable: preset smoke instead of quick, toy_faces instead of mnist" in page.text
    assert "preset smoke, on toy_faces, 2 minutes" in page.text
    (nasty / "some where #1/results.json").unlink()
    assert Page(report.render(nasty)).figures.popitem()[1]["text"].count("missing") == 1, "a deleted result is missing"


@pytest.mark.parametrize("preset", ["smoke", "quick"])
def test_a_committed_picture_replaces_that_of_a_smoke_run_only(nasty, preset):
    text = (nasty.parent / "stubs/reproduction.toml").read_text()
    (nasty.parent / "stubs/reproduction.toml").write_text(
        text.replace("[[figure]]", '[[figure]]\ncommitted = "kept.png"', 1)
    )
    (nasty.parent / "stubs/figures").mkdir()
    iio.imwrite(nasty.parent / "stubs/figures/kept.png", np.zeros((4, 4, 3), "uint8"))
    record = json.loads((nasty / "reproduction.json").read_text())
    record["runs"]["stubs/done"]["preset"] = preset
    (nasty / "reproduction.json").write_text(json.dumps(record))
    done = next(iter(Page(report.render(nasty)).figures.values()))
    kept = "../../stubs/figures/kept.png"
    assert (done["pictures"] == [kept]) == (preset == "smoke")
    is_smoke = preset == "smoke"
    assert ("This picture is committed to the repository" in done["text"]) == is_smoke
    assert ("Another picture, from the run" in done["text"]) == is_smoke
    assert ("The committed picture" in done["text"]) == (not is_smoke)


def test_a_damaged_file_marks_one_run_and_the_page_stays(nasty):
    results = nasty / "some where #1/results.json"
    results.write_text('{"metrics": {"n": null, "m": NaN}}')
    assert Page(report.render(nasty)).text.count("not a number") == 3, "both in the run's card, one in the table"
    for damage in ("[]", "", "{"):
        results.write_text(damage)
        done = next(iter(Page(report.render(nasty)).figures.values()))
        assert "damaged some where #1/results.json is damaged: " in done["text"]
        assert len(done["pictures"]) == 1, "what is sound is shown"
    for damage in ("[]", "{}", "", '{"preset": "quick", "runs": 3}'):
        (nasty / "reproduction.json").write_text(damage)
        text = Page(report.render(nasty)).text
        assert "0 finished" in text and "damaged reproduction.json is damaged: " in text


def test_a_finished_run_that_lacks_a_number_says_so(nasty):
    (nasty / "some where #1/results.json").write_text('{"metrics": {"other": 1.0}, "failed": {"rsgan-0": "no luck"}}')
    text = Page(report.render(nasty)).text
    assert "not measured by this run, preset smoke; to measure it:" in text and "not run yet" in text
    assert "failed rsgan-0: no luck" in text, "a failed training of a comparison"
    with open(nasty.parent / "stubs/reproduction.toml", "a") as file:
        file.write("\nsteps = 500\n")
    (nasty / "some where #1/results.json").write_text('{"metrics": {"n": 2.5, "steps": 30}}')
    assert (
        "2.5 not comparable: preset smoke instead of quick, 30 steps instead of 500," in Page(report.render(nasty)).text
    )
    for metrics in ({"n": 2.5, "steps": 500}, {"n": 2.5}):
        (nasty / "some where #1/results.json").write_text(json.dumps({"metrics": metrics}))
        assert "steps instead of" not in Page(report.render(nasty)).text


def test_the_folder_of_runs_may_be_a_symbolic_link(nasty):
    link = nasty.with_name("link")
    link.symlink_to(nasty, target_is_directory=True)
    report.run(report.make_parser().parse_args(["--out", str(link)]))
    sources = [a["src"] for _, a in Page((link / "report/index.html").read_text()).all("img") if "://" not in a["src"]]
    assert sources and all((link / "report" / unquote(source)).is_file() for source in sources)


def test_html_in_files_is_escaped(nasty):
    text = report.render(nasty)
    assert not Page(text).all("script")
    assert text.count("&lt;script&gt;") > 6 and "/home/someone" not in text


def test_the_page_works_from_the_disk_and_is_accessible(empty, nasty):
    for html, page_dir in ((empty.read_text(), empty.parent), (report.render(nasty), nasty / "report")):
        page = Page(html)
        assert not page.all("script", "link", "iframe")
        ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
        for tag, attrs in page.all("a", "img"):
            target = attrs["href"] if tag == "a" else attrs["src"]
            assert not target.startswith(("/", "file:")), "no absolute path"
            if target.startswith("#"):
                assert target[1:] in ids
            elif not target.startswith("https://") and page_dir == empty.parent:
                assert (page_dir / unquote(target.split("#")[0])).resolve().is_file()
            assert tag == "a" or attrs["alt"]
        levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4")]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b <= a + 1 for a, b in pairwise(levels)), "no level is skipped"
        assert dict(page.all("html"))["html"]["lang"] == "en"


def test_every_claim_stands_next_to_its_verdict(empty):
    text = Page(empty.read_text()).text
    for content in plan.read_lists().values():
        for claim in content.get("claim", []):
            assert f"{claim['verdict']} {' '.join(claim['says'].split())}" in text


WIDTHS = (360, 1400)  # of a telephone and of a desk, in pixels
# frames, because Chromium has no window as narrow as a telephone
FRAMES = """<body style="margin: 0; display: flex" onload="document.title = [...document.querySelectorAll('iframe')]
.map(f => [f.contentWindow.innerWidth, f.contentDocument.documentElement.scrollWidth].join(',')).join(' ')">"""


def test_a_browser_shows_the_page_without_horizontal_scrolling(empty, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser:
        pytest.skip("no Chromium on this machine's PATH")
    frame = '<iframe src="index.html" width="{}" height="2000" style="border: 0; flex: none"></iframe>'
    frames = empty.with_name("frames.html")
    frames.write_text(FRAMES + "".join(map(frame.format, WIDTHS)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]  # the blog is not asked
    command += ["--allow-file-access-from-files", f"--window-size={sum(WIDTHS)},2000"]

    def show(*flags):
        kwargs = {"capture_output": True, "text": True, "timeout": 180, "check": True}
        return subprocess.run([*command, *flags, frames.as_uri()], **kwargs).stdout

    title = show("--dump-dom").split("<title>")[1].split("</title>")[0]
    inner_widths, scroll_widths = zip(*(map(int, pair.split(",")) for pair in title.split()), strict=True)
    assert inner_widths == WIDTHS and all(map(operator.le, scroll_widths, inner_widths))
    show(f"--screenshot={tmp_path / 'page.png'}")
    telephone, desk = np.split(iio.imread(tmp_path / "page.png"), [WIDTHS[0]], axis=1)
    for name, picture in (("telephone", telephone), ("desk", desk)):
        iio.imwrite(tmp_path / f"{name}.png", picture)
        assert_not_blank(tmp_path / f"{name}.png", least=20)
