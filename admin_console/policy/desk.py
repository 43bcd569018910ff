"""What is done with the fleet's policy: made, shown, signed and brought; a person put into it and taken out."""

import difflib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from admin_console.policy.pushing import Obeyed, next_serial, obeyed, push, signed_elsewhere
from admin_console.policy.signing import LASTS, Shelf, Signed, body, bundle_text, sign_bundle, still_named
from admin_console.policy.source import PolicyFile
from admin_console.session import Session, Setup, in_fleet
from admin_console.settings import data_path
from admin_console.wish import Report, chosen
from amon.access import Authority, Policy
from amon.access.bundle import unsigned
from amon.access.sshkey import PublicKey
from amon.access.window import shown
from amon.errors import Failed, Invalid
from amon.runtime.signing import Sign
from amon.target import All, Expression
from amon.words import Asker, State
from amon.xmpp.address import bare

_LOOK = "next: amon policy push shows all that would change, and asks"

Agree = Callable[[str, str], Awaitable[bool]]
"""The difference to what is in force, and the question -> whether a person says yes."""


@dataclass(frozen=True, slots=True)
class PolicyDesk:
    """source: what people edit. shelf: what was signed. sign: with the organisation's key."""

    console: Setup
    source: PolicyFile
    shelf: Shelf
    organisation: tuple[PublicKey, ...]
    sign: Sign

    @classmethod
    def of(cls, console: Setup) -> "PolicyDesk":
        settings = console.settings
        path = settings.policy or data_path(settings.room) / "policy.toml"
        try:
            keys = tuple(PublicKey.from_line(line) for line in settings.organisation)
        except Invalid as wrong:
            raise Failed(f"`organisation` in {console.config}: {wrong}") from None
        return cls(console, PolicyFile(path), Shelf(path), keys, partial(_sign, console))

    def init(self) -> Path:
        """A first policy, in which only the person at this console may everything."""
        from admin_console.signing import public_half

        settings = self.console.settings
        key = public_half(settings.key)[0] if settings.key is not None else None
        self.source.make(bare(settings.room), bare(settings.jid), key)
        return self.source.path

    def check(self) -> None:
        """`Failed` tells what is wrong with it; nothing is signed or sent."""
        self._text(1, LASTS)

    def still_named(self, jid: str) -> str:
        """What gives a person something whom nothing names any more, and the next step; empty for nothing."""
        line = still_named(self.source.text(), jid, self.console.clock.time())
        step = f"next: change that in {self.source.path}, then amon policy push"
        return f"{jid} is still meant by {line}; {step}" if line else ""

    def difference(self) -> str:
        """What would change, as lines of `diff -u`; empty for nothing."""
        before, after = body(self.shelf.last()), self.source.text()
        names = ("in force", str(self.source.path))
        return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), *names))

    async def push(self, target: Expression, *, again: bool, lasts: float, agree: Agree) -> tuple[Signed, Report]:
        """Sign what stands in the file, if it is new, and bring it to the sites. again: only what was signed last."""
        async with in_fleet(self.console) as session:
            await session.fleet.look_up()
            names = await chosen(session, target)
            signed = self._last() if again else await self._signed(session, names, lasts, agree)
            return signed, await push(session, signed, names, target)

    async def show(self, target: Expression) -> tuple[Signed | None, list[Obeyed]]:
        """What was signed last, and what each site obeys."""
        async with in_fleet(self.console) as session:
            await session.fleet.look_up()
            names = await chosen(session, target)
            return self.shelf.last(), obeyed([session.fleet.sites[name] for name in names], session.fleet.known)

    async def _signed(self, session: Session, names: Sequence[str], lasts: float, agree: Agree) -> Signed:
        last, change = self.shelf.last(), self.difference()
        told = obeyed(session.sites(), session.fleet.known)
        ours = last.bundle.serial if last else 0
        serial, newer = next_serial(ours, told), signed_elsewhere(ours, told)
        text = self._text(serial, lasts)
        what = f"{newer}\n" * bool(newer) + (change or "(the same as before, good for longer)\n") + self._left_out(text)
        if not await agree(what, f"sign this as policy {serial} and bring it to {len(names)} sites?"):
            raise Failed("not signed; nothing was changed")
        signed = await sign_bundle(text, self.sign, self.organisation)
        self.shelf.put(signed)
        return signed

    def _left_out(self, text: str) -> str:
        """A warning for whoever is about to take every right from himself."""
        settings = self.console.settings
        authority = Authority(Policy(), settings.agents or "", bundle=unsigned(text.encode()))
        if authority.decide(Asker(bare(settings.jid)), None, self.console.clock.time()).allowed:
            return ""
        return f"after this {settings.jid} may nothing at any site\n"

    def _last(self) -> Signed:
        last = self.shelf.last()
        if last is None:
            raise Failed("nothing was signed yet; next: amon policy push")
        late = last.bundle.out_of_date(self.console.clock.time())
        if late:
            raise Failed(f"{late}; next: amon policy push signs a new one")
        return last

    def _text(self, serial: int, lasts: float) -> str:
        room = bare(self.console.settings.room)
        return bundle_text(self.source.text(), room, serial, self.console.clock.time(), lasts)


class FleetGrants:
    """A person put into the policy of all sites, or taken out, and the sites told at once."""

    def __init__(self, desk: PolicyDesk) -> None:
        self._desk = desk

    async def grant(self, jid: str, role: str) -> str:
        return await self._changed(lambda source: source.grant(jid, role))

    async def withdraw(self, jid: str) -> str:
        said = await self._changed(lambda source: source.withdraw(jid))
        left = self._desk.still_named(jid)
        if left:
            raise Failed(f"{said}; {left}")
        return said

    async def _changed(self, change: Callable[[PolicyFile], object]) -> str:
        """Only this change is brought: nobody has said yes to what else is in the file, or missing in it."""
        desk = self._desk
        was_signed = desk.shelf.last() is not None
        open_edits = was_signed and desk.difference()
        change(desk.source)
        if not was_signed:
            raise Failed(f"written into {desk.source.path}, which was never signed, so sites obey their own; {_LOOK}")
        if not desk.difference():
            return "the policy of all sites says so already"
        if open_edits:
            raise Failed(f"written into {desk.source.path}, where other changes wait to be signed, too; {_LOOK}")
        signed, report = await desk.push(All(), again=False, lasts=LASTS, agree=_nothing_else)
        return told(signed, report)


def told(signed: Signed, report: Report) -> str:
    """How many sites obey it now, in a line. `Failed` if one refused it."""
    counts, until = report.book.counts(), shown(signed.bundle.expires)
    done = counts.get(State.done, 0)
    line = f"policy {signed.bundle.serial} is in force at {done} of {len(report.book)} sites until {until}"
    bad = [row.site for row in report.book.rows() if row.state in (State.refused, State.failed, State.invalid)]
    if bad:
        raise Failed(f"{line}; not taken by {', '.join(bad[:12])}; next: amon policy push --again tells why")
    return line if done == len(report.book) else f"{line}; next, when the others are back: amon policy push --again"


def grants_of(console: Setup) -> FleetGrants | None:
    """None where this console does not sign policies of the fleet."""
    desk = PolicyDesk.of(console)
    return FleetGrants(desk) if console.settings.organisation_key is not None and desk.source.path.exists() else None


async def _nothing_else(change: str, question: str) -> bool:
    """Whoever adds or removes a person has said what is to change, unless a colleague's policy would be replaced."""
    first = change.partition("\n")[0]
    if first.startswith("policy "):
        raise Failed(f"{first}; {_LOOK}")
    return True


async def _sign(console: Setup, message: bytes, namespace: str) -> str:
    from admin_console.signing import sign

    key = console.settings.organisation_key
    if key is None:
        raise Failed(f'no key of the organisation; next: organisation_key = "~/.ssh/organisation" in {console.config}')
    return await sign(message, namespace, key)
