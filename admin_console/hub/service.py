"""The hub itself: the picture it shows, the lines it hears, the slots it lends.

What it says is for admins and owners of the room; all else it does not hear. It never asks a site for anything.
"""

import asyncio
import logging
from collections.abc import Callable

from admin_console.hub.fleet import HubFleet
from admin_console.hub.gathering import Gathering, Voice
from admin_console.hub.line import CONFIRM_WITHIN, TypedLine
from admin_console.hub.memory import Memory
from admin_console.hub.opening import opened, recalled, remembered
from admin_console.hub.picture import fleet_picture
from admin_console.hub.slots import SlotBook
from admin_console.hub.talk import Talk
from amon.clock import Clock
from amon.errors import Failed, Invalid
from amon.health import Level, Pace, Picture
from amon.ids import code, typed_id
from amon.runtime.loops import Loops
from amon.runtime.pages import Key, Pages, shown
from amon.runtime.typed import Line, addressed
from amon.tasks import wait_event
from amon.text import nearest
from amon.wire import SlotLease, SlotWish, encode
from amon.xmpp.events import Received

_MOST_LINES = 32  # under way at once; what is typed beyond them the sites answer themselves
_KEPT_LINES = 20  # whose answers can still be asked for
_REFRESH = 60.0  # seconds between two looks who belongs to the room
_TICK = 1.0
_LONGEST = 8_192  # characters of a line that is read


class Hub:
    """prefix: begins a command in the room. memory: what outlives a restart. told: hears the picture's line."""

    def __init__(
        self,
        fleet: HubFleet,
        voice: Voice,
        clock: Clock,
        memory: Memory,
        prefix: str = "!",
        told: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.fleet = fleet
        self.slots = SlotBook()
        self.lines: dict[str, TypedLine] = {}
        self.ready = asyncio.Event()
        self._voice, self._clock, self._memory, self._prefix, self._told = voice, clock, memory, prefix, told
        self._under_way: dict[str, Gathering] = {}
        self._pages = Pages(clock)
        self._loops = Loops(clock, lambda text: self._log.warning("%s", text))
        self._pace = Pace()
        self._tasks: asyncio.TaskGroup | None = None
        self._trouble = ""
        self._log = logging.getLogger("amon.hub")
        fleet.said, fleet.wished = self._heard, self._wished

    async def run(self) -> None:
        """Until cancelled. The connection is somebody else's to run."""
        data = self._memory.recall()
        self.slots.recall(data.get("leases", ()) if isinstance(data.get("leases"), list) else ())
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for name, work in (("members", self._follow()), ("facts", self._learn()), ("presence", self._show())):
                tasks.create_task(work, name=f"{name} of the fleet")
            tasks.create_task(self._tick(), name="slots")
            await self.ready.wait()
            for line in recalled(data.get("lines"), self._clock):
                self._begin(line)

    # What goes on by itself

    async def _follow(self) -> None:
        """Who belongs to the room, again and again: sites come and go."""
        while True:
            await self.fleet.connection.wait_online()
            self.fleet.returned.clear()
            try:
                await self.fleet.connection.enter(self.fleet.room_address)
                self._trouble = self._room_trouble()
                await self.fleet.refresh()
                await self.fleet.learn()
                if not self._trouble:
                    self.ready.set()
                self.fleet.changed.set()
            except Failed as fault:
                self._trouble = self._trouble or f"who belongs to {self.fleet.room_address} is not known: {fault}"
            if self._trouble:
                self._log.warning("%s", self._trouble)
                self.fleet.changed.set()
            await wait_event(self.fleet.returned, self._clock, _REFRESH if not self._trouble else _REFRESH / 12)

    def _room_trouble(self) -> str:
        """Why nothing can be gathered; empty if it can."""
        room, ours = self.fleet.room_address, self.fleet.connection.account
        state = self.fleet.rooms.get(room)
        step = f"next: an owner of it runs amon room create --admin {ours}"
        if state is None or not state.joined:
            reason = state.reason if state is not None else "not yet"
            return (
                f"not in {room}: {reason.partition(';')[0]}; {step}"
                if "member" in reason
                else f"not in {room}: {reason}"
            )
        if not state.safe:
            return f"{room} is not members-only or hides addresses; next: its owner runs amon room create"
        standing = [one.affiliation for one in self.fleet.connection.occupants(room) if one.nick == state.nick]
        if standing[:1] not in (["admin"], ["owner"]):
            return f"no admin of {room}; {step}"
        return ""

    async def _learn(self) -> None:
        while True:
            await self._clock.sleep(_TICK)
            if any(one.online and one.mark and one.mark not in self.fleet.known for one in self.fleet.sites.values()):
                await self.fleet.learn()
                await self._clock.sleep(10 * _TICK)  # one that does not tell is not asked all the time

    async def _show(self) -> None:
        """Presence follows the picture, at the pace that suits contact lists."""
        while True:
            self.fleet.changed.clear()
            picture, knows = self._picture(), self.fleet.settled and self.ready.is_set()
            due = self._pace.due(picture, self._clock.monotonic()) if knows or self._trouble else None
            if due == 0:
                show = "" if picture.show == "available" else picture.show
                self.fleet.connection.set_presence(show, picture.status)
                self._pace.told(picture, self._clock.monotonic())
                self._told(picture.status)
            await wait_event(self.fleet.changed, self._clock, max(0.05, due) if due else 3600.0)

    def _picture(self) -> Picture:
        if self._trouble:
            return Picture(Level.unknown, {}, (), f"UNKNOWN {self._trouble}"[:200])
        return fleet_picture(self.fleet.sites.values())

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_TICK)
            self._lease(self.slots.expire(self._clock.time()))
            self.fleet.decline_late()

    def _keep(self) -> None:
        waiting = [remembered(one, self._clock) for one in self._under_way.values() if one.summed_at is None]
        self._memory.keep({"leases": self.slots.data(), "lines": waiting})

    # Slots

    def _wished(self, asker: str, reply_to: str, wish: SlotWish) -> None:
        if not self.ready.is_set():
            return  # what is kept of an earlier life is not known yet; consoles ask again
        self._lease(self.slots.wish(asker, reply_to, wish, self._clock.time()), always=True)

    def _lease(self, leases: list[tuple[str, SlotLease]], *, always: bool = False) -> None:
        if not leases and not always:
            return
        self._keep()  # before anybody begins because of it
        for to, lease in leases:
            self.fleet.connection.send_payload(to, encode(lease), id=f"{lease.id}-lease")

    # What is typed

    def _heard(self, message: Received) -> None:
        """A message for people. Of whoever may not command here nothing is heard."""
        sender = (message.sender or "").lower()
        if not self.fleet.commands(message) or not message.text.strip() or len(message.text) > _LONGEST:
            return
        if message.delayed or message.edited or self._loops.muted(sender) or not self.ready.is_set():
            return
        if message.room is None:
            self._alone(sender, message)
        elif not message.private_in_room and message.room == self.fleet.room_address:
            self._in_room(sender, message)
        elif message.private_in_room:
            self._say(sender, message.reply_to, f"write to my own address {self.fleet.connection.account}")

    def _alone(self, sender: str, message: Received) -> None:
        if message.text.strip().lower().removeprefix(self._prefix) == "more":
            self._more(sender, message.reply_to)
        else:
            self._say(sender, message.reply_to, self._talk().answer(sender, message.text))

    def _talk(self) -> Talk:
        fleet = self.fleet
        return Talk(
            fleet.connection.account,
            fleet.room_address,
            self._prefix,
            self._clock,
            lambda: list(fleet.sites.values()),
            self.lines,
            self.slots.lines,
        )

    def _in_room(self, sender: str, message: Received) -> None:
        try:
            line = addressed(message.text, self._prefix)
        except Invalid as wrong:
            self._say(sender, message.reply_to, wrong.pointed())  # the sites say nothing: all would say the same
            return
        if line is None or line.alone or not line.text:
            return
        if line.first == "yes":
            self._yes(sender, message, line.rest.upper())
        elif line.text.lower() == "more":
            self._more(sender, message.reply_to, aloud=False)
        elif not _is_of_chat(line):
            self._gather(sender, message, line)

    def _gather(self, sender: str, message: Received, line: Line) -> None:
        if not message.id or self._tasks is None or not self.ready.is_set() or self._room_trouble():
            return
        ident = typed_id(sender, message.room, message.id)
        if ident not in self.lines and len(self._under_way) < _MOST_LINES:
            self._tasks.create_task(self._open(ident, sender, message, line), name=f"line {ident}")

    async def _open(self, ident: str, sender: str, message: Received, line: Line) -> None:
        made = await opened(self.fleet, ident, sender, message, line, self._clock)
        if isinstance(made, TypedLine):
            self._begin(made)
        elif made:
            self._say(sender, message.reply_to, made)

    def _begin(self, line: TypedLine) -> None:
        if self._tasks is None or line.typed.id in self.lines:
            return
        gathering = Gathering(line, self.fleet, self._voice, self._say, self._clock, self._prefix, self._keep)
        gathering.asked_at = self._clock.monotonic() if line.asking else None
        ident = line.typed.id
        self.lines[ident], self._under_way[ident] = line, gathering
        for old in [one for one in self.lines if one not in self._under_way][:-_KEPT_LINES]:
            del self.lines[old]
        self._tasks.create_task(self._run(gathering), name=f"gathering {ident}")

    async def _run(self, gathering: Gathering) -> None:
        ident = gathering.line.typed.id
        try:
            await self._gathered(gathering, ident)
        except Exception:  # one line costs one line in the log; its sites say themselves what was not said
            self._log.exception("line %s", ident)
        # Not where the hub itself ends: its next life goes on with what is kept.
        del self._under_way[ident]
        self._keep()

    async def _gathered(self, gathering: Gathering, ident: str) -> None:
        with self.fleet.mail(ident) as letters:
            self.fleet.deliver_early(ident)
            self._keep()
            await gathering.run(letters)

    def _yes(self, sender: str, message: Received, word: str) -> None:
        """The sites hear it themselves; here it is known who is at it now."""
        mine = [one for one in self._under_way.values() if one.line.typed.asker == sender]
        mine = [one for one in mine if one.line.typed.room == message.room]
        waiting = {code(one.line.typed.id): one for one in mine if one.waits_for_yes}
        if word in waiting:
            waiting[word].confirm()
        elif any(code(one.typed.id) == word and one.typed.asker == sender for one in self.lines.values()):
            text = f"yes {word} came after {CONFIRM_WITHIN:g} s, or for the second time; nothing was done because of it"
            self._say(sender, message.reply_to, text)
        elif waiting:
            meant = nearest(word.lower(), [one.lower() for one in waiting])[:1] if word else []
            meant = meant or [list(waiting)[-1]]
            hint = f"did you mean {self._prefix}yes {meant[0].upper()}?"
            self._say(sender, message.reply_to, f"nothing waits for yes {word[:8]}; nothing was done, {hint}")

    def _more(self, sender: str, to: str, *, aloud: bool = True) -> None:
        """aloud: also that there is nothing; in the room it may be for others."""
        if self._tasks is not None:
            self._tasks.create_task(self._next_page(sender, to, aloud), name=f"more for {sender}")

    async def _next_page(self, sender: str, to: str, aloud: bool) -> None:
        page = await self._pages.more((sender, None), _no_file)
        if page is not None:
            self._utter(sender, to, shown(page, goes_on=True))
        elif aloud:
            self._utter(sender, to, "there is no more; ask again")

    def _say(self, asker: str, to: str, text: str) -> bool:
        return self._utter(asker, to, shown(self._pages.first((asker, None), text)))

    def _utter(self, asker: str, to: str, page: str) -> bool:
        page = page.replace(": say more, or file)", ": say more)")  # there are no files here
        self._loops.said(asker, page)
        return self._voice.say(to, page)


def _is_of_chat(line: Line) -> bool:
    """What a site does not take for a command: the words of a conversation, which it tells nobody of."""
    if line.first in ("ok", "stop"):
        return line.first == "stop" or bool(line.rest)
    return line.text.lower() in ("cancel", "file")


def _no_file(key: Key, offset: int, most: int) -> bytes:
    """What the hub says is never kept whole in a file."""
    return b""
