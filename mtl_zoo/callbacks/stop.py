"""Signals that ask a training to stop, put off until it is safe."""

import signal
import sys
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Context in which a first SIGINT or SIGTERM is only noted; a second one acts as it would outside.

    At the end the handlers before are back, and a signal that was noted and not obeyed by `leave` is sent
    again. In a thread other than the main one, which Python sends no signals, it does nothing. A signal that
    is ignored (as SIGINT under `nohup`) stays ignored.

    Attributes:
        signum: Number of the signal that was noted, or `None`.
    """

    def __init__(self):
        self.signum = None
        self._obeyed = False
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                if signal.getsignal(signum) != signal.SIG_IGN:
                    self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *exception):
        self._restore()
        if self.signum is not None and not self._obeyed:
            signal.raise_signal(self.signum)

    def leave(self, message):
        """End the program as the signal asks.

        Args:
            message: What to say.

        Raises:
            KeyboardInterrupt: With the message, after SIGINT.
            SystemExit: With the code 128 + 15 after SIGTERM; the message goes to stderr.
        """
        self._obeyed = True
        if self.signum == signal.SIGINT:
            raise KeyboardInterrupt(message)
        print(message, file=sys.stderr)
        raise SystemExit(128 + self.signum)

    def _note(self, signum, frame):
        if self.signum is None:
            self.signum = signum
            return
        self._obeyed = True
        self._restore()
        signal.raise_signal(signum)

    def _restore(self):
        for signum, handler in self._previous.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._previous = {}
