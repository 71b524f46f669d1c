"""Standard output and error that are closed or full: a script says so once and goes on."""

import contextlib
import io
import os
import sys

from common.errors import one_line


class _Guarded:
    """A text stream whose failures do not end the script.

    Args:
        stream: `sys.stdout` or `sys.stderr`; None if it was closed before the script started.
        on_failure: function (text, reason), called with every text that cannot be written.
    """

    def __init__(self, stream, on_failure):
        self._stream, self._on_failure = stream or io.StringIO(), on_failure
        self._reason = "it is closed" if stream is None else None

    def write(self, text):
        """Write a text, or hand it to `on_failure`."""
        if self._reason is None:
            try:
                return self._stream.write(text)
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:  # ValueError: a closed file
                self._give_up(error)
        self._on_failure(text, self._reason)
        return len(text)

    def writelines(self, lines):
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self):
        """Flush the stream; what it held is lost if that fails."""
        if self._reason is None:
            try:
                self._stream.flush()
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)
                self._on_failure("", self._reason)

    def _give_up(self, error):
        self._reason = getattr(error, "strerror", None) or str(error)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # no file lies behind the stream
            # What is left in buffers goes there too, else the interpreter would complain at its end.
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self._stream.fileno())
            os.close(devnull)

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def guarded(prog):
    """Context in which `print` cannot fail, except for a reader that is gone (`BrokenPipeError`).

    If standard output cannot be written, one line on standard error says so. If standard error cannot be written, its
    text goes to standard output.

    Args:
        prog: str, name of the script, for that line.
    """
    for descriptor in (0, 1, 2):  # a closed one would be given to the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    noted = []

    def note(text, reason):
        if not noted:
            noted.append(reason)
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(
                    f"{prog}: standard output cannot be written ({one_line(reason)}); going on without it\n"
                )

    def to_stdout(text, reason):
        if not noted:
            sys.stdout.write(text)

    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # e.g. names of files that are not UTF-8
    sys.stdout, sys.stderr = _Guarded(before[0], note), _Guarded(before[1], to_stdout)
    try:
        yield
    finally:
        try:
            sys.stderr.flush()
            sys.stdout.flush()
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def muted_stderr():
    """Redirect file descriptor 2: TensorFlow's start-up messages bypass `sys.stderr`."""
    stderr_copy, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
        os.close(devnull)
