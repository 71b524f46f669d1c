"""Your own photos through a trained O-GAN: x -> E(x) -> N(E(x)) -> G, article 6409's figures for any folder.

    python ogan/reconstruct.py --run runs/ogan/lfw-32-quick-s0 --images ~/photos

Writes pairs, interpolations with the originals at both ends, the nearest neighbours in code space, and results.json
into the run directory.
"""

from pathlib import Path

from common.cli import Parser, main

NEIGHBOURS = 3
BANK = 20_000  # training images searched for neighbours


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--run", required=True, help="a run directory of ogan/train.py")
    p.add_argument("--images", required=True, help="folder, zip or tar of images; the largest centre square is used")
    p.add_argument("--data-dir", help="where the run's own data set lies now, if it moved")
    return p


def run(args):
    import numpy as np

    from common.data.images import load_images, to_float
    from common.errors import UserError
    from common.files import read_json, write_json
    from common.models.inference import load_model
    from common.plots.images import neighbours, save_png
    from common.training.run_dir import provenance, write_results
    from ogan import evaluate
    from ogan.codes import nearest_neighbours

    where = Path(args.run)
    trained = read_json(where / "config.json")["flags"]
    E, G = load_model(where / "encoder.keras"), load_model(where / "generator.keras")
    size, channels = E.input_shape[1], E.input_shape[3]

    photos = load_images(f"folder:{args.images}", size, "all")
    x = photos.array if channels == 3 else np.asarray(photos.array).mean(-1, keepdims=True).round().astype("uint8")
    try:
        mean_image = np.load(where / "mean_image.npy")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read {where}/mean_image.npy ({error}); finish the run with --resume") from None

    if mean_image.shape != x.shape[1:]:
        raise UserError(f"{where}/mean_image.npy is not this run's ({mean_image.shape}); finish the run with --resume")

    # nearest neighbours among the training images, or among the photos themselves
    try:
        bank = load_images(trained["dataset"], size, "train", args.data_dir or trained["data_dir"], limit=BANK).array
        neighbour_indices = nearest_neighbours(evaluate.encode(E, x[:8]), evaluate.encode(E, bank), NEIGHBOURS)
    except UserError as error:
        print(f"neighbours are searched among the photos alone: {error}")
        bank, codes = x, evaluate.encode(E, x)
        neighbour_indices = nearest_neighbours(codes[:8], codes, min(NEIGHBOURS + 1, len(x)))[:, 1:]

    zoom = max(1, 64 // size)
    left, right = evaluate.interpolation_endpoints(x)
    pictures = {
        "pairs.png": evaluate.reconstructions(E, G, x[:32], zoom),
        "interpolations.png": evaluate.interpolations(E, G, left, right, zoom),
    }
    if neighbour_indices.shape[1]:
        matches = to_float(np.asarray(bank)[neighbour_indices])
        pictures["neighbours.png"] = neighbours(to_float(x[:8]), matches, scale=zoom)
    folder = where / "reconstruct"
    for name, picture in pictures.items():
        save_png(folder / name, picture)
    numbers = evaluate.reconstruction_metrics(E, G, x, mean_image)
    write_json(folder / "config.json", provenance(args))
    write_results(folder, numbers, trained=str(where), images=str(args.images), count=len(x))
    print(*(f"{name:20s}{value:.4f}" for name, value in numbers.items()), sep="\n")
    print("pictures:", *(folder / name for name in pictures), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
