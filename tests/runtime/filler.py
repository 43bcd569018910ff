"""Somebody at a form of the site cern: asks as a client does, and reads what it would show."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from amon.runtime.forms import Forms
from amon.runtime.incoming import Door
from amon.xmpp.commands import Action, Asked, Entry, Fault, Reply, Stage
from tests.runtime.scene import ALICE, DOOR, Site


class Filler:
    """Goes on with the form that was shown last. Each step has an id of its own, as a client gives it."""

    def __init__(self, lab: Site, door: Door = DOOR, *, by: str = ALICE, forms: Forms | None = None) -> None:
        self.lab, self.by, self.full = lab, by, f"{by}/desk"
        self.tasks: set[asyncio.Task[None]] = set()
        self.sweeps: set[asyncio.Task[None]] = set()
        self.forms = forms or Forms(lab.node, door, self._start)
        self.count = 0
        self.node = self.session = ""

    def other(self, by: str, resource: str = "desk") -> "Filler":
        """Somebody else at the same site, who knows what this one knows."""
        made = Filler(self.lab, by=by, forms=self.forms)
        made.full, made.node, made.session = f"{by}/{resource}", self.node, self.session
        return made

    async def reply(self, asked: Asked) -> Reply:
        async with asyncio.timeout(20):
            return await self.forms.answer(asked)

    def asked(
        self, action: Action = "execute", values: dict[str, tuple[str, ...]] | None = None, ident: str = ""
    ) -> Asked:
        self.count += 1
        return Asked("do", self.by, self.full, ident or f"iq{self.count}", self.node, action, self.session, values)

    async def do(self, action: Action = "execute", ident: str = "", **values: str) -> Reply:
        filled: dict[str, tuple[str, ...]] | None = {name: (one,) for name, one in values.items()} or None
        return self._took(await self.reply(self.asked(action, filled, ident)))

    async def begin(self, node: str) -> Stage:
        """The first stage of a command."""
        self.node, self.session = node, ""
        return stage(await self.do())

    async def go_on(self, **values: str) -> Stage:
        return stage(await self.do("complete", **values))

    async def names(self) -> list[str]:
        """The nodes that he is shown."""
        listed = await self.reply(Asked("list", self.by, self.full, "l", "http://jabber.org/protocol/commands"))
        return [node for node, _ in listed.items] if not isinstance(listed, Fault) else []  # type: ignore[union-attr]

    def _took(self, reply: Reply) -> Reply:
        if isinstance(reply, Stage):
            self.session = reply.session
        return reply

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        kept = self.sweeps if "sweep" in repr(work) else self.tasks
        kept.add(task)
        task.add_done_callback(kept.discard)


def stage(reply: Reply) -> Stage:
    assert isinstance(reply, Stage), reply
    return reply


def fault(reply: Reply) -> str:
    """The condition of an error."""
    assert isinstance(reply, Fault), reply
    return reply.condition


def entry(shown: Stage, var: str) -> Entry:
    (found,) = [one for one in shown.entries if one.var == var]
    return found


def said(shown: Stage) -> str:
    """All that a person reads of it."""
    note = [shown.note[1]] if shown.note else []
    return "\n".join([*note, shown.text, *(f"{one.label} {one.value}".strip() for one in shown.entries)])
