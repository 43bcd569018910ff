"""`amon admin add|remove`: account, room, contacts and policy of one person, everywhere at once and step by step."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from admin_console.provision.book import Person
from admin_console.provision.desk import Desk, unless
from admin_console.provision.steps import Steps
from admin_console.server.files import write_private
from admin_console.session import Session, Setup, logged_in
from amon.errors import Failed, Invalid
from amon.fields import Secret
from amon.runtime.fleet import GROUP
from amon.xmpp.address import bare
from amon.xmpp.roster import Member

ROLES = ("observer", "operator", "admin", "owner")


class Grants(Protocol):
    """The policy that all sites read: what gives a person a role in it and takes it away."""

    async def grant(self, jid: str, role: str) -> str: ...

    async def withdraw(self, jid: str) -> str: ...


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made. file: where its password goes; None gives it to `show`, once."""

    file: Path | None
    show: Callable[[str], None]


async def add_admin(
    desk: Desk, jid: str, role: str, *, account: NewAccount | None = None, grants: Grants | None = None
) -> Steps:
    """Gives somebody his place; said again it gives what is missing."""
    jid = _person(desk, jid)
    steps = Steps(f"admin add {jid}", desk.said)
    again = f"amon admin add {jid} --role {role}"
    async with logged_in(desk.console) as session:
        password = await _make_account(steps, session, desk, jid, account) if account else ""
        if account is not None and steps.failed:
            return steps
        await steps.do("room", _let_in(session, jid), again)
        _note(desk, Person(jid, role, bool(password), desk.console.settings.jid, desk.now()))
        await steps.do("policy", grants.grant(jid, role) if grants else _in_words(jid, role), again)
        if password:
            await steps.do("contacts", _fill_contacts(desk, jid, password), "the first `amon sites` of theirs does it")
        else:
            steps.note("contacts", "their first `amon sites` asks every site")
    return steps


async def remove_admin(desk: Desk, jid: str, *, delete_account: bool = False, grants: Grants | None = None) -> Steps:
    """Takes all of it; every step is tried."""
    jid = _person(desk, jid)
    if jid == bare(desk.console.settings.jid):
        raise Invalid(f"you are {jid} and cannot remove yourself; another admin can")
    steps = Steps(f"admin remove {jid}", desk.said)
    again = f"amon admin remove {jid}"
    async with logged_in(desk.console) as session:
        known = desk.book.read().people.get(jid)
        if delete_account or (known is not None and known.account):
            gone = session.connection.delete_account(jid)
            await steps.do("account", unless("item-not-found", gone, "was gone already", "deleted"), again)
        else:
            steps.note("account", "stays, amon did not make it", f"{again} --delete-account")
        put_out = session.connection.set_members(session.room, [Member(jid, "none")])
        await steps.do("room", put_out, again, f"out of {session.room}")
        await steps.do("policy", grants.withdraw(jid) if grants else _out_in_words(jid), again)
        steps.note("contacts", "sites take their presence back as their policies change")
    if not steps.failed:
        with desk.book.change() as change:
            change.book = change.book.without_person(jid)
    return steps


def _person(desk: Desk, jid: str) -> str:
    address = bare(jid)
    name, _, domain = address.rpartition("@")
    if not name:
        raise Invalid(f"'{jid[:64]}' is no account such as bob@{desk.people}")
    agents = {site.rpartition("@")[2] for site in desk.book.read().sites} | {desk.console.settings.agents}
    if domain in agents:
        raise Invalid(f"{address} is in the domain of sites, and no site obeys another; people are at {desk.people}")
    return address


async def _make_account(steps: Steps, session: Session, desk: Desk, jid: str, account: NewAccount) -> str:
    """Its password; empty if there is none that was made now."""
    domain = jid.rpartition("@")[2]
    if domain != desk.people:
        raise Invalid(f"accounts for people are made at {desk.people}, and not at {domain}")
    password = secrets.token_urlsafe(18)
    if account.file is not None and account.file.exists():
        raise Failed(f"{account.file} is there already; next: another file for the password")
    if not await steps.do("account", session.connection.add_account(jid, password), "leave --new-account away"):
        return ""
    if account.file is not None:
        write_private(account.file, f"{password}\n")
        steps.note("password", f"in {account.file}")
    else:
        account.show(password)
        steps.note("password", "shown once, above")
    return password


async def _let_in(session: Session, jid: str) -> str:
    await session.connection.set_members(session.room, [Member(jid, "admin")])
    return f"admin of {session.room}"


def _note(desk: Desk, person: Person) -> None:
    with desk.book.change() as change:
        old = change.book.people.get(person.jid)
        made = person.account or (old is not None and old.account)
        change.book = change.book.with_person(
            Person(person.jid, person.role, made, person.by, old.since if old else person.since)
        )


async def _fill_contacts(desk: Desk, jid: str, password: str) -> str:
    """Every site asked from the new account itself, so that a phone shows the fleet after its first login."""
    async with logged_in(desk.console) as ours:
        members = [bare(member.jid) for member in await ours.connection.members(ours.room)]
    async with logged_in(_console_of(desk.console, jid, password)) as theirs:
        for member in members:
            await theirs.connection.subscribe(member, member.partition("@")[0], (GROUP,))
    return f"asked {len(members)} sites"


def _console_of(console: Setup, jid: str, password: str) -> Setup:
    settings = replace(console.settings, jid=jid, password=Secret(password), password_file=None)
    return replace(console, settings=settings)


async def _in_words(jid: str, role: str) -> str:
    """What there is to do where no organisation signs policies for all sites."""
    line = f'{role} = [..., "{jid}"]'
    return f"each site's own: below [account.main.policy] of agent.toml {line}, then systemctl reload amon-agent"


async def _out_in_words(jid: str) -> str:
    return f'each site\'s own: "{jid}" out of [account.main.policy] of agent.toml, then systemctl reload amon-agent'
