"""Layers and networks that several articles use."""


def load(path):
    """Return a trained network, for use outside the scripts. No other import is needed.

    Args:
        path: path of a `.keras` file that a run of any article saved; the name of one of `pretrained/`, such as
            "ogan-lfw-32/generator"; or "hf://USER/NAME" of the Hugging Face Hub, which needs the package
            huggingface_hub.

    Raises:
        UserError: see `common.models.inference.load_model`.
    """
    from pathlib import Path

    from common.models.inference import load_model
    from common.models.pretrained import network_path

    is_path = str(path).startswith("hf://") or str(path).endswith(".keras") or Path(path).exists()
    return load_model(path if is_path else network_path(str(path)))
