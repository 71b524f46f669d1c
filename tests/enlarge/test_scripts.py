"""The scripts of article 8444 from their flags to their files."""

import re
import shutil

import numpy as np
import pytest

from common.files import read_json, write_json
from enlarge import compare, corpus, symmetry, train
from enlarge.exactness import BREAKS, MODELS
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_here


def test_exactness(tmp_path, capsys):
    """The logits stay, to the precision of the type, and each rule of the article is needed."""
    assert run_here("enlarge/exactness.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "enlarge/exactness-smoke"
    metrics = metrics_of(folder)
    for name in MODELS:
        assert metrics[f"exact/{name}/k = 2, float64"] < 1e-12
        assert 1e-8 < metrics[f"exact/{name}/k = 2, float32"] < 1e-4
    kept = ("all rules kept", "rule for ReLU, with ReLU", "unscaled attention, no fourth root")
    for name in BREAKS:
        value = metrics[f"broken/{name}"]
        if "epsilon" in name:
            assert (1e-3 < value < 0.1) if "1e-3" in name else (1e-13 < value < 1e-10)
        else:
            assert value < 1e-12 if name in kept else value > 0.1, name
    assert_not_blank(folder / "figures/breaks.png", least=10)
    assert (folder / "table.md").read_text() in capsys.readouterr().out


# symmetry


def test_the_gradients_of_the_small_net_are_right():
    x, y = symmetry.data()
    net = symmetry.new_net(3, np.random.default_rng(0))
    loss, gradients = symmetry.loss_and_gradients(net, x, y)
    for weight, gradient in zip(net, gradients, strict=True):
        for i in np.ndindex(weight.shape):
            weight[i] += 1e-6
            assert (symmetry.loss_and_gradients(net, x, y)[0] - loss) / 1e-6 == pytest.approx(gradient[i], abs=1e-4)
            weight[i] -= 1e-6


def test_copies_stay_equal_and_uneven_ones_part_from_the_same_function():
    x, y = symmetry.data()
    rng = np.random.default_rng(1)
    small = symmetry.new_net(3, rng)
    losses = {}
    for spread in (0.0, 0.4):
        net, losses[spread] = symmetry.train(symmetry.widen(small, spread, rng), x, y, 300)
        assert (symmetry.gap(net) > 0.01) == bool(spread)
        assert symmetry.gap(net) == 0 or spread
    start = symmetry.loss_and_gradients(small, x, y)[0]
    assert losses[0.0][0] == pytest.approx(start, rel=1e-12) and losses[0.4][0] == pytest.approx(start, rel=1e-12)
    assert losses[0.4][-1] < losses[0.0][-1] < start


# texts


def test_a_text_becomes_rows_of_character_numbers(tmp_path):
    (tmp_path / "a.txt").write_text("abcab\n" * 200, encoding="utf-8")
    examples, held_out, alphabet = corpus.load_examples(f"text:{tmp_path / 'a.txt'}", 9)
    assert alphabet == "\ufffd\nabc" and len(examples) == 114 and len(held_out) == 5
    text = "".join(alphabet[i] for i in np.concatenate([examples, held_out]).ravel())
    assert text == ("abcab\n" * 200)[: len(text)] and len(text) >= 1190


def test_a_rare_character_is_unknown_and_a_couplet_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MOST", 3)
    for half, line in (("in", "春 风"), ("out", "秋 月")):
        (tmp_path / "couplet/train").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"couplet/train/{half}.txt").write_text(f"{line}\n" * 60, encoding="utf-8")
    examples, _, alphabet = corpus.load_examples("couplet", 5, tmp_path)
    assert corpus.text_of("couplet", tmp_path).split("\n")[0] == "春风，秋月"
    assert len(alphabet) == 3 and examples.max() == 2 and (examples == 0).mean() > 0.5


def test_the_documentation_of_python_is_there_without_a_download():
    text = corpus.text_of("python_docs")
    assert len(text) > 200_000 and "iterator" in text


# training


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of a small run and of one that goes on with its model, made three times as wide."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text("the cat sat on the mat, and that was that.\n" * 80, encoding="utf-8")
    common = ["--preset", "smoke", "--dataset", f"text:{folder / 'text.txt'}", "--out", folder]
    assert run_here("enlarge/train.py", *common) == 0
    small = folder / "enlarge/text-text.txt-16-smoke-s0"
    assert run_here("enlarge/train.py", *common, "--enlarge", small, "--factor", "3", "--spread", "0.4") == 0
    return folder


def test_an_enlarged_model_goes_on_from_the_loss_of_the_small_one(runs):
    small, wide = (metrics_of(runs / f"enlarge/text-text.txt-16-smoke{end}-s0") for end in ("", "-factor-3-spread-0.4"))
    assert wide["held_out/step 0"] == pytest.approx(small["held_out"], abs=1e-5) == wide["held_out/small model"]
    assert small["held_out"] < small["held_out/step 0"] and wide["held_out"] < wide["held_out/step 0"]
    assert wide["bits_per_character"] == pytest.approx(wide["held_out"] / np.log(2))
    assert wide["gap_of_copies"] > 0.1 and "gap_of_copies" not in small
    assert wide["parameters"] > 4 * small["parameters"]
    folder = runs / "enlarge/text-text.txt-16-smoke-factor-3-spread-0.4-s0"
    assert len((folder / "sample.txt").read_text(encoding="utf-8")) > 3 * train.CHARACTERS
    assert_not_blank(folder / "figures/loss.png", least=5)


def test_an_enlarged_run_goes_on_without_its_history_but_not_from_another_model(runs, tmp_path):
    folders = [runs / f"enlarge/text-text.txt-16-smoke{end}-s0" for end in ("", "-factor-3-spread-0.4")]
    small, wide = (shutil.copytree(folder, tmp_path / folder.name) for folder in folders)
    before = metrics_of(wide)
    (wide / "held_out.json").write_text("")
    assert run_here("enlarge/train.py", "--resume", wide) == 0
    after = metrics_of(wide)
    assert after["held_out"] == before["held_out"] and before.keys() - after.keys() == {"held_out/step 0"}

    flags = read_json(wide / "config.json")
    write_json(wide / "config.json", flags | {"flags": flags["flags"] | {"enlarge": str(small)}})
    assert run_here("enlarge/train.py", "--resume", small, "--steps", "9") == 0
    assert "was enlarged from other weights" in error_line("enlarge/train.py", "--resume", wide)


def test_flags_that_do_not_go_together_are_one_line(runs):
    small = runs / "enlarge/text-text.txt-16-smoke-s0"
    here = ["--preset", "smoke", "--dataset", f"text:{runs / 'text.txt'}", "--out", runs / "wrong"]
    cases = {
        "belong together": ["--factor", "2"],
        "for an enlarged model": ["--spread", "0.4"],
        "leave it out": ["--enlarge", small, "--factor", "2", "--width", "8"],
        "another network": ["--enlarge", small, "--factor", "2", "--size", "9"],
        "must be a multiple of 2": ["--width", "9"],
    }
    for expected, flags in cases.items():
        assert expected in error_line("enlarge/train.py", *here, *flags)
    (runs / "other.txt").write_text("quite other letters: xyz\n" * 80, encoding="utf-8")
    other = ["--preset", "smoke", "--dataset", f"text:{runs / 'other.txt'}", "--out", runs / "wrong"]
    assert "with other characters" in error_line("enlarge/train.py", *other, "--enlarge", small, "--factor", "2")
    assert "only 24 characters" in error_line("enlarge/train.py", *short(runs))


def short(runs):
    (runs / "short.txt").write_text("quite other letters: xyz\n", encoding="utf-8")
    return ["--preset", "smoke", "--dataset", f"text:{runs / 'short.txt'}", "--out", runs / "wrong"]


def test_the_table_and_the_curves_of_a_comparison(tmp_path, capsys, monkeypatch):
    """The trainings are replaced by files that hold known numbers."""

    def trained(*words):
        words = list(map(str, words))
        folder = tmp_path / re.sub(r"\W+", "-", words[words.index("--out") + 1])
        metrics = {"held_out": 1.0, "parameters": 9, "train_seconds": 2.0}
        if "--enlarge" in words:
            metrics |= {"gap_of_copies": 0.25, "held_out/step 0": 1.5, "held_out/small model": 1.5 - 2e-6}
        write_json(folder / "results.json", {"metrics": metrics})
        write_json(
            folder / "held_out.json", {str(s): 4.0 / (1 + s) for s in range(int(words[words.index("--steps") + 1]) + 1)}
        )
        return folder

    monkeypatch.setattr(compare, "trained", trained)
    args = compare.make_parser().parse_args(["--preset", "smoke", "--seeds", "2", "--out", str(tmp_path)])
    args.forwarded = []
    compare.run(args)
    folder = tmp_path / "enlarge/compare-python_docs"
    metrics = metrics_of(folder)
    assert metrics["loss at the switch/uneven shares/1"] == 4.0 and metrics["gap of the copies/exact copies/0"] == 0.25
    assert metrics["loss at the switch/large from scratch/0"] == pytest.approx(4 / 7)
    assert "greatest jump at the switch, copies and noise: 2.0e-06" in (folder / "table.md").read_text()
    assert_not_blank(folder / "figures/loss.png", least=5)
