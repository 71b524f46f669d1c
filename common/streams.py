"""Standard output and error: a script that cannot write says so once and goes on, and one that works says at what."""

import contextlib
import io
import os
import shutil
import sys
import threading
import time

from common.errors import one_line

SILENCE = 8  # seconds without output, at most at first; in a pipe or file, later a tenth of the time of the stage
SILENCE_OF_LINES = 2  # the same on a terminal where no progress bar is shown
ERASE_LINE = "\r\x1b[K"
_stages = []  # (title, time of its begin) of the stages in progress, the innermost last


@contextlib.contextmanager
def stage(title):
    """Name what happens inside, as a context or as a decorator of a function.

    A script in which nothing is printed for a while shows the name of the innermost stage and its time so far: on a
    terminal in a line that is rewritten, in a pipe or file in a line now and then. Without `guarded`, as in a notebook,
    a stage does nothing.

    Args:
        title: str such as "drawing the figures", or a function that returns it anew for every line.
    """
    entry = title, time.perf_counter()
    _stages.append(entry)
    try:
        yield
    finally:
        _stages.remove(entry)


class Ticker:
    """Thread that shows the stage of a script in which nothing is printed for a while.

    Args:
        stream: true standard output.
        now: number, the time as `time.perf_counter` gives it.
    """

    latest = None  # the one that works now

    def __init__(self, stream, now):
        self.stream, self.began_at, self.spoke_at = stream, now, now
        self.is_terminal = not stream.closed and stream.isatty()
        self.lock = threading.RLock()  # a handler of signals may print while this thread writes
        self.in_line = self.shows_tick = False  # whether the last line is not ended, and whether it is ours
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        with contextlib.suppress(Exception):  # whatever is wrong with the stream, the script itself will notice
            while not self._end.wait(0.5):
                self.tick(time.perf_counter())

    def __enter__(self):
        self.before, Ticker.latest = Ticker.latest, self
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._thread.join(1)
        Ticker.latest = self.before

    def writing(self, stream, text):
        """Erase our line before somebody else writes a text to a stream, and note the time."""
        if self.shows_tick:
            self.stream.write(ERASE_LINE)
            if stream is not self.stream:
                self.stream.flush()
            self.shows_tick = False
        if text:
            self.in_line, self.spoke_at = not text.endswith("\n"), time.perf_counter()

    def tick(self, now):
        """Show the innermost stage if nothing was printed for long."""
        with self.lock:
            title, began_at = next(reversed(_stages), ("working", self.began_at))
            if self.is_terminal:
                patience = SILENCE if self.in_line else SILENCE_OF_LINES
            else:
                patience = max(SILENCE, 0.1 * (now - began_at))
            if now - self.spoke_at <= patience:
                return
            text = f"{one_line(title() if callable(title) else title)} ({now - began_at:.0f} s)"
            if self.is_terminal:
                self.stream.write(f"{ERASE_LINE}{text[: shutil.get_terminal_size().columns - 1]}")
                self.shows_tick = True
            else:
                self.stream.write("\n" * self.in_line + f"{text}\n")
                self.in_line, self.spoke_at = False, now
            self.stream.flush()


def last_output_at():
    """Return when a script printed last, as `time.perf_counter` gives it, or minus infinity outside of `guarded`."""
    return Ticker.latest.spoke_at if Ticker.latest else -float("inf")


class _Guarded:
    """A text stream whose failures do not end the script.

    Args:
        stream: `sys.stdout` or `sys.stderr`; None if it was closed before the script started.
        on_failure: function (text, reason), called with every text that cannot be written.
        ticker: `Ticker`.
    """

    def __init__(self, stream, on_failure, ticker):
        self._stream, self._on_failure, self._ticker = stream or io.StringIO(), on_failure, ticker
        self._reason = "it is closed" if stream is None else None

    def write(self, text):
        """Write a text, or hand it to `on_failure`."""
        if self._reason is None:
            try:
                with self._ticker.lock:
                    self._ticker.writing(self._stream, text)
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
    """Context in which `print` cannot fail, but for a reader that is gone (`BrokenPipeError`), and silence is broken.

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
            # names of files may be no UTF-8; a line in a pipe must not wait for the ones after it
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    ticker = Ticker(before[0] or io.StringIO(), time.perf_counter())
    sys.stdout, sys.stderr = _Guarded(before[0], note, ticker), _Guarded(before[1], to_stdout, ticker)
    try:
        with ticker:
            yield
    finally:
        try:
            sys.stdout.write("")  # erases the line of the ticker
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
