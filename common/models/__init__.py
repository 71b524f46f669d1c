"""Layers and networks that several articles use."""


def load(path):
    """Return a network that a run of any article saved, for use outside the scripts. No other import is needed.

    Args:
        path: path of the `.keras` file.

    Raises:
        UserError: see `common.models.inference.load_model`.
    """
    from common.models.inference import load_model

    return load_model(path)
