"""`amon enroll`: an account for a new site, and the token that opens it once.

No server takes registrations here. The account is there before its token is, so a token is good for its own name only;
the first who uses it changes the password, so it is good once.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from admin_console.provision.book import SiteEntry
from admin_console.provision.desk import Desk, agents_domain, site_name
from admin_console.provision.pending import prune
from admin_console.provision.steps import each
from admin_console.session import Session, logged_in
from amon.access.invitation import Invitation
from amon.access.sshsig import PublicKey
from amon.errors import Failed, Invalid
from amon.xmpp.faults import StanzaError
from amon.xmpp.roster import Member

UNSURE = ("timeout", "offline")  # the server may have done it
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class Wish:
    """What tokens are to say. expires: seconds from now. host, port: what sites connect to, if not what we do."""

    expires: float
    domain: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None
    port: int | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """An entry that is noted and not yet made. known: if there is an account of that name, it is ours to take."""

    entry: SiteEntry
    old: SiteEntry | None
    known: bool


Results = list[tuple[str, Invitation | Failed]]


async def enroll(desk: Desk, names: Sequence[str], wish: Wish) -> Results:
    """Accounts and their invitations, in order; for each that was refused why, and what to do."""
    wanted = list(dict.fromkeys(site_name(name) for name in names))
    ca, keys = _authorities(desk), _organisation(desk)
    async with logged_in(desk.console) as session:
        domain = await agents_domain(session, desk, wish.domain)
        await prune(session, desk)
        noted = _note(desk, [f"{name}@{domain}" for name in wanted], wish)
        drafts = [draft for draft in noted if isinstance(draft, _Draft)]
        ended = {
            draft.entry.jid: end
            for draft, end in await each(lambda draft: _make(session, desk, draft), drafts, desk.progress)
        }
        _settle(desk, [entry for entry in ended.values() if isinstance(entry, SiteEntry)])
    results: Results = []
    for name, draft in zip(wanted, noted, strict=True):
        end = draft if isinstance(draft, Failed) else ended[draft.entry.jid]
        results.append((name, end if isinstance(end, Failed) else _invitation(desk, end, wish, ca, keys)))
    return results


def _note(desk: Desk, jids: Sequence[str], wish: Wish) -> list[_Draft | Failed]:
    """In the book before anything is made: what a console that dies in between has made is known to the next one."""
    noted: list[_Draft | Failed] = []
    with desk.book.change() as change:
        for jid in jids:
            old = change.book.sites.get(jid)
            if old is not None and old.state != "made" and not wish.again:
                noted.append(Failed(_why_not(old)))
                continue
            entry = _entry(desk, jid, wish, old)
            change.book = change.book.with_site(entry)
            noted.append(_Draft(entry, old, wish.again or old is not None))
    return noted


def _entry(desk: Desk, jid: str, wish: Wish, old: SiteEntry | None) -> SiteEntry:
    now = desk.now()
    return SiteEntry(
        jid,
        secrets.token_urlsafe(32),
        by=desk.console.settings.jid,
        issued=now,
        expires=now + wish.expires,
        since=now,
        old_keys=(*old.old_keys, *((old.key,) if old.key else ())) if old else (),
        tags=dict(wish.tags) or (dict(old.tags) if old else {}),
    )


def _why_not(entry: SiteEntry) -> str:
    name = entry.name
    if entry.state == "invited":
        return f"a token for {name} is out already; next: amon enroll --list, or amon enroll --again {name} for another"
    if entry.state == "approved":
        return f"{name} is a site of this fleet; next: amon enroll --again {name} if it was built anew"
    return f"{name} was revoked; next: amon enroll --again {name} lets it come back"


async def _make(session: Session, desk: Desk, draft: _Draft) -> SiteEntry:
    """The account with the secret of the entry as its password."""
    entry = draft.entry
    try:
        await session.connection.add_account(entry.jid, entry.secret)
    except StanzaError as error:
        if error.condition == "conflict" and draft.known:
            return await _take_over(session, desk, entry)
        if error.condition not in UNSURE:
            _undo(desk, draft)
        if error.condition == "conflict":
            raise Failed(
                f"there is an account {entry.jid} already that the fleet book does not know; "
                f"next: amon enroll --again {entry.name} takes it over, and whoever uses it now is out"
            ) from None
        raise
    return entry


async def _take_over(session: Session, desk: Desk, entry: SiteEntry) -> SiteEntry:
    """A site that comes again waits for its approval again: the token alone must not open the room."""
    await session.connection.set_members(session.room, [Member(entry.jid, "none")])
    desk.keys.remove(entry.jid)
    await session.connection.set_password(entry.jid, entry.secret)
    return entry


def _undo(desk: Desk, draft: _Draft) -> None:
    with desk.book.change() as change:
        if change.book.sites.get(draft.entry.jid) == draft.entry:
            book = change.book.without_site(draft.entry.jid)
            change.book = book.with_site(draft.old) if draft.old else book


def _settle(desk: Desk, made: Sequence[SiteEntry]) -> None:
    with desk.book.change() as change:
        for entry in made:
            change.book = change.book.with_site(replace(entry, state="invited"))


def _authorities(desk: Desk) -> str | None:
    """What sites are to trust: the console's own authorities, if it has a file of them."""
    path = desk.console.settings.ca_file
    if path is None:
        return None
    try:
        found = _PEM.findall(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        raise Failed(f"the CA file {path} cannot be read") from None
    if not found:
        raise Failed(f"{path} holds no CA certificate in PEM form")
    return "\n".join(found) + "\n"


def _organisation(desk: Desk) -> tuple[str, ...]:
    """The keys that may sign a policy for the new sites, without their comments."""
    lines = desk.console.settings.organisation
    try:
        return tuple(PublicKey.from_line(line).line for line in lines)
    except Invalid as wrong:
        raise Failed(f"`organisation` in {desk.console.config}: {wrong}") from None


def _invitation(desk: Desk, entry: SiteEntry, wish: Wish, ca: str | None, organisation: tuple[str, ...]) -> Invitation:
    settings = desk.console.settings
    return Invitation(
        jid=entry.jid,
        password=entry.secret,
        room=settings.room,
        inviter=settings.jid,
        expires=entry.expires,
        host=wish.host or settings.host,
        port=wish.port or settings.port,
        tls=settings.tls,
        ca=ca,
        pins=settings.pins,
        organisation=organisation,
        tags=entry.tags,
    )
