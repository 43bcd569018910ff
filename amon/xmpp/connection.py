"""One account's connection: comes up, stays up, comes back; turns stanzas into events and calls into stanzas.

Nothing is sent while there is no session: `False` tells the caller, whose journal sends it again. What was sent but not
acknowledged when the connection broke is sent again by XEP-0198 if the session is resumed, else named in `Online.lost`.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import BinaryIO
from xml.etree.ElementTree import Element

from amon.clock import Clock, SystemClock
from amon.tasks import is_cancelled
from amon.xmpp import names, outgoing
from amon.xmpp.acks import Resume
from amon.xmpp.address import bare, prepared_password
from amon.xmpp.administration import Administration
from amon.xmpp.backoff import Backoff
from amon.xmpp.events import Listener, Offline, Online, RoomState
from amon.xmpp.faults import Fault, StanzaError, Unreachable
from amon.xmpp.guard import Guarded, where
from amon.xmpp.inbox import Inbox
from amon.xmpp.keeper import Keeper
from amon.xmpp.login import Limits, Login, Times
from amon.xmpp.passwords import REFUSED, Passwords
from amon.xmpp.room import Occupant, Room
from amon.xmpp.route import connect
from amon.xmpp.scram import Keys
from amon.xmpp.served import Served
from amon.xmpp.speech import Speech
from amon.xmpp.stream import Stream
from amon.xmpp.tls import Source, always


@dataclass(frozen=True, slots=True)
class Statistics:
    """A look inside: counts since the start of `run`."""

    sessions: int
    resumed: int
    received: int
    dropped: int  # incoming, not ours to read
    sent: int
    not_sent: int  # outgoing, no session


class Connection(Administration, Speech, Served):
    """`run` is its life; everything it starts ends with it. One per account; many may live in one process."""

    def __init__(
        self,
        login: Login,
        listener: Listener,
        *,
        context: ssl.SSLContext | Source,
        random: Random,
        clock: Clock | None = None,
        log: logging.Logger | None = None,
        times: Times | None = None,
        limits: Limits | None = None,
        trace: bool = False,
        guards_presence: bool = True,
    ) -> None:
        """guards_presence: at each login our presence is taken from contacts that may not see it.

        context: or what gives the one for each connect (see `tls.Renewed`).
        """
        self.account = bare(login.jid)
        self.jid = ""  # full, of the current or last session
        self._login = replace(login, jid=self.account)
        self._passwords = Passwords(login.password, login.spare)
        self._clock, self._log = clock or SystemClock(), log or logging.getLogger(f"amon.xmpp.{self.account}")
        self._context = always(context) if isinstance(context, ssl.SSLContext) else context
        self._random = random
        self._listener = Guarded(listener, self._log)
        self._times, self._limits, self._trace = times or Times(), limits or Limits(), trace
        self._guards_presence = guards_presence
        self._inbox = Inbox(self.account, self._listener, self.post)
        self._stream: Stream | None = None
        self._resume: Resume | None = None
        self._keys: Keys = {}
        self._group: asyncio.TaskGroup | None = None
        self._online = asyncio.Event()
        self._shown: tuple[str, str, str | None] = ("", "", None)
        self._site: str | None = None
        self._announced = False
        self._showing: asyncio.Handle | None = None
        self._sessions = self._resumed = self._sent = self._not_sent = 0
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
                self._log.error("the connection of %s broke: %s", self.account, where(error))
                fault = Fault("bug", f"an error of ours: {where(error)}")
            # The session broke and somebody stopped us in the same moment: what a machine that goes down does.
            if is_cancelled():
                raise asyncio.CancelledError
            if self._clock.monotonic() - since >= self._times.stable:
                backoff.reset()
            wait = backoff.next()
            if fault.slow:
                wait = max(wait, self._times.retry_refused * self._random.uniform(0.5, 1.0))
            elif fault.word in REFUSED:  # another password is tried next; there are only a few of them
                wait = min(wait, self._times.retry_first)
            self._log.warning("%s: no session: %s; next try in %.0f s", self.account, fault.text, wait)
            self._listener.offline(Offline(fault.text, wait, fault.word))
            await self._clock.sleep(wait)

    @property
    def online(self) -> bool:
        return self._stream is not None and self._stream.live

    async def wait_online(self) -> None:
        """Until there is a session, and rooms can be entered."""
        await self._online.wait()

    async def _session(self) -> Fault:
        """One stream from connecting to its end, and why it ended."""
        context = self._context()
        stream = self._stream = Stream(
            replace(self._login, password=self._passwords.current),
            self,
            context,
            self._limits,
            self._log,
            keys=self._keys,
            resume=self._resume,
            trace=self._trace,
        )
        try:
            await self._come_up(stream, context)
            await self._live(stream)
        except Unreachable as error:
            stream.fail(error.fault)
        except asyncio.CancelledError:
            await self._goodbye(stream)
            raise
        finally:
            self._end(stream)
            await stream.gone()
        return self._judged(stream)

    def _judged(self, stream: Stream) -> Fault:
        fault = stream.fault or Fault("closed", "the session ended")
        if not stream.password_refused:
            return fault
        self._keys.clear()
        if self._passwords.next():
            return replace(fault, text=f"{fault.text}; the next one is tried", slow=False)
        return fault

    async def _come_up(self, stream: Stream, context: ssl.SSLContext) -> None:
        await connect(lambda: stream, self._login, context, self._times.connect, self._random)
        try:
            async with asyncio.timeout(self._times.login):
                await stream.wait_begun()
        except TimeoutError:
            fault = Fault("login", f"the server did not finish the login in {self._times.login:g} s")
            raise Unreachable(fault) from None

    async def _live(self, stream: Stream) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._keepalive(stream))
                group.create_task(self._announce())
                for keeper in self._inbox.keepers.values():
                    self._keep(keeper)
                self._online.set()
                await stream.ended.wait()
                raise Unreachable(stream.fault or Fault("closed", "the session ended"))
        except* Unreachable:
            pass
        finally:
            self._online.clear()
            self._group = None

    def _end(self, stream: Stream) -> None:
        stream.fail(Fault("closed", "closed by us"))
        self._announced = False
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
        self._inbox.requests.abandon()
        if stream.began.is_set():
            self._resume = stream.resume()
        self._stream = None

    async def _goodbye(self, stream: Stream) -> None:
        if stream.live:
            stream.post(outgoing.directed("unavailable"))
        await stream.close(self._times.goodbye)

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
                if error.condition == "timeout" and stream.heard == heard:
                    stream.fail(Fault("silent", "the server does not answer any more: is the network cut?"))

    # --- the stream's owner

    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None:
        """The session is up. What follows on the stream is already its content."""
        assert self._stream is not None
        self.jid = str(self._stream.boundjid)
        self._sessions += 1
        self._resumed += resumed
        self._resume = None
        self._passwords.accepted()
        self._announced = resumed
        if not resumed:
            for room in self._inbox.rooms.values():
                room.forget("a new session began")
        self._log.info("%s: online%s", self.jid, ", resumed" if resumed else "")
        self._listener.online(Online(resumed, self.jid, lost))

    def message(self, element: Element) -> None:
        self._inbox.message(element)

    def presence(self, element: Element) -> None:
        self._inbox.presence(element)

    def iq(self, element: Element) -> None:
        self._inbox.iq(element)

    # --- the account's password

    @property
    def password_works(self) -> int:
        """Which one is tried or worked: 0 is the login's password (or what it was changed to), then the spare ones."""
        return self._passwords.works

    async def change_password(self, new: str) -> None:
        """Asks the server to take `new` (XEP-0077, 3.3); from then on it is the password, the old one a spare.

        `Failed` says why not. Where the answer is lost, either may hold: `new` stays a spare.
        """
        prepared_password(new)
        self._passwords.may_become(new)
        try:
            await self.set_own_password(new)
        except StanzaError as error:
            if error.condition not in ("timeout", "offline"):
                self._passwords.stays(new)
            raise
        self._keys.clear()
        self._passwords.became(new)

    # --- sending

    def post(self, element: Element) -> bool:
        """Sends a stanza now; False if there is no session. `Failed` if it is larger than servers take."""
        if self._stream is None or not self._stream.live:
            self._not_sent += 1
            return False
        self._stream.post(element)
        self._sent += 1
        return True

    async def drain(self) -> None:
        """Waits until the network has taken most of what was sent."""
        if self._stream is not None:
            await self._stream.drain()

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        """The answer to a request of ours; `StanzaError` (a `Failed`) with its condition else."""
        return await self._inbox.requests.ask(self._post_request, to, kind, content, within or self._times.ask)

    async def upload(self, name: str, file: BinaryIO, size: int, kind: str) -> str:
        """The link to a file that was put on our server (XEP-0363); `Failed` says why it was not."""
        from amon.xmpp.upload import upload  # seldom needed

        return await upload(self.ask, self._login, self._context(), name, file, size, kind)

    def _post_request(self, element: Element) -> None:
        if not self.post(element):
            raise StanzaError("offline", "there is no session with the server")

    # --- presence

    def set_presence(self, show: str, status: str, health: str | None = None) -> None:
        """What we show from now on, in this session and the next ones: to contacts, and (no health) to the rooms."""
        self._shown = (show, status, health)
        self._show_soon()

    def set_facts(self, facts: Mapping[str, Iterable[str]], mark: str) -> None:
        """What service discovery tells about this site; `mark` goes with presence, so that a change is noticed."""
        self._inbox.facts = {name: tuple(values) for name, values in facts.items()}
        self._site = mark
        self._show_soon()

    async def _announce(self) -> None:
        """First presence of a session, after those who may no longer see it were removed."""
        if not self._announced:
            await self.review()
        self._announced = True
        self._show()

    def _show_soon(self) -> None:
        """Facts and health that are set together make one presence."""
        if self._announced and self._showing is None:
            self._showing = asyncio.get_running_loop().call_soon(self._show)

    def _show(self) -> None:
        self._showing = None
        self.post(outgoing.presence(*self._shown, self._site))
        for room in self._inbox.rooms.values():
            if room.joined:
                self.post(outgoing.presence(*self._shown, self._site, f"{room.address}/{room.nick}"))

    def dress(self, presence: Element) -> None:
        """See `keeper.Line`."""
        show, status, _ = self._shown
        presence.extend(outgoing.presence(show, status, None, None, "-"))

    async def review(self) -> None:
        """Takes our presence from those who may not (or no longer) see it.

        The contacts are asked for in any case: RFC 6121, 2.2; who did not is not told of subscriptions that end.
        """
        try:
            contacts = await self.roster()
        except StanzaError as error:
            self._log.warning("%s: contacts not reviewed: %s", self.account, error)
            return
        for contact in contacts:
            if self._guards_presence and contact.sees_us and not self._listener.may_see(contact.jid):
                self.post(outgoing.directed("unsubscribed", contact.jid))

    # --- rooms

    def _add(self, address: str) -> Keeper:
        room = Room(bare(address), self._login.nick or self.account.partition("@")[0])
        keeper = Keeper(room, self, self._listener.room, self._times, self._clock, self._random)
        self._inbox.add(keeper)
        return keeper

    def _keep(self, keeper: Keeper) -> None:
        assert self._group is not None
        if keeper.task is not None:
            keeper.task.cancel()
        keeper.task = self._group.create_task(keeper.keep())

    async def enter(self, room: str, *, create: bool = False) -> RoomState:
        """Goes into a room and stays; the outcome of the first try. One that does not exist is made with `create`."""
        keeper = self._inbox.keepers.get(bare(room)) or self._add(room)
        keeper.may_create = keeper.may_create or create
        if self._group is None:
            raise StanzaError("offline", "there is no session with the server")
        if not keeper.room.joined:
            keeper.begin()
            self._keep(keeper)
        return await keeper.wait_state()

    async def leave(self, room: str) -> None:
        """Goes out of a room and stays out."""
        keeper = self._inbox.remove(bare(room))
        if keeper is None:
            return
        if keeper.room.joined:
            self.post(outgoing.directed("unavailable", f"{keeper.room.address}/{keeper.room.nick}"))
        if keeper.task is not None:
            keeper.task.cancel()
            await asyncio.wait((keeper.task,))

    def occupants(self, room: str) -> tuple[Occupant, ...]:
        """Who is in a room, as far as it tells us."""
        known = self._inbox.rooms.get(room)
        return tuple(known.occupants.values()) if known else ()

    def statistics(self) -> Statistics:
        inbox = self._inbox
        return Statistics(self._sessions, self._resumed, inbox.received, inbox.dropped, self._sent, self._not_sent)
