"""How long this host has been up. Source: `btime` of proc_stat(5), read through psutil."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import psutil

from amon.command import Call, command
from amon.fields import Field
from amon.health import Health
from amon.module import Env, Module


@dataclass(frozen=True, slots=True)
class Settings:
    settle: Annotated[float, Field("shown as away this long after boot", unit="s", least=0)] = 300


@dataclass(frozen=True, slots=True)
class Uptime:
    seconds: Annotated[float, Field("time since boot", unit="s", least=0)]

    def __str__(self) -> str:
        minutes = int(self.seconds // 60)
        return f"up {minutes // 1440} d {minutes // 60 % 24:02} h {minutes % 60:02} min"


class UptimeModule(Module[Settings]):
    def __init__(self, env: Env[Settings], boot: Callable[[], float] = psutil.boot_time) -> None:
        super().__init__(env)
        self._boot = boot

    @command(role="observer")
    async def uptime(self, call: Call) -> Uptime:
        """Time since this host booted."""
        return Uptime(self._age())

    async def run(self) -> None:
        """A host that has just booted becomes ok without anybody asking."""
        # The time of day may be set while this sleeps, which goes by the other clock: look again.
        while (left := self.env.settings.settle - self._age()) > 0:
            await self.env.clock.sleep(left)
        self.env.changed()

    def health(self) -> Health:
        return Health.good("up") if self._age() >= self.env.settings.settle else Health.fair("just booted", state="new")

    def _age(self) -> float:
        # A clock stepped back after boot must not show a negative age.
        return max(0.0, self.env.clock.time() - self._boot())
