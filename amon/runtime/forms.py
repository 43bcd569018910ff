"""The front for forms: every command by filling in, from the same declarations, through the same dispatch. XEP-0050.

A form goes fields, confirmation, result; each only where there is something to ask. What is filled in becomes a line
(formfields.py) that Dispatch reads, judges, plans, journals and runs like any other; no stage goes around it. What
changes anything is shown as a plan first and asked about, whatever the policy says of typed lines: a form is clicked
through faster than a line is typed. Each step asks the policy of the moment again, and only who began goes on.
"""

import logging
import secrets
from collections.abc import Coroutine
from typing import Any

from amon.access import Quota
from amon.ids import new_id
from amon.runtime import formmenu as menu
from amon.runtime.formsession import Heard, Session, Sessions
from amon.runtime.formsteps import Site, Start, Steps
from amon.runtime.incoming import Door, Incoming
from amon.words import Asker
from amon.xmpp.commands import Asked, Fault, Nodes, Reply

_SWEEP_EVERY = 60.0
_QUICKEST = (240, 60.0)  # steps of one person in so many seconds

_NOTHING = Fault("service-unavailable")  # what a stranger hears of any request
_UNKNOWN = Fault("item-not-found", "there is no such command here")
_GONE = Fault("item-not-found", "this form is over, or not yours; begin it again", special="bad-sessionid")
_BUSY = Fault("unexpected-request", "the last step of this form is not over yet", "wait")


class Forms:
    """start: runs what may outlast the request that began it, and ends with the account."""

    def __init__(self, site: Site, door: Door, start: Start) -> None:
        self._site, self._door, self._start = site, door, start
        self._clock = site.clock
        self.sessions = Sessions(site.clock)
        self._steps = Steps(site, door, start)
        self._quota = Quota(*_QUICKEST)
        self._sweeping = False
        self._log = logging.getLogger("amon.forms")

    async def answer(self, asked: Asked) -> Reply:
        """What to answer; may take some seconds."""
        asker = Asker(asked.sender, asked.full)
        if self._door.authority.is_agent(asker):
            return _NOTHING
        if not self._door.authority.decide(asker, None, self._clock.time()).allowed:
            return await self._to_stranger(asked, asker)
        if not self._quota.take(asker.jid, self._clock.monotonic()):
            return Fault("resource-constraint", f"more than {_QUICKEST[0]} requests in a minute; wait", "wait")
        if asked.fault:
            return Fault("bad-request", asked.fault, "modify")
        try:
            return await self._known(asked, asker)
        except Exception:  # told by its number, as everywhere
            number = secrets.token_hex(3).upper()
            self._log.exception("incident %s: bug in a form", number)
            return Fault("internal-server-error", f"bug in this form, incident {number}; the site's log has the rest")

    async def _known(self, asked: Asked, asker: Asker) -> Reply:
        if asked.kind == "list":
            return Nodes(menu.nodes(self._steps.allowed(asker)))
        if asked.kind == "about":
            return menu.about(asked.node, self._steps.allowed(asker)) or _UNKNOWN
        return await (self._go_on(asked, asker) if asked.session else self._begin(asked, asker))

    async def _to_stranger(self, asked: Asked, asker: Asker) -> Reply:
        """Dispatch refuses and writes it down; he hears what he would where there is no agent at all."""
        session = self.sessions.find(asked.session, asked.full)
        if session is not None:  # he was somebody when he began
            self.sessions.close(session)
        if asked.kind == "do":
            await self._steps.handle(
                Incoming(new_id(self._clock.time()), asker, asked.node, self._door, typed=True), Heard()
            )
        return _NOTHING

    async def _begin(self, asked: Asked, asker: Asker) -> Reply:
        if asked.action != "execute":
            return _GONE
        instance, command = menu.find(asked.node, self._site.offered())
        if command is None and not self._steps.allowed(asker).get(instance):
            return _UNKNOWN
        session = self.sessions.open(asker, asked.node, instance, command)
        if not self._sweeping:
            self._sweeping = True
            self._start(self._sweep())
        return await self._step(session, asked, self._steps.first(session))

    async def _sweep(self) -> None:
        """While there are forms: those that nobody touches are forgotten though nobody may ever ask again."""
        try:
            while len(self.sessions):
                await self._clock.sleep(_SWEEP_EVERY)
                self.sessions.sweep()
        finally:
            self._sweeping = False

    async def _go_on(self, asked: Asked, asker: Asker) -> Reply:
        session = self.sessions.find(asked.session, asked.full)
        if session is None or asked.node != session.node:
            return _GONE
        told = session.repeated(asked)
        if told is not None:
            return told
        if session.busy:
            return await self._steps.cancel(session) if asked.action == "cancel" else _BUSY
        if session.stage == "over":
            return _GONE
        return await self._step(session, asked, self._steps.next(session, asked))

    async def _step(self, session: Session, asked: Asked, step: Coroutine[Any, Any, Reply]) -> Reply:
        session.busy = True
        try:
            return session.remember(asked, await step)
        finally:
            session.busy = False
