"""Signals to this process in the middle of what it does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def heed_signals() -> Iterator[None]:
    """For a fixture: heed interrupts, which a shell's background jobs inherit as ignored; undo what a test handles."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def signal_when(ready: Callable[[], bool], number: signal.Signals) -> Iterator[None]:
    """Send this process a signal as soon as it is ready, which must be within the block."""

    def send() -> None:
        wait_for(ready)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def wait_for(done: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert done()
