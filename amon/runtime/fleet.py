"""The fleet as a console sees it: who belongs to it, how each is, and the mail that comes back.

Who belongs is the room's member list on the server, and nothing else. How a site is, is its presence, which reaches
this account because it is subscribed to. Tags and names of parts come by service discovery, once for each mark that a
presence carries.
"""

import asyncio
import contextlib
import logging
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from amon.access import Quota, Signers
from amon.clock import Clock
from amon.errors import Failed
from amon.runtime.about import mark_of, told_parts
from amon.runtime.mailbox import KEPT_MOST, Gate, Letter, Mailbox
from amon.runtime.proofs import opened
from amon.target import Facts
from amon.wire import HealthReport, WireError, decode_health, unseal
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.roster import Contact

GROUP = "amon sites"  # the group in everybody's contact list
AGENT_RESOURCE = "agent"
_LOOK_UPS = 50  # service discoveries under way at once
_COMPLAINTS = (5, 60.0)  # lines of log about one sender in so many seconds
_STRANGERS = ""  # all who are no site of ours, together
# Of presence and discovery: characters that are kept. An agent's own are far below.
_STATUS_MOST, _MARK_MOST, _FACTS_MOST = 1000, 64, 32_768
_MARKS_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Site:
    """One site: address, what its presence last said, and what discovery told.

    hidden: it does not let us see it, so nobody here knows whether it is there.
    """

    name: str
    jid: str
    online: bool = False
    resource: str = ""
    show: str = ""
    status: str = ""
    health: HealthReport | None = None
    mark: str = ""
    agent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] | None = None  # all parts, each with its module, where discovery told them
    changed: float | None = None  # epoch seconds of the last news
    hidden: bool = False

    @property
    def address(self) -> str:
        """Where a direct request goes: the agent's own resource, whether or not it was seen."""
        return f"{self.jid}/{self.resource or AGENT_RESOURCE}"

    def facts(self) -> Facts:
        report = self.health
        if report is None:
            return Facts(self.name, self.tags, online=self.online)
        parts = {name: state for name, _, state in report.bad}
        return Facts(self.name, self.tags, report.level, parts, frozenset(report.modules), self.known, self.online)


class Fleet:
    """The `Listener` of a console's connection. known: marks and what discovery told for them, from an earlier run.

    marks: by site, its last one then: a site that is away keeps its tags.
    keys: those of sites, which sign what their calls came to.
    """

    def __init__(
        self,
        clock: Clock,
        known: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
        keys: Signers | None = None,
        kept_most: int = KEPT_MOST,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self.sites: dict[str, Site] = {}
        self.rooms: dict[str, RoomState] = {}
        self.known = dict(known or {})
        self.keys = keys or Signers()
        self.trouble: Offline | None = None
        self.changed = asyncio.Event()
        self.connection: Connection
        self._marks = dict(marks or {})
        self._clock = clock
        self._by_jid: dict[str, str] = {}
        self._seen_early: dict[str, Seen] = {}
        self._refused_early: set[str] = set()
        self._mail: dict[str, Mailbox] = {}
        self._kept_most = kept_most
        self._gate = Gate()
        self._complaints = Quota(*_COMPLAINTS, known=_MARKS_MOST)
        self._log = logging.getLogger("amon.fleet")

    # Becoming complete

    async def enter(self, members: Iterable[str], elsewhere: Container[str] = ()) -> tuple[str, ...]:
        """Take these bare addresses as the fleet and see to it that their presence reaches us.

        The names of those whose word on it is not known yet: they show themselves, or refuse to, a moment later.
        elsewhere: names of sites of our other rooms, which stay in our contact list though they are no members here.
        """
        jids = sorted({jid.lower() for jid in members})
        locals_ = [jid.partition("@")[0] for jid in jids]
        for jid, local in zip(jids, locals_, strict=True):
            # Two sites of one name (agents of two domains) are told apart by the whole address.
            name = local if locals_.count(local) == 1 else jid
            self._by_jid[jid] = name
            site = Site(name, jid, hidden=jid in self._refused_early, mark=self._marks.get(name, ""))
            self.sites.setdefault(name, _told(site, self.known.get(site.mark)))
        self._refused_early.clear()
        for seen in list(self._seen_early.values()):
            self.seen(seen)
        self._seen_early.clear()
        contacts = {contact.jid: contact for contact in await self.connection.roster()}
        await self._forget(contacts.values(), elsewhere)
        return await self._subscribe(jids, contacts)

    async def _forget(self, contacts: Iterable[Contact], elsewhere: Container[str]) -> None:
        """Take those out of our group that are no members any more; what else is in the list is not ours to touch."""
        for contact in contacts:
            if contact.groups == (GROUP,) and contact.jid not in self._by_jid and contact.name not in elsewhere:
                await self.connection.unsubscribe(contact.jid)

    async def _subscribe(self, jids: list[str], contacts: Mapping[str, Contact]) -> tuple[str, ...]:
        missing = [jid for jid in jids if jid not in contacts or not contacts[jid].seen]
        for jid in missing:
            await self.connection.subscribe(jid, self._by_jid[jid], (GROUP,))
        # One that was asked before and said nothing is not there, and is not waited for at each login.
        return tuple(self._by_jid[jid] for jid in missing if jid not in contacts or not contacts[jid].asked)

    async def settle(self) -> None:
        """Until presence that was under way when we came has arrived: our own question to the server comes after it."""
        with contextlib.suppress(Failed):
            await self.connection.roster()

    async def look_up(self, *, unseen: bool = False) -> None:
        """Ask the sites whose mark is new for their tags and the names of their parts.

        unseen: also those whose presence has not come and of whom nothing is known: with some servers (ejabberd) it
        comes after the answer to what was asked later, and for a site that is away the server says so at once.
        """
        limit = asyncio.Semaphore(_LOOK_UPS)
        new = [
            site
            for site in self.sites.values()
            if site.mark not in self.known and (site.mark if site.online else unseen)
        ]
        async with asyncio.TaskGroup() as tasks:
            for site in new:
                tasks.create_task(self._look_up(site, limit))
        for name, site in self.sites.items():
            self.sites[name] = _told(site, self.known.get(site.mark))

    async def _look_up(self, site: Site, limit: asyncio.Semaphore) -> None:
        async with limit:
            try:
                found = await self.connection.facts(site.address)
                mark = self.sites[site.name].mark or mark_of(found)
                if mark_of(found) != mark:
                    raise Failed("what it tells does not fit the mark in its presence")
                if sum(len(name) + sum(map(len, values)) for name, values in found.items()) > _FACTS_MOST:
                    raise Failed("it tells more than is kept of one site")
                if len(self.known) >= _MARKS_MOST:
                    del self.known[next(iter(self.known))]
                self.known[mark] = found
                self.sites[site.name] = replace(self.sites[site.name], mark=mark)
            except Failed as fault:
                self._log.info("%s does not tell its tags: %s", site.name, fault)

    def facts(self) -> list[Facts]:
        return [site.facts() for site in self.sites.values()]

    # Mail

    @contextlib.contextmanager
    def mail(self, ident: str) -> Iterator[Mailbox]:
        """What comes back for the request `ident` while the block lasts."""
        queue = self._mail[ident] = Mailbox(self._kept_most)
        try:
            yield queue
        finally:
            del self._mail[ident]
            if queue.dropped:
                self._log.warning(
                    "%s letters for job %s were dropped: too many of one site waited", queue.dropped, ident
                )

    # What the connection tells (amon.xmpp.events.Listener)

    def received(self, message: Received) -> None:
        if message.payload is None or message.sender is None or message.room is not None:
            return
        known = self._by_jid.get(message.sender.lower())
        # Before anything is read or verified: that is what a flood would have us do.
        job = self._mail.get((message.id or "")[:26])  # what it says it is about; it may have made that up
        gate = job.gate if job is not None else self._gate
        if not gate.takes(known or _STRANGERS, len(message.payload), self._clock.monotonic()):
            self._complain(known or _STRANGERS, f"{message.sender} sends more than is read of one sender")
            return
        try:
            sealed, ours = unseal(message.payload), self.connection.account
            found = opened(sealed, message.sender, ours, self.keys, self._clock.time())
        except WireError as wrong:
            self._complain(known or _STRANGERS, f"from {message.sender}: {wrong}")
            return
        # What must not be read goes by the id of its message, which anybody could have made up.
        queue = self._mail.get(found.payload.id if found.payload is not None else (message.id or "")[:26])
        if queue is not None:
            # An address without an @ is that of a server; it must not look like a site's name.
            stranger = message.sender if "@" in message.sender else f"@{message.sender}"
            payload, size = queue.tamed(found.payload, len(message.payload)) if found.payload is not None else (None, 0)
            now, written = self._clock.monotonic(), len(message.payload)
            letter = Letter(known or stranger, payload, now, word=found.word, size=size, strange=known is None)
            queue.put_nowait(replace(letter, asked=found.asked, written=written))

    def _complain(self, who: str, text: str) -> None:
        """A line for each mistake of a site, as long as they are few."""
        if self._complaints.take(who, self._clock.monotonic()):
            self._log.warning("%s", text[:400])

    def bounced(self, bounce: Bounced) -> None:
        name = self._by_jid.get(bounce.to.partition("/")[0].lower())
        queue = self._mail.get((bounce.id or "")[:26])
        if name is not None and queue is not None:
            text, of = f"not there ({bounce.condition})", (bounce.id or "")[27:]
            queue.put_nowait(Letter(name, None, self._clock.monotonic(), of=of, text=text))

    def seen(self, presence: Seen) -> None:
        name = self._by_jid.get(presence.jid.lower())
        if name is None:
            self._keep_early(presence)
            return
        site = self.sites[name]
        if presence.refused:
            self.sites[name] = replace(site, hidden=True)
        elif not presence.available:
            if presence.resource == site.resource:
                # Of one that was never seen we do not know since when it is gone.
                changed = self._clock.time() if site.online else presence.at
                self.sites[name] = replace(site, online=False, status="", health=None, changed=changed)
                self._tell_jobs(name, gone=True)
        elif presence.health is not None:
            self.sites[name] = self._shown(site, presence)
            if not site.online:
                self._tell_jobs(name, here=True)
        self.changed.set()

    def _tell_jobs(self, name: str, *, gone: bool = False, here: bool = False) -> None:
        for queue in self._mail.values():
            queue.put_nowait(Letter(name, None, self._clock.monotonic(), gone=gone, here=here))

    def _keep_early(self, presence: Seen) -> None:
        """Of somebody whom the list of members, which is still to come, may name."""
        if len(self._seen_early) + len(self._refused_early) >= 10_000:
            return
        if presence.refused:
            self._refused_early.add(presence.jid.lower())
        else:
            self._seen_early[presence.jid] = presence

    def room(self, state: RoomState) -> None:
        self.rooms[state.room] = state
        self.changed.set()

    def online(self, event: Online) -> None:
        self.trouble = None
        if not event.resumed:
            # A new session is told anew who is there; what the last one knew may be long past.
            for name, site in self.sites.items():
                self.sites[name] = replace(site, online=False, status="", health=None, hidden=False)
        self._tell_jobs("", here=not event.resumed)
        self.changed.set()

    def offline(self, event: Offline) -> None:
        self.trouble = event
        self.changed.set()

    def may_see(self, jid: str) -> bool:
        return False  # sites learn who asks from the room; nobody needs a console's presence

    def _shown(self, site: Site, presence: Seen) -> Site:
        try:
            report = decode_health(presence.health or "")
        except WireError as wrong:
            self._complain(site.name, f"health of {site.name}: {wrong}")
            report = None
        shown = replace(
            site,
            online=True,
            hidden=False,
            resource=presence.resource,
            show=presence.show,
            status=presence.status[:_STATUS_MOST],
            health=report,
            mark=(presence.site or "")[:_MARK_MOST],
            changed=presence.at or self._clock.time(),
        )
        return _told(shown, self.known.get(shown.mark))


def _told(site: Site, facts: Mapping[str, tuple[str, ...]] | None) -> Site:
    if facts is None:
        return site
    tags = dict(pair.partition("=")[::2] for pair in facts.get("tag", ()) if "=" in pair)
    return replace(site, tags=tags, known=told_parts(facts), agent=next(iter(facts.get("agent", ())), ""))
