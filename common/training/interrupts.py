"""Stop a training between two steps, so that its state is saved."""

import signal
import threading

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a scheduler, a terminal that was closed


class finish_step_on_interrupt:
    """Context in which Ctrl-C stops the training after the step in progress, and a second Ctrl-C at once.

    Args:
        checkpoint_callback: `common.training.loop.TrainingLog`, whose `stop_requested` is set.
    """

    def __init__(self, checkpoint_callback):
        self.checkpoint_callback = checkpoint_callback

    def __enter__(self):
        self.previous_handlers = {}
        if threading.current_thread() is threading.main_thread():  # Python sets handlers in the main thread only
            for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
                # a process started to ignore Ctrl-C (nohup, a background job of a script) keeps ignoring it
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.previous_handlers[number] = signal.signal(number, self._request_stop)

    def _request_stop(self, number, frame):
        if self.checkpoint_callback.stop_requested:
            raise KeyboardInterrupt("stopped at once; --resume continues from the last checkpoint")
        self.checkpoint_callback.stop_requested = True
        print("\nfinishing this step; press Ctrl-C again to stop at once", flush=True)

    def __exit__(self, *error):
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
