"""Where sites are enrolled and taken out: console, fleet book, the file of the sites' keys, and small checks."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from admin_console.provision.book import BookFile, SiteEntry
from admin_console.provision.keyring import SiteKeys
from admin_console.session import Session, Setup
from admin_console.settings import data_path
from amon.access.sshsig import PublicKey
from amon.errors import Failed, Invalid
from amon.runtime.fleet import AGENT_RESOURCE
from amon.target import Name, parse
from amon.xmpp import names
from amon.xmpp.address import bare
from amon.xmpp.faults import StanzaError, Unreachable
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from amon.xmpp.visit import visiting

# The last one: an agent that is just logging in, or something else that has its name.
_GONE = ("recipient-unavailable", "service-unavailable", "item-not-found", "timeout", "feature-not-implemented")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all of this is done with. folder: for what else is written down.

    said: hears what happens; progress: how many of how many are done.
    """

    console: Setup
    book: BookFile
    keys: SiteKeys
    folder: Path
    said: Callable[[str], None] = lambda text: None
    progress: Callable[[int, int], None] = lambda done, of: None

    @classmethod
    def of(cls, console: Setup) -> "Desk":
        settings = console.settings
        place = data_path(settings.room)
        book = BookFile(settings.book or place / "book.json")
        return cls(console, book, SiteKeys(settings.site_keys or place / "site_keys"), place)

    @property
    def people(self) -> str:
        """The domain of people."""
        return self.console.settings.jid.rpartition("@")[2].lower()

    def now(self) -> float:
        return self.console.clock.time()

    def trust(self) -> ssl.SSLContext:
        return tls_context(self.console.settings.ca_file)

    def login(self, jid: str, password: str) -> Login:
        """How somebody else logs in where this console does."""
        settings = self.console.settings
        proxy = None if settings.proxy is None else settings.proxy.reveal()
        return Login(
            jid, password, host=settings.host, port=settings.port, tls=settings.tls, proxy=proxy, pins=settings.pins
        )


def site_name(name: str) -> str:
    """A site's name as targets mean it; `Invalid` for what would mean something else there."""
    try:
        plain = parse(name) == Name(name) and not set(name) & set("*?")
    except Invalid:
        plain = False
    if not plain or len(name) > 64:
        raise Invalid(
            f"'{name[:64]}' cannot be the name of a site: small letters, digits and - . _ +, no word of targets"
        )
    return name


async def agents_domain(session: Session, desk: Desk, said: str | None) -> str:
    """The domain of the sites' accounts: as said, as configured, or that of the sites there are."""
    domain = said or desk.console.settings.agents or await _learnt(session, desk)
    if domain.lower() == desk.people:
        raise Invalid(
            f"{domain} is the domain of people; sites obey nobody of their own domain, so they need another one"
        )
    return domain.lower()


async def _learnt(session: Session, desk: Desk) -> str:
    found = {jid.rpartition("@")[2] for jid in desk.book.read().sites}
    if not found:
        try:
            members = await session.connection.members(session.room)
        except StanzaError:
            members = []
        found = {bare(member.jid).rpartition("@")[2] for member in members} - {desk.people}
    if len(found) != 1:
        why = f"there are sites of {', '.join(sorted(found))}" if found else "there is no site yet to learn it from"
        raise Failed(f'which domain are sites in? {why}; next: agents = "agents.example.org" in {desk.console.config}')
    return found.pop()


async def known_site(session: Session, desk: Desk, name: str) -> SiteEntry:
    """The site of this name or address: in the book, or a member of the room that came there some other way."""
    entry = desk.book.read().site(name)
    if entry is not None:
        return entry
    jids = {bare(member.jid) for member in await session.connection.members(session.room)}
    found = sorted(jid for jid in jids if name in (jid, jid.partition("@")[0]))
    if not found:
        raise Failed(f"neither the fleet book nor {session.room} knows a site {name}; next: amon sites")
    if len(found) > 1:
        raise Failed(f"there are {len(found)} sites called {name}; next: say one of {', '.join(found)}")
    return SiteEntry(found[0])


async def opens(desk: Desk, jid: str, password: str) -> bool:
    """Whether this password is (still) that of the account; a look that nobody notices."""
    try:
        async with visiting(desk.login(jid, password), desk.trust()):
            return True
    except Unreachable as fault:
        if fault.fault.word == "not-authorized":
            return False
        raise Failed(fault.fault.text) from None


async def shown_key(session: Session, jid: str) -> PublicKey | None:
    """The key that the agent of this account shows us; None if there is none, or what it shows is no key."""
    try:
        facts = await session.connection.facts(f"{jid}/{AGENT_RESOURCE}")
    except StanzaError as error:
        if error.condition in _GONE:
            return None
        raise
    try:
        return PublicKey.from_line(next(iter(facts.get("key", ())), ""))
    except Invalid:  # whoever has a token may show what he likes
        return None


async def is_there(session: Session, jid: str) -> bool:
    """Whether the site's agent has a session: then it answers, if only that it does not know us."""
    try:
        await session.connection.ask(f"{jid}/{AGENT_RESOURCE}", "get", Element(names.PING))
    except StanzaError as error:
        if error.condition in _GONE:
            return False
        raise
    return True


async def unless(condition: str, work: Awaitable[None], otherwise: str, done: str = "") -> str:
    """What to say of `work`; an error with this condition means that there was nothing to do."""
    try:
        await work
    except StanzaError as error:
        if error.condition != condition:
            raise
        return otherwise
    return done
