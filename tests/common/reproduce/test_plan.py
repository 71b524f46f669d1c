"""What is to be run: which data a run gets, which runs are selected, what is finished, and what the record says."""

import json
import time

import pytest

from common.errors import UserError
from common.reproduce import __main__ as reproduce
from common.reproduce import available, plan
from common.reproduce.available import download_small
from common.reproduce.page import format_duration
from common.reproduce.record import Record, read_record
from tests.helpers.stub_project import call_main, stub_run


def test_a_run_waits_for_both_of_its_texts(no_data, tmp_path):
    hotel = lambda: plan.make_plan("smoke", "no-such-folder", data_dir=tmp_path)["vocabulary/hotel"]
    assert "ChnSentiCorp_htl_all.csv" in hotel().reason and "online_shopping_10_cats.zip" in hotel().reason
    (tmp_path / "ChnSentiCorp_htl_all.csv").touch()
    assert hotel().state == "data missing" and "shopping is not on this machine" in hotel().reason
    (tmp_path / "online_shopping_10_cats.zip").touch()
    assert hotel().state == "waiting"


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """A machine without any data set."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)


def test_a_run_gets_the_articles_data_if_available(no_data, tmp_path):
    runs = plan.make_plan("smoke", "no-such-folder")
    assert runs["flow/nice"].dataset == "toy_faces" and runs["flow/nice"].state == "waiting"
    assert runs["flow/glow-mnist"].state == "data missing" and "mnist.npz" in runs["flow/glow-mnist"].reason
    (tmp_path / "mnist.npz").write_bytes(b"only looked for, not read")
    runs = plan.make_plan("smoke", "no-such-folder", data_dir=tmp_path)
    assert runs["flow/nice"].dataset == runs["flow/glow-mnist"].dataset == "mnist"
    assert runs["flow/glow-mnist"].state == "waiting"
    runs = plan.make_plan("smoke", "no-such-folder", images="lfw", data_dir=tmp_path)
    assert runs["flow/nice"].dataset == "lfw", "--dataset"
    assert runs["flow/glow-mnist"].dataset == "mnist", "without a fallback a run keeps the article's data"


def test_small_data_is_downloaded_and_a_failure_is_printed(no_data, tmp_path, monkeypatch, capsys):
    requested = []

    def find(name, split, data_dir=None):
        requested.append(name)
        raise UserError("no network here")

    monkeypatch.setattr(available.catalog, "find", find)
    runs = plan.make_plan("smoke", "no-such-folder")
    download_small([runs["ogan/train"], runs["energy_gan/landscape"]])
    download_small([runs["flow/nice"]], "toy_faces")
    assert not requested, "faces are large, and the others need no data"
    download_small([runs["rsgan/modes"]])
    assert requested.pop() == "mnist", "stacked digits are made of it"
    download_small([runs["flow/nice"], runs["flow/glow-mnist"]])
    assert requested == ["mnist"] and capsys.readouterr().out == 2 * "no network here; continuing without it\n"
    (tmp_path / "mnist.npz").write_bytes(b"only looked for, not read")
    download_small([runs["flow/nice"]], data_dir=tmp_path)
    assert requested == ["mnist"], "it is available"


def test_list_runs_nothing_and_names_what_there_is(project, capsys):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"))
    assert project.reproduce("--only", "stubs/two") == 0
    calls = project.calls("two")
    capsys.readouterr()
    code, _ = call_main(reproduce, "--list", "--out", str(project.out))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert code == 0 and lines == [["stubs/one", "6", "seconds", "waiting"], ["stubs/two", "6", "seconds", "finished"]]
    assert project.calls("two") == calls and not project.run_dir("one").exists()


def test_a_folder_of_images_is_that_of_the_user(project, tmp_path, monkeypatch, capsys):
    """The scripts run in the root of the repository, and the command anywhere."""
    (tmp_path / "here/photos").mkdir(parents=True)
    data = {"dataset": "mnist", "fallback": "toy_faces", "command": "stubs/stub.py 1 {out}/x --dataset {dataset}"}
    project.write_list(stub_run("one", "1", **data))
    monkeypatch.chdir(tmp_path / "here")
    assert call_main(reproduce, "--list", "--out", str(project.out), "--dataset", "folder:photos")[0] == 0
    assert f"folder:{tmp_path}/here/photos" in capsys.readouterr().out


def test_names_in_only_may_have_spaces_and_empty_parts_between_them(project):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"), stub_run("three", "fail"))
    assert project.reproduce("--only", " stubs/one, stubs/two,") == 0
    assert project.states() == {"one": "finished", "two": "finished", "three": "waiting"}


def test_a_selected_run_brings_the_run_that_it_needs(project):
    project.write_list(stub_run("first", "1"), stub_run("other", "2"), stub_run("late", "3", after="first"))
    select = lambda only: [run.key for run in plan.select_runs(project.plan(), only)]
    assert select("stubs/late") == ["stubs/first", "stubs/late"]
    assert select("stubs/first") == ["stubs/first"]
    assert select("stubs") == select(None) == ["stubs/first", "stubs/other", "stubs/late"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_share_all_runs_and_keep_a_run_with_what_it_needs(project, count):
    project.write_list(stub_run("a", "1"), stub_run("b", "2"), stub_run("c", "3", after="a"), stub_run("d", "4"))
    runs = list(project.plan().values())
    for run, minutes in zip(runs, (5, 3, 1, 4), strict=True):
        run.minutes = minutes
    parts = [plan.part_of(runs, i + 1, count) for i in range(count)]
    keys = [run.key for part in parts for run in part]
    assert sorted(keys) == sorted(run.key for run in runs)
    (first,) = [part for part in parts if runs[0] in part]
    assert runs[2] in first
    if count == 2:  # 5 + 1 and 4 + 3 minutes
        assert [[run.spec["name"] for run in part] for part in parts] == [["a", "c"], ["b", "d"]]


def test_a_part_runs_no_run_of_another(project):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"), stub_run("three", "2"))
    assert project.reproduce("--part", "2/2") == 0
    assert project.states() == {"one": "waiting", "two": "waiting", "three": "finished"}


@pytest.mark.parametrize("text", ["0/3", "4/3", "2", "1/", "a/b", "1/99999"])
def test_a_wrong_part_gets_one_line(text):
    code, line = call_main(reproduce, "--part", text)
    assert code == 2 and "write 2/8 for the second of eight parts" in line


def test_wrong_names_and_damaged_lists_get_one_line(project):
    project.write_list(stub_run("one", "1"))
    with pytest.raises(UserError, match="--only stubs/onne: no such article or run; there are stubs/one"):
        project.reproduce("--only", "stubs/onne")
    (project.root / "stubs/reproduction.toml").write_text("[article")
    with pytest.raises(UserError, match=r"cannot read .*reproduction.toml"):
        project.reproduce()


NO_LIST = '{"signature": 3, "seconds": 1, "finished": true}'
NO_NUMBER = '{"signature": [], "seconds": "1", "finished": true}'


@pytest.mark.parametrize("damage", ["", "[]", "null", "{}", '{"finished": true}', 2000 * "[", NO_LIST, NO_NUMBER])
def test_a_damaged_run_json_repeats_that_run_only(project, damage, capsys):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"))
    assert project.reproduce() == 0
    (project.run_dir("one") / "run.json").write_text(damage)
    assert project.reproduce() == 0
    assert (project.calls("one"), project.calls("two")) == ("11", "2")
    printed = capsys.readouterr().out
    assert printed.count("runs/reproduction/quick/stubs/one/run.json is damaged: ") == 1
    assert "; the run is repeated" in printed and "two/run.json" not in printed


def test_a_folder_of_runs_may_be_moved(project):
    needs_one = {"after": "one", "command": "stubs/stub.py 2 {one}/y", "folder": "{one}/y"}
    project.write_list(stub_run("one", "1"), stub_run("late", "2", **needs_one))
    assert project.reproduce() == 0
    moved = project.root / "deeper [1]/moved"  # spaces, and brackets that glob would interpret
    moved.parent.mkdir()
    project.out.rename(moved)
    assert project.reproduce(out=moved) == 0
    folder = moved / "reproduction/quick/stubs"
    assert (folder / "one/x/figures/calls").read_text() == "1", "not repeated"
    assert (folder / "one/x/y/figures/calls").read_text() == "2", "not repeated"
    assert not list(folder.glob("*.old-*"))


def test_what_was_not_selected_keeps_its_entry(project):
    bad = stub_run("bad", "fail").replace("minutes = 0.1", "minutes = { quick = 0.1, paper = 0.1 }")
    project.write_list(stub_run("one", "1"), stub_run("two", "2"), bad)
    assert project.reproduce() == 1
    before = project.record()
    assert project.reproduce("--preset", "paper", "--only", "stubs/one") == 0
    assert project.record()["stubs/two"] == before["stubs/two"], "finished with another preset"
    assert project.record()["stubs/bad"] == before["stubs/bad"], "failed with another preset"
    assert project.record()["stubs/one"]["directory"] == "reproduction/paper/stubs/one/x"


def test_a_record_of_an_earlier_version_is_read_with_todays_states(project):
    old_states = {"one": "not at hand", "two": "held up", "three": "failed", "four": "waiting"}
    entries = {f"stubs/{name}": {"state": state, "why": name} for name, state in old_states.items()}
    project.out.mkdir()
    path = project.out / "reproduction.json"
    path.write_text(json.dumps({"preset": "paper", "runs": entries}))
    states = {"one": "data missing", "two": "blocked", "three": "failed", "four": "waiting"}
    expected = {f"stubs/{name}": {"state": state, "why": name} for name, state in states.items()}
    assert read_record(path) == Record(preset="paper", runs=expected)

    project.write_list(*(stub_run(name, name) for name in states), stub_run("five", "5"))
    assert project.reproduce("--only", "stubs/five") == 0
    assert project.record() == expected | {"stubs/five": project.record()["stubs/five"]}, "and written with them"


def test_a_damaged_entry_of_the_record_leaves_the_others_readable(tmp_path):
    path = tmp_path / "reproduction.json"
    path.write_text('{"preset": "quick", "runs": {"a": 3, "b": {"state": ["x"]}, "c": {}, "d": {"state": "held up"}}}')
    record = read_record(path)
    assert record.runs == {"d": {"state": "blocked"}} and not record.damage
    assert record.damaged_runs["a"] == 'reproduction.json is damaged: the entry "a" must be a dict, received 3'
    assert 'the entry "b": state must be one of waiting, ' in record.damaged_runs["b"]
    assert 'the entry "c": state is missing' in record.damaged_runs["c"]


@pytest.mark.parametrize("damage", ["", "[]", '{"preset": "quick", "runs": {"stubs/two": {"state": NaN}}}', None])
def test_a_damaged_record_is_kept_and_written_anew(project, damage, capsys):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"))
    assert project.reproduce("--only", "stubs/two") == 0
    path = project.out / "reproduction.json"
    path.unlink()
    path.mkdir() if damage is None else path.write_text(damage)
    capsys.readouterr()
    assert project.reproduce("--only", "stubs/one") == 0
    assert project.states() == {"one": "finished", "two": "finished"}
    kept = path.with_name("reproduction.json.old-1")
    assert kept.is_dir() if damage is None else kept.read_text() == damage
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "damaged" in line]
    assert line.startswith("reproduction.json is damaged: ")
    assert line.endswith("; kept as reproduction.json.old-1 and written anew")


def test_the_time_left_follows_the_measured_pace():
    run = lambda state, seconds: plan.Run("a/b", {}, "quick", 10.0, None, "x", "x/log", state=state, seconds=seconds)
    assert reproduce.time_left([run("waiting", 0.0)] * 6, 2) == "about 30 minutes left"
    runs = [run("finished", 1200.0), *[run("waiting", 0.0)] * 6]
    assert reproduce.time_left(runs, 1) == "about 120 minutes left", "twice as slow as declared"
    assert reproduce.time_left([run("waiting", 300.0)], 1) == "about 5 minutes left", "half of it was done before"
    late = run("running", 0.0)
    late.started_at = time.monotonic() - 3600
    assert reproduce.time_left([late], 1) == "about 60 seconds left", "never 0 while a run is active"
    durations = [format_duration(seconds) for seconds in (99, 100, 9000, 15000, 86400 * 3)]
    assert durations == ["99 seconds", "2 minutes", "150 minutes", "4 hours", "3 days"]
    assert reproduce.time_left(runs[:1], 1) == "nothing left"


def test_a_long_run_at_the_end_begins_before_the_others_are_done():
    """With 2 jobs, the last run or chain begins once it takes as long as all others together; else the order stays."""

    def run(name, minutes, needs=None, state="waiting"):
        return plan.Run(name, {}, "quick", minutes, None, name, "log", state=state, needs=needs)

    def order(runs, jobs=2):
        return "".join(r.key for r in reproduce.waiting_runs(runs, jobs))

    a, b, c = run("a", 1.0), run("b", 1.0), run("c", 1.0)
    assert order([a, b, c]) == "abc"
    assert order([a, b, run("d", 2.0)]) == "dab" and order([a, b, run("d", 1.9)]) == "abd"
    assert order([a, b, run("d", 2.0)], jobs=1) == "abd"
    assert order([a, b, c, run("d", 2.0)]) == "abcd" and order([a, b, c, run("d", 2.0)], jobs=3) == "dabc"
    assert order([run("r", 1.0, state="running"), a, run("d", 2.0)]) == "da"
    assert order([run("f", 9.0, state="finished"), a, run("d", 1.0)]) == "ad"
    first = run("e", 0.5)
    assert order([a, b, first, run("g", 1.5, needs=first)]) == "eabg", "a run is as long as the runs that wait for it"
