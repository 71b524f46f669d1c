"""The name of the backend in use."""


def backend_name():
    """Return "tensorflow", "jax" or "torch"."""
    import keras

    return keras.backend.backend()
