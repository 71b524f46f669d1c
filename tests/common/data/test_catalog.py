"""The catalog of data sets: where their files are searched, and what happens when they are missing."""

import pytest

from common.data import catalog
from common.data.images import load_images
from common.errors import UserError
from tests.helpers.datasets import fill, solid_png

PLACES = {
    "celeba": [
        *("img_align_celeba.zip", "img_align_celeba", "celeba/img_align_celeba", "celeba/img_align_celeba.zip"),
        *("celeba.zip", "celeba", "img_align_celeba/img_align_celeba", "CelebA/Img/img_align_celeba.zip"),
    ],
    "celeba_hq": ["celeba_hq", "celeba_hq.zip", "CelebA-HQ-img"],
    "ffhq": ["ffhq", "thumbnails128x128.zip"],
    "lsun_church": ["lsun_church", "lsun_church.zip", "church_outdoor_train"],
    "lsun_bedroom": ["lsun_bedroom"],
    "lfw": ["lfw128.zip", "lfw.zip", "lfw", "lfw-deepfunneled", "lfw-funneled.zip"],
}


@pytest.mark.parametrize("name, place", [(name, place) for name in PLACES for place in PLACES[name]])
def test_data_set_is_found_in_every_form(tmp_path, name, place):
    fill(tmp_path / place, {f"x/Person{i}_0001.png": solid_png(9 * i, (20, 20)) for i in range(4)})
    train, test = (load_images(name, 16, split, data_dir=tmp_path) for split in ("train", "test"))
    assert len(train.array) + len(test.array) == 4 and len(test.array) >= 1
    assert set(train.array[:, 0, 0, 0]) | set(test.array[:, 0, 0, 0]) == {0, 9, 18, 27}


def test_search_order(tmp_path, keras_home, monkeypatch):
    for i, folder in enumerate([tmp_path / "given", tmp_path / "env", keras_home / "datasets"]):
        fill(folder / "ffhq", {"a.png": solid_png(10 * i), "b.png": solid_png(10 * i)})
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "env"))
    assert load_images("ffhq", 8, data_dir=tmp_path / "given").array.max() == 0
    assert load_images("ffhq", 8).array.max() == 10
    (tmp_path / "env" / "ffhq" / "a.png").unlink()
    (tmp_path / "env" / "ffhq" / "b.png").unlink()  # an empty folder is not the data set
    assert load_images("ffhq", 8).array.max() == 20
    assert load_images("ffhq", 8, data_dir=tmp_path / "given" / "ffhq").array.max() == 0  # the folder itself
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"\$DATA_DIR .*nowhere does not exist"):
        load_images("ffhq", 8)


@pytest.mark.parametrize("name", catalog.DATASETS)
def test_missing_data_set_gives_one_line_with_its_address(tmp_path, keras_home, name):
    with pytest.raises(UserError) as caught:
        load_images(name, data_dir=tmp_path)
    message, dataset = str(caught.value), catalog.DATASETS[name]
    assert "http" in dataset.how_to_get and f"get {dataset.how_to_get}, and put it into" in message
    assert str(tmp_path) in message and str(keras_home / "datasets") in message and "\n" not in message
    assert ("no network" in message) == bool(dataset.downloads)
