"""Downloads: checksums, several addresses for one file, and the message when none of them answers."""

import hashlib
import io
import os
import socket
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest

from common.data import catalog, downloads
from common.data.images import load_images
from common.errors import UserError
from tests.helpers.datasets import digits


def visible(keras_home):
    """Return the files of the cache but the lock files, which stay."""
    return [name for name in os.listdir(keras_home / "datasets") if not name.startswith(".")]


def test_half_a_download_is_never_taken_for_the_file(keras_home, monkeypatch):
    monkeypatch.undo()  # the real `_fetch`
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    monkeypatch.delenv("DATA_DIR", raising=False)
    import keras

    (x, y), buffer = digits(6), io.BytesIO()
    np.savez(buffer, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    calls = []

    def get_file(fname, origin, file_hash, cache_dir, cache_subdir):
        part = Path(cache_subdir) / fname
        calls.append((fname, origin, file_hash, part.exists()))
        part.write_bytes(buffer.getvalue()[:500] if len(calls) == 1 else buffer.getvalue())
        if len(calls) == 1:
            raise ValueError("file hash does not match")
        return str(part)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(UserError, match=r"hash does not match.*get mnist\.npz from"):
        load_images("mnist")
    assert visible(keras_home) == []
    (keras_home / "datasets" / "mnist.npz.part").write_bytes(b"of a process that was killed")
    np.testing.assert_array_equal(load_images("mnist").array[..., 0], x)
    assert visible(keras_home) == ["mnist.npz"]
    download = catalog.DATASETS["mnist"].downloads[0]
    assert [call[:3] for call in calls] == 2 * [("mnist.npz.part", *download.urls, download.digest)]
    assert len(download.digest) == 64
    load_images("mnist", split="test")
    assert len(calls) == 2


@pytest.fixture
def network(monkeypatch):
    """A network in place of the real one: `dead` addresses do not answer, `asked` lists (url, digest) of each try."""
    file = downloads.Download("x/set.zip", ("https://first.org/a.zip", "https://second.org/b.zip"), "0" * 32)
    network = types.SimpleNamespace(file=file, asked=[], dead=set(), seconds=0.0)

    def fetch(target, url, digest):
        network.asked.append((url, digest))
        if url in network.dead:
            raise OSError(f"no answer\nfrom {url}")
        target.parent.mkdir(parents=True, exist_ok=True)
        time.sleep(network.seconds)
        target.write_bytes(b"content")

    monkeypatch.setattr(downloads, "_fetch", fetch)
    return network


def test_addresses_are_tried_in_turn(network, keras_home):
    first, second = network.file.urls
    network.dead.add(first)
    assert downloads.download("set", (network.file,)) == "downloaded, but not readable"
    assert network.asked == [(first, "0" * 32), (second, "0" * 32)]
    assert (keras_home / "datasets/x/set.zip").read_bytes() == b"content"
    downloads.download("set", (network.file,))  # it is there
    assert len(network.asked) == 2


def test_two_processes_download_a_file_once(network, keras_home):
    network.seconds = 0.2
    threads = [threading.Thread(target=downloads.download, args=("set", (network.file,))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(network.asked) == 1 and (keras_home / "datasets/x/set.zip").read_bytes() == b"content"


def test_a_cache_that_cannot_be_written_to_is_named(network, keras_home):
    keras_home.parent.mkdir(parents=True, exist_ok=True)
    keras_home.write_text("a file in place of the folder")
    assert (
        downloads.download("set", (network.file,)) == f"the download failed, {keras_home}/datasets/x: Not a directory"
    )


def test_the_second_address_is_not_asked_if_the_first_answers(network):
    downloads.download("set", (network.file,))
    assert [url for url, _ in network.asked] == [network.file.urls[0]]


def test_every_dead_address_is_named(network):
    network.dead.update(network.file.urls)
    timeout = socket.getdefaulttimeout()
    reason = downloads.download("set", (network.file, network.file))
    assert reason.startswith("the download failed, first.org: no answer from https://first.org/a.zip; second.org: no")
    assert "\n" not in reason and len(network.asked) == 2 and socket.getdefaulttimeout() == timeout


def test_an_interrupted_download_leaves_no_part(keras_home, monkeypatch):
    monkeypatch.undo()
    import keras

    def get_file(fname, origin, file_hash, cache_dir, cache_subdir):
        (Path(cache_subdir) / fname).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(KeyboardInterrupt):
        downloads._fetch(keras_home / "datasets/a.zip", Path(__file__).as_uri(), "0")
    assert os.listdir(keras_home / "datasets") == []


def test_a_dead_address_is_named_without_starting_keras(keras_home, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    monkeypatch.setattr(downloads.backend, "import_backend", lambda: pytest.fail("Keras was started"))
    dead = downloads.Download("set.zip", ((tmp_path / "no-such-file").as_uri(),), "0" * 32)
    assert "o such file" in downloads.download("set", (dead,)) and not visible(keras_home)


def test_a_file_comes_from_an_address_that_answers(keras_home, monkeypatch, tmp_path):
    monkeypatch.undo()
    import keras  # noqa: F401

    monkeypatch.setattr(downloads.backend, "import_backend", lambda: pytest.fail("Keras was started once more"))
    monkeypatch.setenv("KERAS_HOME", str(keras_home))
    (tmp_path / "a.zip").write_bytes(b"content")
    digest = hashlib.md5(b"content").hexdigest()
    file = downloads.Download("b.zip", ((tmp_path / "a.zip").as_uri(),), digest)
    assert downloads.download("set", (file,)) == "downloaded, but not readable"
    assert visible(keras_home) == ["b.zip"]
    assert (keras_home / "datasets/b.zip").read_bytes() == b"content"


@pytest.mark.parametrize("name", [name for name, dataset in catalog.DATASETS.items() if dataset.downloads])
def test_every_address_is_whole_and_every_checksum_is_one(name):
    for file, urls, digest in catalog.DATASETS[name].downloads:
        assert isinstance(urls, tuple) and len(set(urls)) == len(urls) >= 1
        assert all(url.startswith(("https://", "http://")) and " " not in url for url in urls)
        assert set(digest) <= set("0123456789abcdef") and len(digest) in (32, 64) and not Path(file).is_absolute()


def test_missing_lfw_is_looked_for_where_it_is_still_served(tmp_path):
    with pytest.raises(
        UserError, match=r"web\.archive\.org: .*get lfw-funneled\.tgz from https://ndownloader\.figshare"
    ):
        load_images("lfw", data_dir=tmp_path)
