"""Choose images: split a data set into training and test images by their names, and draw a few of them by lot."""

import hashlib
import os
import re

import numpy as np

from common.errors import UserError

PERSON_SHARE, HASH_SHARE = 0.10, 0.05  # of the people, or images, that are held out


def fixed_random_subset(rows: np.ndarray, n: int | None) -> np.ndarray:
    """Return n random rows in their original order, the same ones in every call.

    The draw depends on the number of rows and on n alone. The first rows, or every second one, would not represent the
    whole. In a folder of class folders the first ones are of one class. MNIST's even training images and its first
    test images come from other writers than the rest. In LFW the faces of one person follow each other.

    Args:
        rows: array (N, ...).
        n: number of rows to draw; None, or more than N: all.
    """
    if n is None or n >= len(rows):
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), n, replace=False))]


def split_indices(rule: str, names: list[str], split: str) -> list[int]:
    """Return which images belong to a split.

    The rules:

    - "celeba": by the official image numbers; official validation images are in neither split. A data set with other
      names, or without images of both splits, falls back to "hash".
    - "folder": by a folder called "train" or "test" in the image's name.
    - "person": about 10 % of the people are in the test split, with all their images.
    - "hash": about 5 % of the images are in the test split.

    "person" and "hash" compare a hash of the name with a threshold. So an image stays in its split when other images
    come or go. With two people or images, or more, neither split is empty.

    Args:
        rule: "celeba", "folder", "person" or "hash".
        names: the names of all images, as relative paths.
        split: "train" or "test", or "all" for every image.

    Returns:
        Indices into `names`, sorted by name. The rule "folder" sorts by the last part of the name first, which mixes
        the classes.

    Raises:
        UserError: if the split is empty.
    """
    order = sorted(range(len(names)), key=lambda i: names[i])
    if split == "all":
        return order
    if rule == "celeba":
        official = [_celeba_split(name) for name in names]
        if {"train", "test"} <= set(official) and None not in official:
            return [i for i in order if official[i] == split]
        rule = "hash"  # a part of the data set, or another numbering
    if rule == "folder":
        order.sort(key=lambda i: names[i].split("/")[-1])
        chosen = [i for i in order if split in names[i].split("/")[:-1]]
    else:
        share, group_of = (PERSON_SHARE, _person) if rule == "person" else (HASH_SHARE, _inner_name(names))
        positions = {group: _hash_to_unit_interval(group) for group in map(group_of, names)}
        # Neither split may be empty: the lowest hash is always in "test", and the highest of several in "train".
        test_groups = {group for group, position in positions.items() if position < share}
        test_groups = test_groups or {min(positions, key=positions.get)}
        if len(test_groups) == len(positions):
            test_groups = test_groups - {max(positions, key=positions.get)}
        chosen = [i for i in order if (group_of(names[i]) in test_groups) == (split == "test")]
    if not chosen:
        raise UserError(
            f"the {split} split is empty: {len(names)} image(s) in all, add more or ask for the other split"
        )
    return chosen


def _celeba_split(name):
    """Return "train", "validation" or "test", or None for a name that is no CelebA number."""
    match = re.fullmatch(r"(\d{6})\.(jpe?g|png)", name.split("/")[-1].lower())
    number = int(match[1]) if match else 0
    bounds = ((1, 162770, "train"), (162771, 182637, "validation"), (182638, 202599, "test"))
    return next((split for low, high, split in bounds if low <= number <= high), None)


def _person(name):
    """Return the person of an image in LFW's naming: Jane_Doe of Jane_Doe_0001.jpg."""
    return re.sub(r"_\d+\.\w+$", "", name.split("/")[-1])


def _inner_name(names):
    """Return a function that strips the folders that all names share: a zip of a folder splits like the folder."""
    common = os.path.commonpath([os.path.dirname("/" + n) for n in names])
    return lambda name: os.path.relpath("/" + name, common)


def _hash_to_unit_interval(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
