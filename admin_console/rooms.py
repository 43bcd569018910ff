"""The room a fleet meets in: made by our recipe, its members and admins, and whether sites can trust it."""

from collections.abc import Sequence

from admin_console.session import Session, Setup, logged_in, standing_of
from admin_console.tables import Grid, Listing
from amon.errors import Failed, Invalid
from amon.xmpp.address import bare
from amon.xmpp.faults import StanzaError
from amon.xmpp.roster import Member

STANDINGS = ("owner", "admin", "member", "outcast")


async def create_room(console: Setup, members: Sequence[str], admins: Sequence[str]) -> str:
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


async def add_to_room(console: Setup, jid: str, affiliation: str) -> None:
    async with logged_in(console) as session:
        await session.connection.set_members(session.room, [Member(bare(jid), affiliation)])


async def remove_from_room(console: Setup, jids: Sequence[str]) -> str:
    """Their standing taken away; nothing at all is done if one of them has none, or is us. A line that says so."""
    gone = [bare(jid) for jid in jids]
    async with logged_in(console) as session:
        room, ours = session.room, session.connection.account
        if ours in gone:
            raise Invalid(f"you are {ours} and cannot take yourself out of {room}")
        state = await session.connection.enter(room)
        if not state.joined:
            raise Failed(f"the room {room} cannot be entered: {state.reason}; next: amon room create")
        held = {member.jid: member.affiliation for member in await _standings(session)}
        strangers = [jid for jid in gone if jid not in held]
        if strangers:
            raise Failed(f"{', '.join(strangers)} has no standing in {room}; nothing was changed; next: amon room show")
        # XEP-0045, 9.5 and 10.6: the server would say so, too, but only when it came to them.
        above = [jid for jid in gone if held[jid] in ("admin", "owner")]
        if above and standing_of(session, state.nick) != "owner":
            raise Failed(f"only an owner of {room} may take {', '.join(above)} out; nothing was changed")
        await session.connection.set_members(room, [Member(jid, "none") for jid in gone])
    return f"taken out of {room}: {', '.join(gone)}"


async def show_room(console: Setup) -> Listing:
    """Who has which standing, and a line about the room."""
    async with logged_in(console) as session:
        state = await session.connection.enter(session.room)
        if not state.joined:
            raise Failed(f"the room {session.room} cannot be entered: {state.reason}; next: amon room create")
        people = await _standings(session)
    rows = tuple((member.affiliation, member.jid) for member in people)
    safe = "safe: members-only, real addresses shown" if state.safe else "NOT SAFE: no site obeys here"
    step = "" if state.safe else "; next: its owner runs amon room create"
    return Listing(
        "people",
        [{"standing": member.affiliation, "address": member.jid} for member in people],
        Grid(("standing", "address"), rows),
        (f"{session.room} is {safe}{step}",),
        {"room": session.room, "safe": state.safe},
        () if state.safe else (session.room,),
    )


async def _standings(session: Session) -> list[Member]:
    try:
        return await session.connection.members(session.room, STANDINGS)
    except StanzaError as error:
        if error.condition in ("forbidden", "not-allowed"):
            raise Failed(f"only admins of {session.room} may see who belongs to it") from None
        raise
