"""Download the files of a data set into the Keras cache, from the first of their addresses that gives them."""

import os
import socket
import sys
import urllib.request
from typing import NamedTuple
from urllib.parse import urlsplit

from common import backend
from common.data.storage import keras_home
from common.locks import only_one_process

TIMEOUT_SECONDS = 30  # a silent network must not hang for ever


class Download(NamedTuple):
    """One file to download.

    Args:
        file: its path below `datasets/` in the Keras cache.
        urls: its addresses, which are tried in turn; all of them give the same bytes.
        digest: its md5 or sha256, in hex.
    """

    file: str
    urls: tuple[str, ...]
    digest: str


def download(name: str, downloads: tuple[Download, ...]) -> str:
    """Download the missing files of a data set.

    Args:
        name: of the data set, for messages.
        downloads: all its files.

    Returns:
        Why the data set may still be missing: what each address of the first missing file answered.
    """
    print(f"{name}: not found on this machine, downloading it", flush=True)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        for file, urls, digest in downloads:
            target = keras_home() / "datasets" / file
            try:
                with only_one_process(target.with_name(f".{target.name}.lock"), f"downloading {target.name}"):
                    failures = [] if target.exists() else _fetch_from_any(target, urls, digest)
            except OSError as error:
                failures = [f"{target.parent}: {error.strerror}"]
            if not target.exists():
                return f"the download failed, {'; '.join(failures)}"
    finally:
        socket.setdefaulttimeout(timeout)
    return "downloaded, but not readable"


def _fetch_from_any(target, urls, digest):
    """Download one file from the first address that gives it, and return what those before it answered."""
    failures = []
    for url in urls:
        try:
            _fetch(target, url, digest)
            break
        except Exception as error:
            reason = " ".join(str(getattr(error, "reason", error)).split()).split(" -- ")[-1][:100]
            failures.append(f"{urlsplit(url).hostname}: {reason}")
    return failures


def _fetch(target, url, digest):
    """Download one file under another name and rename it when its checksum is right."""
    if "keras" not in sys.modules:  # a second start would undo the precision that a script has chosen
        urllib.request.urlopen(url).close()  # a dead address need not wait for Keras
        backend.import_backend()
    import keras

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    folder = str(target.parent)
    try:
        keras.utils.get_file(part.name, url, file_hash=digest, cache_dir=keras_home(), cache_subdir=folder)
    except BaseException:
        part.unlink(missing_ok=True)  # Keras leaves a file behind whose checksum is wrong
        raise
    os.replace(part, target)
