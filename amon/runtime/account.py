"""One account of a site: its connection, the two fronts behind it, and the presence that shows how the site is."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, BinaryIO

from amon.clock import Clock
from amon.errors import Failed
from amon.fields import discreet
from amon.health import Pace, Picture
from amon.runtime.about import amon_version, mark_of, tell_parts
from amon.runtime.chat import Chat
from amon.runtime.incoming import Door
from amon.runtime.node import Node
from amon.runtime.payload import PayloadFront, Sign
from amon.runtime.policing import Accept
from amon.target import Facts
from amon.tasks import wait_event
from amon.wire import Gathered, HealthReport, Payload, encode, encode_health
from amon.words import Asker
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Listener, Offline, Online, Received, RoomState, Seen

if TYPE_CHECKING:
    from amon.runtime.forms import Forms
    from amon.runtime.gathered import Gatherer
    from amon.xmpp.commands import Asked

_MOST_AT_ONCE = 1024  # messages being handled; what comes beyond is dropped and counted

Connect = Callable[[Listener], Connection]
Told = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class View:
    """What an account shows and whom it obeys. Changed by a reload without a new login.

    revealed: instances whose health may be seen here; None is all. prefix: begins a command in a room.
    """

    door: Door
    rooms: frozenset[str]
    revealed: frozenset[str] | None = None
    prefix: str = "!"


class Account:
    """A `Listener` of its connection. `run` is its life."""

    def __init__(
        self,
        jid: str,
        view: View,
        node: Node,
        tags: Mapping[str, str],
        connect: Connect,
        clock: Clock,
        random: Random,
        *,
        sign: Sign | None = None,
        key: str = "",
        accept: Accept | None = None,
    ) -> None:
        """sign: with the site's own key; key: its public line, which service discovery tells.

        accept: takes over policies of the whole fleet (policing.py).
        """
        self.jid = jid
        self.site = jid.partition("@")[0].lower()
        self.dropped = 0
        self.rooms: dict[str, RoomState] = {}
        self._node = node
        self._tags = dict(tags)
        self._clock = clock
        self._random = random
        self._stir = asyncio.Event()
        self._pace = Pace()
        self._told: tuple[Told, Told] = ({}, {})
        self._told_at = 0.0
        self._tasks: asyncio.TaskGroup | None = None
        self._busy = 0
        self._log = logging.getLogger(f"amon.account.{self.site}")
        self.connection = connect(self)
        self.view = view
        seen = view.door
        self.door = Door(
            seen.account, seen.authority, seen.jid, seen.fleets
        )  # ours alone: a reload changes it in place
        self._key = key
        self._chat = self._chat_front()
        self._forms: Forms | None = None
        self.connection.serve(self._commanded)
        self._hub: Gatherer | None = None
        self._payloads = self._payload_front(sign, accept)
        self._stir.set()

    def _chat_front(self) -> Chat:
        return Chat(
            self.site,
            self.door,
            self._node.dispatch,
            self.connection,
            self._clock,
            self._facts,
            self.view.prefix,
            alarm=self._alarm,
            gatherer=self._gatherer,
            upload=self._upload,
        )

    def _payload_front(self, sign: Sign | None, accept: Accept | None) -> PayloadFront:
        return PayloadFront(
            self.site,
            self.door,
            self._node.dispatch,
            self._send,
            self._clock,
            self._random,
            sign,
            accept,
            self._gathered,
            self._drain,
        )

    def show(self, view: View, tags: Mapping[str, str]) -> None:
        """Take another policy, tags or view from now on. Questions that were asked, and pages, stay.

        What is under way or waits is judged by the new policy: it looks through the same door.
        """
        self.view = view
        self._tags = dict(tags)
        self.door.authority, self.door.fleets = view.door.authority, view.door.fleets
        self._chat.prefix = view.prefix
        self._stir.set()
        if self._tasks is not None:
            # In the background: a server that does not answer must not hold up who reloads, or who stops after that.
            self._tasks.create_task(self._review(), name=f"review of who sees {self.jid}")

    async def run(self) -> None:
        """Until cancelled: connected, present, answering. Calls under way end with it."""
        quiet = self._node.listen(self._stir.set), self._node.listen_changes(self._asked_for)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._show_health(), name=f"presence of {self.jid}")
                tasks.create_task(self.connection.run(), name=f"connection of {self.jid}")
        finally:
            self._tasks = None
            for end in quiet:
                end()

    # What the connection tells (amon.xmpp.events.Listener)

    def received(self, message: Received) -> None:
        if message.room is not None and not message.private_in_room and not self._is_safe(message.room):
            return
        if self._tasks is None or self._busy >= _MOST_AT_ONCE:
            self.dropped += 1
            return
        self._busy += 1
        self._tasks.create_task(self._handle(message), name=f"message from {message.sender}")

    def bounced(self, bounce: Bounced) -> None:
        self._log.debug("%s is not there: %s", bounce.to, bounce.condition)
        self._payloads.bounced(bounce)
        if self._hub is not None:
            self._hub.bounced(bounce.to, (bounce.id or "")[:26])

    def seen(self, presence: Seen) -> None:
        pass  # an agent does not care who is online

    def room(self, state: RoomState) -> None:
        self.rooms[state.room] = state
        if state.joined and not state.safe and not state.doubtful:
            self._log.error("%s is not members-only and non-anonymous: nothing said there is done", state.room)
        elif not state.joined:
            self._log.warning("not in %s: %s", state.room, state.reason)
        elif not state.doubtful:
            self._log.info("in %s", state.room)

    def online(self, event: Online) -> None:
        if not event.resumed:
            self._tell_interrupted()

    def offline(self, event: Offline) -> None:
        pass  # the connection has logged it

    def may_see(self, jid: str) -> bool:
        return self.door.authority.decide(Asker(jid), None, self._clock.time()).allowed

    # What it does

    async def _review(self) -> None:
        try:
            await self.connection.review()
        except Failed as fault:
            self._log.warning("who may see this site was not reviewed: %s", fault)

    async def _handle(self, message: Received) -> None:
        try:
            if message.payload is not None:
                await self._payloads.received(message)
            else:
                await self._chat.received(message)
        except Exception:  # one message costs one line in the log, never the agent
            self._log.exception("message %s from %s", message.id, message.sender)
        finally:
            self._busy -= 1

    def _commanded(self, asked: "Asked") -> None:
        if self._tasks is None or self._busy >= _MOST_AT_ONCE:
            self.dropped += 1
            return
        self._busy += 1
        self._tasks.create_task(self._answer(asked, self._tasks), name=f"form of {asked.sender}")

    async def _answer(self, asked: "Asked", tasks: asyncio.TaskGroup) -> None:
        try:
            if self._forms is None:
                from amon.runtime.forms import Forms  # most agents are never asked so

                self._forms = Forms(self._node, self.door, tasks.create_task)
            self.connection.answer(asked, await self._forms.answer(asked))
        except Exception:
            self._log.exception("form of %s", asked.sender)
        finally:
            self._busy -= 1

    def _is_safe(self, room: str) -> bool:
        state = self.rooms.get(room)
        return room in self.view.rooms and state is not None and state.joined and state.safe

    def _send(self, to: str, payload: str, ident: str) -> bool:
        return self.connection.send_payload(to, payload, id=ident)

    async def _upload(self, name: str, file: BinaryIO, size: int, kind: str) -> str:
        return await self.connection.upload(name, file, size, kind)

    async def _drain(self) -> None:
        await self.connection.drain()

    def _gatherer(self) -> "Gatherer | None":
        """Where what is typed for many is summed up; made when a policy names one and such a line comes."""
        if self._hub is None and self.door.authority.gatherer:
            from amon.runtime.gathered import Gatherer

            self._hub = Gatherer(self._hub_at, self._report, self._clock)
        return self._hub

    def _hub_at(self, room: str) -> str | None:
        """That of the moment: a reload may name another."""
        from amon.runtime.gathered import hub_in

        named = self.door.authority.gatherer
        return hub_in(self.connection.occupants(room), named) if named and self._is_safe(room) else None

    def _report(self, to: str, payload: Payload, asked: str) -> bool:
        text = self._payloads.written(to.partition("/")[0], payload, asked)
        return self._send(to, text, f"{payload.id}-{type(payload).__name__.lower()}")

    def _gathered(self, asker: Asker, word: Gathered) -> None:
        if self._hub is not None and asker.room is None:
            self._hub.heard(asker.reply_to, word)

    def _tell_interrupted(self) -> None:
        for record, outcome in self._node.take_interrupted(self.door.account):
            # Whoever typed it reads the body, a console the payload; which of them asked is not remembered.
            body = f"{self.site}: {record.line}: {outcome.text}"
            self.connection.send_payload(record.reply_to, encode(outcome), id=f"{outcome.id}-interrupted", body=body)

    async def _show_health(self) -> None:
        """Presence follows the picture, at the pace that suits contact lists."""
        while True:
            self._stir.clear()
            await wait_event(self._stir, self._clock, self._show_now())

    def _alarm(self, text: str) -> None:
        self._log.warning("%s", text)

    def _asked_for(self) -> None:
        self._pace.grant(self._clock.monotonic())
        self._stir.set()

    def _show_now(self) -> float:
        """Show the picture if it is due, and new facts; seconds until the next look."""
        picture = self._node.picture(self.view.revealed)
        now = self._clock.monotonic()
        due = self._pace.due(picture, now)
        waits = [3600.0, self._show_facts(picture, now, at_once=due == 0)]
        if due == 0:
            health = encode_health(_report(picture, self._node.kinds()))
            show, status = "" if picture.show == "available" else picture.show, discreet(picture.status)
            self.connection.set_presence(show, status, discreet(health))  # what a module says of its troubles
            self._pace.told(picture, now)
        elif due is not None:
            waits.append(due)
        ends = self._node.next_maintenance_end()
        if ends is not None:
            waits.append(ends - self._clock.time() + 1)
        return max(0.05, min(waits))

    def _show_facts(self, picture: Picture, now: float, *, at_once: bool) -> float:
        """Tags and modules are shown at once. Parts may come and go by themselves: with a picture, or at its pace."""
        told = self._disco(), tell_parts(self._parts(picture))
        if told == self._told:
            return 3600.0
        wait = self._told_at + self._pace.every - now
        if not at_once and told[0] == self._told[0] and wait > 0:
            return wait
        self._told, self._told_at = told, now
        facts = {**told[0], **told[1]}
        self.connection.set_facts(facts, mark_of(facts))
        return 3600.0

    def _facts(self) -> Facts:
        picture = self._node.picture(self.view.revealed)
        bad = {trouble.name: trouble.state for trouble in picture.troubles}
        modules, known = frozenset(self._node.kinds()), self._parts(picture)
        return Facts(self.site, self._tags, picture.level.word, bad, modules, known)

    def _parts(self, picture: Picture) -> dict[str, str]:
        """Full names of all parts that this account shows, each with the module it belongs to."""
        return {name: self._node.kind_of(name.partition("/")[0]) for name in picture.names}

    def _disco(self) -> Told:
        tags = [f"{name}={value}" for name, value in sorted(self._tags.items())]
        facts = {"agent": [amon_version()], "tag": tags, "module": list(self._node.kinds())}
        authority, bundle = self.door.authority, self.door.authority.bundle
        more = {"key": self._key, "policy": str(bundle.serial) if bundle is not None else ""}
        more["gatherer"] = authority.gatherer
        return {**facts, **{name: [value] for name, value in more.items() if value}}


def _report(picture: Picture, modules: tuple[str, ...]) -> HealthReport:
    bad = tuple((trouble.name, trouble.level.word, trouble.state) for trouble in picture.troubles)
    return HealthReport(picture.level.word, sum(picture.counts.values()) - len(bad), bad, 0, modules)
