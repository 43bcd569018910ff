"""One account's connection: comes up, stays up, comes back; turns stanzas into events and calls into stanzas.

Nothing is sent while there is no session: `False` tells the caller, whose journal sends it again. What was sent but not
acknowledged when the connection broke is sent again by XEP-0198 if the session is resumed, else named in `Online.lost`.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from xml.etree.ElementTree import Element

from amon.clock import Clock, SystemClock
from amon.errors import Failed, Invalid
from amon.xmpp import names, outgoing, roster
from amon.xmpp.address import bare, split
from amon.xmpp.backoff import Backoff
from amon.xmpp.events import Bounced, Listener, Offline, Online
from amon.xmpp.faults import Fault, StanzaError, Unreachable
from amon.xmpp.incoming import read_message, read_presence
from amon.xmpp.keeper import Keeper
from amon.xmpp.login import Limits, Login, Times
from amon.xmpp.requests import Requests, answer, asker, info_query, read_facts
from amon.xmpp.room import Occupant, Room
from amon.xmpp.roster import Contact, Member
from amon.xmpp.route import connect
from amon.xmpp.stream import Resume, Stream, where


@dataclass(frozen=True, slots=True)
class Statistics:
    """A look inside: counts since the start of `run`."""

    sessions: int = 0
    resumed: int = 0
    received: int = 0
    sent: int = 0
    dropped: int = 0  # incoming, not ours to read
    not_sent: int = 0  # outgoing, no session


class Connection:
    """Made in a running loop. `run` is its life; everything it starts ends with it."""

    def __init__(
        self,
        login: Login,
        listener: Listener,
        *,
        context: ssl.SSLContext,
        random: Random,
        clock: Clock | None = None,
        log: logging.Logger | None = None,
        times: Times | None = None,
        limits: Limits | None = None,
        trace: bool = False,
    ) -> None:
        self.account = bare(login.jid)
        self.jid = ""
        self._login = replace(login, jid=self.account)
        self._listener, self._context, self._random = listener, context, random
        self._clock, self._log = clock or SystemClock(), log or logging.getLogger(f"amon.xmpp.{self.account}")
        self._times, self._limits, self._trace = times or Times(), limits or Limits(), trace
        self._requests = Requests(self.account)
        self._keepers: dict[str, Keeper] = {}
        self._rooms: dict[str, Room] = {}
        self._stream: Stream | None = None
        self._resume: Resume | None = None
        self._keys: dict[tuple[str, bytes, int], bytes] = {}
        self._group: asyncio.TaskGroup | None = None
        self._online = asyncio.Event()
        self._shown: tuple[str, str, str | None] = ("", "", None)
        self._announced = False
        self._facts: dict[str, tuple[str, ...]] = {}
        self._site: str | None = None
        self._count = dict.fromkeys(Statistics.__dataclass_fields__, 0)
        for room in login.rooms:
            self._add(room)

    # --- life

    async def run(self) -> None:
        """Until cancelled: connects, stays, comes back. Says goodbye when cancelled, within a bounded time."""
        backoff = Backoff(self._times.retry_first, self._times.retry_most, self._random)
        while True:
            since = self._clock.monotonic()
            try:
                fault = await self._session()
            except Exception as error:  # a bug of ours must not end the agent; it is logged and tried again
                self._log.exception("the connection of %s broke", self.account)
                fault = Fault("bug", f"an error of ours: {where(error)}")
            if self._clock.monotonic() - since >= self._times.stable:
                backoff.reset()
            wait = backoff.next()
            if fault.slow:
                wait = max(wait, self._times.retry_refused * self._random.uniform(0.5, 1.0))
            self._log.warning("%s: no session: %s; next try in %.0f s", self.account, fault.text, wait)
            self._listener.offline(Offline(fault.text, wait, fault.word))
            await self._clock.sleep(wait)

    @property
    def online(self) -> bool:
        return self._online.is_set()

    async def wait_online(self) -> None:
        await self._online.wait()

    async def _session(self) -> Fault:
        """One stream from connecting to its end, and why it ended."""
        stream = Stream(
            self._login,
            self,
            self._context,
            self._limits,
            self._log,
            keys=self._keys,
            resume=self._resume,
            trace=self._trace,
        )
        self._stream = stream
        try:
            await self._come_up(stream)
            await self._live(stream)
        except Unreachable as error:
            stream.fail(error.fault)
        except asyncio.CancelledError:
            await self._goodbye(stream)
            raise
        finally:
            self._offline(stream)
            await stream.gone()
        return stream.fault or Fault("closed", "the session ended")

    async def _come_up(self, stream: Stream) -> None:
        await connect(lambda: stream, self._login, self._context, self._times.connect)
        began = asyncio.ensure_future(stream.began.wait())
        ended = asyncio.ensure_future(stream.ended.wait())
        try:
            await asyncio.wait((began, ended), timeout=self._times.login, return_when=asyncio.FIRST_COMPLETED)
        finally:
            began.cancel()
            ended.cancel()
            await asyncio.gather(began, ended, return_exceptions=True)
        if stream.fault is not None:
            raise Unreachable(stream.fault)
        if not stream.live:
            raise Unreachable(Fault("login", f"the server did not finish the login in {self._times.login:g} s"))

    async def _live(self, stream: Stream) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._keepalive(stream))
                group.create_task(self._announce())
                for keeper in self._keepers.values():
                    group.create_task(keeper.keep())
                await stream.ended.wait()
                raise Unreachable(stream.fault or Fault("closed", "the session ended"))
        except* Unreachable:
            pass
        finally:
            self._group = None

    def _offline(self, stream: Stream) -> None:
        self._online.clear()
        self._announced = False
        self._requests.abandon()
        stream.fail(Fault("closed", "closed by us"))
        if stream.began.is_set():
            self._resume = stream.resume()
        self._stream = None

    async def _goodbye(self, stream: Stream) -> None:
        if stream.live:
            stream.post(outgoing.directed("unavailable"))
        await stream.close(self._times.goodbye)
        self._resume = None

    async def _keepalive(self, stream: Stream) -> None:
        """A network that was cut says nothing: after a silence the server is asked for a sign of life."""
        while True:
            heard = stream.heard
            await self._clock.sleep(self._times.ping_every)
            if stream.heard != heard:
                continue
            try:
                await self.ask(None, "get", Element(names.PING), self._times.ping_wait)
            except StanzaError as error:
                if error.condition in ("timeout", "offline") and stream.heard == heard:
                    stream.fail(Fault("silent", "the server does not answer any more: is the network cut?"))

    async def _announce(self) -> None:
        """First presence of a session, after those who may no longer see it were removed."""
        if not self._announced:
            await self.review()
        self._announced = True
        self._show()

    # --- from the stream

    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None:
        """The session is up. What follows on the stream is already its content."""
        assert self._stream is not None
        self.jid = str(self._stream.boundjid.full)
        self._count["sessions"] += 1
        self._count["resumed"] += resumed
        self._resume = None
        self._online.set()
        if resumed:
            self._announced = True
        else:
            for room in self._rooms.values():
                room.forget("a new session began")
        self._log.info("%s: online%s", self.jid, ", resumed" if resumed else "")
        self._listener.online(Online(resumed, self.jid, lost))

    def message(self, element: Element) -> None:
        self._count["received"] += 1
        try:
            event = read_message(element, self._rooms, self.account)
            if event is None:
                self._settings(element)
        except Invalid:
            event = None
        if event is None:
            self._count["dropped"] += 1
        elif isinstance(event, Bounced):
            self._listener.bounced(event)
        else:
            self._listener.received(event)

    def _settings(self, element: Element) -> None:
        room, nick = split(element.get("from") or self.account)
        keeper = self._keepers.get(room)
        if keeper is not None and not nick and keeper.room.settings_changed(element):
            keeper.stir(look_again=True)

    def presence(self, element: Element) -> None:
        try:
            sender = split(element.get("from") or self.account)[0]
        except Invalid:
            return
        keeper = self._keepers.get(sender)
        kind = element.get("type")
        if keeper is not None:
            if keeper.room.presence(element):
                keeper.stir()
        elif kind == "subscribe":
            allowed = self._listener.may_see(sender)
            self.post(outgoing.directed("subscribed" if allowed else "unsubscribed", sender))
        elif sender != self.account:
            seen = read_presence(element)
            if seen is not None:
                self._listener.seen(seen)

    def iq(self, element: Element) -> None:
        if element.get("type") in ("result", "error"):
            self._requests.answered(element)
            return
        if element.get("type") in ("get", "set"):
            who = self._real(asker(element), element)
            trusted = who is not None and (who == self.account or self._listener.may_see(who))
            self.post(answer(element, self.account, self._facts, trusted))

    def _real(self, sender: str | None, element: Element) -> str | None:
        """The real address behind a request, which may come through a room."""
        room = self._rooms.get(sender or "")
        if room is None:
            return sender if element.get("from") else self.account
        occupant = room.occupants.get(split(element.get("from", ""))[1])
        return occupant.jid if occupant else None

    # --- to the stream

    def post(self, element: Element) -> bool:
        """Sends a stanza now; False if there is no session. `Failed` if it is larger than servers take."""
        if self._stream is None or not self._stream.live:
            self._count["not_sent"] += 1
            return False
        try:
            self._stream.post(element)
        except ValueError as error:
            raise Failed(str(error)) from None
        self._count["sent"] += 1
        return True

    async def drain(self) -> None:
        """Waits until the network has taken most of what was sent."""
        if self._stream is not None:
            await self._stream.drain()

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        """The answer to a request; `StanzaError` (a `Failed`) with its condition else."""
        if not self.online:
            raise StanzaError("offline", "there is no session with the server")
        return await self._requests.ask(self._post_request, to, kind, content, within or self._times.ask)

    def _post_request(self, element: Element) -> None:
        self.post(element)

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        """The machine's message to one address, or into a room we are in; `body` is for people who look on."""
        room = self._rooms.get(to)
        if room is not None and not room.joined:
            return False
        kind = "groupchat" if room is not None else "normal"
        return self.post(outgoing.payload_message(to, payload, id=id, body=body, kind=kind))

    def say(
        self,
        to: str,
        text: str,
        *,
        kind: str = "chat",
        in_reply_to: str | None = None,
        unstyled: bool = False,
        id: str = "",  # noqa: A002
    ) -> bool:
        """Text for a person."""
        made = outgoing.text_message(
            to, text, id=id or secrets.token_hex(8), kind=kind, in_reply_to=in_reply_to, unstyled=unstyled
        )
        return self.post(outgoing.private(made) if split(to)[0] in self._rooms else made)

    def say_room(self, room: str, text: str, *, payload: str | None = None, id: str = "") -> bool:  # noqa: A002
        """Text into a room we are in, with the machine's part beside it if there is one."""
        known = self._rooms.get(room)
        if known is None or not known.joined:
            self._count["not_sent"] += 1
            return False
        id = id or secrets.token_hex(8)  # noqa: A001
        if payload is not None:
            return self.send_payload(room, payload, id=id, body=text)
        made = outgoing.text_message(room, text, id=id, kind="groupchat", in_reply_to=None, unstyled=False)
        return self.post(made)

    def composing(self, to: str, on: bool) -> bool:
        """Shows that we are at it, one to one (XEP-0085)."""
        return self.post(outgoing.chat_state(to, "composing" if on else "active"))

    def set_presence(self, show: str, status: str, health: str | None = None) -> None:
        """What we show from now on, in this session and the next ones: to contacts, and (no health) to the rooms."""
        self._shown = (show, status, health)
        if self._announced:
            self._show()

    def set_facts(self, facts: Mapping[str, Iterable[str]], mark: str) -> None:
        """What service discovery tells about this site; `mark` goes with presence, so that a change is noticed."""
        self._facts = {name: tuple(values) for name, values in facts.items()}
        self._site = mark
        if self._announced:
            self._show()

    def _show(self) -> None:
        self.post(outgoing.presence(*self._shown, self._site))
        for room in self._rooms.values():
            if room.joined:
                self.post(outgoing.presence(*self._shown, self._site, f"{room.address}/{room.nick}"))

    def dress(self, presence: Element) -> None:
        """See `keeper.Line`."""
        show, status, _ = self._shown
        presence.extend(outgoing.presence(show, status, None, None, "-"))

    # --- rooms and contacts

    def _add(self, address: str) -> Keeper:
        room = Room(bare(address), self._login.nick or self.account.partition("@")[0])
        keeper = Keeper(room, self, self._listener.room, self._times, self._clock, self._random)
        self._rooms[room.address], self._keepers[room.address] = room, keeper
        return keeper

    def occupants(self, room: str) -> tuple[Occupant, ...]:
        """Who is in a room, as far as it tells us."""
        known = self._rooms.get(room)
        return tuple(known.occupants.values()) if known else ()

    async def members(self, room: str, affiliations: Iterable[str] = ("member",)) -> list[Member]:
        """Who has such a standing in a room; the server asks for a room admin."""
        found: list[Member] = []
        for affiliation in affiliations:
            found += roster.read_members(await self.ask(room, "get", roster.affiliation_query(affiliation)))
        return found

    async def set_members(self, room: str, members: Iterable[Member]) -> None:
        """Gives standings in a room; affiliation `none` takes one away."""
        await self.ask(room, "set", roster.affiliation_set(members))

    async def roster(self) -> list[Contact]:
        return roster.read_roster(await self.ask(None, "get", roster.roster_query()))

    async def subscribe(self, jid: str, name: str = "", groups: Iterable[str] = ()) -> None:
        """Takes an account into the contacts and asks for its presence."""
        await self.ask(None, "set", roster.roster_item(bare(jid), name, groups))
        self.post(outgoing.directed("subscribe", bare(jid)))

    async def unsubscribe(self, jid: str) -> None:
        """Removes an account from the contacts, with both subscriptions."""
        await self.ask(None, "set", roster.roster_item(bare(jid), "", (), remove=True))

    async def review(self) -> None:
        """Takes our presence from those who may not (or no longer) see it."""
        try:
            contacts = await self.roster()
        except StanzaError as error:
            self._log.warning("%s: contacts not reviewed: %s", self.account, error)
            return
        for contact in contacts:
            if contact.sees_us and not self._listener.may_see(contact.jid):
                self.post(outgoing.directed("unsubscribed", contact.jid))

    async def facts(self, jid: str) -> dict[str, tuple[str, ...]]:
        """What an agent tells about its site; empty if it is none or we may not know."""
        return read_facts(await self.ask(jid, "get", info_query()))

    def statistics(self) -> Statistics:
        return Statistics(**self._count)
