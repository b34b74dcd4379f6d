"""Jobs done in one thread beside the caller, in order: the store is written while the model is at the next samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Does jobs one after another in a thread of its own; a `with` block ends when all are done, however it ends.

    So what was handed over is done even if the caller is interrupted. A job's error comes up in the caller at the next
    `collect`, at the next `do` that must wait, or at the end of the block; the jobs after it are done all the same.

    Args:
        done: called with the result of each job, in the caller's thread.
    """

    def __init__(self, done: Callable[[T], None]) -> None:
        self._done = done
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._jobs: deque[Future[T]] = deque()

    def do(self, job: Callable[[], T]) -> None:
        """Hand a job over; wait if the one before it is still being done, so that never more than two are held."""
        self._jobs.append(self._thread.submit(job))  # first: an interruption of the waiting must not lose it
        while len(self._jobs) > 1:
            self._take()

    def collect(self) -> None:
        """Take what is done, without waiting."""
        while self._jobs and self._jobs[0].done():
            self._take()

    def _take(self) -> None:
        wait([self._jobs[0]])
        self._done(self._jobs.popleft().result())

    def __enter__(self) -> Background[T]:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        interrupted = False
        while self._jobs and not self._jobs[-1].done():
            try:
                wait(self._jobs)
            except KeyboardInterrupt:  # a second one: who holds the run's lock must not let go before the last write
                interrupted = True
        self._thread.shutdown()
        while self._jobs:
            self._take()
        if interrupted:
            raise KeyboardInterrupt
