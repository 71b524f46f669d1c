"""Say which metrics are left out because there are too few samples for them."""


def is_enough(metrics, least, counts):
    """Return whether every count is large enough for some metrics; if not, print one line that says what is missing.

    Args:
        metrics: str, names of the metrics, for the line.
        least: int, number of samples that the metrics need of every kind.
        counts: dict what -> number of samples, e.g. {"held-out images": 3}.
    """
    few = ", ".join(f"{n} {what}" for what, n in counts.items() if n < least)
    if few:
        print(f"not measured: {metrics} (at least {least} are needed; there are only {few})", flush=True)
    return not few
