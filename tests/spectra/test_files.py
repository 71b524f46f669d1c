"""The readers of the contest's files and of FITS: what is read, left out, and refused."""

import zipfile

import numpy as np
import pytest

from common.errors import UserError
from spectra import dataset
from spectra.files import parse_flux, read_spectra
from spectra.fits import on_grid, read_fits
from spectra.simulator import CLASSES, wavelengths
from tests.helpers.scripts import error_line


def write(folder, n=8, points=130, encoding="utf-8"):
    """Write an index and n spectra of n different kinds into a new folder, and return it and the flux."""
    (folder / "data").mkdir(parents=True)
    flux = np.random.default_rng(0).standard_normal((n, points)).round(4).astype("float32")
    for i, row in enumerate(flux):
        (folder / f"data/{i}.txt").write_text(",".join(map(str, row)))
    lines = ["id,type", *(f"{i},{CLASSES[i % 4]}" for i in range(n))]
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder, flux


@pytest.mark.parametrize("packed", [False, True])
def test_read_a_folder_or_the_zip_in_it(tmp_path, packed, capsys):
    folder, flux = write(tmp_path / "x", encoding="utf-8-sig")
    if packed:
        with zipfile.ZipFile(folder / "spectra.zip", "w") as archive:
            for file in sorted((folder / "data").iterdir()):
                archive.write(file, f"data/{file.name}")
                file.unlink()
    (folder / "test_index.csv").write_text("id\n77\n")
    got, labels = read_spectra(folder)
    np.testing.assert_array_equal(got, flux)
    assert list(labels) == [0, 1, 2, 3] * 2 and not capsys.readouterr().out


def test_numbers_may_be_divided_by_commas_blanks_or_lines():
    np.testing.assert_array_equal(parse_flux(b"\xef\xbb\xbf1, 2.5,-3e1\r\n4\t5"), np.float32([1, 2.5, -30, 4, 5]))
    for content, problem in ((b"", "empty"), (b"1,x", "not all of it are"), (b"1,nan", "finite"), (b"1,1e99", "finite"),
                             (b"1,\xff", "not all of it are")):  # fmt: skip
        with pytest.raises(ValueError, match=problem):
            parse_flux(content)


def test_bad_spectra_and_rows_are_named(tmp_path, capsys):
    folder, flux = write(tmp_path / "x", n=12)
    (folder / "data/0.txt").write_text("1,2,three")
    (folder / "data/1.txt").write_text("1,2,3")
    (folder / "data/2.txt").unlink()
    (folder / "data/99.txt").write_text("1,2,3")
    with open(folder / "index.csv", "a") as index:
        index.write("13,nebula\n5\n6,qso\n\n")
    got, labels = read_spectra(folder)
    np.testing.assert_array_equal(got, flux[[10, 11, *range(3, 10)]])  # in the order of the names
    lines = capsys.readouterr().out.splitlines()
    assert "3 of 15 rows of the index" in lines[0] and "index.csv line 14 (type 'nebula', not star" in lines[0]
    assert "(1 columns in place of 2)" in lines[0] and "(a second type for 6)" in lines[0]
    assert "3 of 12 spectra: data/0.txt (not all of it are numbers), 2.txt (missing" in lines[1]
    assert "data/1.txt (3 numbers, others have 130)" in lines[1]
    assert "1 spectra have no type" in lines[2] and lines[2].endswith(": data/99.txt") and len(labels) == 9


def test_two_spectra_of_one_id_are_refused(tmp_path):
    """Else the first of them would get the type, whichever of them it belongs to."""
    folder, _ = write(tmp_path / "x", n=4)
    (folder / "a_test_set").mkdir()
    (folder / "a_test_set/2.txt").write_text("1,2,3")
    with pytest.raises(UserError, match=r"two files 2\.txt, .* keep one of each id"):
        read_spectra(folder)


def test_sources_that_cannot_be_used_are_one_line(tmp_path):
    folder, _ = write(tmp_path / "x")
    index = folder / "index.csv"

    def refused(content):
        index.write_bytes(content)
        flags = ["--preset", "smoke", "--dataset", f"spectra:{folder}", "--out", tmp_path / "runs"]
        return error_line("spectra/train.py", *flags)

    assert "x has no index: give an index (.csv) with the columns id" in refused(b"")
    assert "its .csv begins with name,kind" in refused(b"name,kind\n1,star\n")
    assert "index.csv is in UTF-16: save it in UTF-8" in refused("id,type\n1,star\n".encode("utf-16"))
    assert "is no text" in refused(b"id,type\n\0\0\0")
    assert "cannot be used for 1 of 1 rows of the index" in refused(b"id,type\n1,comet\n")
    assert "cannot be used for 2 of 2 spectra: 77.txt (missing" in refused(b"id,type\n77,star\n78,qso\n")
    assert "none to train on is of type unknown, galaxy, qso" in refused(
        b"id,type\n" + b"".join(b"%d,star\n" % i for i in range(8))
    )
    assert "is a file: give the folder or archive" in error_line(
        "spectra/train.py", "--preset", "smoke", "--dataset", f"spectra:{index}", "--out", tmp_path / "runs"
    )
    assert not (tmp_path / "runs").exists()


def test_short_and_constant_spectra(tmp_path, capsys):
    folder, _ = write(tmp_path / "x", n=6)
    (folder / "data/0.txt").write_text(",".join(["4"] * 130))
    got, labels = dataset.read_own(folder, 650)
    assert len(got) == len(labels) == 5 and "left out 1 of 6 spectra, which are constant" in capsys.readouterr().out
    short, _ = write(tmp_path / "y", points=100)
    with pytest.raises(UserError, match="a spectrum has 100 numbers: 128 at least"):
        dataset.load(f"spectra:{short}", None, 650, 0)
    with pytest.raises(UserError, match="100 points are too few"):
        dataset.load("simulated", 10, 100, 0)


def test_own_spectra_are_divided_once(tmp_path):
    folder, flux = write(tmp_path / "x", n=120)
    parts = dataset.load(f"spectra:{folder}", 50, 650, 0)
    assert [len(part.labels) for part in parts] == [50, 12, 12]
    rows = np.concatenate([part.x[..., 0] for part in dataset.load(f"spectra:{folder}", None, 650, 0)])
    np.testing.assert_allclose(np.sort(rows[:, 0]), np.sort(dataset.scaled(flux)[:, 0]), rtol=1e-6)
    trainer_rows = dataset.rows_of(parts[0])
    assert trainer_rows.shape == (50, 131, 1) and trainer_rows.dtype == np.float32
    np.testing.assert_array_equal(trainer_rows[:, -1, 0], parts[0].labels)


def test_on_the_grid():
    grid = np.linspace(3800, 9100, 3000)
    np.testing.assert_allclose(on_grid(grid, 2 * grid, 200), 2 * wavelengths(200), rtol=1e-6)
    for bad in (grid[::-1], grid + 200, np.full(3000, np.nan)):
        with pytest.raises(ValueError, match=r"do not rise from 3900 to 9000|not finite"):
            on_grid(bad, grid, 200)


def test_fits_without_astropy_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "astropy.io", None)
    (tmp_path / "a.fits").write_bytes(b"")
    flags = ["--preset", "smoke", "--dataset", f"spectra:{tmp_path}", "--out", tmp_path / "runs"]
    assert 'FITS files need the extra fits: .venv/bin/pip install -e ".[fits]"' in error_line(
        "spectra/train.py", *flags
    )


def test_a_malformed_card_is_left_out_and_named(tmp_path, capsys):
    fits = pytest.importorskip("astropy.io.fits", reason="needs the extra fits")
    grid = np.geomspace(3700, 9100, 3000)
    for name in ("a", "b", "c"):
        image = np.stack([np.sin(grid / 500), grid, grid]).astype("float32")
        fits.PrimaryHDU(image, fits.Header({"CLASS": "STAR"})).writeto(tmp_path / f"{name}.fits")
    content = (tmp_path / "b.fits").read_bytes()
    (tmp_path / "b.fits").write_bytes(content.replace(b"'STAR    '", b"STAR      ", 1))
    assert len(read_fits(tmp_path, 300)[1]) == 2
    assert "left out 1 of 3 spectra: b.fits (Unparsable card (CLASS)" in capsys.readouterr().out


def test_fits_as_tables_and_as_lamost_s_image(tmp_path, capsys):
    fits = pytest.importorskip("astropy.io.fits", reason="needs the extra fits")
    grid = np.geomspace(3700, 9100, 3000)
    flux = np.sin(grid / 500)

    def table(name, columns, header=()):
        columns = [fits.Column(key, "D", array=values) for key, values in columns.items()]
        fits.HDUList([fits.PrimaryHDU(header=fits.Header(header)), fits.BinTableHDU.from_columns(columns)]).writeto(
            name
        )

    table(tmp_path / "sdss.fits", {"flux": flux, "loglam": np.log10(grid)}, {"CLASS": "QSO"})
    table(tmp_path / "new.fits", {"FLUX": flux, "WAVELENGTH": grid}, {"CLASS": "Unknown"})
    table(tmp_path / "odd.fits", {"FLUX": flux, "WAVELENGTH": grid}, {"CLASS": "comet"})
    image = fits.PrimaryHDU(np.stack([flux, flux, grid]).astype("float32"), fits.Header({"CLASS": "STAR"}))
    image.writeto(tmp_path / "old.fits.gz")
    got, labels = read_fits(tmp_path, 300)
    assert [CLASSES[i] for i in labels] == ["unknown", "star", "qso"]
    np.testing.assert_allclose(got, np.tile(np.sin(wavelengths(300) / 500), (3, 1)), atol=2e-4)
    assert "left out 1 of 4 spectra: odd.fits (CLASS is 'comet'" in capsys.readouterr().out
    (tmp_path / "catalogue.csv").write_text("obsid,ra\n1,2.5\n")
    assert len(dataset.read_own(tmp_path, 300)[1]) == 3, "a table without types is no index"
    (tmp_path / "index.csv").write_text("id,type\nold,galaxy\nnew,qso\nsdss,star\n")
    assert [CLASSES[i] for i in dataset.read_own(tmp_path, 300)[1]] == ["qso", "galaxy", "star"]
    (tmp_path / "old.fits.gz").write_bytes((tmp_path / "old.fits.gz").read_bytes()[:-500])
    (tmp_path / "new.fits").write_bytes(b"no FITS")
    (tmp_path / "sdss.fits").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be used for 4 of 4 spectra"):
        read_fits(tmp_path, 300)
