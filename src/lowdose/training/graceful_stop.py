"""Ending a run early without losing it."""

from __future__ import annotations

import signal
import types


class GracefulStop:
    """Turns the first Ctrl-C or SIGTERM into a wish to save and end; a second one acts as usual."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> GracefulStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: types.FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self._restore()
