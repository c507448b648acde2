"""The signals that ask a program to end, and leave it the time to do so in order."""

from __future__ import annotations

import signal

# Ctrl-C; what `kill`, docker and schedulers send; a terminal that closes; what schedulers send ahead of the end.
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


def heeded_signals() -> list[signal.Signals]:
    """``STOP_SIGNALS`` but for SIGHUP where it is ignored: under ``nohup`` a terminal may close."""
    return [number for number in STOP_SIGNALS if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]
