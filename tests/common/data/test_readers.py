"""Reading images out of folders, archives and LMDBs: names, hostile archives, damage and limits."""

import os
import stat
import struct
import sys
import tarfile
import types
import zipfile

import numpy as np
import pytest

from common.data import readers
from common.data.decoding import BadImage
from common.data.readers import open_images, safe_name
from common.errors import UserError
from tests.helpers.datasets import encode, fill, solid_png, write_tar, write_zip

PNG = solid_png((200, 30, 40), (16, 16))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def contents(path):
    with open_images(path) as entries:
        return {entry.name: entry.read() for entry in entries}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz"])
def test_every_container_gives_the_same_images(tmp_path, kind):
    members = {f"set/{n}/{i}.png": solid_png((i, 2, 3)) for n in ("b", "ä") for i in range(3)}
    junk = {"set/readme.txt": b"x", "__MACOSX/set/b/._0.png": b"x", "set/.hidden.png": b"x", "set/b/._1.png": b"x"}
    source = tmp_path / (kind if kind == "folder" else f"images.{kind}")
    if kind in ("folder", "zip"):
        fill(source, {**members, **junk})
    else:
        write_tar(source, {**members, **junk}, f"w:{kind[4:]}")
    assert contents(source) == members


@pytest.mark.parametrize("make", [write_zip, write_tar])
def test_hostile_names_write_no_file(tmp_path, make):
    names = ["../../etc/passwd.png", "/root/abs.png", "C:\\Windows\\a.png", "a\nb\x1b[31m.png", "../../etc/passwd"]
    folder = tmp_path / "in"
    folder.mkdir()
    path = make(folder / ("x.zip" if make is write_zip else "x.tgz"), dict.fromkeys(names, PNG))
    members = contents(path)
    assert sorted(members) == ["Windows/a.png", "a?b?[31m.png", "etc/passwd.png", "root/abs.png"]
    assert os.listdir(folder) == [path.name] and os.listdir(tmp_path) == ["in"]


def test_links_in_archives_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, str(tmp_path / "secret.png"))
        archive.writestr("real.png", PNG)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(info)
        archive.add(tmp_path / "secret.png", "real.png")
    assert set(contents(tmp_path / "x.zip")) == set(contents(tmp_path / "x.tar")) == {"real.png"}


def test_links_pipes_and_names_outside_utf8_in_a_folder(tmp_path):
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    with open(os.path.join(os.fsencode(tmp_path), b"latin-\xe4.png"), "wb") as f:  # not UTF-8
        f.write(PNG)
    with open_images(tmp_path) as entries:
        reads = {e.name: e.read for e in entries}
        assert set(reads) == {"good.png", "gone.png", "linked.png", "latin-?.png"}
        assert reads["linked.png"]() == reads["latin-?.png"]() == PNG
        with pytest.raises(BadImage, match="No such file"):
            reads["gone.png"]()
    path, files = readers.fingerprint(tmp_path)
    assert path == str(tmp_path)
    sizes = {bytes.fromhex(name).decode(): size for name, size, _ in files}
    assert sizes == {"good.png": len(PNG), "gone.png": -1, "linked.png": len(PNG), "latin-?.png": len(PNG)}


def test_missing_permissions_are_reported(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(PNG)
    path = write_zip(tmp_path / "x.zip", {"a.png": PNG})

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(args[0]))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", denied)
        with open_images(tmp_path) as entries, pytest.raises(BadImage, match="Permission denied"):
            entries[0].read()
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", denied)
        with pytest.raises(UserError, match="permission denied"), open_images(path):
            pass
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UserError, match="permissions"), open_images(tmp_path):
        pass


def reason_of(path):
    with open_images(path) as entries, pytest.raises(BadImage) as caught:
        entries[0].read()
    return str(caught.value)


def test_zip_bombs_are_read_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 1 << 20)
    bomb = b"\0" * (5 << 20)
    deflated = write_zip(tmp_path / "x.zip", {"a.png": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert reason_of(deflated) == "more than 1 MB"
    data = deflated.read_bytes()  # the same bomb, declared to be 100 bytes long
    deflated.write_bytes(data.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 100)))
    assert "damaged" in reason_of(deflated)
    assert "unsupported" in reason_of(write_zip(tmp_path / "y.zip", {"a.png": bomb}, compression=zipfile.ZIP_BZIP2))
    assert reason_of(write_tar(tmp_path / "z.tgz", {"a.png": bomb})) == "more than 1 MB"


def test_encrypted_and_damaged_members_are_bad_images(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"a.png": PNG})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag word of the member, in both places
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    assert reason_of(path) == "encrypted"
    data = bytearray(write_zip(tmp_path / "y.zip", {"a.png": PNG}).read_bytes())
    data[45] ^= 255
    (tmp_path / "y.zip").write_bytes(data)
    assert "damaged" in reason_of(tmp_path / "y.zip")


def test_unusable_sources_are_refused_in_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("x")
    (tmp_path / "not.zip").write_text("<html>quota exceeded</html>")
    (tmp_path / "a.rar").write_text("x")
    whole = write_zip(tmp_path / "whole.zip", {f"{i}.png": PNG for i in range(9)}).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    whole = write_tar(tmp_path / "whole.tgz", {f"{i}.png": encode(NOISE) for i in range(9)}).read_bytes()
    (tmp_path / "half.tgz").write_bytes(whole[: len(whole) // 2])
    wrong = {"empty": "no images", "text": "no images", "not.zip": "damaged", "a.rar": "not a folder or an archive"}
    for name, message in {**wrong, "half.zip": "half downloaded", "half.tgz": "half downloaded"}.items():
        with pytest.raises(UserError, match=message) as caught, open_images(tmp_path / name):
            pass
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        readers.fingerprint(tmp_path / "nowhere")
    write_zip(tmp_path / "text.zip", {"a.txt": b"x"})
    with pytest.raises(UserError, match="no images"), open_images(tmp_path / "text.zip"):
        pass


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


def test_safe_name_is_relative_and_printable():
    assert safe_name("a/./b//c.png") == "a/b/c.png"
    assert safe_name("../人物/猫.png") == "人物/猫.png"
    assert safe_name("\udce4.png") == "?.png"
