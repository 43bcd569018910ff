"""Parts of long outputs, sent to who asked for them: only to him, and no faster than is good for everybody else.

A part is asked for by its offset, so whoever broke off goes on there. Parts are no requests: the policy's rate is
not for them. Of each asker so many wait and so many go out in a second; nothing is read before its turn, and no turn
comes before the network has taken what was sent.
"""

import asyncio
import base64
import logging
import math
from collections.abc import Awaitable, Callable

from amon.access import Quota
from amon.clock import Clock
from amon.errors import Failed
from amon.runtime.dispatch import Dispatch
from amon.runtime.incoming import Door, Incoming
from amon.wire import Chunk, Fetch, encode
from amon.words import Asker

WAITING_MOST = 16  # parts of one asker; a console asks for eight at a time
RATE, _BURST = 100.0, 50.0  # parts a second of one asker; so many more after a pause
_NOTED = (20, 60.0)  # beginnings of one asker in so many seconds that are written down
_ASKERS_MOST = 1000

Send = Callable[[str, str, str], bool]


class Chunks:
    """Of one account. drain: until the network has taken most of what was sent."""

    def __init__(
        self, door: Door, dispatch: Dispatch, send: Send, drain: Callable[[], Awaitable[None]], clock: Clock
    ) -> None:
        self._door = door
        self._dispatch = dispatch
        self._send = send
        self._drain = drain
        self._clock = clock
        self._waiting: dict[str, int] = {}
        self._free: dict[str, float] = {}  # when each has his next turn, monotonic seconds
        self._noted = Quota(*_NOTED)
        self._log = logging.getLogger("amon.chunks")
        self.dropped = 0

    async def answer(self, fetch: Fetch, offset: int, asker: Asker) -> None:
        """Send the part that begins there; an empty one where there is nothing, or not any more."""
        who = asker.jid
        if self._waiting.get(who, 0) >= WAITING_MOST:
            self.dropped += 1  # he asks again, or is no console of ours
            return
        self._waiting[who] = self._waiting.get(who, 0) + 1
        try:
            await self._turn(who)
            data = await self._read((self._door.account, who, fetch.id), offset)
            if offset == 0:
                await self._note(fetch, asker, found=bool(data))
            await self._drain()
            self._send(asker.reply_to, encode(Chunk(fetch.id, offset, data)), f"{fetch.id}-chunk")
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    async def _turn(self, who: str) -> None:
        now = self._clock.monotonic()
        if len(self._free) >= _ASKERS_MOST:
            self._free = {one: free for one, free in self._free.items() if free > now}
        mine = max(self._free.get(who, -math.inf), now - _BURST / RATE)
        self._free[who] = mine + 1 / RATE
        if mine > now:
            await self._clock.sleep(mine - now)

    async def _read(self, key: tuple[str, str, str], offset: int) -> str:
        try:
            packed = await asyncio.to_thread(self._dispatch.outputs().packed, key, offset)
        except Failed as fault:
            self._log.info("output of %s for %s: %s", key[2], key[1], fault)
            return ""
        return base64.b64encode(packed).decode()

    async def _note(self, fetch: Fetch, asker: Asker, *, found: bool) -> None:
        if self._noted.take(asker.jid, self._clock.monotonic()):
            decision = self._door.authority.decide(asker, None, self._clock.time())
            incoming = Incoming(fetch.id, asker, "", self._door)
            await self._dispatch.write_down(
                incoming, f"output of {fetch.id}", decision, "sent" if found else "not kept here"
            )
