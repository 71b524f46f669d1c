"""Your own photos through a trained O-GAN: x -> E(x) -> N(E(x)) -> G, article 6409's figures for any folder.

    python ogan/reconstruct.py --run runs/ogan/lfw-32-quick-s0 --images ~/photos

Writes pairs, interpolations with the originals at both ends, the nearest neighbours in code space, and results.json
into the run directory.
"""

from pathlib import Path

from common.cli import Parser, main

NEIGHBOURS = 3
BANK = 20_000  # training images searched for neighbours


def flags():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--run", required=True, help="a run directory of ogan/train.py")
    p.add_argument("--images", required=True, help="folder, zip or tar of images; the largest centre square is used")
    p.add_argument("--data-dir", help="where the run's own data set lies now, if it moved")
    return p


def run(args):
    import numpy as np

    from common import data, figures, metrics
    from common.errors import UserError
    from common.runs import load_model, origin, read_json, write_json, write_results
    from ogan import evaluate

    where = Path(args.run)
    trained = read_json(where / "config.json")["flags"]
    E, G = load_model(where / "encoder.keras"), load_model(where / "generator.keras")
    size, channels = E.input_shape[1], E.input_shape[3]

    photos = data.load(f"folder:{args.images}", size, "all")
    x = photos.array if channels == 3 else np.asarray(photos.array).mean(-1, keepdims=True).round().astype("uint8")
    try:
        mean_image = np.load(where / "mean_image.npy")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"cannot read {where}/mean_image.npy ({error}); finish the run with --resume") from None

    if mean_image.shape != x.shape[1:]:
        raise UserError(f"{where}/mean_image.npy is not this run's ({mean_image.shape}); finish the run with --resume")

    # nearest neighbours among the training images, or among the photos themselves
    try:
        bank = data.load(trained["dataset"], size, "train", args.data_dir or trained["data_dir"], limit=BANK).array
        found = metrics.nearest_neighbours(evaluate.encode(E, x[:8]), evaluate.encode(E, bank), NEIGHBOURS)
    except UserError as error:
        print(f"neighbours are searched among the photos alone: {error}")
        bank, codes = x, evaluate.encode(E, x)
        found = metrics.nearest_neighbours(codes[:8], codes, min(NEIGHBOURS + 1, len(x)))[:, 1:]

    zoom = max(1, 64 // size)
    left, right = evaluate.two_halves(x)
    pictures = {
        "pairs.png": evaluate.reconstructions(E, G, x[:32], zoom),
        "interpolations.png": evaluate.interpolations(E, G, left, right, zoom),
    }
    if found.shape[1]:
        matches = data.to_float(np.asarray(bank)[found])
        pictures["neighbours.png"] = figures.neighbours(data.to_float(x[:8]), matches, scale=zoom)
    folder = where / "reconstruct"
    for name, picture in pictures.items():
        figures.save_png(folder / name, picture)
    numbers = evaluate.reconstruction_metrics(E, G, x, mean_image)
    write_json(folder / "config.json", origin(args))
    write_results(folder, numbers, trained=str(where), images=str(args.images), count=len(x))
    print(*(f"{name:20s}{value:.4f}" for name, value in numbers.items()), sep="\n")
    print("pictures:", *(folder / name for name in pictures), sep="\n  ")


if __name__ == "__main__":
    main(run, flags())
