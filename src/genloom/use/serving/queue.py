"""What waits for the model: a bounded queue, from which one thread takes as many rows at once as make a batch."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[Sequence[Any]], Sequence[Any]]  # does what several jobs of a key ask for, at once


class Busy(Exception):
    """As many jobs wait as may: `seconds` until it is worth asking again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests wait: ask again in {seconds} s")
        self.seconds = seconds


class Late(Exception):
    """A job waited for longer than it may."""


@dataclass
class Job:
    """Something that a request wants of a model.

    Attributes:
        key: jobs of a key may share a batch; None for one that is done alone.
        rows: how many it fills of a batch.
    """

    key: Hashable
    rows: int
    work: Work
    given: Any
    future: asyncio.Future[Any]
    until: float
    dropped: bool = field(default=False)

    def settle(self, result: Any) -> None:
        """Hand the result, or what went wrong, to the request that waits for it, if it still does."""
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Queue:
    """Jobs that wait, and the thread that does them.

    Args:
        bound: jobs that may wait.
        rows: that a batch may have.
        seconds: that a job may wait.
        seen: called with the rows of each batch.
    """

    def __init__(self, bound: int, rows: int, seconds: float, seen: Callable[[int], None] = lambda rows: None) -> None:
        self.bound, self.rows, self.seconds, self.seen = bound, rows, seconds, seen
        self.waiting: deque[Job] = deque()
        self.news = threading.Condition()
        self.open, self.pace, self.begun = True, 0.1, 0.0  # seconds that a job takes, of late; when the last batch began
        self.thread = threading.Thread(target=self.run, daemon=True, name="model")
        self.thread.start()

    async def ask(self, work: Work, given: Any, rows: int = 1, key: Hashable = None) -> Any:
        """Return what `work` makes of `given`; raise Busy where too many wait, Late where it was not begun in time."""
        loop = asyncio.get_running_loop()
        job = Job(key, rows, work, given, loop.create_future(), time.monotonic() + self.seconds)
        with self.news:
            if len(self.waiting) >= self.bound or not self.open:
                running = time.monotonic() - self.begun if self.begun else 0.0
                raise Busy(max(1, math.ceil(max(self.pace, running) * (len(self.waiting) + 1))))
            self.waiting.append(job)
            self.news.notify()
        try:
            return await job.future
        finally:  # where it still waits, its client is gone
            job.dropped = True
            with self.news, suppress(ValueError):
                self.waiting.remove(job)

    def run(self) -> None:
        """Do jobs until the queue is closed and empty."""
        while jobs := self.batch():
            self.begun = time.monotonic()
            results = done([job.given for job in jobs], jobs[0].work)
            self.pace += 0.1 * ((time.monotonic() - self.begun) / len(jobs) - self.pace)
            self.begun = 0.0
            for job, result in zip(jobs, results, strict=True):
                tell(job, result)

    def batch(self) -> list[Job]:
        """Return the job that waits longest with others of its key, as many as fit; none once the queue is closed."""
        with self.news:
            while True:
                self.drop()
                if self.waiting:
                    break
                if not self.open:
                    return []
                self.news.wait()
            first = self.waiting.popleft()
            found, rows = [first], first.rows
            for job in list(self.waiting) if first.key is not None else ():
                if rows == self.rows:
                    break
                if job.key == first.key and rows + job.rows <= self.rows:
                    self.waiting.remove(job)
                    found.append(job)
                    rows += job.rows
        self.seen(rows)
        return found

    def drop(self) -> None:
        """Leave out jobs whose client is gone, and those that waited too long."""
        now, kept = time.monotonic(), deque[Job]()
        for job in self.waiting:
            if job.until < now and not job.dropped:
                tell(job, Late("it waited for too long"))
            elif not job.dropped:
                kept.append(job)
        self.waiting = kept

    def close(self) -> None:
        """Take nothing more; what waits is still done."""
        with self.news:
            self.open = False
            self.news.notify()


def tell(job: Job, result: Any) -> None:
    """Hand a result to the loop that a job came from, if it still runs."""
    loop = job.future.get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(job.settle, result)


def done(given: Sequence[Any], work: Work) -> Sequence[Any]:
    """Return what is made of each; where a batch fails, of each by itself, so that one spoils no other."""
    try:
        found = work(given)
        if len(found) == len(given):
            return found
        raise RuntimeError(f"{len(given)} jobs gave {len(found)} results")
    except BaseException as error:  # whatever it is, the thread goes on
        if len(given) == 1:
            return [error if isinstance(error, Exception) else RuntimeError(repr(error))]
    return [result for each in given for result in done([each], work)]
