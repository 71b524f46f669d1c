"""Which data sets this machine has, and the small ones that it may download."""

from common.data import catalog
from common.data.text import TEXTS, locate_text
from common.errors import UserError

# data set -> the 11 MB download that it is made of, which needs no consent of the user
SMALL = {name: "mnist" for name in ("mnist", "stacked_mnist", "stacked_mnist_2")}


def is_available(name, data_dir=None):
    """Return whether a data set can be used without a download."""
    if name in TEXTS:
        return locate_text(name, data_dir) is not None
    if name not in catalog.DATASETS:  # drawn by code, or a folder of the user
        return True
    spec = catalog.DATASETS[name]
    return any(catalog.find_in(root, spec, name, "train") for root in catalog.search_dirs(data_dir))


def how_to_get(name):
    """Return which file of which site a missing data set is."""
    return TEXTS[name][0] if name in TEXTS else catalog.DATASETS[name].how_to_get


def download_small(runs, images=None, data_dir=None):
    """Download the small data sets that `runs` need and that are missing.

    If a download fails, the error is printed and the runs use their fallback.
    """
    with_own_data = [run for run in runs if run.state != "finished" and not (images and "fallback" in run.spec)]
    for name in {SMALL.get(run.spec.get("dataset")) for run in with_own_data} - {None}:
        if not is_available(name, data_dir):
            try:
                catalog.find(name, "train", data_dir)
            except UserError as error:
                print(f"{error}; continuing without it", flush=True)
