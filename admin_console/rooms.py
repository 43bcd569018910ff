"""The room a fleet meets in: made by our recipe, its members and admins, and whether sites can trust it."""

from collections.abc import Sequence

from admin_console.session import Console, Session, logged_in
from admin_console.tables import Grid
from amon.errors import Failed, Invalid
from amon.xmpp.address import bare
from amon.xmpp.faults import StanzaError
from amon.xmpp.roster import Member

STANDINGS = ("owner", "admin", "member", "outcast")


async def create_room(console: Console, members: Sequence[str], admins: Sequence[str]) -> str:
    """Made, or brought to what is wanted; what was there already stays. A line that says so."""
    members, admins = [_account(jid) for jid in members], [_account(jid) for jid in admins]
    async with logged_in(console) as session:
        await session.connection.create_room(session.room, members=members, admins=admins)
    named = [f"; {what}: {', '.join(jids)}" for what, jids in (("members", members), ("admins", admins)) if jids]
    return f"{console.settings.room} is ready: members-only, real addresses shown{''.join(named)}"


def _account(jid: str) -> str:
    """Without a name before the `@` it is a server; a room would take that, too, and nobody could take it out again."""
    account = bare(jid)
    if "@" not in account:
        raise Invalid(f"'{jid[:64]}' is no account such as site-1@agents.example.org")
    return account


async def add_to_room(console: Console, jid: str, affiliation: str) -> None:
    async with logged_in(console) as session:
        await session.connection.set_members(session.room, [Member(bare(jid), affiliation)])


async def show_room(console: Console) -> tuple[Grid, str]:
    """Who has which standing, and a line about the room."""
    async with logged_in(console) as session:
        state = await session.connection.enter(session.room)
        if not state.joined:
            raise Failed(f"the room {session.room} cannot be entered: {state.reason}; next: amon room create")
        people = await _standings(session)
    rows = tuple((member.affiliation, member.jid) for member in people)
    safe = "safe: members-only, real addresses shown" if state.safe else "NOT SAFE: no site obeys here"
    step = "" if state.safe else "; next: its owner runs amon room create"
    return Grid(("standing", "address"), rows), f"{session.room} is {safe}{step}"


async def _standings(session: Session) -> list[Member]:
    try:
        return await session.connection.members(session.room, STANDINGS)
    except StanzaError as error:
        if error.condition in ("forbidden", "not-allowed"):
            raise Failed(f"only admins of {session.room} may see who belongs to it") from None
        raise
