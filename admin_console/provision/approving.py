"""`amon approve`: a person has compared keys; now the site belongs to the fleet. `amon revoke`: now it does not.

Before its approval a site is in no room and no fleet, whatever it says. A revocation touches one site only.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from admin_console.policy.desk import PolicyDesk, told
from admin_console.policy.signing import LASTS
from admin_console.provision.book import SiteEntry
from admin_console.provision.desk import Desk, shown_key, unless
from admin_console.provision.steps import Steps
from admin_console.session import Session, Setup
from amon.access.sshsig import PublicKey
from amon.errors import Failed, Invalid
from amon.runtime.fleet import GROUP
from amon.target import parse
from amon.xmpp.roster import Member

Bring = Callable[[str], Awaitable[str]]
_FINGERPRINT = "SHA256:"
_LOOK_EVERY = 0.5  # seconds; nothing tells of an agent that is in no contact list yet


async def look(session: Session, entry: SiteEntry, within: float = 0) -> PublicKey:
    """The key that the site shows; `Failed` if it may not be approved at all. within: seconds to wait for its agent."""
    name = entry.name
    if entry.state == "revoked":
        raise Failed(f"{name} was revoked; next: amon enroll --again {name}")
    key = await shown_key(session, entry.jid)
    until = session.clock.monotonic() + within
    while key is None and session.clock.monotonic() < until:
        await session.clock.sleep(_LOOK_EVERY)
        key = await shown_key(session, entry.jid)
    if key is None:
        raise Failed(
            f"no agent of {entry.jid} shows a key to {session.connection.account}; next: amon-agent enroll and "
            f"amon-agent run at the site; until its policy names others, only {entry.by or 'its inviter'} can ask it"
        )
    if entry.state == "approved" and key.line != entry.key:
        known = PublicKey.from_line(entry.key).fingerprint
        raise Failed(
            f"{name} shows the key {key.fingerprint}, and was approved with {known}; "
            f"next: amon enroll --again {name} if it was built anew, else somebody has its account: amon revoke {name}"
        )
    return key


def had_before(entry: SiteEntry, key: PublicKey) -> str:
    """What to think of where a site comes back with a key that was taken out of the believed ones; empty else."""
    if key.line not in entry.old_keys:
        return ""
    return (
        f"{entry.name} had this key before it was revoked or invited again; next, if its host was in other hands: "
        f"delete the file that `key` in its agent.toml names, then amon enroll --again {entry.name}"
    )


def compare(entry: SiteEntry, key: PublicKey, wanted: str) -> None:
    """Nothing if the fingerprint is that of the key; `Failed` else, and nothing is done."""
    given = wanted.strip().removeprefix(_FINGERPRINT).rstrip("=")
    if len(given) != 43:
        raise Invalid(f"'{wanted[:80]}' is no fingerprint; it looks like SHA256: and 43 letters, as the site showed it")
    if f"{_FINGERPRINT}{given}" != key.fingerprint:
        raise Failed(
            f"{entry.jid} shows the key {key.fingerprint}, and not the one you gave; nothing was changed; "
            f"next: read the fingerprint at the site again; if it still differs: amon revoke {entry.name}"
        )


def bringer(console: Setup) -> Bring | None:
    """Brings the policy of all sites to a new one; None where this console has none."""
    policy = PolicyDesk.of(console)
    if policy.shelf.last() is None:
        return None

    async def bring(name: str) -> str:
        return told(*await policy.push(parse(name), again=True, lasts=LASTS, agree=_nobody_asks))

    return bring


async def _nobody_asks(change: str, question: str) -> bool:
    return False


async def approve(session: Session, desk: Desk, entry: SiteEntry, key: PublicKey, bring: Bring | None = None) -> Steps:
    """Into the fleet, with this key. Said again it does the same again."""
    steps, connection, room = Steps(f"approve {entry.name}", desk.said), session.connection, session.room

    async def note_key() -> str:
        desk.keys.put(entry.jid, key)
        return f"{key.fingerprint} in {desk.keys.path}"

    async def call_in() -> None:
        connection.invite(room, entry.jid)

    again = f"amon approve {entry.name}"
    good = await steps.do("key", note_key(), again)
    if good:
        let_in = connection.set_members(room, [Member(entry.jid, "member")])
        good = await steps.do("room", let_in, again, f"member of {room}")
    if good:
        await steps.do("contact", connection.subscribe(entry.jid, entry.name, (GROUP,)), again, "in your contacts")
        await steps.do("invitation", call_in(), again, "its agent is called into the room")
        now = desk.now()
        desk.book.put(replace(entry, state="approved", key=key.line, since=now))
        if bring is not None:
            await steps.do("policy", bring(entry.name), "amon policy push --again")
    return steps


async def revoke(session: Session, desk: Desk, entry: SiteEntry) -> Steps:
    """Out of the fleet, and nobody else is touched: every step is tried, and said again it does what is left."""
    steps, connection, jid = Steps(f"revoke {entry.name}", desk.said), session.connection, entry.jid
    again = f"amon revoke {entry.name}"

    async def drop_contact() -> str:
        if jid not in {contact.jid for contact in await connection.roster()}:
            return "was not in your contacts"
        await connection.unsubscribe(jid)
        return "out of your contacts"

    async def drop_key() -> str:
        return f"out of {desk.keys.path}" if desk.keys.remove(jid) else "was none"

    gone = await steps.do(
        "account", unless("item-not-found", connection.delete_account(jid), "was gone already", "deleted"), again
    )
    put_out = connection.set_members(session.room, [Member(jid, "none")])
    await steps.do("room", put_out, again, f"out of {session.room}")
    await steps.do("contact", drop_contact(), again)
    await steps.do("key", drop_key(), again)
    keys = (*entry.old_keys, *((entry.key,) if entry.key and entry.key not in entry.old_keys else ()))
    left = replace(entry, key="", old_keys=keys, since=desk.now())
    # While the account lives its secret may be needed, and the site is not out of everything.
    desk.book.put(replace(left, state="revoked", secret="") if gone else left)
    return steps
