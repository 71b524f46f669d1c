"""Texts from csv files, plain lines, archives and folders, in UTF-8 and GB18030."""

import io
import os
import tarfile
import zipfile

import pytest

from common.data import text
from common.data.text import Text, encoding_of, find_text, read_texts
from common.errors import UserError

REVIEWS = [("1", "很快，好吃"), ("0", 'a "quoted", one'), ("1", "上行\n下行")]


def csv_of(rows, header="label,review"):
    """Return a csv file as text, every field in quotes."""
    quoted = [",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    return "\n".join([header, *quoted, ""])


def texts_of(path):
    return [record.text for record in read_texts(path)]


def test_linked_folders_are_read_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("one\n")
    folder = tmp_path / "texts"
    (folder / "own").mkdir(parents=True)
    (folder / "own/b.txt").write_text("two\n")
    for name, target in (("linked", tmp_path / "real"), ("again", folder / "own"), ("circle", folder)):
        (folder / name).symlink_to(target)
    assert sorted((r.file, r.text) for r in read_texts(folder)) == [("linked/a.txt", "one"), ("own/b.txt", "two")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_csv_in_every_encoding(tmp_path, encoding, line_end, capsys):
    path = tmp_path / "a.csv"
    path.write_bytes(csv_of(REVIEWS).replace("\n", line_end).encode(encoding))
    records = list(read_texts(path))
    assert [(r.label, r.text.replace("\r", "")) for r in records] == REVIEWS
    assert [r.number for r in records] == [2, 3, 4] and {r.file for r in records} == {"a.csv"}
    assert not capsys.readouterr().out


def test_csv_with_categories_and_another_order_of_columns(tmp_path):
    (tmp_path / "a.csv").write_text("cat,label,review\n书籍,1,\ufeff好\n\n酒店,0,差\n")
    assert list(read_texts(tmp_path / "a.csv")) == [
        Text("好", "1", "书籍", "a.csv", 2),
        Text("差", "0", "酒店", "a.csv", 4),
    ]
    (tmp_path / "b.csv").write_text("id, Text ,label\n7,好,1\n")
    assert list(read_texts(tmp_path / "b.csv")) == [Text("好", "1", "", "b.csv", 2)]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_plain_lines(tmp_path, encoding, capsys):
    path = tmp_path / "in.txt"
    path.write_bytes("春 风\r\n\n  \n秋 月".encode(encoding))
    assert list(read_texts(path)) == [Text("春 风", file="in.txt", number=1), Text("秋 月", file="in.txt", number=4)]
    assert not capsys.readouterr().out, "blank lines divide paragraphs, they are no fault"


def test_bad_rows_are_named_counted_and_skipped(tmp_path, capsys):
    rows = ["label,review", "1,甲", "1,", "1,甲,乙", "单", "0,乙", "1,丙"]
    (tmp_path / "a.csv").write_bytes("\n".join(rows).encode() + b"\n1,\xe7\x94\n0,\xe4\xb8\x81\n0,x\n0,y\n")
    assert texts_of(tmp_path / "a.csv") == ["甲", "乙", "丙", "丁", "x", "y"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("a.csv: skipped 4 of 10 rows: line 3 (empty), line 4 (3 columns in place of 2), line 5 (1 ")
    assert line.endswith(", and 1 more")
    (tmp_path / "b.txt").write_bytes(b"\xe4\xb8\x81\n\xff\xff\n\xe4\xb8\x81\n")
    assert [r.number for r in read_texts(tmp_path / "b.txt")] == [1, 3]
    assert capsys.readouterr().out == "b.txt: skipped 1 of 3 rows: line 2 (not utf-8)\n"


def test_quote_without_an_end_costs_one_row(tmp_path, capsys):
    before, after = ["a0", "a1", "a2"], [*(f"b{i}" for i in range(5000)), 'a 5" screen']
    rows = [f"1,{text}" for text in [*before, '"never closed', *after]]
    (tmp_path / "a.csv").write_text("label,review\n" + "\n".join(rows))
    assert texts_of(tmp_path / "a.csv") == before + after
    assert capsys.readouterr().out == "a.csv: skipped 1 of 5005 rows: line 5 (a quote without an end)\n"


def test_other_ends_of_lines_inside_a_row(tmp_path, capsys):
    rows = ["1,a\u2028b\x85c", "0,a\rb", '1,"a\rb"']
    (tmp_path / "a.csv").write_bytes("\n".join(["label,review", *rows]).encode())
    assert texts_of(tmp_path / "a.csv") == ["a\u2028b\x85c", "a\rb"]
    assert "1 of 3 rows: line 3 (new-line character seen in unquoted field)" in capsys.readouterr().out


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def write_tar(path, members):
    with tarfile.open(path, "w:" + {".tar": "", ".gz": "gz", ".xz": "xz"}[path.suffix]) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_folder(path, members):
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


KINDS = {"c.zip": write_zip, "c.tar": write_tar, "c.tar.gz": write_tar, "c.tar.xz": write_tar, "folder": write_folder}


@pytest.mark.parametrize("name", KINDS)
def test_archives_and_folders(tmp_path, name, capsys):
    members = {
        "couplet/in.txt": "春 风\n".encode(),
        "couplet/out.txt": "秋 月\n".encode("gb18030"),
        "r.csv": b"label,review\n1,x\n1,\n",
        **{other: b"\x00\xff" for other in ("README.md", "__MACOSX/couplet/._in.txt", ".hidden.txt", "p.jpg")},
    }
    KINDS[name](tmp_path / name, members)
    records = {r.file: r.text for r in read_texts(tmp_path / name)}
    assert records == {"couplet/in.txt": "春 风", "couplet/out.txt": "秋 月", "r.csv": "x"}
    assert capsys.readouterr().out == f"{name}: skipped 1 of 4 rows: r.csv line 3 (empty)\n"


def error_of(path):
    with pytest.raises(UserError) as error:
        list(read_texts(path))
    assert "\n" not in str(error.value) and path.name in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "name, data, message",
    [
        ("a.txt", b"", "holds no text"),
        ("a.csv", b"\n", "holds no text"),
        ("a.csv", b"label,review\n", "holds no text"),
        ("a.csv", b"1,x\n0,y\n", "no column review"),
        ("a.csv", b"label,review\n1,x\n1,\n2\n3\n", "3 of 4 rows"),
        ("a.txt", "好".encode("utf-16"), "UTF-16"),
        ("a.txt", b"\x89PNG\0\0", "is no text"),
        ("a.zip", b"PK\x03\x04 half", "half downloaded"),
        ("a.tar.xz", b"\xfd7zXZ\x00 half", "is no text"),
    ],
)
def test_unusable_file_is_one_line(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    assert message in error_of(tmp_path / name)


def test_unusable_source_is_one_line(tmp_path):
    assert "does not exist" in error_of(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "no .csv or .txt" in error_of(tmp_path / "empty")
    write_zip(tmp_path / "a.zip", {"a.md": b"x"})
    assert "no .csv or .txt" in error_of(tmp_path / "a.zip")
    data = b"".join(bytes([65 + i % 26]) * 7 + b"\n" for i in range(40_000))
    write_tar(tmp_path / "t.tar.gz", {"a.txt": data})
    whole = (tmp_path / "t.tar.gz").read_bytes()
    (tmp_path / "t.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert "half downloaded" in error_of(tmp_path / "t.tar.gz")
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in error_of(tmp_path / "pipe")


def test_reading_is_lazy(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x\n" * 1_000_000)
    calls = []
    monkeypatch.setattr(text, "encoding_of", lambda lines: calls.append(len(lines)) or "utf-8")
    assert next(read_texts(tmp_path / "a.txt")).text == "x"
    assert calls[0] * 2 <= text.HEAD + 2


def test_encoding_by_the_majority_of_lines():
    good, bad = "服务很好，下次还来".encode(), b"\xe7\x94"
    assert encoding_of([b"ascii\n"]) == "utf-8"
    assert encoding_of([good, good, bad]) == "utf-8"
    assert encoding_of([b"ascii", "服务".encode("gb18030"), "很好".encode("gb18030"), "饕餮".encode()]) == "gb18030"


def test_downloads_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    with pytest.raises(UserError, match=r"waimai_10k.csv from https.*put it into one of these folders"):
        find_text("waimai", tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text/waimai_10k.csv").write_text("label,review\n1,x\n")
    assert find_text("waimai", tmp_path) == tmp_path / "text/waimai_10k.csv"
    (tmp_path / "couplet").mkdir()
    with pytest.raises(UserError):  # a folder of this repository, or of its runs
        find_text("couplet", tmp_path)
    (tmp_path / "couplet/train").mkdir()
    (tmp_path / "couplet/train/in.txt").touch()
    assert find_text("couplet", tmp_path) == tmp_path / "couplet"
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert find_text("waimai") == tmp_path / "text/waimai_10k.csv"
    with pytest.raises(UserError, match="unknown text 'weibo'"):
        find_text("weibo")
