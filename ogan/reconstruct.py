"""Reconstruct your own photos by a trained O-GAN: x -> E(x) -> N(E(x)) -> G, article 6409's figures for any folder.

    python ogan/reconstruct.py --images ~/photos                           # by the network that comes with this code
    python ogan/reconstruct.py --run runs/ogan/lfw-32-quick-s0 --images ~/photos
    python ogan/reconstruct.py --run runs/ogan/lfw-32-quick-s0 --images me.jpg
    python ogan/reconstruct.py --run runs/ogan/lfw-32-quick-s0              # images that it was not trained on

Writes pairs, interpolations with the originals at both ends, the nearest neighbours in code space, and results.json
to `reconstruct/` in the run directory, or for a pretrained network to `runs/pretrained/NAME/reconstruct/`.
"""

from pathlib import Path

from common.cli import Parser, add_format, main
from common.flag_types import data_folder, images_path, trained_run

NEIGHBOURS = 3
BANK = 20_000  # number of training images that are searched for neighbours
COLUMNS = 8  # photos whose neighbours are drawn
HELD_OUT = 32  # images to reconstruct without --images
PRETRAINED = "ogan-lfw-32"  # the default of --run


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--run", type=trained_run, default=PRETRAINED,
        help=f"run directory of ogan/train.py, or name of an entry of pretrained/ (default {PRETRAINED})",
    )  # fmt: skip
    p.add_argument(
        "--images",
        type=images_path,
        help="folder, zip or tar of images, or one image; they are cropped as the run's own photos (--crop), else to "
        f"the largest centre square (default: {HELD_OUT} held-out images of the run's data)",
    )
    p.add_argument(
        "--data-dir",
        type=data_folder,
        help="folder of the run's data set, if it has moved (default: the run's --data-dir)",
    )
    add_format(p)
    return p


def read_mean_image(path, shape):
    """Return the mean training image of a run, the baseline of reconstructions.

    Args:
        path: path of the `.npy` file.
        shape: tuple, shape of an image.

    Raises:
        UserError: if the file is missing or damaged, or of another run.
    """
    import numpy as np

    from common.data.checks import check_finite
    from common.errors import UserError

    try:
        if not path.is_file():  # reading a pipe would never end
            raise UserError("it is missing, or not a file")
        with open(path, "rb") as file:
            mean_image = np.lib.format.read_array(file)
        if mean_image.shape != shape:
            raise UserError(f"its shape must be {shape}. Received: {mean_image.shape}")
        return check_finite("its pixels", mean_image)
    except (OSError, ValueError, EOFError, UserError) as error:
        raise UserError(f"cannot read {path} ({error}); restore it, or finish the training of the run") from None


def run(args):
    import numpy as np

    from common.data.images import load_images, to_float
    from common.errors import UserError
    from common.files import write_json
    from common.models.inference import load_model
    from common.models.pretrained import output_dir
    from common.plots.images import neighbours
    from common.plots.labels import save_labelled
    from common.training.run_dir import provenance, write_results
    from common.training.run_files import read_flags
    from ogan import evaluate
    from ogan.codes import nearest_neighbours

    run_dir = Path(args.run)
    train_flags = read_flags(run_dir, "dataset", "size", "data_dir", "crop", "limit")
    size = train_flags.size
    E = load_model(run_dir / "encoder.keras", (size, size, None), (None,))
    G = load_model(run_dir / "generator.keras", E.output_shape[1:], E.input_shape[1:])
    channels = E.input_shape[3]
    mean_image = read_mean_image(run_dir / "mean_image.npy", E.input_shape[1:])

    # the photos
    data_dir = args.data_dir or train_flags.data_dir
    if args.images:
        title = "your images"
        x = load_images(f"folder:{args.images}", size, "all", channels=3, crop=train_flags.crop).array
        x = x if channels == 3 else np.asarray(x).mean(-1, keepdims=True).round().astype("uint8")
    else:
        title = "held-out images"
        held_out = {"limit": HELD_OUT, "channels": channels, "crop": train_flags.crop}
        x = np.asarray(load_images(train_flags.dataset, size, "test", data_dir, **held_out).array)

    # nearest neighbours among the training images, or among the photos themselves
    folder = output_dir(run_dir) / "reconstruct"
    try:
        if args.images and output_dir(run_dir) != run_dir and not data_dir:
            raise UserError("name the folder of the network's training images by --data-dir to search those")
        settings = {"limit": min(BANK, train_flags.limit or BANK), "channels": channels, "crop": train_flags.crop}
        bank = load_images(train_flags.dataset, size, "train", data_dir, **settings).array
        queries = evaluate.encode(E, x[:COLUMNS])
        neighbour_indices = nearest_neighbours(queries, evaluate.encode(E, bank), NEIGHBOURS)
    except UserError as error:
        print(f"neighbours are searched among the photos alone: {error}")
        bank, codes = x, evaluate.encode(E, x)
        # every photo is its own nearest neighbour: leave it out
        neighbour_indices = nearest_neighbours(codes[:COLUMNS], codes, min(NEIGHBOURS + 1, len(x)))[:, 1:]

    # pictures
    scale = max(1, 64 // size)
    left, right = evaluate.interpolation_endpoints(x)
    evaluate.save_reconstructions(folder / "pairs.png", evaluate.reconstructions(E, G, x[:32], scale), title)
    steps = evaluate.interpolations(E, G, left, right, scale)
    evaluate.save_interpolations(folder / "interpolations.png", steps, title)
    pictures = ["pairs.png", "interpolations.png"]
    if neighbour_indices.shape[1]:
        matches = to_float(np.asarray(bank)[neighbour_indices])
        picture = neighbours(to_float(x[:COLUMNS]), matches, scale=scale)
        rows = ["image", "nearest", *(f"{i}." for i in range(2, NEIGHBOURS + 1))][: matches.shape[1] + 1]
        save_labelled(folder / "neighbours.png", picture, "Images and their neighbours in code space", rows=rows)
        pictures.append("neighbours.png")

    # metrics
    metrics = evaluate.reconstruction_metrics(E, G, x, mean_image)
    write_json(folder / "config.json", provenance(args))
    write_results(folder, metrics, trained=str(run_dir), images=args.images or title, count=len(x))
    print(*(f"{name:20s}{value:.4f}" for name, value in metrics.items()), sep="\n")
    print("pictures:", *(folder / name for name in pictures), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
