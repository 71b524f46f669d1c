"""The scripts of article 6270 from their flags to their files."""

import json

import keras
import numpy as np
import pytest

from common.cli import apply_preset
from common.data.batches import SameLengthBatches
from common.files import write_json
from common.training import loop
from common.training.ema import WeightEMA
from couplet import compare, data, train
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here


def test_batches_have_one_length_each_and_lengths_in_proportion():
    couplets = data.load_couplets("grammar", limit=3000).train
    batches = SameLengthBatches(couplets[np.argsort((couplets[:, 0] >= 0).sum(1))][:2000], 16, seed=3)
    rows = {tuple(row[row >= 0]) for row in couplets.reshape(len(couplets), -1)}
    lengths = []
    for i in range(400):
        batch = batches[i]
        assert batch.shape[:2] == (16, 2) and (batch >= 0).all()
        assert {tuple(row) for row in batch.reshape(16, -1)} <= rows
        lengths.append(batch.shape[2])
    share = {n: len(r) / 2000 for n, r in batches.rows.items()}
    assert [lengths.count(n) / 400 for n in share] == pytest.approx(list(share.values()), abs=0.08)
    later = SameLengthBatches(batches.images, 16, seed=3, start=7)
    assert np.array_equal(later[2], batches[9]) and not np.array_equal(batches[0], batches[1])


@pytest.mark.parametrize(
    ("model", "flags", "network"),
    [("gated", [], "average over the steps"), ("transformer", ["--ema", "0"], "last step")],
)
def test_train_and_answer(model, flags, network, tmp_path, capsys):
    assert run_here("couplet/train.py", "--preset", "smoke", "--model", model, *flags, "--out", tmp_path) == 0
    (folder,) = (tmp_path / "couplet").iterdir()
    metrics = metrics_of(folder)
    assert json.loads((folder / "results.json").read_text())["network"].startswith(network)
    assert 1 < metrics["perplexity"] < 93 and 0 <= metrics["whole lines"] < metrics["top-1"] < 1
    assert metrics["table of characters/perplexity"] > metrics["table of neighbours/perplexity"] > 1
    assert metrics["last word/3 words, ceiling"] > metrics["last word/3 words, ceiling without the key"] > 0.4
    answers = (folder / "answers.md").read_text(encoding="utf-8")
    assert answers.count("\n") == 22 and answers in capsys.readouterr().out
    assert_not_blank(folder / "figures/loss.png", least=10)
    if model == "gated":
        (folder / "held_out.json").write_text("")
        assert run_here("couplet/train.py", "--resume", folder) == 0 and capsys.readouterr()
        assert metrics_of(folder)["perplexity"] == metrics["perplexity"], "what is lost is measured again"
    upper = answers.splitlines()[2].split("|")[1].strip()
    assert run_here("couplet/answer.py", "--run", folder, upper, "囧" + upper) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-4] == upper and said[-3] == answers.splitlines()[2].split("|")[2].strip()
    assert "unknown to the model: 囧" in said[-2] and len(said[-1]) == len(upper) + 1 and "\ufffd" not in said[-1]

    drawn = ["--temperature", 1.0, "--answers", 3]
    for flags in ([*drawn], [*drawn], [*drawn, "--seed", 1], [*drawn, "--top-k", 1]):
        assert run_here("couplet/answer.py", "--run", folder, *flags, upper) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == lines[4:8] != lines[8:12] and len(set(lines[1:4])) == 3 and len(set(lines[13:])) == 1
    assert run_here("couplet/answer.py", "--run", folder, upper * 8) == 0
    assert "longer than any line that it was trained on" in capsys.readouterr().out
    assert "at most 64" in error_line("couplet/answer.py", "--run", folder, "长" * 65)
    assert "give e.g. --temperature" in error_line("couplet/answer.py", "--run", folder, "--top-k", 3, upper)
    write_json(folder / "alphabet.json", "\ufffdab")
    assert "another network" in error_line("couplet/answer.py", "--run", folder, upper)
    write_json(folder / "alphabet.json", [])
    assert "alphabet.json is damaged" in error_line("couplet/answer.py", "--run", folder, upper)
    (folder / "alphabet.json").unlink()
    assert "alphabet.json" in error_line("couplet/answer.py", "--run", folder, upper)


def test_a_training_that_is_interrupted_ends_like_one_that_is_not(tmp_path):
    args = train.make_parser().parse_args(["--preset", "smoke"])
    apply_preset(args, train.make_parser(), train.PRESETS)
    couplets = data.load_couplets("grammar", limit=500)

    def trained(folder, *stops):
        for steps in stops:
            keras.utils.set_random_seed(0)
            trainer, tagger = train.build(args, len(couplets.alphabet))
            averages = WeightEMA([tagger], args.ema)
            loop.train(
                trainer, couplets.train, tmp_path / folder, batch_size=16, steps=steps, save_every=10, seed=0,
                on_interval=lambda step: None, averages=averages, batches=SameLengthBatches,
            )  # fmt: skip
        weights = [*tagger.weights, *averages.models[0].weights]
        return np.concatenate([w.numpy().ravel() for w in weights if "float" in w.dtype])

    assert np.array_equal(trained("parts", 7, 20), trained("whole", 20)), "dropout and lengths too"


def test_compare(tmp_path, home, monkeypatch, capsys):
    kinds = compare.kinds_of("grammar")
    assert len(kinds) == 8 and kinds["bilstm"] == ["--model", "bilstm", "--depth", 6]
    assert list(compare.kinds_of("couplet")) == ["gated, depth 6", "plain", "bilstm", "transformer"]
    flags = ["--preset", "smoke", "--seeds", 1, "--steps", 3, "--limit", 100, "--out", tmp_path]
    monkeypatch.setattr("couplet.grammar.TEST", 200)
    run_comparison(monkeypatch, home, "couplet/compare.py", *flags, "--models", "gated", "plain", "--depths", 1)
    folder = tmp_path / "couplet/compare-smoke-grammar"
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out and "| plain |" in table and "table of neighbours" in table
    assert_not_blank(folder / "figures/staircase.png", least=10)


def test_couplets_of_ones_own(tmp_path, capsys):
    for half, line in (("in", "春 风 吹 又 生"), ("out", "秋 月 照 还 明")):
        (tmp_path / f"{half}.txt").write_text(f"{line}\n{line[::-1]}\n" * 40, encoding="utf-8")
    flags = ["--preset", "smoke", "--dataset", f"text:{tmp_path}", "--out", tmp_path / "runs"]
    assert run_here("couplet/train.py", *flags) == 0
    (folder,) = (tmp_path / "runs/couplet").iterdir()
    assert "春风吹又生" in (folder / "answers.md").read_text(encoding="utf-8")
    assert metrics_of(folder)["table of neighbours/top-1"] == 1
    (tmp_path / "in.txt").write_bytes(b"")
    flags[-1] = tmp_path / "other"
    assert "0 lines in in.txt, but 80 lines in out.txt" in error_line("couplet/train.py", *flags)
    missing = [
        "--preset",
        "smoke",
        "--dataset",
        "couplet",
        "--data-dir",
        tmp_path / "runs",
        "--out",
        tmp_path / "other",
    ]
    assert "get couplet.tar.gz from https" in error_line("couplet/train.py", *missing)
    assert not (tmp_path / "other").exists()
