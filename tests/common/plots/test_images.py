"""Grids and rows of images in known places, and files that come back as they were."""

import weakref

import imageio.v3 as iio
import numpy as np
import pytest

from common.errors import UserError
from common.plots.images import image_grid, interpolation_rows, neighbours, reconstruction_pairs, save_gif, save_png


def flat(*levels, size=(2, 3), channels=3):
    """Return images of one grey level each, uint8 (n, *size, channels)."""
    shape = (len(levels), *size, channels)
    return np.broadcast_to(np.array(levels, "uint8")[:, None, None, None], shape).copy()


def cells(picture, size=(2, 3), gutter=0):
    """Return the grey level of every cell, after checking that all its pixels have it."""
    height, width = size[0] + gutter, size[1] + gutter
    rows, columns = (picture.shape[0] + gutter) // height, (picture.shape[1] + gutter) // width
    table = []
    for r in range(rows):
        for c in range(columns):
            cell = picture[r * height : r * height + size[0], c * width : c * width + size[1]]
            assert cell.shape[:2] == size
            assert cell.min() == cell.max()
            table.append(int(cell.min()))
    return np.reshape(table, (rows, columns)).tolist()


def test_grid_places_images_row_by_row():
    grid = image_grid(flat(1, 2, 3, 4, 5, 6), columns=3)
    assert grid.shape == (4, 9, 3)
    assert grid.dtype == np.uint8
    assert cells(grid) == [[1, 2, 3], [4, 5, 6]]


def test_grid_keeps_the_picture_upright():
    image = np.arange(2 * 3 * 3, dtype="uint8").reshape(1, 2, 3, 3)
    np.testing.assert_array_equal(image_grid(image), image[0])


@pytest.mark.parametrize(("n", "shape"), [(1, (1, 1)), (3, (2, 2)), (5, (2, 3)), (9, (3, 3)), (10, (3, 4))])
def test_grid_is_the_smallest_square_and_ends_with_white(n, shape):
    table = np.array(cells(image_grid(flat(*range(n)))))
    assert table.shape == shape
    assert table.reshape(-1).tolist() == [*range(n)] + [255] * (shape[0] * shape[1] - n)


def test_grid_gutter_is_white_and_inside():
    grid = image_grid(flat(1, 2, 3, 4), gutter=2)
    assert grid.shape == (2 + 2 + 2, 3 + 2 + 3, 3)
    assert cells(grid, gutter=2) == [[1, 2], [3, 4]]
    assert np.all(grid[2:4] == 255)
    assert np.all(grid[:, 3:5] == 255)


def test_grid_enlarges_by_repeating():
    small = image_grid(flat(1, 2, channels=1), columns=2, gutter=1)
    large = image_grid(flat(1, 2, channels=1), columns=2, gutter=1, scale=3)
    np.testing.assert_array_equal(large, np.kron(small, np.ones((3, 3, 1), "uint8")))


def test_floats_are_rounded_and_clipped():
    values = np.array([-1, 1, 0, -1.5, 1.7, 2 * 3.4 / 255 - 1, 2 * 3.6 / 255 - 1], "float32").reshape(-1, 1, 1, 1)
    assert image_grid(values, columns=7).reshape(-1).tolist() == [0, 255, 128, 0, 255, 3, 4]


def test_half_precision_is_accepted():
    assert image_grid(np.ones((1, 1, 1, 1), "float16")).item() == 255


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 2, 3)),
        np.zeros((1, 2, 2, 4)),
        np.zeros((0, 2, 2, 3)),
        np.zeros((1, 2, 2, 3), "int64"),
        np.linspace(0, 255, 12).reshape(1, 2, 2, 3),
    ],
)
def test_grid_refuses_other_shapes_and_types(images):
    with pytest.raises(ValueError, match="Received: "):
        image_grid(images)


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"gutter": -1}, {"scale": 0}, {"scale": 1.5}])
def test_grid_refuses_settings(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be an integer.*Received"):
        image_grid(flat(1), **wrong)


def test_pairs_have_originals_in_even_columns():
    picture = reconstruction_pairs(flat(1, 2, 3, 4), flat(11, 12, 13, 14), columns=4)
    assert cells(picture) == [[1, 11, 2, 12], [3, 13, 4, 14]]


def test_the_authors_square_of_pairs():
    picture = reconstruction_pairs(flat(*range(32), size=(4, 4)), flat(*range(100, 132), size=(4, 4)))
    assert picture.shape == (32, 32, 3)
    table = np.array(cells(picture, size=(4, 4)))
    np.testing.assert_array_equal(table[:, ::2].reshape(-1), np.arange(32))
    np.testing.assert_array_equal(table[:, 1::2].reshape(-1), np.arange(100, 132))


def test_pairs_refuse():
    with pytest.raises(ValueError, match=r"columns must be an even number for pairs\. Received: 3"):
        reconstruction_pairs(flat(1), flat(2), columns=3)
    with pytest.raises(ValueError, match="Originals and reconstructions must have the same shape"):
        reconstruction_pairs(flat(1, 2), flat(3))


def test_interpolation_has_originals_at_both_ends():
    steps = np.stack([flat(10, 11, 12), flat(20, 21, 22)])
    picture = interpolation_rows(flat(1, 2), steps, flat(8, 9), gutter=4)
    assert picture.shape == (4, 3 + 4 + 9 + 4 + 3, 3)
    assert cells(picture[:, :3]) == [[1], [2]]
    assert cells(picture[:, 7:16]) == [[10, 11, 12], [20, 21, 22]]
    assert cells(picture[:, 20:]) == [[8], [9]]
    assert np.all(picture[:, 3:7] == 255)
    assert np.all(picture[:, 16:20] == 255)


@pytest.mark.parametrize(("size", "gutter"), [(128, 20), (64, 10), (32, 5)])
def test_interpolation_gutter_follows_the_size(size, gutter):
    ends = flat(0, size=(size, size))
    picture = interpolation_rows(ends, ends[:, None], ends)
    assert picture.shape == (size, 3 * size + 2 * gutter, 3)
    assert (picture == 255).all((0, 2)).sum() == 2 * gutter


def test_interpolation_refuses():
    with pytest.raises(ValueError, match="Received"):
        interpolation_rows(flat(1), flat(1, 2), flat(1))
    with pytest.raises(ValueError, match="both ends"):
        interpolation_rows(flat(1, 2), np.stack([flat(1, 2)] * 2), flat(1))
    with pytest.raises(ValueError, match="rows of steps"):
        interpolation_rows(flat(1), np.stack([flat(1, 2)] * 2), flat(1))


def test_neighbours_are_below_their_query():
    matches = np.stack([flat(11, 12), flat(21, 22), flat(31, 32)])
    assert cells(neighbours(flat(1, 2, 3), matches)) == [[1, 2, 3], [11, 21, 31], [12, 22, 32]]
    with pytest.raises(ValueError, match="Queries and matches"):
        neighbours(flat(1, 2), matches)


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 1), (4, 5)])
def test_png_comes_back_as_it_was(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    path = tmp_path / "a" / "b" / "picture.png"
    save_png(path, image)
    np.testing.assert_array_equal(iio.imread(path), image.squeeze())
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]
    first = path.read_bytes()
    save_png(path, image)
    assert path.read_bytes() == first


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 5, 2), (0, 5, 3), (4,)])
def test_png_refuses(tmp_path, shape):
    with pytest.raises(ValueError, match="Received"):
        save_png(tmp_path / "picture.png", np.zeros(shape))
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    def half_a_file(file, *args, **kwargs):
        file.write_bytes(b"half")
        raise OSError("disk full")

    def half_an_animation():
        yield flat(8)[0]
        raise OSError("disk full")

    path = tmp_path / "picture.png"
    save_png(path, flat(7)[0])
    before = path.read_bytes()
    monkeypatch.setattr(iio, "imwrite", half_a_file)
    for save, content in ((save_png, flat(8)[0]), (save_gif, half_an_animation())):
        with pytest.raises(UserError, match=r"cannot write .*disk full; an older file there is unchanged"):
            save(path, content)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_gif_has_its_frames_and_stays_on_the_last(tmp_path):
    frames = flat(0, 60, 120, 180, 240, size=(8, 8))
    path = tmp_path / "new" / "frames.gif"
    save_gif(path, frames, seconds_per_frame=0.2, last_seconds=1.5)
    read = iio.imread(path)
    assert read.shape == frames.shape
    np.testing.assert_array_equal(read, frames)
    durations = [iio.immeta(path, index=i)["duration"] for i in range(5)]
    assert durations == [200, 200, 200, 200, 1500]
    assert iio.immeta(path, index=0)["loop"] == 0
    first = path.read_bytes()
    save_gif(path, frames, seconds_per_frame=0.2, last_seconds=1.5)
    assert path.read_bytes() == first


def test_gif_of_a_single_frame(tmp_path):
    save_gif(tmp_path / "frame.gif", flat(7), last_seconds=1)
    assert iio.imread(tmp_path / "frame.gif", index=None).shape == (1, 2, 3, 3)
    assert iio.immeta(tmp_path / "frame.gif", index=0)["duration"] == 1000


def test_gif_reads_a_frame_when_it_needs_it(tmp_path):
    """Frames that come one by one are not collected: at most two are there at a time."""
    alive, most = [], []

    def frames():
        for level in range(50):
            frame = flat(level, size=(8, 8))[0]
            alive.append(weakref.ref(frame))
            most.append(sum(reference() is not None for reference in alive))
            yield frame
            del frame

    save_gif(tmp_path / "frames.gif", frames())
    assert len(iio.imread(tmp_path / "frames.gif")) == 50 and max(most) <= 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_an_error(tmp_path, value):
    images = np.zeros((3, 4, 4, 3), "float32")
    images[1, 2, 3, 0] = value
    message = "the pixels of a picture must be finite. Received: 1 of"
    for draw in (
        image_grid,
        lambda x: reconstruction_pairs(x, np.zeros_like(x)),
        lambda x: interpolation_rows(np.zeros((1, 4, 4, 3)), x[None], np.zeros((1, 4, 4, 3))),
        lambda x: neighbours(np.zeros((1, 4, 4, 3)), x[None]),
        lambda x: save_png(tmp_path / "a.png", x[1]),
        lambda x: save_gif(tmp_path / "a.gif", x),
    ):
        with pytest.raises(UserError, match=message):
            draw(images)
    assert not list(tmp_path.iterdir())


def test_gif_of_grey_floats(tmp_path):
    save_gif(tmp_path / "frames.gif", [np.full((6, 6, 1), v) for v in (-1.0, 0.0, 1.0)])
    read = iio.imread(tmp_path / "frames.gif").astype("int32")
    np.testing.assert_allclose(read.reshape(3, -1).mean(1), [0, 128, 255], atol=1)


def test_gif_refuses(tmp_path):
    for frames in ([], [flat(1)[0], flat(1, size=(4, 4))[0]]):
        with pytest.raises(ValueError, match=r"all of one shape.*Received"):
            save_gif(tmp_path / "frames.gif", iter(frames))
    assert not list(tmp_path.iterdir())
    for wrong in ({"seconds_per_frame": 0}, {"last_seconds": float("nan")}, {"last_seconds": 656}):
        with pytest.raises(ValueError, match=r"Durations must be positive.*Received"):
            save_gif(tmp_path / "frames.gif", flat(1, 2), **wrong)
    save_gif(tmp_path / "frames.gif", flat(1, 2), seconds_per_frame=0.001, last_seconds=655)
