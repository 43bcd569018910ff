"""What each step of a form does: from what was filled in to a line for Dispatch, and from what comes back to a page.

A stage is never skipped for what a client sends: what stands in the form decides, not the name of the action.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Protocol

from amon.access import BadSignature
from amon.clock import Clock
from amon.command import Command, Grammar, Param
from amon.command.complete import Candidates
from amon.command.grammar import Offered, title
from amon.errors import Invalid
from amon.ids import new_id, typed_id
from amon.runtime import formmenu as menu
from amon.runtime import formpages as pages
from amon.runtime.dispatch import Dispatch
from amon.runtime.formfields import faults, is_yes, line_of, merged
from amon.runtime.formsession import Heard, Session
from amon.runtime.incoming import Door, Incoming
from amon.runtime.seals import LONGEST_LIFE, REFUSAL
from amon.runtime.wanted import wanted_of
from amon.text import LONGEST_LINE
from amon.wire import Challenge, Ended
from amon.words import Asker, State
from amon.xmpp.commands import Asked, Fault, Reply

PATIENCE = 10.0  # seconds after which a form is answered that it goes on; clients give up after 20 or 30
_SECOND = 2.0  # the same where a second person is waited for, who will not be that quick
_LAST_WORDS = 2.0  # seconds to wait for the end of what was cancelled
_LONGEST_CHALLENGE = 1900  # characters
_NO_WAY = Fault("bad-request", "this is not possible here", "modify", "bad-action")

Start = Callable[[Coroutine[Any, Any, None]], object]


class Site(Protocol):
    """What a form needs of a node."""

    dispatch: Dispatch
    clock: Clock

    def offered(self) -> Offered: ...

    @property
    def candidates(self) -> Candidates: ...


class Steps:
    """start: runs what may outlast the request that began it, and ends with the account."""

    def __init__(self, site: Site, door: Door, start: Start) -> None:
        self._site, self._door, self._start = site, door, start
        self._clock = site.clock
        self._log = logging.getLogger("amon.forms")

    def allowed(self, asker: Asker) -> dict[str, dict[str, Command]]:
        """What he may ask for, by instance."""
        return menu.allowed(self._door, asker, self._site.offered(), self._clock)

    async def first(self, session: Session) -> Reply:
        if session.command is None:
            return self._choose(session)
        if not self._may(session):
            return await self._refused(session)
        return self._fields(session) if session.command.params else await self._plan(session)

    async def next(self, session: Session, asked: Asked) -> Reply:
        if session.command is not None and not self._may(session):
            return await self._refused(session)
        if asked.action == "cancel":
            return await self.cancel(session)
        if asked.action == "prev":
            return self._back(session)
        values = asked.values or {}
        if session.stage == "choose":
            return await self._chosen(session, values)
        if session.stage == "fields":
            return await self._filled(session, values)
        if session.stage == "confirm":
            return await self._confirmed(session, values)
        if session.stage == "sign":
            return await self._signed(session, values)
        return await (self.cancel(session) if is_yes(values.get("cancel", ())) else self._look(session))

    async def _chosen(self, session: Session, values: Mapping[str, tuple[str, ...]]) -> Reply:
        name = "".join(values.get("command", ()))
        session.command = self.allowed(session.asker).get(session.instance, {}).get(name)
        if session.command is None:
            return self._choose(session, ("error", "choose one of these"))
        session.given = {}
        return await self.first(session)

    async def _filled(self, session: Session, values: Mapping[str, tuple[str, ...]]) -> Reply:
        assert session.command is not None
        size = sum(len(value) for param in session.command.params for value in values.get(param.name, ()))
        if size > LONGEST_LINE:  # no line could say it, and until the end of the form it would be kept
            text = f"what is filled in is {size} characters long; at most {LONGEST_LINE} are taken"
            return Fault("bad-request", text, "modify")
        session.given = merged(session.command, session.given, values)
        return await self._plan(session)

    async def _plan(self, session: Session) -> Reply:
        """Read and judged; done if it only reads, else planned. Sent again it is the same request by its id."""
        assert session.command is not None
        line = line_of(session.instance, session.command, session.given)
        ident = typed_id(session.asker.jid, None, f"form {session.id} {line}")
        return await self._run(session, Incoming(ident, session.asker, line, self._door, typed=True, careful=True))

    async def _confirmed(self, session: Session, values: Mapping[str, tuple[str, ...]]) -> Reply:
        assert session.incoming is not None
        if not is_yes(values.get("confirm", ())):
            return pages.confirm(session, ("warn", "nothing was done yet: say yes to it, or cancel"))
        return await self._run(session, replace(session.incoming, confirmed=True))

    async def _signed(self, session: Session, values: Mapping[str, tuple[str, ...]]) -> Reply:
        """A signature that was pasted, with or without the `ok` that `amon sign` prints before it."""
        challenge, incoming = session.challenge, session.incoming
        assert challenge is not None
        assert incoming is not None
        pasted = "".join(values.get("signature", ())).strip()
        pasted = pasted[3:].strip() if pasted[:3].lower() == "ok " else pasted
        if pasted.lower() in ("", "ok"):  # of several words profanity sends the first
            return self._sign(session, ("warn", "nothing was done yet: paste what stands behind the ok, or cancel"))
        try:
            key = self._site.dispatch.seals.answers(challenge, pasted, self._door, self._clock.time())
        except BadSignature as bad:
            await self._site.dispatch.reject(replace(incoming, line=""), str(bad), Heard())
            return self._sign(session, ("error", REFUSAL))
        return await self._run(session, replace(incoming, asker=replace(session.asker, key=key), confirmed=True))

    def _back(self, session: Session) -> Reply:
        if session.stage in ("confirm", "sign") and session.command is not None and session.command.params:
            return self._fields(session)
        grouped = session.node == session.instance and session.stage in ("fields", "confirm", "sign")
        return self._choose(session) if grouped and session.command is not None and self._is_group(session) else _NO_WAY

    def _is_group(self, session: Session) -> bool:
        """Whether it began with the choice; an instance may also bear the name of its one command."""
        return menu.find(session.node, self._site.offered())[1] is None

    # What runs, and what becomes of it

    async def handle(self, incoming: Incoming, heard: Heard) -> None:
        try:
            await self._site.dispatch.handle(incoming, heard)
        except Exception:
            number = incoming.id[-6:]
            self._log.exception("incident %s: bug on the way of a form", number)
            heard.ended(Ended(incoming.id, State.failed, f"bug, incident {number}; the site's log has the rest"))

    def _may(self, session: Session) -> bool:
        assert session.command is not None
        return menu.may(self._door, session.asker, session.instance, session.command, self._clock)

    async def _refused(self, session: Session) -> Reply:
        """What he may not, or not any more: Dispatch says why and writes it down."""
        command, heard = session.command, Heard()
        assert command is not None
        line, now = title(session.instance, command), self._clock.time()
        decision = menu.decide(self._door, session.asker, session.instance, command, self._clock)
        incoming = Incoming(new_id(now), session.asker, line, self._door, typed=True)
        await self._site.dispatch.refuse(incoming, decision, command.effect, heard)
        return self._end(session, pages.refusal(session, heard.outcome))

    async def _run(self, session: Session, incoming: Incoming) -> Reply:
        session.incoming, session.heard, session.stage = incoming, Heard(), "doing"
        self._start(self.handle(incoming, session.heard))
        return await self._look(session)

    async def _look(self, session: Session) -> Reply:
        """What it came to, what it asks, or after a while that it goes on."""
        heard, command, incoming = session.heard, session.command, session.incoming
        assert command is not None
        assert incoming is not None
        await heard.wait(self._clock, _SECOND if self._needs_second(incoming) else PATIENCE)
        if session.stage != "doing":  # cancelled by another request meanwhile
            return pages.cancelled(session, None)
        if heard.word is not None:
            return self._asks(session, heard)
        if heard.outcome is None and command.streams:
            self._site.dispatch.cancel(incoming.key)
            await heard.wait(self._clock, _LAST_WORDS)
            heard.outcome = Ended(incoming.id, State.done, f"{len(heard.lines)} lines so far")
        if heard.outcome is not None:
            return self._told(session, heard.outcome)
        return pages.doing(session, heard.doing)

    def _needs_second(self, incoming: Incoming) -> bool:
        if not incoming.confirmed:
            return False
        try:
            wanted = wanted_of(Grammar(self._site.offered()).read(incoming.line))
        except Invalid:
            return False
        return self._door.authority.needs_second(wanted)

    def _asks(self, session: Session, heard: Heard) -> Reply:
        assert heard.word is not None
        effect, plan, signature = heard.word
        session.plan = (effect, plan)
        if signature:
            session.challenge = None
            return self._sign(session)
        session.stage = "confirm"
        return pages.confirm(session)

    def _told(self, session: Session, outcome: Ended) -> Reply:
        """The end; but what was filled in wrongly is shown again with what is wrong, and nothing is lost."""
        assert session.command is not None
        assert session.incoming is not None
        may_mend = session.command.params and not session.incoming.confirmed
        if may_mend and outcome.state in (State.invalid, State.refused):
            return self._fields(session, outcome)
        return self._end(session, pages.result(session, outcome))

    def _end(self, session: Session, reply: Reply) -> Reply:
        session.forget()
        return reply

    async def cancel(self, session: Session) -> Reply:
        """What waits is forgotten; what runs is ended, and if it had ended already, that is told."""
        outcome = None
        if session.stage == "doing" and session.incoming is not None:
            heard = session.heard
            if self._site.dispatch.cancel(session.incoming.key):
                await heard.wait(self._clock, _LAST_WORDS)
            outcome = heard.outcome
        return self._end(session, pages.cancelled(session, outcome))

    # What is shown on the way

    def _choose(self, session: Session, note: pages.Note | None = None) -> Reply:
        session.stage, session.command = "choose", None
        return pages.choose(session, self.allowed(session.asker).get(session.instance, {}), note)

    def _fields(self, session: Session, outcome: Ended | None = None) -> Reply:
        assert session.command is not None
        session.stage = "fields"
        wrong = faults(session.command, session.given) if outcome is not None else {}
        return pages.fields(session, self._known_values(session), wrong, outcome)

    def _known_values(self, session: Session) -> Callable[[Param], list[str]]:
        def known(param: Param) -> list[str]:
            method = param.item.field.complete or param.hint.field.complete
            return list(self._site.candidates(session.instance, method)) if method else []

        return known

    def _sign(self, session: Session, note: pages.Note | None = None) -> Reply:
        """The line to sign, made anew where the last one is too old."""
        assert session.incoming is not None
        now, incoming = int(self._clock.time()), session.incoming
        if session.challenge is None or session.challenge.expires < now:
            until = now + int(LONGEST_LIFE)
            session.challenge = Challenge(incoming.id, self._door.jid, incoming.asker.jid, now, until, incoming.line)
        text = str(session.challenge)
        if not text.isprintable() or len(text) > _LONGEST_CHALLENGE:
            return self._end(session, pages.unsignable(session))
        session.stage = "sign"
        return pages.sign(session, text, note)
