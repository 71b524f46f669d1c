"""Telling images from other files by name and content, and reading names that are not in UTF-8."""

import pytest
from PIL import Image

from common.data import file_types
from common.data.file_types import (
    HEAD_BYTES,
    decode_names,
    file_type,
    is_system_file,
    looks_like_image,
    printable,
    safe_name,
)
from tests.helpers.datasets import encode


def test_safe_name_is_relative_and_printable():
    assert safe_name("a/./b//c.png") == "a/b/c.png"
    assert safe_name("../人物/猫.png") == "人物/猫.png"
    assert safe_name("\udce4.png") == "?.png"
    assert printable("a\x1b\udce4b\n") == "a??b?"


def test_the_suffix_decides_without_regard_to_case(monkeypatch):
    monkeypatch.setattr(file_types, "has_heic", lambda: False)
    assert [file_type(f"a/b.{s}") for s in ("JPG", "tiff", "HEIC", "txt", "dat")] == [
        *("image", "image", "unsupported", "other", "unknown")
    ]
    monkeypatch.setattr(file_types, "has_heic", lambda: True)
    assert file_type("b.HEIC") == "image"
    assert file_type("jpg") == file_type("2024.05.01") == "unknown"


@pytest.mark.parametrize("name", ["a/.x.png", ".git/x.png", "THUMBS.DB", "a/Desktop.ini", "__macosx/x.png", "@eaDir/x"])
def test_hidden_files_and_those_of_the_system_are_known(name):
    assert is_system_file(name) and not is_system_file(f"a/x{name.split('/')[-1].lstrip('.')}")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_images_are_known_by_their_first_bytes(kind):
    for mode in ("RGB", "L", "1"):
        data = encode(Image.new(mode, (9, 7), 1), kind)
        assert looks_like_image(data[:HEAD_BYTES])
    assert not looks_like_image(data[1:])


@pytest.mark.parametrize(
    "text", [b"", b"BMW and other cars", b"P5 is a paper", b"II", b"GIF", b"RIFF\0\0\0\0WAVEfmt ", b"<?xml"]
)
def test_texts_are_not_taken_for_images(text):
    assert not looks_like_image(text.ljust(HEAD_BYTES, b" ")) and not looks_like_image(text)


@pytest.mark.parametrize(
    "encoding, names",
    [
        ("gbk", ["人物.png", "朱镕基.png"]),  # 镕 is not in GB2312
        ("gb2312", ["IMG狗.png", "猫A.png"]),
        ("cp932", ["日本.png"]),
        ("cp932", ["IMGテスト.png", "ソ.png"]),
        ("cp437", ["château.png"]),  # 83 74, which is a katakana in Shift-JIS
        ("cp437", ["élève.png", "été.png", "niño.png", "Straße.png"]),
        ("cp437", ["Ärger.png"]),
    ],
)
def test_names_are_read_in_the_encoding_they_were_written_in(encoding, names):
    assert decode_names([name.encode(encoding) for name in (*names, "plain.png")], "cp437") == [*names, "plain.png"]


def test_names_in_utf8_among_others_are_kept():
    assert decode_names(["Ünlü/ä.png".encode(), b"caf\xe9.png"], "latin-1") == ["Ünlü/ä.png", "café.png"]


def test_names_in_no_known_encoding_stay_apart():
    names = decode_names([bytes([0xFF, i]) for i in range(128, 256)], "latin-1")
    assert len(set(names)) == 128
