"""`amon server restore`: a server that lost everything is given its accounts, room, members and admins again.

Each site gets the secret it was enrolled with; its agent, refused with its own password, tries that one, is in, and
changes it at once. Nobody enrolls again. What is there already is left as it is, so that this can be said again, and
said to a server that was moved with its data. One that came back with old data knows passwords that its sites have
changed since: there the accounts of sites that do not come are given that secret, too.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from admin_console.provision.book import Book, Person, SiteEntry
from admin_console.provision.desk import Desk, is_there
from admin_console.provision.steps import Steps, each
from admin_console.server.files import write_private
from admin_console.session import Session, logged_in
from amon.errors import Failed
from amon.files import below
from amon.xmpp.faults import StanzaError
from amon.xmpp.roster import Member

_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Made:
    """Whether an account was made now, or was there; and then, whether it was given its first secret again."""

    fresh: bool
    again: bool = False


async def restore(desk: Desk, *, from_backup: bool = False) -> Steps:
    """Everything the book knows, on the server of the console, whose own account has to be an admin there.

    from_backup: its data is older than some passwords; sites that are there keep theirs.
    """
    book = desk.book.read()
    if not book.sites and not book.people:
        raise Failed(f"the fleet book {desk.book.path} is empty; next: book = FILE in {desk.console.config}")
    steps = Steps("server restore", desk.said)
    async with logged_in(desk.console) as session:
        sites = [entry for entry in book.sites.values() if entry.state in ("invited", "approved") and entry.secret]
        await steps.do("accounts of sites", _sites(session, desk, sites, from_backup), "amon server restore")
        people = [person for person in book.people.values() if person.account]
        if people:
            await steps.do("accounts of people", _people(session, desk, people), "amon server restore")
        if await steps.do("room", _room(session), "amon room create"):
            await steps.do("members and admins", _standings(session, desk, book), "amon server restore")
    return steps


async def _sites(session: Session, desk: Desk, sites: Sequence[SiteEntry], from_backup: bool) -> str:
    async def make(entry: SiteEntry) -> Made:
        made = await _account(session, entry.jid, entry.secret)
        if made.fresh or not from_backup or await is_there(session, entry.jid):
            return made
        await session.connection.set_password(entry.jid, entry.secret)
        return Made(fresh=False, again=True)

    ended = await each(make, sites, desk.progress)
    return _told([(entry.name, end) for entry, end in ended])


async def _people(session: Session, desk: Desk, people: Sequence[Person]) -> str:
    """Their passwords are known to nobody but them: they get new ones."""
    folder = desk.folder / "passwords"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def make(person: Person) -> Made:
        password = secrets.token_urlsafe(18)
        made = await _account(session, person.jid, password)
        if made.fresh:
            write_private(_password_file(folder, person), f"{password}\n")
        return made

    ended = await each(make, people, desk.progress)
    return f"{_told([(person.jid, end) for person, end in ended])}; new passwords in {folder}"


def _password_file(folder: Path, person: Person) -> Path:
    return below(folder, person.jid)


async def _account(session: Session, jid: str, password: str) -> Made:
    try:
        await session.connection.add_account(jid, password)
    except StanzaError as error:
        if error.condition != "conflict":
            raise
        return Made(fresh=False)
    return Made(fresh=True)


async def _room(session: Session) -> str:
    await session.connection.create_room(session.room)
    return f"{session.room} is members-only, real addresses shown"


async def _standings(session: Session, desk: Desk, book: Book) -> str:
    ours = session.connection.account
    approved = [entry for entry in book.sites.values() if entry.state == "approved"]
    wanted = [Member(entry.jid, "member") for entry in approved]
    wanted += [Member(person.jid, "admin") for person in book.people.values() if person.jid != ours]

    async def let_in(member: Member) -> Made:
        await session.connection.set_members(session.room, [member])
        return Made(fresh=True)

    ended = await each(let_in, wanted, desk.progress)
    for entry in approved:
        session.connection.invite(session.room, entry.jid)
    _told([(member.jid, end) for member, end in ended])
    return f"{len(approved)} sites, {len(wanted) - len(approved)} people"


def _told(ended: Sequence[tuple[str, Made | Failed]]) -> str:
    """How many; `Failed`, with some of those, if any could not be made."""
    failed = [(name, end) for name, end in ended if isinstance(end, Failed)]
    fresh = sum(1 for _, end in ended if isinstance(end, Made) and end.fresh)
    if failed:
        named = "; ".join(f"{name}: {fault}" for name, fault in failed[:_MOST_NAMED])
        more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        raise Failed(f"{len(failed)} of {len(ended)} failed: {named}{more}")
    again = sum(1 for _, end in ended if isinstance(end, Made) and end.again)
    given = f", {again} of them given their first secret again" if again else ""
    return f"{fresh} made, {len(ended) - fresh} were there{given}"
