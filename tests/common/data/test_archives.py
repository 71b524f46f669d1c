"""Reading images out of zips, tars and LMDBs: hostile members, links, names, damage and limits."""

import io
import os
import stat
import struct
import sys
import tarfile
import types
import zipfile

import pytest

from common.data import archives
from common.data.decoding import BadImage
from common.data.readers import open_images
from common.errors import UserError
from tests.helpers.datasets import contents, fill, problems, solid_png, write_tar, write_zip

PNG = solid_png((200, 30, 40), (16, 16))


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_hostile_names_write_no_file(tmp_path, make):
    names = ["../../etc/passwd.png", "/root/abs.png", "C:\\Windows\\a.png", "a\nb\x1b[31m.png", "../../etc/shadow"]
    folder = tmp_path / "in"
    folder.mkdir()
    path = make(folder / ("x.zip" if make is write_zip else "x.tgz"), dict.fromkeys(names, PNG))
    members = contents(path)
    assert sorted(members) == ["Windows/a.png", "a?b?[31m.png", "etc/passwd.png", "etc/shadow", "root/abs.png"]
    assert os.listdir(folder) == [path.name] and os.listdir(tmp_path) == ["in"]


def zip_link(name, target):
    """Return the `ZipInfo` of a link, and its content."""
    link = zipfile.ZipInfo(name)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link, target


def test_links_out_of_an_archive_are_named_and_not_followed(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(*zip_link("link.png", str(secret)))
        archive.writestr("real.png", PNG)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(info)
        archive.add(secret, "real.png")
    assert set(contents(tmp_path / "x.zip")) == set(contents(tmp_path / "x.tar")) == {"real.png"}
    assert "a link, which is not followed" in problems(tmp_path / "x.zip")["link.png"]
    assert problems(tmp_path / "x.tar") == {"link.png": f"a link to {secret}, which is not in the archive"}


def test_links_inside_a_tar_are_followed(tmp_path):
    folder = fill(tmp_path / "set", {"a/1.png": PNG, "a/labels.txt": b"x", "b/2.png": solid_png(9)})
    os.link(folder / "a/1.png", folder / "b/hard.png")
    (folder / "b/soft.png").symlink_to("../a/1.png")
    (folder / "b/twice.png").symlink_to("soft.png")
    (folder / "b/circle.png").symlink_to("circle.png")
    (folder / "c").symlink_to("a")  # a folder whose images are in the tar already
    (folder / "b/readme").symlink_to("../a/labels.txt")
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        archive.add(folder, "set")
    found = contents(tmp_path / "x.tgz")
    assert found.pop("set/b/2.png") == solid_png(9)
    assert found == {f"set/{name}.png": PNG for name in ("a/1", "b/hard", "b/soft", "b/twice")}
    assert list(problems(tmp_path / "x.tgz")) == ["set/b/circle.png"]


NAMES_FROM_ELSEWHERE = {
    "gbk": ["人物/猫.png", "人物/狗1.png"],
    "cp932": ["人物/表示.png", "人物/ネコ.png"],  # 表 ends in the byte of a backslash
    "cp437": ["Jäger/château.png", "Straße.png"],
    "utf-8": ["人物/ネコ.png", "Jäger.png"],
}


@pytest.mark.parametrize("encoding", NAMES_FROM_ELSEWHERE)
def test_zips_from_other_countries_keep_their_names(tmp_path, encoding):
    names = NAMES_FROM_ELSEWHERE[encoding]
    raw = {name: name.encode(encoding) for name in (*names, "plain.png")}
    stand_ins = {name: chr(97 + i) * len(raw[name]) for i, name in enumerate(raw)}  # of the same length, in ASCII
    path = write_zip(tmp_path / "x.zip", {stand_ins[name]: PNG for name in raw})
    data = path.read_bytes()
    for name, stand_in in stand_ins.items():
        data = data.replace(stand_in.encode(), raw[name])
    path.write_bytes(data)
    assert contents(path) == dict.fromkeys(raw, PNG)


def test_a_tar_from_another_country_keeps_its_names(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT, encoding="gbk") as archive:
        for name in ("人物/猫.png", "人物/狗.png"):
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            archive.addfile(info, io.BytesIO(PNG))
    assert set(contents(tmp_path / "x.tar")) == {"人物/猫.png", "人物/狗.png"}


def test_zip64_entries_and_wrong_suffixes_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, archive.open("a.png", "w", force_zip64=True) as f:
        f.write(PNG)
    (tmp_path / "x.tar.gz").write_bytes((tmp_path / "x.zip").read_bytes())
    write_tar(tmp_path / "y.tgz", {"a.png": PNG}).rename(tmp_path / "y.zip")
    for name in ("x.zip", "x.tar.gz", "y.zip"):
        assert contents(tmp_path / name) == {"a.png": PNG}


def reason_of(path):
    with open_images(path) as entries, pytest.raises(BadImage) as caught:
        entries[0].read()
    return str(caught.value)


def test_zip_bombs_are_read_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1 << 20)
    bomb = b"\0" * (5 << 20)
    deflated = write_zip(tmp_path / "x.zip", {"a.png": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert reason_of(deflated) == "more than 1 MB"
    data = deflated.read_bytes()  # the same bomb, declared to be 100 bytes long
    deflated.write_bytes(data.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 100)))
    assert "damaged" in reason_of(deflated)
    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.png", bomb)
        archive.writestr("b.png", PNG, zipfile.ZIP_STORED)
    assert problems(tmp_path / "y.zip") == {"a.png": "unsupported zip compression: unzip it"}
    assert reason_of(write_tar(tmp_path / "z.tgz", {"a.png": bomb})) == "more than 1 MB"


def encrypt(path):
    """Mark the first member of a zip as encrypted, in both of its headers."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    return path


def test_encrypted_members_are_named(tmp_path):
    path = encrypt(write_zip(tmp_path / "x.zip", {"a.png": PNG, "b.png": PNG}))
    assert problems(path) == {"a.png": "encrypted: unzip it with its password"} and list(contents(path)) == ["b.png"]
    path = encrypt(write_zip(tmp_path / "y.zip", {"a.png": PNG}))
    with pytest.raises(UserError, match=r"mostly unreadable, 1 of 1 images, for example a\.png \(encrypted"):
        contents(path)


def test_damaged_members_are_bad_images(tmp_path):
    data = bytearray(write_zip(tmp_path / "y.zip", {"a.png": PNG}).read_bytes())
    data[45] ^= 255
    (tmp_path / "y.zip").write_bytes(data)
    assert "damaged" in reason_of(tmp_path / "y.zip")


def test_lmdb_is_read_if_the_package_is_installed(tmp_path, monkeypatch):
    (tmp_path / "data.mdb").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "lmdb", None)  # as if it were not installed
    with pytest.raises(UserError, match="pip install lmdb"), open_images(tmp_path):
        pass
    stored = {b"k1": PNG, b"k2": solid_png((1, 2, 3))}
    txn = types.SimpleNamespace(cursor=lambda: types.SimpleNamespace(iternext=lambda **_: iter(stored)), get=stored.get)
    closed = []
    env = types.SimpleNamespace(begin=lambda **_: txn, close=lambda: closed.append(True))
    monkeypatch.setitem(sys.modules, "lmdb", types.SimpleNamespace(open=lambda *_, **__: env))
    assert contents(tmp_path) == {"k1": PNG, "k2": solid_png((1, 2, 3))} and closed == [True]
    path = write_zip(tmp_path / "church.zip", {"church/data.mdb": b"x"})
    with pytest.raises(UserError, match="unzip it"), open_images(path):
        pass
