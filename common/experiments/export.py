"""Samples of a trained network as PNGs, for programs that measure them (`--export-samples`)."""

from pathlib import Path

from common.data.images import to_uint8
from common.plots.images import save_png
from common.streams import stage

BLOCK = 500  # samples drawn and held at a time
STREAM = 1_000_000  # the noise of block i has this number plus i in its seed


def export_samples(run_dir, n, draw):
    """Write samples as `<run_dir>/export/000000.png` and so on; no other number stays there from an earlier call.

    The first samples are the same for every n.

    Args:
        run_dir: path of the run directory.
        n: int, number of samples; 0 does nothing.
        draw: function (count, number for the seed of the noise) -> images (count, h, w, c) in [-1, 1].

    Raises:
        UserError: if a file cannot be written, or if a sample is not finite.
    """
    if not n:
        return
    folder = Path(run_dir) / "export"
    for path in folder.glob("[0-9]*.png"):
        if not path.stem.isdigit() or int(path.stem) >= n:
            path.unlink()
    written = 0
    with stage(lambda: f"writing samples: {written} of {n}"):
        while written < n:
            for image in to_uint8(draw(BLOCK, STREAM + written // BLOCK))[: n - written]:
                save_png(folder / f"{written:06d}.png", image)
                written += 1
    print(f"{n} samples: {folder}")
