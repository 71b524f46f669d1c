"""Keep the tests of data sets away from the user's data and from the network."""

import pytest

from common.data import downloads


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    """Set an empty Keras cache (a path that does not exist yet), no $DATA_DIR, and a network that is down."""

    def fail(*_):
        raise OSError("no\nnetwork")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.setattr(downloads, "_fetch", fail)
    return tmp_path / "keras"
