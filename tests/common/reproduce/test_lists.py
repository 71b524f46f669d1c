"""The articles' lists, `reproduction.toml`: their form, and that scripts, READMEs and Makefile agree."""

import os
import string
import subprocess

import pytest

from common.data.catalog import DATASETS
from common.reproduce import plan, report
from tests.helpers.commands import LISTS, parser_of, unknown_flags
from tests.helpers.scripts import ROOT

RUNS = [(folder, run) for folder, content in LISTS.items() for run in content["run"]]
# table -> (required keys, optional keys)
KEYS = {
    "article": ({"title", "place", "idea", "links"}, set()),
    "run": (
        {"name", "command", "folder", "leaves", "minutes"},
        {"dataset", "also", "fallback", "after", "photos", "smoke", "quick", "paper"},
    ),
    "figure": ({"caption", "ours"}, {"run", "file", "blog", "committed", "kept"}),
    "claim": ({"says", "verdict", "numbers", "link"}, set()),
    "number": ({"what", "published", "protocol", "readme"}, {"run", "key", "preset", "steps"}),
}


@pytest.mark.parametrize("folder", LISTS)
def test_a_list_is_well_formed(folder):
    content = LISTS[folder]
    assert content.keys() <= {*KEYS, "not_run"}
    for kind, (required, optional) in KEYS.items():
        for entry in [content["article"]] if kind == "article" else content.get(kind, []):
            chinese = {key for key in entry if key.endswith("_zh") and key.removesuffix("_zh") in entry}
            assert required <= entry.keys() - chinese <= required | optional, f"[[{kind}]] {entry}"
    runs = {run["name"]: run for run in content["run"]}
    assert len(runs) == len(content["run"]), "two runs have the same name"
    for figure in content.get("figure", []):
        assert ("run" in figure) == ("file" in figure) and ("run" in figure or "blog" in figure)
        assert "run" not in figure or figure["file"] in runs[figure["run"]]["leaves"]
        assert figure.get("blog", "https://kexue.fm/").startswith("https://kexue.fm/")
        assert "committed" not in figure or (ROOT / folder / "figures" / figure["committed"]).is_file()
    assert {claim["verdict"] for claim in content.get("claim", [])} <= set(report.VERDICTS)
    for number in content.get("number", []):
        assert ("run" in number) == ("key" in number) == ("preset" in number)
        assert number.get("run") in {None, *runs}


# article -> the numbers of its figures
FIGURES = {
    "5776": range(1, 6),
    "5807": range(17),
    "6110": range(1, 2),
    "6316": range(1, 6),
    "6394": range(1, 4),
    "6409": range(1, 13),
}


def test_every_figure_of_the_articles_is_listed_once():
    captions = [figure["caption"] for content in LISTS.values() for figure in content.get("figure", [])]
    listed = [caption.split(":")[0] for caption in captions if not caption.startswith("No figure of the blog: ")]
    assert sorted(listed) == sorted(f"{article}-F{n}" for article, numbers in FIGURES.items() for n in numbers)
    assert len(set(captions)) == len(captions), "two figures have the same caption"


def test_exactly_the_figures_of_the_blog_have_a_url():
    for content in LISTS.values():
        for figure in content.get("figure", []):
            is_ours = figure["caption"].startswith("No figure of the blog: ")
            assert ("blog" in figure) != is_ours, figure["caption"]


# no run of the list makes them; the articles' READMEs have the commands
ON_REQUEST = {
    "dcgan/faces-arithmetic.png",
    "energy_gan/25gaussians-none-maps.png",
    "ogan/lfw-reconstructions.png",
    "rsgan/25gaussians-penalty-distance.png",
    "rsgan/25gaussians-penalty-samples.png",
    "rsgan/mnist-convergence.png",
    "rsgan/mnist-samples-all.png",
}


@pytest.mark.parametrize("folder", LISTS)
def test_every_committed_picture_is_listed(folder):
    listed = {f"{folder}/{figure.get('committed')}" for figure in LISTS[folder].get("figure", [])}
    committed = {f"{folder}/{path.name}" for path in (ROOT / folder).glob("figures/*")}
    assert committed <= listed | ON_REQUEST
    for name in committed & ON_REQUEST:
        assert f"figures/{name.split('/')[1]}" in (ROOT / folder / "README.md").read_text()


@pytest.mark.parametrize("folder", LISTS)
def test_claims_link_to_headings_of_the_readme(folder):
    claims = LISTS[folder].get("claim", [])
    if not claims:
        pytest.skip(f"{folder} lists no claims")
    lines = [line for line in (ROOT / folder / "README.md").read_text().splitlines() if line.startswith("#")]
    in_anchors = string.ascii_lowercase + string.digits + " -_"
    anchors = {"".join(c for c in line.lstrip("# ").lower() if c in in_anchors).replace(" ", "-") for line in lines}
    assert {claim["link"] for claim in claims} <= anchors


def test_every_script_is_listed_as_run_or_as_not_run():
    scripts = {
        str(path.relative_to(ROOT))
        for folder in LISTS
        for path in (ROOT / folder).glob("*.py")
        if "\n    main(run" in path.read_text()
    }
    run = {spec["command"].split()[0] for _, spec in RUNS}
    not_run = {f"{folder}/{name}" for folder, content in LISTS.items() for name in content.get("not_run", {})}
    assert run | not_run == scripts and not run & not_run
    assert {path.parent.name for path in ROOT.glob("*/train.py")} <= LISTS.keys(), "every article has a list"


@pytest.mark.parametrize("preset", plan.PRESETS)
def test_listed_flows_can_halve_their_images(preset):
    """Check a condition that the scripts check only at run time.

    An image of 28 pixels can be halved twice, and the article's Glow has three scales.
    """
    from common.cli import apply_preset
    from flow import glow, nice
    from flow.training.run_images import default_size

    for key, run in plan.make_plan(preset, "runs", "mnist").items():
        script, *flags = run.command
        module = {"flow/glow.py": glow, "flow/compare.py": glow, "flow/nice.py": nice}.get(script)
        if module:
            if script == "flow/compare.py":
                flags = parser_of(script)[0]().parse_known_args(flags)[1]
            parser = module.make_parser()
            args = parser.parse_args([*flags, "--dataset", "mnist"])
            apply_preset(args, parser, module.PRESETS, size=default_size)
            assert args.size % 2**args.levels == 0, key


@pytest.mark.parametrize("preset", plan.PRESETS)
def test_the_scripts_know_every_flag_of_the_commands(preset):
    runs = plan.make_plan(preset, "runs", photos="/photos", figure_format="svg")
    for folder, spec in RUNS:
        command = runs[f"{folder}/{spec['name']}"].command
        assert not unknown_flags(command), f"{command[0]} does not know {unknown_flags(command)}"


def test_a_run_that_needs_another_comes_after_it():
    for folder, content in LISTS.items():
        earlier = set()
        for run in content["run"]:
            assert run.get("after", None) in {None, *earlier}, f"{folder}/{run['name']}"
            earlier.add(run["name"])


def test_no_two_runs_share_a_folder():
    for images in (None, *DATASETS, "toy_faces", "folder:/a/b"):
        run_dirs = [run.run_dir for run in plan.make_plan("quick", "runs", images).values()]
        assert len(set(run_dirs)) == len(run_dirs), images


def test_the_makefile_passes_its_variables_on():
    variables = ["PRESET=smoke", "DATASET=lfw", "ONLY=ogan,flow/nice", "DATA_DIR=a b", "OUT=x", "JOBS=2"]
    variables += ["IMAGES=c d", "FORMAT=svg"]
    env = {k: v for k, v in os.environ.items() if k not in ("DATA_DIR", "OUT", "DATASET", "MAKEFLAGS")}
    done = subprocess.run(
        ["make", "-n", "reproduce-all", *variables], cwd=ROOT, env=env, capture_output=True, text=True
    )
    (line,) = [line for line in done.stdout.splitlines() if "common.reproduce" in line]  # make also prints folder names
    flags = " ".join(line.partition("common.reproduce")[2].split())
    expected = '--preset "smoke" --dataset "lfw" --only "ogan,flow/nice" --data-dir "a b" --jobs "2" --images "c d"'
    assert flags == f'{expected} --format "svg" --out "x"'
