"""What the tabs of the page compute, without the page."""

import re
import string

import numpy as np
import pytest
from PIL import Image, ImageDraw

from common.errors import UserError
from common.flag_types import PRETRAINED
from play import couplet, energy, fgan, flow, ogan, plane
from play.words import PAIRS
from rsgan.methods import METHODS


@pytest.fixture(scope="module", autouse=True)
def _few_samples():
    """Find the directions of the code from fewer samples than the page does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ogan, "SAMPLES", 150)
        yield


def drawing(*shapes, paper=(0, 0, 0, 0)):
    """Return gradio's value of a sketchpad with some lines, ((x0, y0), (x1, y1)) each, in black ink."""
    paper = Image.new("RGBA", (280, 280), paper)
    for line in shapes:
        ImageDraw.Draw(paper).line(line, fill=(0, 0, 0, 255), width=20)
    return {"composite": np.asarray(paper)}


def test_a_photo_becomes_its_largest_centre_square(tmp_path):
    photo = np.zeros((40, 100, 3), "uint8")
    photo[:, 30:70] = 200, 100, 50
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert (ogan.read_photo(tmp_path / "photo.png", 32) == (200, 100, 50)).all()


def test_what_is_no_photo_gets_a_sentence(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n")
    (tmp_path / "empty.jpg").touch()
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    for name, reason in (("a.pdf", "not an image"), ("empty.jpg", "empty"), ("large.png", "at most 50 megapixels")):
        with pytest.raises(UserError, match=f"cannot be used as a photo: .*{reason}"):
            ogan.reconstruct(tmp_path / name, 0, 0.9)


def test_a_large_jpeg_is_a_photo(tmp_path):
    Image.new("RGB", (8160, 6144), (200, 100, 50)).save(tmp_path / "phone.jpg", quality=50)
    assert np.abs(ogan.read_photo(tmp_path / "phone.jpg", 32) - np.float64((200, 100, 50))).max() < 4


def test_a_face_is_reconstructed_and_moves_along_a_measured_direction():
    pair, bars = ogan.reconstruct(None, 3, 0.9)
    left, right = np.split(pair.astype(float), 2, axis=1)
    other = np.split(ogan.reconstruct(None, 4, 0.9)[0].astype(float), 2, axis=1)[1]
    assert np.mean((left - right) ** 2) < 0.5 * np.mean((left - other) ** 2)
    assert bars.std() > 10
    faces = np.split(ogan.move(None, 3, 0.9, "brightness", 3).astype(float), ogan.STEPS, axis=1)
    assert (np.diff([face.mean() for face in faces]) > 0).all()
    morph = np.split(ogan.morph(None, None, 3, 0.9).astype(float), ogan.STEPS + 2, axis=1)
    to_left, to_right = ([np.mean((face - end) ** 2) for face in morph[1:-1]] for end in (morph[0], morph[-1]))
    assert to_left[0] < to_left[-1] and to_right[0] > to_right[-1]


def test_a_drawing_is_centred_and_fills_the_box():
    image = flow.from_drawing(drawing(((20, 20), (20, 90))))
    # a browser sends transparent paper until something is drawn, and white paper from then on
    np.testing.assert_array_equal(image, flow.from_drawing(drawing(((20, 20), (20, 90)), paper="white")))
    rows, columns = np.nonzero(image[..., 0] > 100)
    assert image.max() == 255 and np.ptp(rows) + 1 == flow.BOX
    assert abs(rows.mean() - 13.5) < 1 and abs(columns.mean() - 13.5) < 1


@pytest.mark.parametrize("empty", [None, {"composite": None}, drawing(), drawing(paper="white")])
def test_an_empty_drawing_gets_a_sentence(empty):
    with pytest.raises(UserError, match="the paper is empty: draw a digit"):
        flow.from_drawing(empty)


def test_the_flow_knows_a_digit_from_noise_and_goes_from_one_to_another():
    one = flow.from_drawing(drawing(((140, 60), (140, 220))))
    noise = np.random.default_rng(0).integers(0, 256, one.shape, dtype=np.uint8)
    assert flow.bits(one) < 0.6 * flow.bits(noise)
    row = flow.interpolate(one, flow.digits()[7])
    assert (row[:, :84] == np.repeat(np.kron(one[..., 0], np.ones((3, 3), "uint8"))[..., None], 3, 2)).all()
    assert np.abs(row[:, 96:180].astype(int) - row[:, :84]).mean() < 12, "the flow is invertible"


def test_the_flow_of_faces_draws_faces():
    picture = flow.samples(0.7, 1, "faces").astype(float)
    height, width = (n // 32 // 3 for n in picture.shape[:2])
    assert (height, width) == (4, flow.COLUMNS)
    faces = picture.reshape(4, 32, 3, flow.COLUMNS, 32, 3, 3).mean((2, 5)).transpose(0, 2, 1, 3, 4).reshape(32, -1)
    mean_face = np.load(PRETRAINED / "ogan-lfw-32/mean_image.npy").reshape(-1)
    alike = [np.corrcoef(face, mean_face)[0, 1] for face in faces]
    assert np.corrcoef(faces.mean(0), mean_face)[0, 1] > 0.8 and np.mean(alike) > 0.2
    assert np.array_equal(picture, flow.samples(0.7, 1, "faces")) and not np.allclose(
        picture, flow.samples(0.7, 2, "faces")
    )


def test_chains_go_forward_and_back():
    begin = energy.start()
    later = energy.forward(begin, 3.0, 0.02)
    assert later["index"] == energy.STEPS and not np.array_equal(later["z"][-1], later["z"][0])
    assert 0 < np.mean(later["acceptance"]) <= 1
    earlier = energy.back(later)
    assert earlier["index"] == 0 and np.array_equal(energy.draw(earlier)[:, :400], energy.draw(begin)[:, :400])
    again = energy.forward(energy.back(energy.forward(later, 3.0, 0.02)), 3.0, 0.02)
    assert len(again["z"]) == len(again["u"]) == 1 + 2 * energy.STEPS == 1 + len(again["acceptance"])


def test_a_game_trains_and_its_picture_changes():
    game = plane.Game("8gaussians", "rsgan", "r1_r2", 0.1)
    before = plane.draw(game)
    fakes = game.field()[1]
    game.train(200)
    after = game.field()[1]
    spread = lambda points: np.abs(np.linalg.norm(points, axis=1) - np.sqrt(2)).mean()  # from the circle of the modes
    assert spread(after) < 0.7 * spread(fakes)
    assert game.step == 200 and np.abs(plane.draw(game).astype(int) - before).mean() > 2


def test_every_row_of_the_table_can_be_chosen_and_what_cannot_be_gets_a_sentence():
    assert len(METHODS) > 30
    with pytest.raises(UserError, match="tsgan cannot have another penalty"):
        plane.Game("8gaussians", "tsgan", "r1")
    game = plane.Game("two_moons", "tsgan")
    game.train(1)
    assert game.field()[0] is None and plane.draw(game).std() > 10


def test_every_divergence_is_estimated_near_its_exact_value():
    rows, samples, score = fgan.estimate(1.0, 1.0, 8000)
    for name, estimate, exact in rows:
        assert estimate == pytest.approx(exact, rel=0.25), name
    assert len(rows) == 9 and np.corrcoef(score[2800:3300], fgan.X[2800:3300])[0, 1] > 0.99
    assert fgan.draw(samples, score, 1.0, 1.0).std() > 10
    with pytest.raises(UserError, match="above 0"):
        fgan.estimate(0.0, 0.0, 100)


def test_a_couplet_is_answered_character_by_character():
    (best,), unknown = couplet.answer("海上 生明月")
    assert len(best) == 5 and not set(unknown) and all(a != b for a, b in zip(best, "海上生明月", strict=True))
    lines, unknown = couplet.answer("海上生明月囧", 1.0, 5, seed=1)
    assert len(lines) == 5 and len(set(lines)) > 1 and unknown == "囧"
    assert (
        lines == couplet.answer("海上生明月囧", 1.0, 5, seed=1)[0] != couplet.answer("海上生明月囧", 1.0, 5, seed=2)[0]
    )
    for line in (None, " ", "月" * 65):
        with pytest.raises(UserError, match=r"the line is empty|at most 64"):
            couplet.answer(line)


def test_the_words_have_the_same_gaps_in_both_languages_and_none_is_missing():
    gaps = lambda text: {(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name}
    for key, (english, chinese) in PAIRS.items():
        assert gaps(english) == gaps(chinese), key
        assert not re.search("[\u4e00-\u9fff]", english), key
        assert re.search("[\u4e00-\u9fff]", chinese) or key == "plane/loss", key
    for tab in (ogan, flow, energy, plane, fgan, couplet):
        name = tab.__name__.rpartition(".")[2]
        assert {f"{name}/tab", f"{name}/intro"} < PAIRS.keys()
