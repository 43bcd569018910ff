"""A session on its way to a console: numbered parts, a few at a time, the next when he has heard some.

Theory, as of TCP (RFC 9293, 3.8) in small. At most eight parts, or 64 KiB, are under way. The console hears them in
their order and says up to which (`Heard`), every half minute also when there is nothing new: that is the sign that he
is there. A part that a broken connection lost is sent again: when he says the same number twice, when it could not be
sent, or after half a minute. He passes over what he has heard already. So a stream that is resumed, or made anew by
either side, loses and doubles nothing; what waits meanwhile waits in the session, which drops the oldest and counts.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from amon.clock import Clock
from amon.runtime.incoming import Output as Source
from amon.wire import Output, Payload

WINDOW, WINDOW_SIZE = 8, 64 * 1024  # parts, and bytes, that were not heard yet
_ITEMS, _SIZE = 200, 12 * 1024  # of one part; bytes
_PACE = 0.05  # seconds between parts: what comes meanwhile goes together
_SIGN_EVERY = 30.0  # seconds without anything to say after which an empty part says that it is still open
_AGAIN_AFTER, _AGAIN_LEAST = 30.0, 2.0  # seconds until what was not heard is sent again; between two times


class Sending:
    """One session, told to one console. send: False if it did not go out."""

    def __init__(self, session: Source, send: Callable[[Payload], bool], clock: Clock) -> None:
        self._session = session
        self._send = send
        self._clock = clock
        self._seq = self._heard = 0
        self._unheard: deque[tuple[Output, int]] = deque()
        self._size = 0
        self._is_cut = False  # something could not be sent
        self._sent_at = self._again_at = clock.monotonic()
        self._pace: asyncio.Task[None] | None = None

    def go(self) -> None:
        """There is something to take, or it is time to look whether there is."""
        now = self._clock.monotonic()
        if self._unheard and (self._is_cut or now - self._again_at >= _AGAIN_AFTER):
            self._again(now)
        if self._pace is None or self._session.over:
            self._fill()
        if not self._unheard and not self._session.over and now - self._sent_at >= _SIGN_EVERY:
            self._put(Output(self._session.id, self._seq + 1), 0)

    def heard(self, seq: int) -> None:
        """He has heard up to `seq`, or says once more that he has not heard more than that."""
        self._session.heard()
        now = self._clock.monotonic()
        if seq <= self._heard and self._unheard and now - self._again_at >= _AGAIN_LEAST:
            self._again(now)
        while self._unheard and self._unheard[0][0].seq <= seq:
            part, size = self._unheard.popleft()
            self._size -= size
            self._heard, self._again_at = part.seq, now
        if self._pace is None:
            self._fill()

    def gone(self) -> None:
        """A part came back: nobody is there."""
        self._session.gone("your console is gone")

    def close(self) -> None:
        if self._pace is not None:
            self._pace.cancel()

    def _fill(self) -> None:
        """Send what may be sent now; when that was something, the next a moment later."""
        sent = False
        while len(self._unheard) < WINDOW and self._size < WINDOW_SIZE and not self._is_cut:
            part = self._session.take(_ITEMS, _SIZE)
            if part is None:
                break
            are_texts = all(isinstance(item, str) for item in part.items)
            text = "" if are_texts else "\n".join(part.lines)
            columns = tuple((column.name, column.unit, column.about) for column in part.columns)
            size = sum(len(line) for line in part.lines)
            told = (part.items, text, columns, part.missed, part.replaces)
            self._put(Output(self._session.id, self._seq + 1, *told), size)
            sent = True
        if sent and not self._session.over:
            self._pace = asyncio.create_task(self._wait(), name=f"pace of {self._session.id}")

    async def _wait(self) -> None:
        await self._clock.sleep(_PACE)
        self._pace = None
        self._fill()

    def _put(self, part: Output, size: int) -> None:
        self._seq = part.seq
        if not self._unheard:
            self._again_at = self._clock.monotonic()
        self._unheard.append((part, size))
        self._size += size
        self._sent_at = self._clock.monotonic()
        self._is_cut = not self._send(part) or self._is_cut

    def _again(self, now: float) -> None:
        self._again_at = now
        self._is_cut = not all(self._send(part) for part, _ in self._unheard)
