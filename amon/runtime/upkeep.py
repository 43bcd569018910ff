"""`maintenance`: people say that they work on the site or on one instance, and until when."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from amon.command import Call, command
from amon.errors import Refused
from amon.fields import Field
from amon.health import SITE, Maintenance
from amon.module import Env, Module
from amon.text import did_you_mean

if TYPE_CHECKING:
    from amon.runtime.node import Node

Scope = Annotated[str, Field("an instance, or `site` for all", pattern=r"[\w.@-]+", longest=64, complete="scopes")]
Reason = Annotated[str, Field("why, for the others", pattern=r"[^\x00-\x1f]+", longest=200)]
For = Annotated[float, Field("how long", unit="s", least=60, most=30 * 86_400)]


@dataclass(frozen=True, slots=True)
class Work:
    scope: Annotated[str, Field("instance, or site")]
    until: Annotated[float, Field("end, seconds since the epoch", unit="1")]
    reason: Annotated[str, Field("why")]
    by: Annotated[str, Field("who began it")]
    text: Annotated[str, Field("the same in words")]

    def __str__(self) -> str:
        return self.text


class MaintenanceModule(Module[None]):
    """Its instance is called `maintenance`. It keeps nothing itself: the node does, in its journal."""

    def __init__(self, env: Env[None], node: "Node") -> None:
        super().__init__(env)
        self._node = node

    @command(role="operator", effect="change")
    async def begin(self, call: Call, duration: For, reason: Reason, scope: Scope = SITE) -> Work:
        """Say that somebody works here: nothing is restarted by itself and nobody is alarmed, until it ends."""
        one = self._made(call, duration, reason, scope)
        await self._node.begin_maintenance(one)
        return _work(one)

    @begin.plan
    async def begin_plan(self, call: Call, duration: For, reason: Reason, scope: Scope = SITE) -> Work:
        return _work(self._made(call, duration, reason, scope))

    @command(role="operator", effect="change")
    async def end(self, call: Call, scope: Scope = SITE) -> Work:
        """End a maintenance before its time."""
        one = self._running(scope)
        await self._node.end_maintenance(scope)
        return replace(_work(one), text=f"ended: {one}")

    @end.plan
    async def end_plan(self, call: Call, scope: Scope = SITE) -> Work:
        return _work(self._running(scope))

    @command()
    async def maintenance(self, call: Call) -> list[Work]:
        """The maintenances under way."""
        return [_work(one) for one in self._node.maintenances().values()]

    def scopes(self) -> list[str]:
        return [SITE, *(instance.name for instance in self._node.instances())]

    def _made(self, call: Call, seconds: float, reason: str, scope: str) -> Maintenance:
        if scope not in self.scopes():
            guess = did_you_mean(scope, self.scopes()) or "; a reason of several words goes in quotes"
            raise Refused(f"there is no instance {scope!r}{guess}")
        return Maintenance(scope, self.env.clock.time() + seconds, reason, call.asker.jid)

    def _running(self, scope: str) -> Maintenance:
        running = self._node.maintenances()
        if scope not in running:
            raise Refused(f"no maintenance of {scope!r} is under way; there is: {', '.join(running) or 'none'}")
        return running[scope]


def _work(one: Maintenance) -> Work:
    return Work(one.scope, one.until, one.reason, one.by, str(one))
