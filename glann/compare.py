"""Compare IMLE, GLO, GLANN, a VAE and a GAN: samples in several features, sharpness, seconds, memory (article 6394).

    python glann/compare.py --dataset mnist                            # three seeds
    python glann/compare.py --dataset mnist --variants vae imle        # only some of them

The generator, the images and the seeds are equal; each training has the settings of its own preset. GLO is the first
half of the training of GLANN. The table and the samples go to `<out>/glann/compare-<dataset>/`. Flags that this script
does not know are passed to every training script. Finished runs are not repeated.
"""

from pathlib import Path

from common.backend import import_backend
from common.cli import main
from common.experiments.sweep import comparison_dir, sweep, sweep_parser

VARIANTS = {  # name -> (script, its flags)
    "r3gan": ("rsgan/train.py", ("--loss", "r3gan")),
    "vae": ("glann/vae.py", ()),
    "vae_gaussian": ("glann/vae.py", ("--likelihood", "gaussian")),
    "imle": ("glann/imle.py", ()),
    "imle_reverse": ("glann/imle.py", ("--loss", "reverse")),
    "imle_features": ("glann/imle.py", ("--distance", "features")),
    "glann": ("glann/train.py", ()),
    "glann_features": ("glann/train.py", ("--distance", "features")),
}
COLUMNS = {
    "FID": "fid_classifier",
    "by another classifier": "fid_other_classifier",
    "by pixels": "fid_pixels",
    "precision": "precision",
    "recall": "recall",
    "sharpness": "sharpness",
    "held-out error": "held_out_error",
    "seconds": "train_seconds",
    "memory, MiB": "peak_memory_mb",
}
ROOT = Path(__file__).parents[1]


def make_parser():
    p = sweep_parser(__doc__, "mnist")
    p.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME",
        help=f"trainings to compare (default {' '.join(VARIANTS)})",
    )  # fmt: skip
    return p


def gans_in_further_features(run_dirs):
    """Return {job: what `glann.experiment.judge` measures} of GANs of the same images, from their saved generators.

    Args:
        run_dirs: dict job -> run directory of `rsgan/train.py`.
    """
    if not run_dirs:
        return {}
    import_backend()
    from common.experiments.sample_space import ImageSpace
    from common.models.inference import load_model
    from common.training.run_files import read_flags
    from glann.experiment import drawer, judge, judges, normal

    numbers, space = {}, None
    for job, run_dir in run_dirs.items():
        flags = read_flags(run_dir, "dataset", "size", "data_dir", "limit", "crop", "features", "seed")
        if space is None:
            space = ImageSpace(flags)
            judged = judges(flags, space)
        generator = load_model(run_dir / "generator.keras", (None,), space.shape)
        latents = lambda n, stream, flags=flags, d=generator.input_shape[1]: normal(flags, n, stream, d)
        numbers[job] = judge(flags, space, judged, drawer(space, generator, latents))
    return numbers


def rows_of(name, metrics):
    """Return {row of the table: {key: number}} of one run: of GLANN also those of GLO, of whose codes it makes use.

    Args:
        name: str, key of `VARIANTS`.
        metrics: dict, those of the run's `results.json`.
    """
    if not name.startswith("glann"):
        return {name: metrics}
    parts = {"glo": "glo", "glo_gaussian": "gaussian"}
    own = {key: value for key, value in metrics.items() if "/" not in key}
    rows = {}
    for row, prefix in parts.items():
        of_part = {k.removeprefix(f"{prefix}/"): v for k, v in metrics.items() if k.startswith(f"{prefix}/")}
        rows[name.replace("glann", row)] = of_part
    if "glo/train_seconds" in metrics and "train_seconds" in own:  # T is of no use without the codes
        own["train_seconds"] += metrics["glo/train_seconds"]
    return rows | {name: own}


def samples_of(name, run_dir):
    """Return {row of the picture: the last picture of samples of the run}, without labels."""
    import imageio.v3 as iio

    folders = {name: run_dir}
    if name.startswith("glann"):
        folders = {name.replace("glann", "glo"): run_dir / "glo"} | folders
    last = {row: sorted((folder / "samples").glob("step-*.png"))[-1] for row, folder in folders.items()}
    return {row: iio.imread(path) for row, path in last.items()}


def run(args):
    """Train all variants, then write their table and their samples."""
    import numpy as np

    from common.errors import UserError
    from common.experiments.compare_gans import reasons_of, refuse_killed
    from common.experiments.tables import floors_line, write_table
    from common.plots.images import SAMPLE_COLUMNS
    from common.plots.labels import save_labelled
    from common.plots.words import in_words
    from common.training.run_files import read_metrics

    output_dir = comparison_dir(args, "glann", "compare")
    run_dirs, failed = {}, {}
    for name in args.variants:
        script, flags = VARIANTS[name]
        all_flags = [*flags, *args.forwarded, *(["--format", args.format] if args.format else [])]
        jobs = {f"{name}-{seed}": ["--dataset", args.dataset, "--seed", seed, *all_flags] for seed in range(args.seeds)}
        run_dirs |= sweep(ROOT / script, jobs, output_dir, args.jobs, failed)
    if not run_dirs:
        raise UserError(reasons_of(failed))

    # table
    further = gans_in_further_features({job: path for job, path in run_dirs.items() if job.startswith("r3gan-")})
    table, floors, pictures = {}, {}, {}
    for job, run_dir in run_dirs.items():
        name = job.rpartition("-")[0]
        metrics = read_metrics(run_dir) | further.get(job, {})
        floors |= {title: metrics[f"{key}_floor"] for title, key in COLUMNS.items() if f"{key}_floor" in metrics}
        for row, numbers in rows_of(name, metrics).items():
            columns = table.setdefault(row, {})
            for title, key in COLUMNS.items():
                columns.setdefault(title, []).extend([numbers[key]] if key in numbers else [])
        pictures = samples_of(name, run_dir) | pictures  # those of the first seed
    footer = floors_line(floors) + "sharpness: that of the held-out images is 1\n"
    footer += "".join(f"failed: {name}: {reason}\n" for name, reason in failed.items())
    text = write_table(output_dir, "method", table, args, footer, failed=failed)

    # samples, two rows of the last picture of each training in one
    pictures = {row: pictures[row] for row in table if row in pictures}
    side = min(p.shape[0] for p in pictures.values()) // SAMPLE_COLUMNS
    strips = [np.concatenate([p[:side], p[side : 2 * side]], 1) for p in pictures.values()]
    title = f"Samples, {in_words(args.dataset)}, seed 0"
    figure = output_dir / "figures/samples.png"
    save_labelled(figure, np.concatenate(strips), title, rows=[in_words(row) for row in pictures])
    print(text, figure, sep="\n")
    refuse_killed(failed)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
