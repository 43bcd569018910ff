"""The fleet as a hub sees it: always there, so it keeps up with who belongs to it, and hears what is typed.

Believed are: for lines, whoever is an admin or owner of the room, by his real address; for answers, sites of the room's
member list, and only to lines that were heard here. Presence is for those admins and owners.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from amon.access import Signers
from amon.clock import Clock
from amon.errors import Failed
from amon.runtime.fleet import Fleet
from amon.runtime.mailbox import Gate
from amon.wire import Gathered, SlotWish, WireError, decode, encode
from amon.xmpp.events import Online, Received

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_EARLY_FOR = 2.0  # seconds: an answer may overtake the line, which comes another way
_EARLY_MOST, _EARLY_SIZE = 2_000, 8 * 1024 * 1024  # letters, characters
_KEPT_MOST = 16 * 1024 * 1024  # bytes of all answers to one line
COMMANDERS = ("admin", "owner")


class HubFleet(Fleet):
    """room: bare address. said: hears each message that may be for people. wished: each wish for slots of an admin.

    settled: whether what is known of the sites' presence is of this session. returned: a new session has begun.
    """

    def __init__(
        self,
        room: str,
        clock: Clock,
        known: Mapping[str, Mapping[str, tuple[str, ...]]],
        keys: Signers,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(clock, known, keys, _KEPT_MOST, marks)
        self.room_address = room
        self.admins: frozenset[str] = frozenset()
        self.settled = False
        self.returned = asyncio.Event()
        self.said: Callable[[Received], None] = lambda message: None
        self.wished: Callable[[str, str, SlotWish], None] = lambda asker, reply_to, wish: None
        self._early: deque[tuple[float, str, Received]] = deque()
        self._early_size = 0
        self._own_gate = Gate()
        self._own_log = logging.getLogger("amon.hub")

    # Who belongs to it

    async def refresh(self) -> None:
        """Take over who belongs to the room now, and who commands there. `Failed` if the server does not say."""
        connection, ours = self.connection, self.connection.account
        commanders = await connection.members(self.room_address, COMMANDERS)
        members = [one.jid.lower() for one in await connection.members(self.room_address) if one.jid != ours]
        before, self.admins = self.admins, frozenset(one.jid.lower() for one in commanders) - {ours}
        for jid in [jid for jid in self._by_jid if jid not in members]:
            self.sites.pop(self._by_jid.pop(jid), None)
        await self.enter(members)
        if before - self.admins:
            await connection.review()
        await self.settle()
        self.settled = True
        self.changed.set()

    def online(self, event: Online) -> None:
        if not event.resumed:
            self.settled = False  # all sites seem to be gone until the server has said who is there
            self.returned.set()
        super().online(event)

    def may_see(self, jid: str) -> bool:
        return jid.lower() in self.admins

    def commands(self, message: Received) -> bool:
        """Whether this was said by somebody who may command in the room, there or one to one."""
        return message.sender is not None and message.sender.lower() in self.admins

    def gathers(self, name: str) -> bool | None:
        """Whether this site has us for its gatherer; None where that is not known."""
        site = self.sites[name]
        facts = self.known.get(site.mark) if site.mark else None
        return None if facts is None else self.connection.account in facts.get("gatherer", ())

    # What comes in

    def received(self, message: Received) -> None:
        if message.payload is None:
            self.said(message)
        elif message.room is not None or message.sender is None:
            return  # what a console says to sites
        elif self.commands(message):
            self._wish(message, message.sender)
        elif self._is_early(message, message.sender):
            if self._own_gate.takes(message.sender, len(message.payload), self._clock.monotonic()):
                self._keep_letter(message)
        else:
            super().received(message)

    def _wish(self, message: Received, sender: str) -> None:
        if not self._own_gate.takes(sender, len(message.payload or ""), self._clock.monotonic()):
            return
        try:
            wish = decode(message.payload or "")
        except WireError as wrong:
            self._complain(sender, f"from {sender}: {wrong}")
            return
        if isinstance(wish, SlotWish) and not message.delayed:
            self.wished(sender, message.reply_to, wish)

    # Answers that come before the line they answer

    def _is_early(self, message: Received, sender: str) -> bool:
        ident = (message.id or "")[:26]
        return sender.lower() in self._by_jid and bool(_ID.fullmatch(ident)) and ident not in self._mail

    def _keep_letter(self, message: Received) -> None:
        size = len(message.payload or "")
        if len(self._early) < _EARLY_MOST and self._early_size + size <= _EARLY_SIZE:
            self._early_size += size
            self._early.append((self._clock.monotonic(), (message.id or "")[:26], message))
        else:
            self._decline(message)

    def deliver_early(self, ident: str) -> None:
        """The mailbox of this line is open now."""
        for _, _, message in self._take_early(lambda at, known: known == ident):
            super().received(message)

    def decline_late(self) -> float | None:
        """Tell the sites whose line did not come that they are on their own; seconds until there may be more."""
        now = self._clock.monotonic()
        for _, _, message in self._take_early(lambda at, known: now - at >= _EARLY_FOR):
            self._decline(message)
        return max(0.0, self._early[0][0] + _EARLY_FOR - now) if self._early else None

    def _take_early(self, wanted: Callable[[float, str], bool]) -> Iterator[tuple[float, str, Received]]:
        taken = [one for one in self._early if wanted(one[0], one[1])]
        self._early = deque(one for one in self._early if not wanted(one[0], one[1]))
        self._early_size -= sum(len(one.payload or "") for _, _, one in taken)
        return iter(taken)

    def _decline(self, message: Received) -> None:
        ident = (message.id or "")[:26]
        self.connection.send_payload(message.reply_to, encode(Gathered(ident, told=False)), id=f"{ident}-told")

    async def learn(self) -> None:
        """Tags, and who gathers where, of sites that are new here."""
        try:
            await self.look_up()
        except Failed as fault:  # a session that ended under it
            self._own_log.info("%s", fault)
