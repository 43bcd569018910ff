"""Captures that were asked of engines: of one into a file, of several through pipes into one file."""

import asyncio
import itertools
import os
from collections.abc import Sequence

from msgspec import structs

from amon.engine.asking.link import Link
from amon.engine.asking.merging import Merged, merge
from amon.engine.messages import Capture, Captured, EndCapture
from amon.errors import Failed


class Recordings:
    """within: seconds until an engine has ended a capture it was told to end."""

    def __init__(self, within: float) -> None:
        self._within = within
        self._numbers = itertools.count(1)
        self._running: dict[int, tuple[Link, asyncio.Future[Captured]]] = {}

    def hear(self, captured: Captured) -> None:
        _, done = self._running.get(captured.capture, (None, None))
        if done is not None and not done.done():
            done.set_result(captured)

    def lose(self, why: str, only: Link | None = None) -> None:
        """An engine has gone, or all of them."""
        for link, done in self._running.values():
            if only in (None, link) and not done.done():
                done.set_exception(Failed(f"the engine went away: {why}"))

    async def capture(
        self, links: Sequence[Link], order: Capture, descriptor: int, until: asyncio.Event | None
    ) -> Captured:
        """order: its number is given here. until: to end it before a limit is reached."""
        if len(links) == 1:
            return await self._one(links[0], order, descriptor, until)
        return await self._several(links, order, descriptor, until)

    async def _several(
        self, links: Sequence[Link], order: Capture, descriptor: int, until: asyncio.Event | None
    ) -> Captured:
        """One file has one writer: each engine gets a pipe."""
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in links]
        enough, tell = os.pipe2(os.O_CLOEXEC)
        sources = [source for source, _ in pipes]
        reading = asyncio.to_thread(merge, sources, descriptor, order.packets, order.bytes, enough)
        merging = asyncio.ensure_future(reading)
        captures = [
            asyncio.ensure_future(self._one(link, order, pipe, until, close=True))
            for link, (_, pipe) in zip(links, pipes, strict=True)
        ]
        try:
            done = await asyncio.gather(*captures)
            await asyncio.wait((merging,), timeout=self._within)
        finally:
            os.close(tell)  # the pipe of an engine that is stuck ends with it only
            for one in captures:
                one.cancel()
            await asyncio.gather(*captures, return_exceptions=True)
            merged = await merging
            os.close(enough)
        return _together(order, merged, done)

    async def _one(
        self, link: Link, order: Capture, descriptor: int, until: asyncio.Event | None, *, close: bool = False
    ) -> Captured:
        number = next(self._numbers)
        done: asyncio.Future[Captured] = asyncio.get_running_loop().create_future()
        self._running[number] = link, done
        try:
            try:
                await link.send(structs.replace(order, capture=number), [descriptor])
            finally:
                if close:
                    os.close(descriptor)
            return await self._end(link, number, done, until)
        except asyncio.CancelledError:
            if link.up:
                link.post(EndCapture(number))
            raise
        finally:
            del self._running[number]

    async def _end(
        self, link: Link, number: int, done: "asyncio.Future[Captured]", until: asyncio.Event | None
    ) -> Captured:
        if until is None:
            return await done
        told = asyncio.ensure_future(until.wait())
        try:
            await asyncio.wait((done, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        if not done.done():
            link.post(EndCapture(number))
        try:
            async with asyncio.timeout(self._within):
                return await done
        except TimeoutError:
            raise Failed(f"the capture did not end within {self._within:g} s") from None


def _together(order: Capture, merged: Merged, done: Sequence[Captured]) -> Captured:
    texts = [merged.text] if merged.text else [one.text for one in done if one.text]
    left_out = sum(one.left_out for one in done) + max(0, sum(one.packets for one in done) - merged.packets)
    return Captured(order.capture, merged.packets, merged.bytes, left_out, "; ".join(dict.fromkeys(texts)))
