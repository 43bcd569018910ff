"""A module for the tests of this room: commands that end in every way there is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from amon.command import Call, command
from amon.errors import Failed, Refused
from amon.fields import Field, Secret
from amon.health import Health
from amon.module import Env, Module

Words = Annotated[str, Field("any words", pattern=r"[^\n]*", longest=2000)]


@dataclass(frozen=True, slots=True)
class Settings:
    well: Annotated[bool, Field("whether its health is good")] = True
    fails: Annotated[bool, Field("whether `try` and `late` fail")] = False
    waits: Annotated[bool, Field("whether `late` and `write` wait for the gate")] = False


@dataclass(frozen=True, slots=True)
class Said:
    text: Annotated[str, Field("as it is to be read")]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Disk:
    name: Annotated[str, Field("where it is mounted")]
    size: Annotated[int, Field("what it holds", unit="B")]


class OddModule(Module[Settings]):
    def __init__(self, env: Env[Settings]) -> None:
        super().__init__(env)
        self._kept = env.state / "kept"
        self.gate = asyncio.Event()

    @command(role="observer")
    async def echo(self, call: Call, words: Words = "") -> Said:
        """Say it again."""
        return Said(words)

    @command(role="observer")
    async def shelf(self, call: Call, lines: Annotated[int, Field("so many", least=1, most=1_000_000)] = 10) -> Said:
        """So many lines."""
        return Said("\n".join(f"book {number}" for number in range(lines)))

    @command(role="observer")
    async def disks(self, call: Call) -> list[Disk]:
        """Some rows."""
        return [Disk("/", 64 * 2**30), Disk("/data", 2 * 2**40)]

    @command(role="observer")
    async def try_(self, call: Call) -> Said:
        """Works, where it is not set to fail."""
        if self.env.settings.fails:
            raise Failed("the disk is full\nfirst line\nsecond line")
        return Said("it works")

    @command(role="observer")
    async def deny(self, call: Call) -> Said:
        """Is refused by the module itself."""
        raise Refused("not today; ask on Monday")

    @command(role="observer", timeout=3600.0)
    async def late(self, call: Call) -> Said:
        """As `try`, and where it is set to wait only after the gate was opened."""
        if self.env.settings.waits:
            call.progress(1, 4, "waiting at the gate")
            await self.gate.wait()
        return await self.try_(call)

    @command(role="observer", timeout=3600.0)
    async def hang(self, call: Call) -> Said:
        """Never ends by itself."""
        call.progress(1, 4, "hanging")
        await asyncio.Event().wait()
        return Said("never")

    @command(role="observer", timeout=3600.0)
    async def follow(self, call: Call, words: Words = "tick") -> AsyncIterator[Said]:
        """Say it again and again."""
        number = 0
        while True:
            number += 1
            yield Said(f"{words} {number}")
            await asyncio.sleep(0.1)

    @command(role="observer", replaces=True)
    async def paint(self, call: Call) -> AsyncIterator[Said]:
        """Draw a picture as wide as it may be, again and again."""
        number = 0
        while True:
            number += 1
            yield Said("\n".join(f"stroke {line} of {number:04}" + " ~" * 200 for line in range(5)))
            await asyncio.sleep(0.1)

    @command(role="observer")
    async def unlock(self, call: Call, word: Annotated[Secret, Field("it", pattern=".*", longest=64)]) -> Said:
        """Open it."""
        return Said("opened")

    @command(role="operator", effect="change")
    async def keep(self, call: Call, words: Words) -> Said:
        """Write it down."""
        with self._kept.open("a") as file:
            file.write(words + "\n")
        return Said(f"kept {words}")

    @keep.plan
    async def _(self, call: Call, words: Words) -> Said:
        return Said(f"would keep {words}")

    @command(role="owner", effect="danger")
    async def wipe(self, call: Call) -> Said:
        """Throw away all that was written down."""
        self._kept.write_text("wiped\n")
        return Said("wiped")

    @wipe.plan
    async def _would_wipe(self, call: Call) -> Said:
        return Said("would wipe")

    def health(self) -> Health:
        return Health.good() if self.env.settings.well else Health.of({"disk": Health.bad("full")})
