"""The rules that split a data set into training and test images."""

import hashlib

import numpy as np
import pytest

from common.data.splits import fixed_random_subset, split_indices
from common.errors import UserError


def test_hash_split_is_stable_disjoint_and_complete():
    names = [f"images/{i:05d}.jpg" for i in range(4000)]
    train, test = (split_indices("hash", names, split) for split in ("train", "test"))
    assert sorted(train + test) == list(range(4000)) and 150 < len(test) < 250
    shuffled = [names[i] for i in np.random.default_rng(0).permutation(4000)]
    assert [shuffled[i] for i in split_indices("hash", shuffled, "test")] == [names[i] for i in test]
    assert split_indices("hash", [n.removeprefix("images/") for n in names], "test") == test  # a folder, or a zip of it
    half = split_indices("hash", names[:2000], "test")
    assert half == [i for i in test if i < 2000]  # an image stays in its split when others come
    position = int.from_bytes(hashlib.sha256(b"00007.jpg").digest()[:8], "big") / 2**64
    assert (7 in test) == (position < 0.05)


def test_small_data_sets_have_both_splits():
    for n in range(2, 30):
        names = [f"{i}.jpg" for i in range(n)]
        assert len(split_indices("hash", names, "test")) >= 1 and len(split_indices("hash", names, "train")) >= 1
    assert split_indices("hash", ["a.jpg"], "train") == [0]
    with pytest.raises(UserError, match="test split is empty"):
        split_indices("hash", ["a.jpg"], "test")


def test_no_person_is_in_both_splits():
    names = [f"lfw/{p}/{p}_{i:04d}.jpg" for p in (f"Person_{k}" for k in range(500)) for i in range(1 + len(p) % 3)]
    train, test = ({names[i].split("/")[1] for i in split_indices("person", names, s)} for s in ("train", "test"))
    assert not train & test and len(train | test) == 500 and 25 < len(test) < 75


def test_celeba_has_its_official_split():
    numbers = (1, 162770, 162771, 182637, 182638, 202599)
    names = [f"celeba/img_align_celeba/{i:06d}.jpg" for i in numbers]
    assert split_indices("celeba", names, "train") == [0, 1] and split_indices("celeba", names, "test") == [4, 5]
    part = [f"{i:06d}.jpg" for i in range(1, 101)]  # the first hundred: no official test image among them
    train, test = split_indices("celeba", part, "train"), split_indices("celeba", part, "test")
    assert len(test) >= 1 and sorted(train + test) == list(range(100))


def test_split_all_has_every_image_in_the_order_of_names():
    names = ["c.jpg", "a.jpg", "b.jpg"]
    for rule in ("hash", "person", "celeba", "folder"):
        assert split_indices(rule, names, "all") == [1, 2, 0]


def test_a_subset_is_drawn_from_all_rows_and_always_the_same():
    rows = fixed_random_subset(np.arange(1000), 100)
    assert (np.diff(rows) > 0).all() and abs(rows.mean() - 500) < 100 and 30 < np.sum(rows % 2) < 70
    np.testing.assert_array_equal(rows, fixed_random_subset(np.arange(1000), 100))
    drawn = np.random.default_rng(0).choice(10, 4, replace=False)
    assert fixed_random_subset(np.arange(10), 4).tolist() == sorted(drawn)
    for n in (7, 8, None):
        assert fixed_random_subset(np.arange(7), n).tolist() == [*range(7)]
