"""Who was invited and has not come yet, and what nobody used in time: that is taken back."""

from dataclasses import dataclass

from admin_console.provision.book import SiteEntry
from admin_console.provision.desk import Desk, opens, shown_key, unless
from admin_console.provision.steps import each
from admin_console.session import Session, logged_in
from amon.errors import Failed


@dataclass(frozen=True, slots=True)
class Waiting:
    """A site that is not in the fleet yet. key: fingerprint that its agent shows; empty if it shows none."""

    entry: SiteEntry
    how: str
    key: str = ""


async def waiting(desk: Desk) -> list[Waiting]:
    """Everybody whose token is out, after those that are too old were taken back."""
    async with logged_in(desk.console) as session:
        await prune(session, desk)
        entries = [entry for entry in desk.book.read().sites.values() if entry.state == "invited"]
        found = await each(lambda entry: _look(session, desk, entry), entries, desk.progress)
    return [end if isinstance(end, Waiting) else Waiting(entry, f"not known: {end}") for entry, end in found]


async def _look(session: Session, desk: Desk, entry: SiteEntry) -> Waiting:
    key = await shown_key(session, entry.jid)
    if key is not None:
        return Waiting(entry, "waits for approval", key.fingerprint)
    if await opens(desk, entry.jid, entry.secret):
        return Waiting(entry, "token not used yet")
    return Waiting(entry, "enrolled; its agent is not there")


async def prune(session: Session, desk: Desk) -> list[str]:
    """Takes back what nobody has used in time: the account, and with it the token. The names of those."""
    now = desk.now()
    old = [entry for entry in desk.book.read().sites.values() if entry.state in ("made", "invited")]
    late = [entry for entry in old if entry.expires <= now]
    ended = await each(lambda entry: _take_back(session, desk, entry), late, desk.progress)
    gone = [entry for entry, was_unused in ended if was_unused is True]
    with desk.book.change() as change:
        for entry in gone:
            if change.book.sites.get(entry.jid) == entry:
                change.book = change.book.without_site(entry.jid)
    for entry in gone:
        desk.said(f"the token for {entry.name} was not used in time; its account is gone")
    for entry, fault in ended:
        if isinstance(fault, Failed):
            desk.said(f"the token for {entry.name} has expired and could not be taken back: {fault}")
    return [entry.name for entry in gone]


async def _take_back(session: Session, desk: Desk, entry: SiteEntry) -> bool:
    """Whether it was unused. The first to use a token changes the password, so whether the old one opens tells."""
    if entry.state == "invited" and not await opens(desk, entry.jid, entry.secret):
        return False
    await unless("item-not-found", session.connection.delete_account(entry.jid), "")
    return True
