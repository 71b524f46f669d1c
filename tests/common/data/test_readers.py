"""Listing the images of folders and archives: which files count, links, permissions, and unusable sources."""

import os
import zipfile

import numpy as np
import pytest

from common.data import file_types, readers
from common.data.decoding import BadImage
from common.data.readers import open_images
from common.errors import UserError
from tests.helpers.datasets import contents, encode, fill, problems, solid_png, write_tar, write_zip

PNG = solid_png((200, 30, 40), (16, 16))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)


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


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_files_are_taken_by_their_content_if_their_name_says_nothing(tmp_path, kind):
    jpeg, animation = encode(NOISE, "JPEG"), encode(NOISE, "GIF")
    images = {"a/IMG_0001": PNG, "a/scan.bak": jpeg, "a/b.v2.dat": animation, "0.JPE": jpeg, "x.jfif": jpeg}
    broken = {"a/page.jpg": b"<html>", "a/empty.png": b""}  # listed, so that decoding them reports them
    others = {"LICENSE": b"MIT", "a/notes": b"P5 is a paper", "a/labels.txt": PNG, "a/x.npy": jpeg, "a/none": b""}
    system = {
        **{"Thumbs.db": PNG, "a/desktop.ini": PNG, ".DS_Store": PNG, "__MACOSX/a/._x.jpg": PNG, "a/._x.jpg": PNG},
        **{"a/@eaDir/x.jpg/SYNOPHOTO_THUMB_XL.jpg": jpeg, "$RECYCLE.BIN/x.png": PNG, ".cache/x.png": PNG},
    }
    source = tmp_path / (kind if kind == "folder" else f"images.{kind}")
    (fill if kind in ("folder", "zip") else write_tar)(source, {**images, **broken, **others, **system})
    assert contents(source) == {**images, **broken}
    assert problems(source) == {}
    if kind == "folder":
        assert {os.fsdecode(bytes.fromhex(f[0])) for f in readers.fingerprint(source)[1]} == {*images, *broken}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_images_of_unsupported_kinds_are_named(tmp_path, monkeypatch, kind):
    source = tmp_path / (kind if kind == "folder" else f"images.{kind}")
    monkeypatch.setattr(file_types, "has_heic", lambda: False)
    members = {"a.png": PNG, "b.png": PNG, "IMG_1.HEIC": b"x", "c/d.psd": b"x"}
    (write_tar if kind == "tar" else fill)(source, members)
    heic, psd = problems(source)["IMG_1.HEIC"], ".psd files cannot be read: convert it to PNG or JPEG"
    assert problems(source) == {"IMG_1.HEIC": heic, "c/d.psd": psd} and "[photos]" in heic
    assert set(contents(source)) == {"a.png", "b.png"}


def test_links_pipes_and_names_outside_utf8_in_a_folder(tmp_path):
    (tmp_path / "good.png").write_bytes(PNG)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    for raw in (b"latin-\xe4.png", b"b/latin-\xf6.png"):  # not UTF-8
        path = os.path.join(os.fsencode(tmp_path), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(PNG)
    assert contents(tmp_path) == dict.fromkeys(["good.png", "linked.png", "latin-ä.png", "b/latin-ö.png"], PNG)
    assert problems(tmp_path) == {"gone.png": f"cannot be read: broken link to {tmp_path}/nowhere.png"}
    path, files = readers.fingerprint(tmp_path)
    assert path == str(tmp_path)
    sizes = {os.fsdecode(bytes.fromhex(name)): size for name, size, _ in files}
    assert sizes.pop("gone.png") == -1 and set(sizes.values()) == {len(PNG)} and len(sizes) == 4


def test_names_of_a_folder_from_another_country_stay_apart(tmp_path):
    for name in ("人物/猫.png", "人物/狗.png"):
        path = os.path.join(os.fsencode(tmp_path), name.encode("gbk"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(PNG)
    assert set(contents(tmp_path)) == {"人物/猫.png", "人物/狗.png"}


def test_linked_folders_are_followed_once(tmp_path):
    inside, outside = (
        fill(tmp_path / "X", {"z/1.png": PNG}),
        fill(tmp_path / "faces", {"2.png": PNG, "deep/3.png": PNG}),
    )
    (inside / "a_set").symlink_to(outside)
    (inside / "b_again").symlink_to(outside)
    (inside / "c_part").symlink_to(outside / "deep")
    (inside / "a_self").symlink_to(inside)
    (inside / "z" / "up").symlink_to("..")
    (outside / "back").symlink_to(inside)
    assert set(contents(inside)) == {"z/1.png", "a_set/2.png", "a_set/deep/3.png"}
    (tmp_path / "link").symlink_to(inside)
    assert set(contents(tmp_path / "link")) == set(contents(inside))
    before = readers.fingerprint(inside)
    assert readers.fingerprint(tmp_path / "link") == before  # one source, however its path is written
    (outside / "4.png").write_bytes(PNG)
    assert readers.fingerprint(inside) != before


def test_links_that_lead_nowhere_are_named(tmp_path):
    fill(tmp_path, {f"{i}.png": PNG for i in range(4)})
    (tmp_path / "set").symlink_to("/no/such/folder")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "labels.txt").symlink_to("/no/such/labels.txt")
    (tmp_path / ".hidden").symlink_to("/no/such/folder")
    reason = "cannot be read: broken link to"
    assert problems(tmp_path) == {"set": f"{reason} /no/such/folder", "circle": f"{reason} {tmp_path}/circle"}
    for i in range(3):
        (tmp_path / f"{i}.png").unlink()
    with pytest.raises(UserError, match=r"mostly unreadable, 2 of 3 images, for example circle \(cannot"):
        contents(tmp_path)


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
    write_zip(tmp_path / "empty" / "a.zip", {"a.png": PNG})
    with pytest.raises(UserError, match=rf"no images.*give it instead: folder:{tmp_path}/empty/a\.zip"):
        contents(tmp_path / "empty")
    write_zip(tmp_path / "text.zip", {"a.txt": b"x"})
    with pytest.raises(UserError, match="no images"), open_images(tmp_path / "text.zip"):
        pass


def test_a_pipe_is_refused_before_it_blocks(tmp_path):
    os.mkfifo(tmp_path / "images.zip")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        readers.fingerprint(tmp_path / "images.zip")
