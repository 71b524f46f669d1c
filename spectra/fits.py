"""Read spectra in FITS files, as LAMOST and SDSS publish them, with the extra `fits` (astropy)."""

import zlib
from pathlib import Path

import numpy as np

from common.data.file_types import printable
from common.data.progress import progress_bar
from common.errors import UserError, one_line
from spectra.files import LeftOut
from spectra.simulator import CLASSES, RANGE, wavelengths

SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
INSTALL = '.venv/bin/pip install -e ".[fits]"'


def fits_files(path):
    """Return the FITS files below a folder, or a single one, sorted."""
    path = Path(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in files if file.name.lower().endswith(SUFFIXES)]


def read_fits(path, points, types=None):
    """Return the flux, float32 (n, points), and the labels, int (n,), of the FITS files of a folder.

    The flux is brought to the grid of `spectra.simulator.wavelengths` by linear interpolation.

    Args:
        path: a folder, or a file.
        points: int, wavelengths of a spectrum.
        types: dict name of a file, without its suffix -> class index; by default the type is the CLASS of the header.

    Raises:
        UserError: if astropy is missing, or if most files cannot be used. Others are left out and named in a line.
    """
    try:
        from astropy.io import fits
    except ImportError:
        raise UserError(f"FITS files need the extra fits: {INSTALL}") from None
    files, left_out = fits_files(path), LeftOut()
    advance = progress_bar(len(files), "reading spectra:")
    fluxes, labels = [], []
    for file in files:
        try:
            with fits.open(file, memmap=False) as hdus:
                label = _label(hdus, file.name.split(".")[0], types)
                fluxes.append(on_grid(*_curve(hdus), points))
            labels.append(label)
        except (ValueError, OSError, KeyError, TypeError, IndexError, EOFError, zlib.error, fits.VerifyError) as error:
            left_out.add(file.name, one_line(error)[:60])
        advance(1)
    left_out.tell(printable(Path(path).name), len(labels))
    return np.stack(fluxes), np.array(labels)


def _label(hdus, name, types):
    """Return the class index of a file; raise ValueError if it has none."""
    if types is not None:
        if name not in types:
            raise ValueError("not in the index")
        return types[name]
    for hdu in hdus:
        table = hdu.data if getattr(hdu, "columns", None) is not None and len(hdu.data) == 1 else None
        named = table["CLASS"][0] if table is not None and "CLASS" in hdu.columns.names else hdu.header.get("CLASS")
        if named is not None:
            if str(named).strip().lower() not in CLASSES:
                raise ValueError(f"CLASS is {str(named).strip()[:20]!r}, not {', '.join(CLASSES)}")
            return CLASSES.index(str(named).strip().lower())
    raise ValueError("its header has no CLASS")


def _curve(hdus):
    """Return (wavelengths in angstrom, flux) of a file: a table of them, or LAMOST's older image of rows."""
    for hdu in hdus:
        names = {name.upper(): name for name in getattr(getattr(hdu, "columns", None), "names", ())}
        if "FLUX" in names and {"WAVELENGTH", "LOGLAM"} & names.keys():
            column = lambda name, data=hdu.data, names=names: np.asarray(data[names[name]], "float64").ravel()
            grid = column("WAVELENGTH") if "WAVELENGTH" in names else 10 ** column("LOGLAM")
            return grid, column("FLUX")
    image = hdus[0].data
    if image is None or np.ndim(image) != 2 or len(image) < 3:
        raise ValueError("neither a table with FLUX and WAVELENGTH or LOGLAM, nor an image with their rows")
    return np.asarray(image[2], "float64"), np.asarray(image[0], "float64")


def on_grid(wavelength, flux, points):
    """Return a spectrum at `points` wavelengths from `RANGE`, float32.

    Args:
        wavelength: (n,), in angstrom, rising.
        flux: (n,).
        points: int.

    Raises:
        ValueError: if the spectrum does not cover the range, or is not finite.
    """
    good = np.isfinite(wavelength) & np.isfinite(flux)
    if good.mean() < 0.9:
        raise ValueError("more than a tenth of its values are not finite")
    wavelength, flux = wavelength[good], flux[good]
    if (np.diff(wavelength) <= 0).any() or wavelength[0] > RANGE[0] or wavelength[-1] < RANGE[1]:
        raise ValueError(f"its wavelengths do not rise from {RANGE[0]:.0f} to {RANGE[1]:.0f} angstrom")
    return np.interp(wavelengths(points), wavelength, flux).astype("float32")
