"""Tell image files from other files, by name and by their first bytes, and read names that are not in UTF-8."""

import importlib.util
import os
import re
from collections.abc import Sequence

from PIL import features

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
# Images of these kinds are read if this installation can, see `has_heic` and `has_avif`.
HEIC_SUFFIXES, AVIF_SUFFIXES = (".heic", ".heif", ".hif"), (".avif",)
INSTALL_PHOTOS = '`.venv/bin/pip install -e ".[photos]"`'
# Images of these kinds are named, but not read.
UNSUPPORTED_SUFFIXES = (
    *(".jxl", ".jp2", ".j2k", ".tga", ".psd", ".xcf", ".svg", ".eps", ".ico", ".exr"),
    *(".hdr", ".dcm", ".nii", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw"),
)
# Files of these kinds hold no single image; any other file may be an image under an unknown name.
OTHER_SUFFIXES = (
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".md"),
    *(".rst", ".html", ".htm", ".css", ".js", ".py", ".pyc", ".ipynb", ".m", ".sh", ".bat", ".exe", ".dll", ".lnk"),
    *(".url", ".npy", ".npz", ".mat", ".pkl", ".pickle", ".h5", ".hdf5", ".mdb", ".db", ".sqlite", ".parquet"),
    *(".arrow", ".tfrecord", ".pt", ".pth", ".ckpt", ".keras", ".zip", ".tar", ".gz", ".tgz", ".xz", ".txz", ".bz2"),
    *(".7z", ".rar", ".zst", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".mp3", ".wav", ".mp4"),
    *(".avi", ".mov", ".mkv", ".webm", ".part", ".crdownload", ".tmp"),
)
# Files and folders that systems put beside a user's images: thumbnails, resource forks, bins.
SYSTEM_NAMES = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "picasa.ini"),
}
HEAD_BYTES = 32  # of a file, enough for `looks_like_image`
SIGNATURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|II\+\0|MM\0\+|....ftypavi[fs]"
    # BMP and PPM have short marks, which a text could begin with: the fields that follow are checked too.
    rb"|BM....\0\0\0\0....[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0|P[1-6][ \t\r\n]+(#[^\n]*\n\s*)?[0-9]",
    re.DOTALL,
)
HEIC_SIGNATURE = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)


def has_heic() -> bool:
    """Return whether HEIC files, as iPhones write them, can be read here: with the extra `photos`."""
    return importlib.util.find_spec("pillow_heif") is not None


def has_avif() -> bool:
    """Return whether AVIF files can be read here: with Pillow 11.3 or newer, if it was built so."""
    return bool(features.check("avif"))


def is_system_file(name: str) -> bool:
    """Return whether a path inside a source is hidden, or lies there for the system: `.DS_Store`, `__MACOSX/x.jpg`."""
    return any(part.startswith(".") or part.lower() in SYSTEM_NAMES for part in safe_name(name).split("/"))


def file_type(name: str) -> str:
    """Return what a file's name says it is: "image", "unsupported", "other", or "unknown", where the content decides.

    Args:
        name: a file name or path. Its suffix is compared without regard to case.
    """
    name = name.lower()
    for suffixes, kind in ((IMAGE_SUFFIXES, "image"), (UNSUPPORTED_SUFFIXES, "unsupported"), (OTHER_SUFFIXES, "other")):
        if name.endswith(suffixes):
            return kind
    for suffixes, is_readable in ((HEIC_SUFFIXES, has_heic), (AVIF_SUFFIXES, has_avif)):
        if name.endswith(suffixes):
            return "image" if is_readable() else "unsupported"
    return "unknown"


def unsupported(name: str) -> str:
    """Return the reason why a file of the type "unsupported" is skipped."""
    name = name.lower()
    if name.endswith(HEIC_SUFFIXES):
        return f"HEIC, which needs the extra photos: {INSTALL_PHOTOS}"
    if name.endswith(AVIF_SUFFIXES):
        return "AVIF, which this Pillow cannot read: `.venv/bin/pip install -U pillow`"
    return f"{os.path.splitext(name)[1]} files cannot be read: convert it to PNG or JPEG"


def is_readable_now(name: str, reason: str) -> bool:
    """Return whether an image that was left out for a reason can be read by now, with new packages or a new version.

    Args:
        name: its file name.
        reason: as it was stored: that of `unsupported`, of this version or an earlier one, or the size of the image.
    """
    if name.lower().endswith((*HEIC_SUFFIXES, *AVIF_SUFFIXES)) and file_type(name) == "image":
        earlier = f"{os.path.splitext(name)[1].lower()} files cannot be read"  # of version 0.1
        return reason.startswith(("HEIC, which needs", "AVIF, which this", earlier))
    return reason == "more than 50 megapixels"  # the limit of version 0.1


def looks_like_image(head: bytes) -> bool:
    """Return whether a file is an image of a supported format or HEIC, by its first `HEAD_BYTES` bytes."""
    return SIGNATURES.match(head) is not None or is_heic(head)


def is_heic(head: bytes) -> bool:
    """Return whether a file is HEIC, by its first `HEAD_BYTES` bytes."""
    return HEIC_SIGNATURE.match(head) is not None and b"avif" not in head


# ------------------------------------------------------------------------------------------------------------ names


def printable(text: str) -> str:
    """Return a text that can be printed and stored as UTF-8: every other character becomes "?"."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in text)


def safe_name(name: str) -> str:
    """Return a member's name as a plain relative path: no drive, no '..', no unprintable characters."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..") and not p.endswith(":")]
    return printable("/".join(parts))


def decode_names(raw_names: Sequence[bytes], fallback: str) -> list[str]:
    """Return file names as text; if they are not UTF-8, read them in the encoding of the machine they come from.

    Old archives do not record their encoding. UTF-8, GB2312, Shift-JIS and GBK are tried in turn, for all names of a
    source together; one of the last three counts if it gives East Asian words.

    Args:
        raw_names: the names as bytes.
        fallback: encoding of the names that are not UTF-8 if none of these fits; it must know every byte.
    """
    for encoding in ("utf-8", "gb2312", "cp932", "gbk"):
        try:
            names = [raw.decode(encoding) for raw in raw_names]
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _are_words("\n".join(names), encoding):
            return names
    return [_decode_alone(raw, fallback) for raw in raw_names]


def _decode_alone(raw, fallback):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(fallback)


EAST_ASIAN = "\u2010-\u2026\u3000-\u30ff\u3400-\u9fff\uff01-\uff60"  # punctuation, kana, ideographs, full width


def _are_words(text, encoding):
    """Return whether a text decoded from an East Asian encoding can be right.

    In a name like "château" the encoding would take the accented letter and the next one for an ideograph in mid-word.
    """
    n_wide = sum(not c.isascii() for c in text)
    in_word = re.findall(r"(?<=[A-Za-z])[^\x00-\x7f]|[^\x00-\x7f](?=[A-Za-z])", text)
    n_doubtful = sum(c.encode(encoding)[-1] < 0x80 for c in in_word)
    return 2 * n_doubtful < n_wide and not re.search(rf"[^\x00-\x7f{EAST_ASIAN}]", text)
