"""What the routes share: the models, their queue, and the ways in which a request becomes an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import torch
from fastapi import Request, Response
from torch import Tensor

from genloom.core.random import Noise
from genloom.use.sampling.draw import check_temperature, labels_for
from genloom.use.serving.bodies import chosen_type
from genloom.use.serving.guard import Counts
from genloom.use.serving.queue import Queue
from genloom.use.serving.served import Draw, Loaded, Served, by_rows, calling, drawing

MOST = 1024  # samples, or rows, of a request


class Refused(Exception):
    """A request that is answered by a sentence and this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Service:
    """Models by name, and the queue before them.

    Args:
        rows: of a batch; 1 for none.
        bound: requests that may wait.
        seconds: that one may wait.
    """

    def __init__(self, models: dict[str, Served], rows: int, bound: int, seconds: float) -> None:
        self.models, self.rows, self.ending = models, rows, False
        self.counts = Counts()
        self.queue = Queue(bound, rows, seconds, self.counts.rows.observe)
        self.counts.waiting.set_function(lambda: len(self.queue.waiting))
        for served in models.values():
            self.counts.model.labels(served.name, served.loaded.version).set(1)

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self.ending and self.queue.thread.is_alive()

    def able(self, kind: type) -> list[Loaded]:
        """Return the models that can do something."""
        return [each.loaded for each in self.models.values() if isinstance(each.loaded.model, kind)]

    def named(self, name: str | None, kind: type) -> Loaded:
        """Return the model that a request names, or the only one that can do it."""
        able = {each.name: each for each in self.able(kind)}
        if name is None and len(able) == 1:
            return next(iter(able.values()))
        told = ", ".join(able)
        if name is None:
            raise Refused(422, f"say which model, as in ?model={next(iter(able))}: there is {told}")
        if name not in able:
            raise Refused(404, f"no model {name[:80]!r} does that: there is {told}")
        return able[name]

    async def alone(self, do: Callable[[], Any]) -> Any:
        """Return what is done on the model's thread, when its turn comes."""
        return await self.queue.ask(lambda asked: [each() for each in asked], do)

    async def samples(self, used: Loaded, n: int, seed: int, label: Any, temperature: float) -> list[Tensor]:
        """Return `n` samples in parts `[b, *dims]`: what `genloom sample --seed` draws."""
        if n > MOST:
            raise Refused(413, f"n is at most {MOST} a request, got {n}")
        check_temperature(temperature)
        labels = labels_for(used.model, label, n)
        work, key = drawing(used.model, self.rows, temperature), (used.name, used.version, temperature)
        parts = []
        for start in range(0, n, self.rows):
            count = min(self.rows, n - start)
            part = Draw(Noise.of(seed, count, start), None if labels is None else labels[start : start + count])
            parts.append(await self.queue.ask(work, part, count, key))
        return parts

    async def call(self, used: Loaded, name: str, given: tuple[Tensor, ...]) -> list[Tensor]:
        """Return what a function of a model gives; row by row in batches with what others ask, where it goes row by row."""
        entry = used.functions[name]
        n, key = max((len(each) for each in given if each.ndim), default=1), (used.name, used.version, name)
        if n > MOST:
            raise Refused(413, f"at most {MOST} rows a request, got {n}")
        if not by_rows(entry):
            return await self.queue.ask(calling(entry, None), given)
        work, parts = calling(entry, self.rows), []
        for start in range(0, n, self.rows):
            part = tuple(each[start : start + self.rows] for each in given)
            parts.append(await self.queue.ask(work, part, len(part[0]), key))
        return [torch.cat(each) for each in zip(*parts, strict=True)]

    async def follow(self, every: float, say: Callable[[str], None]) -> None:
        """Take up newer checkpoints as they come, for ever; requests go on meanwhile with what they began with."""
        while True:
            await asyncio.sleep(every)
            for served in self.models.values():
                try:
                    if not served.newer():
                        continue
                    served.failed = served.run.checkpoint("last").name
                    loaded = await asyncio.to_thread(served.load)
                except Exception as error:  # whatever it is, the checkpoint before is good
                    if served.told != str(error):  # once, and not every few seconds for ever
                        say(f"{served.name}: its newer checkpoints cannot be used: {error}")
                    served.told = str(error)
                    continue
                self.counts.model.remove(served.name, served.loaded.version)
                served.loaded, served.failed, served.told = loaded, "", ""
                self.counts.model.labels(served.name, loaded.version).set(1)
                say(f"{served.name}: checkpoint {loaded.version} is used now")


def accepted(request: Request, *offered: str) -> str:
    """Return the type in which a request wants its answer, the first being the usual one."""
    kind = chosen_type(request.headers.get("accept", ""), offered)
    if not kind:
        raise Refused(406, f"this can be had as {', '.join(offered)}")
    return kind


def brought(request: Request, *taken: str) -> str:
    """Return the type of what a request brings, one of those that are taken."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in taken:
        raise Refused(415, f"the body is to be {', '.join(taken)}, and Content-Type says {kind[:80] or 'nothing'}")
    return kind


async def while_there(request: Request, answer: Any) -> Any:
    """Return what a coroutine gives, which ends early where the client is gone; what it waits for is then never begun."""
    task, gone = asyncio.ensure_future(answer), asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refused(499, "the client is gone")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def left(request: Request) -> None:
    """Return once the client of a request is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer(content: bytes, kind: str, used: Loaded) -> Response:
    """Return an answer with the model and checkpoint that it is of."""
    said = {"x-model": used.name, "x-model-version": used.version}
    return Response(content, media_type=kind, headers=said)
