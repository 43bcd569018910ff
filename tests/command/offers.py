"""What the instances of these tests offer: an agent, a service module, two probes and an uptime."""

from collections.abc import Mapping
from typing import Annotated, Literal

from amon.command import Call, Command, command, commands_of
from amon.fields import Field

Unit = Annotated[str, Field("the unit", pattern=r"[\w@.-]+", longest=64, complete="units")]


class Agent:
    @command()
    async def help(self, call: Call) -> None:
        """What there is."""

    @command()
    async def status(self, call: Call) -> None:
        """How this site is."""


class Service:
    @command()
    async def list(self, call: Call) -> None:
        """All services."""

    @command()
    async def status(self, call: Call, name: Unit | None = None) -> None:
        """How a service is."""

    @command(role="operator", effect="change")
    async def restart(self, call: Call, names: Annotated[tuple[Unit, ...], Field(longest=3)]) -> None:
        """Restart services."""

    @restart.plan
    async def _(self, call: Call, names: Annotated[tuple[Unit, ...], Field(longest=3)]) -> None: ...

    @command(role="admin", effect="danger")
    async def kill(
        self,
        call: Call,
        name: Unit,
        signal: Annotated[Literal["TERM", "KILL"], Field("which signal")] = "TERM",
        after: Annotated[float, Field("wait so long first", unit="s", least=1, most=600)] = 10,
        force_it: bool = False,
        gently: bool = True,
        token: Annotated[str, Field("a password", pattern=r".*", longest=64, secret=True)] = "hush",
    ) -> None:
        """Kill a service.

        There is no way back.
        """

    @kill.plan
    async def _kill(
        self,
        call: Call,
        name: Unit,
        signal: Annotated[Literal["TERM", "KILL"], Field("which signal")] = "TERM",
        after: Annotated[float, Field("wait so long first", unit="s", least=1, most=600)] = 10,
        force_it: bool = False,
        gently: bool = True,
        token: Annotated[str, Field("a password", pattern=r".*", longest=64, secret=True)] = "hush",
    ) -> None: ...


class Probe:
    @command()
    async def ping(
        self, call: Call, host: Unit, count: Annotated[int, Field("how many", least=1, most=100)] = 3
    ) -> None:
        """Ping a host."""


class Uptime:
    @command()
    async def uptime(self, call: Call) -> None:
        """How long."""


OFFERED: Mapping[str, Mapping[str, Command]] = {
    "agent": commands_of(Agent),
    "service": commands_of(Service),
    "uplink": commands_of(Probe),
    "inside": commands_of(Probe),
    "uptime": commands_of(Uptime),
}
