"""Signal handling that ends a training run early without losing its progress."""

from __future__ import annotations

import signal
import types


class GracefulStop:
    """Context manager that turns the first Ctrl-C or SIGTERM into a request to save and stop.

    A second signal has its usual effect.

    Attributes
    ----------
    requested : bool
        Whether a signal has arrived.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> GracefulStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        self.requested = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self._restore_handlers()
