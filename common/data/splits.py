"""Which images of a data set are for training and which are held out."""

import hashlib
import os
import re

from common.errors import UserError


def split_indices(rule: str, names: list[str], split: str) -> list[int]:
    """Indices of the images of a split ("train" or "test"), in the order of the array.

    celeba: the official image numbers (validation in neither split). folder: a folder called train or test. person:
    ~10 % of the people, whole, are the test split. hash: 5 % of the images. Both are a hash of the name, so that an
    image stays on its side when others come or go; the test split is never empty if there are two to choose from.
    """
    order = sorted(range(len(names)), key=lambda i: names[i])
    if split == "all":
        return order
    if rule == "celeba":
        sides = [_celeba_side(name) for name in names]
        if {"train", "test"} <= set(sides) and None not in sides:
            return [i for i in order if sides[i] == split]
        rule = "hash"  # a part of the set, or another numbering
    if rule == "folder":
        # By number before class, so that the first n images are not all of one class.
        order.sort(key=lambda i: names[i].split("/")[-1])
        chosen = [i for i in order if split in names[i].split("/")[:-1]]
    else:
        share, key = (0.1, _person) if rule == "person" else (0.05, _inner_name(names))
        places = {group: _hash_to_unit_interval(group) for group in map(key, names)}
        test = {g for g, place in places.items() if place < share} or {min(places, key=places.get)}
        if len(test) == len(places):
            test = test - {max(places, key=places.get)}
        chosen = [i for i in order if (key(names[i]) in test) == (split == "test")]
    if not chosen:
        raise UserError(
            f"the {split} split is empty: {len(names)} image(s) in all, add more or ask for the other split"
        )
    return chosen


def _celeba_side(name):
    match = re.fullmatch(r"(\d{6})\.(jpe?g|png)", name.split("/")[-1].lower())
    number = int(match[1]) if match else 0
    bounds = ((1, 162770, "train"), (162771, 182637, "validation"), (182638, 202599, "test"))
    return next((side for low, high, side in bounds if low <= number <= high), None)


def _person(name):
    return re.sub(r"_\d+\.\w+$", "", name.split("/")[-1])


def _inner_name(names):
    """Strips the folders that all names share: a zip of a folder is split like the folder."""
    common = os.path.commonpath([os.path.dirname("/" + n) for n in names])
    return lambda name: os.path.relpath("/" + name, common)


def _hash_to_unit_interval(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
