"""Reading, computing and writing in parallel threads, with a bounded number of items in memory."""

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

POLL_S = 0.1
"""Seconds between two checks of a waiting stage whether its queue was cancelled."""


class _End:
    """Marker of the end of a queue, with the exception that ended it early, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _CancellableQueue(Generic[A]):
    """Bounded queue between two threads that either side can cancel."""

    def __init__(self, length: int) -> None:
        self._queue: Queue[A | _End] = Queue(length)
        self.cancelled = threading.Event()

    def put(self, item: A | _End) -> bool:
        """Wait for room and add the item; return False if the queue was cancelled."""
        while not self.cancelled.is_set():
            try:
                self._queue.put(item, timeout=POLL_S)
            except Full:
                continue
            return True
        return False

    def get(self) -> A | _End:
        """Wait for the next item; return an end marker if the queue was cancelled."""
        while not self.cancelled.is_set():
            try:
                return self._queue.get(timeout=POLL_S)
            except Empty:
                continue
        return _End()


@contextmanager
def read_ahead(items: Iterable[A], length: int) -> Iterator[Iterator[A]]:
    """Iterate over ``items`` while a background thread reads up to ``length`` of them in advance.

    What ``items`` raises is raised in the consumer, at the item where it happened. On leaving the block the thread
    finishes the item that it is reading and ends.
    """
    queue: _CancellableQueue[A] = _CancellableQueue(length)

    def read() -> None:
        end = _End()
        try:
            for item in items:
                if not queue.put(item):
                    return
                del item  # the consumer holds it now; keep no second reference
        except BaseException as error:
            end = _End(error)
        queue.put(end)

    def consume() -> Iterator[A]:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        queue.cancelled.set()
        thread.join()


@contextmanager
def write_behind(write: Callable[[A], None], length: int) -> Iterator[Callable[[A], None]]:
    """Yield a function that queues items for ``write``, which a background thread calls on each of them in order.

    At most ``length`` items wait. What ``write`` raises is raised at the next item, or at the end of the block, which
    waits for the last item. If the block itself raises, the items that still wait are dropped.
    """
    queue: _CancellableQueue[A] = _CancellableQueue(length)
    errors: list[BaseException] = []

    def work() -> None:
        while not isinstance(item := queue.get(), _End):
            try:
                write(item)
            except BaseException as error:
                errors.append(error)
                queue.cancelled.set()
            del item

    def put(item: A) -> None:
        if not queue.put(item):
            raise errors[0]

    thread = threading.Thread(target=work, name="write-behind", daemon=True)
    thread.start()
    try:
        yield put
        queue.put(_End())
    except BaseException:
        queue.cancelled.set()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]


def map_in_order(work: Callable[[A], B], items: Iterable[A], workers: int, start: Callable[[], None]) -> Iterator[B]:
    """Apply ``work`` to each item in ``workers`` threads and yield the results in the order of the items.

    Each thread calls ``start`` first. At most one item more than there are threads is in progress. When the consumer
    stops, the items in progress are finished and no new one is started.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="slice", initializer=start)
    pending: deque[Future[B]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            del item
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
