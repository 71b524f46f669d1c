"""JSON files: what cannot be read is one line, and any name can be stored."""

import os

import pytest

from common.errors import UserError
from common.files import read_json, write_json


def test_names_that_are_not_utf8_come_back_from_json(tmp_path):
    content = {"command": "train.py --out a\udcff", "图": "片"}
    write_json(tmp_path / "config.json", content)
    assert "图" in (tmp_path / "config.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "config.json") == content


@pytest.mark.parametrize(
    "make",
    [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(path, path)],
    ids=["folder", "pipe", "device", "loop"],
)
def test_what_is_no_file_is_not_read(tmp_path, make):
    make(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"cannot read .*x\.json: "):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1', b"\x00"])
def test_damaged_json_is_one_line(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read .*x\.json: ") as error:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(error.value)
