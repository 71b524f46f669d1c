"""The error that a user can fix: scripts show it as one line without a traceback and exit with code 2."""

import contextlib

MAX_LINE = 2000  # characters
DIVERGED = "the network has diverged: train it again with a lower learning rate"  # advice for all that it returns


class UserError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong and what to do.

    Args:
        message: str.
        topic: str, the heading of docs/troubleshooting.md that says more, as in its address: "out-of-memory". The line
            of `common.cli.main` ends with the link. None (default): no heading says more.
    """

    def __init__(self, message, topic=None):
        super().__init__(message)
        self.topic = topic


@contextlib.contextmanager
def errors_begin_with(when):
    """Let the message of each `UserError` in this context begin with when it happened, such as "after step 3000"."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{when}: {error}", topic=error.topic) from None


def one_line(message):
    """Return a message as one printable line: control characters are escaped, and the middle of a long text is cut.

    Args:
        message: anything with a text.
    """
    text = " ".join(str(message).splitlines())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE // 2]} ... {text[-MAX_LINE // 3 :]}"
