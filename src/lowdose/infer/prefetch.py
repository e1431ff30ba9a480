"""Reading, computing and writing at the same time, with no more under way than is asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")

PATIENCE_S = 0.1
"""How long a stage that waits for another takes to see that it was called off."""


class _End:
    """The last thing in a queue: nothing more comes, or why nothing more comes."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Line(Generic[A]):
    """A queue between two threads that either side can call off."""

    def __init__(self, length: int) -> None:
        self._queue: Queue[A | _End] = Queue(length)
        self.off = threading.Event()

    def put(self, item: A | _End) -> bool:
        """Waits for room. False when called off."""
        while not self.off.is_set():
            try:
                self._queue.put(item, timeout=PATIENCE_S)
            except Full:
                continue
            return True
        return False

    def get(self) -> A | _End:
        """Waits for an item; an end when called off."""
        while not self.off.is_set():
            try:
                return self._queue.get(timeout=PATIENCE_S)
            except Empty:
                continue
        return _End()


@contextmanager
def read_ahead(items: Iterable[A], length: int) -> Iterator[Iterator[A]]:
    """The same items, of which a thread has ``length`` ready. Raises where they are taken what they raised.

    Leaving the block ends the thread, after the item that it is at.
    """
    line: _Line[A] = _Line(length)

    def read() -> None:
        end = _End()
        try:
            for item in items:
                if not line.put(item):
                    return
                del item  # it is the taker's now
        except BaseException as error:
            end = _End(error)
        line.put(end)

    def take() -> Iterator[A]:
        while True:
            item = line.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        line.off.set()
        thread.join()


@contextmanager
def write_behind(write: Callable[[A], None], length: int) -> Iterator[Callable[[A], None]]:
    """A function that hands items to ``write`` in another thread, in order, at most ``length`` of them waiting.

    What ``write`` raises is raised at the next item, or at the end of the block, which waits for the last one. When the
    block itself raises, what waits is dropped.
    """
    line: _Line[A] = _Line(length)
    failed: list[BaseException] = []

    def work() -> None:
        while not isinstance(item := line.get(), _End):
            try:
                write(item)
            except BaseException as error:
                failed.append(error)
                line.off.set()
            del item

    def put(item: A) -> None:
        if not line.put(item):
            raise failed[0]

    thread = threading.Thread(target=work, name="write-behind", daemon=True)
    thread.start()
    try:
        yield put
        line.put(_End())
    except BaseException:
        line.off.set()
        raise
    finally:
        thread.join()
    if failed:
        raise failed[0]


def map_in_order(work: Callable[[A], B], items: Iterable[A], workers: int, start: Callable[[], None]) -> Iterator[B]:
    """``work`` of each item by so many threads, in the order of the items; each thread calls ``start`` first.

    At most one item more than there are threads is under way. When the taker stops, the items at hand are finished and
    no other is begun.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="slice", initializer=start)
    under_way: deque[Future[B]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            del item
            if len(under_way) > workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
