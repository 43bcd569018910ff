"""Counting what the server has of what we sent, and what we have of what it sent: XEP-0198.

slixmpp's plugin negotiates. The counting is here, because stanzas do not pass its filters (see stream.py) and because
it forgets what was under way when a session cannot be resumed.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from amon.xmpp import names

_WINDOW = 50  # stanzas sent before the server is asked what it has
_ASK_WITHIN = 1.0  # seconds after which it is asked for fewer
_ANSWER_WITHIN = 0.02  # seconds in which an answer may ride along, and in which there is one: half the packets
_ANSWER_AFTER = 100  # stanzas after which it goes anyhow: Prosody keeps 500
_MODULO = 2**32


class Sent(NamedTuple):
    """A stanza that the server has not acknowledged; `id` if it is a message, whose loss somebody wants to know."""

    id: str
    text: str


@dataclass(slots=True)
class Resume:
    """What a new stream needs to go on where the last one was cut."""

    id: str
    handled: int
    sent: int
    acknowledged: int
    waiting: list[tuple[int, Sent]] = field(default_factory=list)


class Acks:
    """`plugin` is slixmpp's xep_0198 of the same stream; it holds the numbers, so that its answers fit."""

    def __init__(self, plugin: Any, write: Callable[[str], None], resume: Resume | None) -> None:
        self._sm, self._write = plugin, write
        self._timer: asyncio.TimerHandle | None = None
        self._period: asyncio.TimerHandle | None = None
        self._due = self._answered = False
        self._told = 0
        self._carried = list(resume.waiting) if resume else []
        if resume is not None:
            plugin.sm_id, plugin.handled = resume.id, resume.handled
            plugin.seq, plugin.last_ack = resume.sent, resume.acknowledged
            plugin.unacked_queue = deque(resume.waiting)

    def resume(self) -> Resume | None:
        """For the next stream; None if the server offered no resumption."""
        sm = self._sm
        if not sm.sm_id:
            return None
        return Resume(sm.sm_id, sm.handled, sm.seq, sm.last_ack, list(sm.unacked_queue))

    @property
    def waiting(self) -> int:
        """Stanzas the server has not acknowledged."""
        return len(self._sm.unacked_queue)

    def came(self) -> None:
        """A stanza came, and will be handled before the next byte is read."""
        if self._sm.enabled_in:
            self._sm.handled = (self._sm.handled + 1) % _MODULO

    def asked(self) -> None:
        """The server wants to know what we have. The answer goes with what we say next, or soon by itself.

        It does not ask again before it has one. So that a quick conversation does not carry a question and an answer
        with each message, there is one answer in a period; the first goes at once.
        """
        self._due = True
        self._begin_period()

    def _begin_period(self) -> None:
        if self._period is None:
            self._period = asyncio.get_running_loop().call_later(_ANSWER_WITHIN, self._end_period)

    def _end_period(self) -> None:
        self._period, self._answered = None, False
        if self._due:
            self._begin_period()
            self._write("")

    def take_answer(self) -> str:
        """What to add to what is being written."""
        if not self._due or (self._answered and self._sm.handled - self._told < _ANSWER_AFTER):
            return ""
        self._due, self._answered, self._told = False, True, self._sm.handled
        return f"<a xmlns='{names.SM}' h='{self._told}'/>"

    def last_answer(self) -> str:
        """What we have, before the stream is closed: the rest goes back to who sent it (XEP-0198, 4)."""
        self._due, self._answered = bool(self._sm.enabled_in), False
        return self.take_answer()

    def went(self, sent: Sent) -> None:
        """A stanza is being written."""
        sm = self._sm
        if not sm.enabled_out:
            return
        sm.seq = (sm.seq + 1) % _MODULO
        sm.unacked_queue.append((sm.seq, sent))
        loop = asyncio.get_running_loop()
        if len(sm.unacked_queue) % _WINDOW == 0:
            loop.call_soon(self.ask)
        elif self._timer is None:
            self._timer = loop.call_later(_ASK_WITHIN, self.ask)

    def ask(self) -> None:
        """Asks the server what it has, if anything is open."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._sm.enabled_out and self._sm.unacked_queue:
            self._write(f"<r xmlns='{names.SM}'/>")

    def stop(self) -> None:
        for timer in (self._timer, self._period):
            if timer is not None:
                timer.cancel()
        self._timer = self._period = None

    def not_resumed(self, failed: Any) -> None:
        """XEP-0198, 5: the server may tell how many of ours it had handled; the rest is lost."""
        handled = failed.xml.get("h", "")
        if self._carried and handled.isdecimal():
            before = self._carried[0][0] - 1
            self._carried = self._carried[max(0, int(handled[:10]) - before) :]

    def take_lost(self) -> tuple[str, ...]:
        """Ids of what the last session sent and nobody acknowledged."""
        carried, self._carried = self._carried, []
        return tuple(sent.id for _, sent in carried if sent.id)
